"""Pages of a stream that go back to whom it was for, and what proves them (protocol clause 25.2-3).

page = certificates | [our notes, digests, entry, entry, ...]
"""

from bisect import bisect_left
from hashlib import sha256

import msgspec

from exchange.batch import stream_to
from exchange.core.streams import Incoming, chain_after
from exchange.gate import Gate
from exchange.signing_desk import body_of
from exchange.state import NodeState
from schemas.errors import FormatError
from schemas.header import decode_header
from schemas.limits import BUNDLE_BYTES_MAX
from schemas.moments import Instant
from schemas.objects import (
    MAGIC as OBJECT_MAGIC,
)
from schemas.objects import (
    CustodyNote,
    Void,
    cut_object,
    pack_bundle_body,
    pack_pieces,
    unpack_bundle_body,
    unpack_pieces,
)
from schemas.reasons import Reason
from schemas.rebuilding import DIGESTS_MAX, PAGE_ENTRIES, Absent, Rebuild, Rebuilt, Why
from schemas.records import NoteRow, StoredEntry
from signing.errors import BucketDamagedError, BucketKeyMissingError

PAGE_BYTES = BUNDLE_BYTES_MAX // 2
DIGEST_BYTES = 32


class Page(msgspec.Struct, frozen=True):
    """A page that our own notes have proven."""

    digests: list[bytes]
    """Of its entries, in order."""
    entries: dict[bytes, bytes]
    """Those that came, by their digest in the chain."""
    chain: bytes
    """After the last one."""
    note: bytes
    """Our last note."""
    noted: list[tuple[int, Instant]]
    """How far each note goes, and when it was signed."""

    def moment(self, number: int) -> Instant:
        """Return when we first said that we had taken an entry."""
        at = bisect_left(self.noted, (number, 0))
        return self.noted[at][1]


def read_page(said: Rebuilt, body: bytes, known: Incoming, neighbour: str, gate: Gate) -> Page:
    """Return a page once it is proven to go on from `known`. Raises FormatError."""
    _, pieces = unpack_bundle_body(body)
    if len(pieces) < 2:
        raise _fault("a page without notes and digests")
    notes, _ = unpack_pieces(pieces[0])
    digests = _digests(pieces[1])
    chains = _chains(known, digests)
    noted = [_check_note(gate.own_note(raw), said, chains, neighbour) for raw in notes]
    count = said.through - said.after
    if not noted or noted != sorted(noted) or noted[-1][0] != said.after + len(digests):
        raise _fault("the notes do not reach as far as the digests")
    if not 0 < count <= min(len(digests), PAGE_ENTRIES):
        raise _fault(f"entries up to {said.through} of {said.after + len(digests)}")
    entries = {_digest(raw): raw for raw in pieces[2:]}
    if not entries.keys() <= set(digests[:count]):
        raise _fault("an entry that the digests do not name")
    return Page(digests[:count], entries, chains[said.through], notes[-1], noted)


def _digests(packed: bytes) -> list[bytes]:
    if len(packed) % DIGEST_BYTES or len(packed) > DIGESTS_MAX * DIGEST_BYTES:
        raise _fault(f"digests of {len(packed)} bytes")
    return [packed[at : at + DIGEST_BYTES] for at in range(0, len(packed), DIGEST_BYTES)]


def _chains(known: Incoming, digests: list[bytes]) -> dict[int, bytes]:
    chains, chain = {}, known.chain
    for number, digest in enumerate(digests, known.up_to + 1):
        chain = chains[number] = chain_after(chain, number, digest)
    return chains


def _check_note(
    note: CustodyNote, said: Rebuilt, chains: dict[int, bytes], neighbour: str
) -> tuple[int, Instant]:
    place, chain = note.position, chains.get(note.position.up_to, b"")
    if (note.to, place.lane, place.epoch) != (neighbour, said.lane, said.of_epoch):
        raise _fault(f"a note about {place.lane} of {note.to} epoch {place.epoch}")
    if chain.hex() != place.chain:
        raise _fault(f"our note has another chain after entry {place.up_to}")
    return place.up_to, note.number


def _digest(raw: bytes) -> bytes:
    """Return what the chain has of an entry."""
    if raw[:4] == OBJECT_MAGIC:
        header = cut_object(raw).header
        if isinstance(header, Void):
            return bytes.fromhex(header.entry_sha256)
    return sha256(raw).digest()


def _fault(detail: str) -> FormatError:
    return FormatError(Reason.FORMAT_INVALID, detail)


class PageMaker:
    """Makes pages of what was placed for a neighbour."""

    def __init__(self, state: NodeState) -> None:
        """Share the node's state."""
        self._state = state

    async def make(self, asked: Rebuild, neighbour: str, now: Instant) -> tuple[Rebuilt, bytes]:
        """Return the page behind `asked.after` and its signed bytes.

        It is an empty one where no note goes further.
        """
        archive, stream = self._state.archive, stream_to(neighbour, asked.lane)
        reach = asked.after + PAGE_ENTRIES
        notes, last = await archive.notes_beyond(stream, asked.of_epoch, asked.after, reach)
        if not notes:
            return self._sign(asked, neighbour, now, last=last)
        end = notes[-1].up_to
        if end - asked.after > DIGESTS_MAX:
            why = f"the next note kept is {end - asked.after} entries away"
            return self._sign(asked, neighbour, now, last=last, why=why)
        digests = await archive.entry_digests(stream, asked.of_epoch, asked.after, end)
        if len(digests) != end - asked.after:
            why = f"{end - asked.after - len(digests)} entries are gone from this record"
            return self._sign(asked, neighbour, now, last=last, why=why)
        stored = await archive.entries(
            stream, asked.of_epoch, asked.after, min(PAGE_ENTRIES, end - asked.after), PAGE_BYTES
        )
        return self._sign(
            asked, neighbour, now, last=last, notes=notes, digests=digests, stored=stored
        )

    def _sign(  # noqa: PLR0913 - the parts of a page
        self,
        asked: Rebuild,
        neighbour: str,
        now: Instant,
        *,
        last: int,
        why: str = "",
        notes: list[NoteRow] | None = None,
        digests: list[bytes] | None = None,
        stored: list[StoredEntry] | None = None,
    ) -> tuple[Rebuilt, bytes]:
        entries: list[bytes] = []
        absent: list[Absent] = []
        for each in stored or []:
            found = self._open(each)
            if isinstance(found, bytes):
                entries.append(found)
            else:
                absent.append(Absent(each.number, found))
        objects = [row.object for row in notes or [] if row.object is not None]
        body = self._pack(objects, digests or [], entries)
        header = Rebuilt(
            **self._state.gate.stamp(neighbour, now),  # type: ignore[arg-type]
            lane=asked.lane,
            of_epoch=asked.of_epoch,
            after=asked.after,
            through=stored[-1].number if stored else asked.after,
            last=last,
            absent=tuple(absent),
            why=why,
            body=body_of(body),
        )
        return header, self._state.gate.sign(header, body)

    def _pack(self, notes: list[bytes], digests: list[bytes], entries: list[bytes]) -> bytes:
        signers = [cut_object(raw).header.certificate for raw in notes]
        signers += [_signer(raw) for raw in entries if raw[:4] != OBJECT_MAGIC]
        ders = [
            der for name in dict.fromkeys(signers) for der in self._state.gate.trust.ders_for(name)
        ]
        pieces = [pack_pieces(notes), b"".join(digests), *entries] if notes else []
        return pack_bundle_body(list(dict.fromkeys(ders)), pieces)

    def _open(self, stored: StoredEntry) -> bytes | Why:
        """Return the bytes of an entry, or why they are not here."""
        if stored.object is not None:
            return stored.object
        if stored.bucket is None:
            return "destroyed"
        if stored.head is None or stored.sealed is None:
            return "lost"
        try:
            return stored.head + self._state.gate.open_rest(
                stored.bucket, stored.sha256, stored.sealed
            )
        except (BucketDamagedError, BucketKeyMissingError):
            return "lost"


def _signer(raw: bytes) -> str:
    size = int.from_bytes(raw[6:8])
    return decode_header(raw[8 : 8 + size]).certificate
