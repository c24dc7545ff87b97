"""Numbered streams between neighbours: what to take of a bundle, where to send from (clause 7).

Numbers bind bytes: `chain_n = SHA-256(chain_(n-1) || u64 n || SHA-256(entry n))`, beginning with
32 zero bytes. Custody notes alone move a cursor; after any fault it goes on from there.
"""

import hashlib
from collections.abc import Sequence

import msgspec

from schemas.objects import StreamPosition

CHAIN_START = bytes(32)


def chain_after(chain: bytes, number: int, entry_sha256: bytes) -> bytes:
    """Return the chain value after entry `number`, given that before it."""
    return hashlib.sha256(chain + number.to_bytes(8) + entry_sha256).digest()


class Incoming(msgspec.Struct, frozen=True, gc=False):
    """How far one neighbour's stream is taken; `seen` is the highest number settled."""

    up_to: int = 0
    chain: bytes = CHAIN_START
    seen: int = 0
    epoch: int = 1
    """The neighbour's, in which these numbers count."""

    def position(self, lane: str) -> StreamPosition:
        """Return what a custody note says of this stream."""
        return StreamPosition(lane, self.epoch, self.up_to, self.chain.hex(), self.seen)  # type: ignore[arg-type]

    def in_epoch(self, epoch: int) -> "Incoming":
        """Return the stream as it stands in an epoch of the neighbour's: a later one is fresh."""
        return self if epoch <= self.epoch else Incoming(epoch=epoch)


class Taken(msgspec.Struct, frozen=True, gc=False):
    """Take the bundle's entries from offset `skip` on; earlier ones are known."""

    skip: int
    after: Incoming


class NotTaken(msgspec.Struct, frozen=True, gc=False):
    """Settle without taking: known already, or beyond a gap."""

    after: Incoming


class Broken(msgspec.Struct, frozen=True, gc=False):
    """Numbers and bytes disagree: keep the bundle as evidence. `fork`: a number taken before."""

    fork: bool
    detail: str


def take_bundle(
    stream: Incoming, first: int, last: int, chain: bytes, digests: Sequence[bytes]
) -> Taken | NotTaken | Broken:
    """Judge where a bundle stands in its stream. `digests` are the entries' SHA-256 in order."""
    if last - first + 1 != len(digests):
        return Broken(fork=False, detail=f"numbers {first}-{last} with {len(digests)} entries")
    if last <= stream.up_to:
        if last == stream.up_to and chain != stream.chain:
            return Broken(fork=True, detail=f"number {last} came with another chain")
        return NotTaken(stream)
    if first > stream.up_to + 1:
        return NotTaken(msgspec.structs.replace(stream, seen=max(stream.seen, last)))
    skip = stream.up_to + 1 - first
    value = stream.chain
    for number, digest in enumerate(digests[skip:], stream.up_to + 1):
        value = chain_after(value, number, digest)
    if value != chain:
        return Broken(fork=skip > 0, detail=f"chain after number {last} is not that of its entries")
    return Taken(skip, Incoming(last, value, max(stream.seen, last), stream.epoch))


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """Where a stream to a neighbour stands: what it has taken, and what was sent since."""

    cursor: int = 0
    sent: int = 0
    rewound_at: int = -1
    """The cursor when we last began again there: once for each place."""
    known: int = -1
    """The highest number sent or seen by then: a gap below it is being filled already."""
    single: bool = False
    """Notes stand still: send single frames until they move."""

    def after_sending(self, last: int) -> "Outgoing":
        """Return the state once entries up to `last` were handed to the broker."""
        return msgspec.structs.replace(self, sent=last)

    def restarted(self) -> "Outgoing":
        """Return the state of a new connection: on from the cursor."""
        return Outgoing(self.cursor, self.cursor, self.cursor, -1, self.single)

    def after_note(self, up_to: int, seen: int) -> "Outgoing":
        """Return the state after a note that echoes our latest nonce; no other counts.

        An older one may speak of what the neighbour has lost since: it must not even raise.
        """
        moved = up_to != self.cursor
        gap = seen > max(up_to, self.known)
        stands = not moved and self.sent > up_to != self.rewound_at
        if gap or stands or up_to < self.cursor:
            return self._rewound(up_to, seen, single=not moved and self.sent > up_to)
        nothing_sent = self.sent == self.cursor == self.rewound_at
        return Outgoing(
            up_to,
            max(self.sent, up_to),
            up_to if nothing_sent else self.rewound_at,
            self.known,
            self.single and not moved,
        )

    def stalled(self) -> "Outgoing":
        """Return the state after a time without any note: again from the cursor, one by one."""
        return self._rewound(self.cursor, 0, single=True)

    def _rewound(self, up_to: int, seen: int, *, single: bool) -> "Outgoing":
        return Outgoing(up_to, up_to, up_to, max(self.known, self.sent, seen), single)
