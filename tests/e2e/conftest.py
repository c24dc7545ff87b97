"""One small country for all end-to-end tests of a run: real daemons, one PostgreSQL, one broker.

    kz ── kz.zhambyl ──┬── taraz     sends, by its local system
                       ├── shu       receives, by its local system
                       ├── spare     whose daemon starts only where a test wants it
                       ├── again     likewise; its database is restored from an old copy
                       ├── mute      suspended, narrow: one type only, old: closed, has moved
                       ├── karatau   a leaf without a broker, started where a test wants it
                       └── r01 ...   rogues: a login, and no daemon
    kz ── kz.turkestan ── otrar      a relay and such a leaf, likewise
    kz.abai ── semey                 a real child whose parent is a rogue

Tests come in any order and share all of it: each takes a rogue of its own, or undoes what it did.
"""

import itertools
from collections.abc import AsyncIterator

import pytest

from harness.local_user import LocalUser
from harness.network import private_network
from harness.rogue import Rogue, rogue_child, rogue_parent
from harness.watch import Watch
from nodes import samples
from nodes.sandbox.network import NodeSpec, PrivateNetwork
from nodes.upkeep import prepare_database
from schemas.moments import DAY

ROOT, RELAY, SENDER, RECIPIENT = "kz", "kz.zhambyl", "kz.zhambyl.taraz", "kz.zhambyl.shu"
ABOVE, BELOW = "kz.abai", "kz.abai.semey"
SPARE, AGAIN = "kz.zhambyl.spare", "kz.zhambyl.again"
NEAR, FAR_RELAY, FAR = "kz.zhambyl.karatau", "kz.turkestan", "kz.turkestan.otrar"
MUTE, NARROW, OLD = "kz.zhambyl.mute", "kz.zhambyl.narrow", "kz.zhambyl.old"
ROGUES = [f"kz.zhambyl.r{number:02}" for number in range(1, 81)]

HOLD_LIMIT_S = 2.5
OVERDUE_S = 2.0
ANSWERS_A_MINUTE = 100
LATE_LIMIT_US = 20 * DAY
HELD_BYTES = 4 * 1024 * 1024
REFUSED_BYTES = 8 * 1024 * 1024


class Country:
    """The network, the eyes on each node, the local systems, and rogues on demand."""

    def __init__(self, network: PrivateNetwork) -> None:
        self.network = network
        self.at = {address: Watch(network, address) for address in network.nodes}
        self.ministry = LocalUser(network.nodes[ROOT], "ministry")
        self.sender = LocalUser(network.nodes[SENDER], "sis-taraz")
        self.recipient = LocalUser(network.nodes[RECIPIENT], "sis-shu")
        self.dropped: list[bytes] = []
        """Every document that was handed over, for whoever looks where it may have leaked."""
        self._free = iter(ROGUES)
        self._numbers = itertools.count(1)
        self._rogues: list[Rogue] = []
        self._lasting: dict[str, Rogue] = {}

    @property
    def users(self) -> tuple[LocalUser, ...]:
        return self.ministry, self.sender, self.recipient

    async def rogue(self) -> Rogue:
        """Return a new child that speaks by hand, online and greeted."""
        return await self.online(rogue_child(self.network, next(self._free)))

    async def lasting_rogue(self, name: str) -> Rogue:
        """Return one rogue for many tests, which stays on the line between them.

        Named by an address, it is that child, or the one parent there is; named `above`, it is
        that parent as a child of the root.
        """
        if name not in self._lasting:
            found = self._make_lasting(name)
            self._lasting[name] = found
            await found.start()
        await self._lasting[name].until(self._lasting[name].synchronised.is_set)
        return self._lasting[name]

    def _make_lasting(self, name: str) -> Rogue:
        if name == ABOVE:
            return rogue_parent(self.network, ABOVE, BELOW)
        if name == "above":
            return rogue_child(self.network, ABOVE)
        return rogue_child(self.network, name if "." in name else next(self._free))

    async def silent_rogue(self) -> Rogue:
        """Return a new child that is connected, brings its certificate, and does not greet."""
        found = rogue_child(self.network, next(self._free))
        self._rogues.append(found)
        found.greets = False
        await found.start(greeted=False)
        await found.bring(found.trust.ders_for(found.signer.fingerprint))
        return found

    async def online(self, rogue: Rogue) -> Rogue:
        """Let a rogue call until the test ends."""
        self._rogues.append(rogue)
        await rogue.start()
        return rogue

    def document(self) -> bytes:
        """Return a valid document of made-up pupils, no two alike."""
        document = samples.tiny(next(self._numbers))
        self.dropped.append(document)
        return document

    async def drop(
        self, to: str = RECIPIENT, drop_id: str | None = None, **headers: str
    ) -> tuple[str, str, bytes]:
        """Drop a document at the sender; return drop id, packet id and document, once sealed."""
        drop_id = drop_id or f"drop-{next(self._numbers)}"
        body = self.document()
        await self.sender.drop(drop_id, body, type="attendance.daily/1", to=to, **headers)
        status = await self.sender.until_status(drop_id, "sent")
        return drop_id, status["packet"], body

    async def let_go(self) -> None:
        """Hang up the rogues of one test."""
        for each in self._rogues:
            await each.stop()
        self._rogues.clear()

    async def close(self) -> None:
        await self.let_go()
        for each in self._lasting.values():
            await each.stop()
        for user in self.users:
            await user.stop()
        for eyes in self.at.values():
            await eyes.close()


def limit(network: PrivateNetwork, address: str, lines: str) -> None:
    """Give one node limits of its own; its daemon reads them at start."""
    path = network.nodes[address].config_path
    path.write_text(path.read_text(encoding="utf-8") + lines + "\n", encoding="utf-8")


@pytest.fixture(scope="session")
async def country() -> AsyncIterator[Country]:
    specs = [
        NodeSpec(ROOT, systems=("ministry",)),
        NodeSpec(RELAY),
        NodeSpec(SENDER, systems=("sis-taraz",)),
        NodeSpec(RECIPIENT, systems=("sis-shu",)),
        NodeSpec(SPARE, systems=("sis-spare",)),
        NodeSpec(AGAIN, systems=("sis-again",)),
        NodeSpec(NEAR),
        NodeSpec(FAR_RELAY),
        NodeSpec(FAR),
        NodeSpec(ABOVE),
        NodeSpec(BELOW),
    ]
    others = [MUTE, NARROW, OLD, *ROGUES]
    limits = {"hold_limit_us": round(HOLD_LIMIT_S * 1e6)}
    async with private_network(specs, also_children=others, limits=limits) as network:
        await prepare_database(network.nodes[SPARE].config())  # whatever test meets it first
        network.vouch(MUTE, standing="suspended")
        network.vouch(NARROW, types=("admin.order/1",))
        network.vouch(OLD, standing="closed", successor=RECIPIENT)
        limit(
            network,
            RELAY,
            f"answers_per_minute_per_link = {ANSWERS_A_MINUTE}\n"
            f"late_limit_us = {LATE_LIMIT_US}\n"
            f"held_bytes_per_link = {HELD_BYTES}\n"
            f"refused_bytes_kept_per_link = {REFUSED_BYTES}",
        )
        overdue = round(OVERDUE_S * 1e6)
        limit(
            network,
            SENDER,
            f"receipt_overdue_fast_us = {overdue}\nreceipt_overdue_bulk_us = {overdue}",
        )
        await network.start(ROOT, RELAY, SENDER, RECIPIENT, BELOW)
        country = Country(network)
        try:
            for user in country.users:
                await user.start()
            yield country
        finally:
            await country.close()


@pytest.fixture(autouse=True)
async def hang_up(country: Country) -> AsyncIterator[None]:
    """Let no rogue of a test speak in the next one."""
    yield
    await country.let_go()
