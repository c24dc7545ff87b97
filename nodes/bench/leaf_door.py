"""Documents handed over at a leaf by its database, as `bbaj send` does, and watched to the end.

Delivered is when the leaf's journal says `confirmed`: it holds the recipient's receipt.
"""

import asyncio
from collections.abc import Sequence
from itertools import count
from types import TracebackType
from typing import Self

import msgspec

from exchange.gate import Gate
from nodes.bench.exchanges import FRAMES_AN_EXCHANGE
from nodes.bench.running import Running
from nodes.clock import now
from nodes.config import Config
from nodes.errors import JudgementFailed
from nodes.wiring import database_url, open_vault
from schemas.documents.registry import TYPES
from schemas.leaves import LeafKind, read_leaf
from schemas.moments import Instant, parse_instant
from schemas.records import PendingDrop
from store.postgres import PostgresArchive
from store.reading import Reading

WAIT_S = 120
POLL_S = 0.002
SYSTEM = "bench"


class Letter(msgspec.Struct, frozen=True):
    """A document on its way to an address."""

    type: str
    recipient: str
    body: bytes
    section: str | None = None


class LeafDoor:
    """The way into a leaf's record."""

    def __init__(self, config: Config, *, wait_s: int = WAIT_S) -> None:
        """Stand by at the leaf that is configured so; `async with` connects.

        `wait_s` is how long a document may take until it is delivered.
        """
        self._wait_s = wait_s
        self._gate: Gate = open_vault(config).gate
        self._desk = PostgresArchive(database_url(config))
        self._numbers = count(1)

    async def __aenter__(self) -> Self:
        await self._desk.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._desk.__aexit__(kind, error, trace)

    async def drop(self, letter: Letter) -> PendingDrop:
        """Hand a document over; on return it is committed."""
        row = self._pending(letter, str(next(self._numbers)), now())
        await self._desk.drop(row)
        return row

    async def delivered_ms(self, row: PendingDrop) -> float:
        """Return the milliseconds from drop to delivered, once that is. Raises JudgementFailed."""
        while (at := await self._delivered_at(row)) is None:
            if now() > row.dropped + self._wait_s * 1_000_000:
                raise JudgementFailed(f"drop {row.drop_id} is not delivered after {self._wait_s} s")
            await asyncio.sleep(POLL_S)
        return (at - row.dropped) / 1000

    async def _delivered_at(self, row: PendingDrop) -> Instant | None:
        outcome = await self._desk.drop_outcome(row.system, row.drop_id)
        if outcome is None:
            return None
        if outcome.frame is None:
            raise JudgementFailed(f"drop {row.drop_id}: {outcome.fault}")
        trail = (await self._desk.trail_of_frame([outcome.frame]))[outcome.frame]
        confirmed = [mark for mark in trail.marks if mark.kind == LeafKind.CONFIRMED]
        return parse_instant(read_leaf(confirmed[0].record)["at"]) if confirmed else None

    def _pending(self, letter: Letter, drop_id: str, dropped: Instant) -> PendingDrop:
        bucket = self._gate.bucket(TYPES[letter.type].retention.value, None, dropped)
        return PendingDrop(
            system=SYSTEM,
            drop_id=drop_id,
            dropped=dropped,
            type=letter.type,
            recipient=letter.recipient,
            section=letter.section,
            period=None,
            title=None,
            re=None,
            media_type=None,
            bucket=bucket,
            sealed=self._gate.seal_for_rest(bucket, f"{SYSTEM}/{drop_id}".encode(), letter.body),
        )


async def judge_closed(services: Running, addresses: Sequence[str], exchanges: int) -> None:
    """Wait until every node on the way holds whole exchanges, so many, and nothing else.

    Raises JudgementFailed where something stays away or open.
    """
    await judge_held(services, addresses, FRAMES_AN_EXCHANGE * exchanges)


async def judge_held(services: Running, addresses: Sequence[str], wanted: int) -> None:
    """Wait until every node holds so many frames, and nothing is open.

    Raises JudgementFailed where something stays away or open.
    """
    for address in addresses:
        async with Reading(database_url(services.network.nodes[address].config())) as desk:
            deadline = asyncio.get_running_loop().time() + WAIT_S
            while (gauges := await desk.gauges()).last_frame < wanted or any(gauges.open.values()):
                if asyncio.get_running_loop().time() > deadline:
                    break
                await asyncio.sleep(POLL_S)
        if gauges.last_frame != wanted or any(gauges.open.values()):
            held = f"{gauges.last_frame} frames of {wanted}, open {gauges.open}"
            raise JudgementFailed(f"{address} holds {held}")
