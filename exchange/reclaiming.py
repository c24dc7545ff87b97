"""Drops that became packets in a part of the record that is lost: none is sealed twice (18.5).

A drop may come again after a loss: it waited in the copy that was brought back, the broker or the
local system brings it once more. So none is sealed before the neighbour on its way has brought
back what it holds, and one whose mark a packet among that bears (17.2) is that packet. Until then
nothing could have reached its recipient either: the wait costs no delivery. It ends with the hold
limit, counted while the link is up, should a neighbour bring back what nobody can take.
"""

import asyncio

import msgspec

from exchange.batch import Batch
from exchange.core.confirmation import verdict_of
from exchange.core.steps import ReportStatus
from exchange.dropped import Drop
from exchange.identity import bears_mark
from exchange.returning import Returning
from exchange.state import NodeState
from schemas.errors import FormatError
from schemas.leaves import LeafKind, read_leaf
from schemas.records import PacketRow, Trail

UNCLAIMED_MAX = 10_000
"""So many packets of one type to one recipient are looked at, the newest ones."""


class Unclaimed(msgspec.Struct, frozen=True):
    """A packet of ours of an earlier epoch that no drop of the record became."""

    frame: int
    packet: str
    salt: bytes


class Reclaiming:
    """What came back, held against the drops that come."""

    def __init__(self, state: NodeState, returning: Returning) -> None:
        """Share the node's state; `returning` knows who has brought back all."""
        self._state = state
        self._returning = returning
        self._whole: dict[tuple[str, str], list[Unclaimed]] = {}
        """By recipient and type, once nothing more can come back."""

    def must_wait(self, to: str, batch: Batch) -> bool:
        """Say whether what was sent towards an address before a loss may come back yet."""
        hop = self._state.registry.next_hop(to)
        if hop is None or self._returning.has_all(hop, batch.epoch):
            return False
        link = self._state.links.get(hop)
        since = None if link is None else link.up_since
        return since is None or batch.now - since <= self._state.rules.limits.hold_limit_us

    async def find(self, drop: Drop, batch: Batch) -> Trail | None:
        """Return the packet that a drop became in a part that was lost, if it is back."""
        if batch.epoch == 1:
            return None
        name = drop_name(drop, self._state.rules.here)
        for lost in await self._unclaimed(drop.to, drop.type, batch):
            if bears_mark(lost.packet, lost.salt, name):
                return (await self._state.archive.trail_of_frame([lost.frame]))[lost.frame]
        return None

    async def parts_of(self, drop: Drop, manifest: PacketRow) -> list[tuple[str, str, int]]:
        """Return the parts of a file that are back as well: they are not sealed again."""
        numbers = range(1, (drop.parts or 0) + 1)
        names = [(manifest.sender, manifest.epoch, manifest.id, number) for number in numbers]
        known = await self._state.archive.parts_known(names)
        return [(drop.system, drop.drop_id, number) for *_, number in known]

    async def _unclaimed(self, to: str, type_name: str, batch: Batch) -> list[Unclaimed]:
        route = (to, type_name)
        if route in self._whole:
            return self._whole[route]
        archive, here = self._state.archive, self._state.rules.here
        rows = await archive.unclaimed(here, to, type_name, batch.epoch, UNCLAIMED_MAX)
        found = [each for row in rows if (each := await self._open(row)) is not None]
        hop = self._state.registry.next_hop(to)
        if hop is not None and self._returning.has_all(hop, batch.epoch):
            self._whole[route] = found
        return found

    async def _open(self, row: PacketRow) -> Unclaimed | None:
        """Read a packet's salt; None where its payload is destroyed, or opens no more."""
        stored = (await self._state.archive.payloads_of([row.frame])).get(row.frame)
        if stored is None:
            return None
        salt_of = self._state.gate.salt_of
        try:
            salt = await asyncio.to_thread(salt_of, row.head, *stored, row.frame_sha256)
        except FormatError:
            return None
        return Unclaimed(row.frame, row.id, salt)


def drop_name(drop: Drop, here: str) -> bytes:
    """Return what a drop is known by: one name for each drop of the network (17.2)."""
    return f"{here}\n{drop.system}\n{drop.drop_id}".encode()


def end_of(trail: Trail) -> ReportStatus | None:
    """Return what a local system is told of a packet that is confirmed; None before that."""
    verdict = verdict_of(trail)
    if not verdict:
        return None
    if verdict == "accepted":
        return ReportStatus(trail.packet, "delivered")
    leaves = [read_leaf(mark.record) for mark in trail.marks if mark.kind == LeafKind.CONFIRMED]
    facts = leaves[-1]
    return ReportStatus(trail.packet, "refused", facts["reason"], facts.get("detail", ""))
