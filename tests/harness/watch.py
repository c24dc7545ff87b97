"""Looks into a running node from outside: record, metrics, logs, processes."""

import asyncio
import hashlib
import http.client
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import asyncpg
from prometheus_client.parser import text_string_to_metric_families

from nodes.sandbox.network import PrivateNetwork, RunningNode, database_name
from nodes.wiring import database_url
from schemas.leaves import read_leaf
from schemas.records import IncidentRow, QuarantineRow
from signing.at_rest import AtRest
from store.reading import Filters, ListedPacket, Reading
from store.verify import Verification, verify

PATIENCE_S = 15.0
POLL_S = 0.05
T = TypeVar("T")


class Watch:
    """The eyes on one node."""

    def __init__(self, network: PrivateNetwork, address: str) -> None:
        self.network = network
        self.address = address
        self._reading: Reading | None = None

    @property
    def node(self) -> RunningNode:
        return self.network.nodes[self.address]

    @property
    def log(self) -> str:
        """All that the daemon has logged so far."""
        return self.node.log_path.read_text(encoding="utf-8")

    async def reading(self) -> Reading:
        """Return the record, opened at first use."""
        if self._reading is None:
            self._reading = await Reading(database_url(self.node.config())).start()
        return self._reading

    async def close(self) -> None:
        """Let the database go; the next look opens it again."""
        reading, self._reading = self._reading, None
        if reading is not None:
            await reading.close()

    # --- the record -----------------------------------------------------------------------------

    async def rows(self, query: str, *values: object) -> list[Any]:
        """Return rows of any query, as the superuser."""
        connection = await self.superuser()
        try:
            return await connection.fetch(query, *values)
        finally:
            await connection.close()

    async def superuser(self) -> asyncpg.Connection:
        """Return a connection to the node's database that may do anything."""
        url = self.network._postgres.admin_url.removesuffix("/postgres")
        return await asyncpg.connect(f"{url}/{database_name(self.address)}")

    async def packet(self, packet_id: str) -> ListedPacket | None:
        """Return a packet with its state, or None where this node has none of that id."""
        reading = await self.reading()
        page = await reading.list_packets(Filters(id=packet_id))
        return page.packets[0] if page.packets else None

    async def state_of(self, packet_id: str) -> str | None:
        """Return how a packet stands here."""
        found = await self.packet(packet_id)
        return None if found is None else str(found.standing.state)

    async def leaves_of(self, packet_id: str) -> list[dict[str, str]]:
        """Return a packet's leaves, in the order of the journal."""
        timeline = await (await self.reading()).timeline(packet_id)
        moments = [one for one in timeline.moments if one.index is not None]
        return [one.facts for one in sorted(moments, key=lambda one: one.index or 0)]

    async def quarantine_of(self, raw: bytes) -> list[QuarantineRow]:
        """Return what quarantine lists for exactly these bytes, newest first."""
        digest = hashlib.sha256(raw).digest()
        rows = await (await self.reading()).quarantine_list(limit=1000)
        return [row for row in rows if row.sha256 == digest]

    async def quarantined_bytes(self, row: QuarantineRow) -> bytes | None:
        """Return the bytes kept in quarantine, decrypted from the record."""
        _, _, bucket, sealed = await (await self.reading()).stored_frame(row.frame)
        if bucket is None or sealed is None:
            return None
        return AtRest(self.node.config().data / "at-rest").open(bucket, row.sha256, sealed)

    async def refused_leaf(self, raw: bytes) -> dict[str, str]:
        """Return the journal's verdict on exactly these bytes."""
        rows = await self.rows("SELECT record FROM leaf WHERE kind = 'refused' ORDER BY index DESC")
        digest = hashlib.sha256(raw).hexdigest()
        leaves = [read_leaf(row["record"]) for row in rows]
        return next(leaf for leaf in leaves if leaf["frame-sha256"] == digest)

    async def incidents(self, kind: str, neighbour: str) -> list[IncidentRow]:
        """Return a neighbour's incidents of one kind, newest first."""
        found = await (await self.reading()).incidents(limit=1000)
        return [one for one in found if (one.kind, one.neighbour) == (kind, neighbour)]

    async def verify(self) -> Verification:
        """Check the whole record, every payload decrypted."""
        at_rest = AtRest(self.node.config().data / "at-rest")
        return await verify(database_url(self.node.config()), at_rest.open)

    # --- over HTTP --------------------------------------------------------------------------------

    async def fetch(self, path: str) -> str:
        """Return what the daemon serves under a path."""
        return await asyncio.to_thread(_get, self.node.http_port, path)

    async def metric(self, name: str, **labels: str) -> float:
        """Return a metric's value now, 0 where it has none yet."""
        for family in text_string_to_metric_families(await self.fetch("/metrics")):
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    return sample.value
        return 0.0

    # --- waiting ----------------------------------------------------------------------------------

    async def until(self, found: Callable[[], Awaitable[T]], patience_s: float = PATIENCE_S) -> T:
        """Return the first truth that `found` tells, asked again and again."""
        async with asyncio.timeout(patience_s):
            while not (result := await found()):  # noqa: ASYNC110 - another process acts
                await asyncio.sleep(POLL_S)
            return result

    async def until_state(
        self, packet_id: str, *states: str, patience_s: float = PATIENCE_S
    ) -> ListedPacket:
        """Return a packet once it stands in one of these states here."""

        async def look() -> ListedPacket | None:
            packet = await self.packet(packet_id)
            return packet if packet is not None and packet.standing.state in states else None

        found = await self.until(look, patience_s)
        assert found is not None
        return found

    async def until_logged(self, text: str, after: int = 0, patience_s: float = PATIENCE_S) -> str:
        """Return the log once it says something behind its first `after` characters."""

        async def look() -> str:
            return self.log[after:] if text in self.log[after:] else ""

        return await self.until(look, patience_s)


def _get(port: int, path: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()
