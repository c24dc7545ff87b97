"""Separate eyes at the rim: each knows what it saw there, and no program's own state."""

import asyncio
from collections import defaultdict
from collections.abc import Set as AbstractSet
from hashlib import sha256
from typing import Any

from exchange.core.streams import CHAIN_START, chain_after
from schemas.addresses import is_on_tree_path, parent_of
from schemas.objects import Bundle, CustodyNote
from simulation.parcels import Head, Parcel, receipt_in
from simulation.plan import Drop
from simulation.watch import FailureError

SPREAD_S = 1200.0
"""A revocation reaches everybody who runs within this time, and machines start again in it."""
ENDS = frozenset(("delivered", "refused", "fault"))
"""What a local system is told last of a drop."""


class Exchanges:
    """Every accepted drop: what its sender is told, and what its recipient is given."""

    def __init__(self, drops: dict[str, tuple[Drop, bytes]], liars: AbstractSet[str]) -> None:
        self.liars = liars
        self.drops = drops
        """By drop id: who drops what for whom."""
        self.accepted_at: dict[str, float] = {}
        self.revoked_at: dict[str, float] = {}
        self.excused: set[str] = set()
        """Drops that were accepted in a time that a restored record has lost: perhaps with them."""
        self.misdated: set[str] = set()
        """Drops that the root has accepted while its clock, which nobody corrects, was wrong."""
        self.states: dict[str, list[str]] = defaultdict(list)
        self.packets: dict[str, str] = {}
        """Packet ids by drop id, as the sender's node has told them."""
        self.fresh: dict[str, tuple[str, float]] = {}
        """Packets that came into an inbox, not marked as repeated, with where and when."""
        self.inboxes: dict[str, str] = {}
        """Packets that came into an inbox at all, with the drop that their bytes are of."""
        self.receipts: dict[str, set[tuple[str, str]]] = defaultdict(set)
        """By packet id: who has accepted which frame (its digest), as seen on the lines."""
        self.frames: dict[str, set[str]] = defaultdict(set)
        """By packet id: digests of the frames that its sender has put on a line."""
        self._astray: set[str] = set()
        self._by_body = {body: drop_id for drop_id, (_, body) in drops.items()}

    def accepted(self, at: str, drop_id: str) -> None:
        self.accepted_at[drop_id] = now_s()
        if at in self._astray:
            self.misdated.add(drop_id)

    def astray(self, at: str, *, is_wrong: bool) -> None:
        """Take note that the root's clock is wrong from now on, or right again."""
        (self._astray.add if is_wrong else self._astray.discard)(at)

    def revoked(self, at: str) -> None:
        self.revoked_at[at] = now_s()

    def restored(self, at: str, since_s: float) -> None:
        self.excused |= {
            drop_id
            for drop_id, accepted_s in self.accepted_at.items()
            if self.drops[drop_id][0].sender == at and accepted_s >= since_s
        }
        self.fresh = {
            packet: (where, released_s)
            for packet, (where, released_s) in self.fresh.items()
            if where != at or released_s < since_s
        }

    def published(self, by: str, _to: str, parcel: Parcel) -> None:
        for frame in parcel.frames:
            if frame.header.from_ != by:
                continue
            self.frames[frame.header.id].add(sha256(frame.raw).hexdigest())
            receipt = receipt_in(frame)
            if receipt is not None and receipt.verdict == "accepted":
                self.receipts[receipt.packet.id].add((by, receipt.frame_sha256))

    def released(self, at: str, body: bytes, headers: dict[str, Any]) -> None:
        packet = str(headers["packet-id"])
        drop_id = self._by_body.get(body)
        if drop_id is None:
            raise FailureError(f"{at} releases {packet}, which nobody has dropped")
        drop, _ = self.drops[drop_id]
        if (drop.sender, drop.to) != (headers["from"], at):
            raise FailureError(f"{at} releases {drop_id} of {drop.sender} to {drop.to}")
        revoked_s = self.revoked_at.get(drop.sender)
        if revoked_s is not None and self.accepted_at[drop_id] > revoked_s + SPREAD_S:
            raise FailureError(f"{at} releases {drop_id}, sealed under a key revoked before")
        for known, same in self.inboxes.items():
            if same == drop_id and known != packet:
                raise FailureError(f"{drop_id} is released as {known} and as {packet}")
        self.inboxes[packet] = drop_id
        if not headers.get("repeat", False):
            if packet in self.fresh:
                raise FailureError(f"{at} releases {packet} twice, as if it were new")
            self.fresh[packet] = at, now_s()

    def told(self, at: str, event: dict[str, Any]) -> None:
        drop_id, state, packet = event["drop_id"], event["state"], event.get("packet")
        drop, _ = self.drops[drop_id]
        if packet is not None and self.packets.setdefault(drop_id, packet) != packet:
            raise FailureError(f"{drop_id} is {self.packets[drop_id]} and {packet}")
        self.states[drop_id].append(state)
        if state == "delivered" and not self._is_accepted(packet or "", drop.to):
            raise FailureError(f"{drop_id} is told delivered, and {drop.to} has signed no receipt")
        is_known = drop.to.endswith("nobody") or drop_id in self.misdated
        if state == "refused" and not is_known and not self._met_liar(drop):
            raise FailureError(f"{drop_id} is refused for {event['reason']}: {event['detail']}")
        if state == "fault" and not drop.to.endswith("nobody"):
            raise FailureError(f"{drop_id} is at fault: {event}")

    def _is_accepted(self, packet: str, by: str) -> bool:
        """Say whether a node, a liar too, has signed that it has accepted what the sender sent."""
        return any((by, frame) in self.receipts[packet] for frame in self.frames[packet])

    def _met_liar(self, drop: Drop) -> bool:
        """Say whether a liar is on a drop's way, or above an end, which then waits."""
        above = {parent_of(drop.sender), parent_of(drop.to)}
        on_way = (is_on_tree_path(liar, drop.sender, drop.to) for liar in self.liars)
        return bool(above & self.liars) or any(on_way)

    def unfinished(self) -> list[str]:
        """Return what has not come to its end, in words."""
        found = []
        for drop_id, (drop, _) in self.drops.items():
            states = self.states[drop_id]
            if drop_id in self.excused or self._met_liar(drop):
                continue
            if drop_id not in self.accepted_at:
                found.append(f"{drop_id} was never accepted by {drop.sender}")
            elif not ENDS & set(states):
                found.append(f"{drop_id} to {drop.to} ends {states or 'without a word'}")
            elif "delivered" in states and self.packets[drop_id] not in self.inboxes:
                found.append(f"{drop_id} is delivered, and {drop.to} has never released it")
        return found


def now_s() -> float:
    return asyncio.get_running_loop().time()


class Streams:
    """Who notes a number has been given every number before it, and those very bytes."""

    def __init__(self, liars: AbstractSet[str]) -> None:
        self._liars = liars
        self.brought: dict[tuple[str, str, str, int], dict[int, set[bytes]]] = defaultdict(dict)
        """By writer, reader, lane and epoch: digests of the frames that came under each number."""
        self._sent: set[bytes] = set()
        self._given: dict[tuple[str, str, str, int], dict[int, bytes]] = defaultdict(dict)
        self._whole: dict[tuple[str, str, str, int], tuple[int, bytes]] = {}
        self._chains: dict[tuple[str, str, str, int], dict[int, bytes]] = defaultdict(dict)

    def published(self, by: str, to: str, parcel: Parcel) -> None:
        self._sent.add(parcel.raw)
        if isinstance(parcel.header, CustodyNote) and not {by, to} & self._liars:
            self._judge(by, to, parcel.header)

    def delivered(self, by: str, to: str, parcel: Parcel) -> None:
        header = parcel.header
        if not isinstance(header, Bundle) or parcel.raw not in self._sent:
            return
        key = (to, by, header.lane, header.epoch)
        given, brought = self._given[key], self.brought[key]
        for number, digest in enumerate(parcel.digests, header.first):
            given[number] = digest
            if digest in parcel.frame_digests:
                brought.setdefault(number, set()).add(digest)

    def _judge(self, by: str, writer: str, note: CustodyNote) -> None:
        position = note.position
        key = (writer, by, position.lane, position.epoch)
        number, chain = self._whole.get(key, (0, CHAIN_START))
        given, chains = self._given[key], self._chains[key]
        while number + 1 in given:
            number += 1
            chain = chain_after(chain, number, given[number])
            chains[number] = chain
        self._whole[key] = number, chain
        if position.up_to > number:
            raise FailureError(
                f"{by} notes {position.up_to} of {writer}'s {position.lane}, and was given {number}"
            )
        if position.up_to and chains[position.up_to].hex() != position.chain:
            raise FailureError(f"{by} notes {position.up_to} of {writer} with another chain")


class Journals:
    """Every head of a journal that was ever shown: one root for each size."""

    def __init__(self, liars: AbstractSet[str]) -> None:
        self._liars = liars
        self.heads: dict[tuple[str, int], bytes] = {}

    def published(self, by: str, _to: str, parcel: Parcel) -> None:
        if parcel.head is not None and by not in self._liars:
            self._see(by, parcel.head)

    def _see(self, by: str, head: Head) -> None:
        known = self.heads.setdefault((head.origin, head.size), head.root)
        if known != head.root:
            raise FailureError(f"{by} shows two journals of {head.origin} with {head.size} leaves")
