"""The hostile peer: packets and link objects that depart from the rules, each between good ones.

A bad packet is refused for its reason (clause 9.2) and counts as taken; a bad object proves nothing
and moves nothing (6.8). What is good beside it gets through.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from nodes.clock import now
from nodes.errors import JudgementFailed
from nodes.gauntlet.field import Field
from nodes.gauntlet.party import Party
from nodes.gauntlet.speaker import chain_over
from schemas.answers import Receipt
from schemas.frame import cut, join_head
from schemas.header import encode_header
from schemas.limits import HEADER_BYTES_MAX
from schemas.moments import HOUR, SECOND, format_instant
from schemas.objects import CustodyNote
from schemas.reasons import Reason
from signing.seal import sign_object

FORK_WAIT_S = 5.0
NOISE_BYTES = 1_000_000


async def bad_packets(field: Field) -> int:
    """Send bad packets, each between two good ones in one bundle."""
    party, good = field.party, []
    for name, (make, reasons) in BAD_PACKETS.items():
        known, before, behind = field.pings(3)
        await party.send(known)
        bad = make(party, known)
        await party.send(before, bad, behind)
        with field.waiting(f"{name}: no answer"):
            answer = await party.answer_to(bad, field.patience_s)
        if isinstance(answer, Receipt) and answer.verdict == "accepted":
            raise JudgementFailed(f"{name}: accepted")
        if answer.reason not in reasons:
            raise JudgementFailed(f"{name}: refused as {answer.reason}, not {', '.join(reasons)}")
        good += [known, before, behind]
    await field.answered(good)
    return len(BAD_PACKETS)


async def bad_objects(field: Field) -> int:
    """Send what is no link object, or one that must not count; then a good packet."""
    party, good = field.party, []
    for name, make in BAD_OBJECTS.items():
        await party.publish(make(field))
        good += field.pings(1)
        last = await party.send(good[-1])
        await field.noted(last)
        if party.noted["bulk"].up_to != last:
            raise JudgementFailed(f"{name}: it moved the stream")
    await field.answered(good)
    return len(BAD_OBJECTS)


async def fork(field: Field) -> int:
    """Put another packet under a number that is taken: the link must stand still at once."""
    party = field.party
    ours, other, later = field.pings(3)
    start = party.sent["bulk"]
    first, chain = start.number + 1, start.chain
    await party.send(ours)
    await field.answered([ours])
    await party.publish(party.bundle([other], first, chain_over(chain, first, [other])))
    await field.quiet()
    await party.send(later)
    try:
        await party.answer_to(later, FORK_WAIT_S)
    except TimeoutError:
        return 1
    raise JudgementFailed("the link goes on behind a fork")


# --- packets --------------------------------------------------------------------------------------


def _rewritten(old: bytes, new: bytes) -> "Make":
    """Return a frame under a good signature whose header is written otherwise in one place."""

    def make(party: Party, _known: bytes) -> bytes:
        header, payload = party.draft(party.neighbour)
        text = encode_header(header)
        assert old in text, f"{old!r} is not in the header"
        return party.sign_text(text.replace(old, new, 1), payload)

    return make


def _cut_off(party: Party, _known: bytes) -> bytes:
    frame = party.packet(party.neighbour)
    return frame[: len(frame) // 2]


def _newer(party: Party, _known: bytes) -> bytes:
    header, payload = party.draft(party.neighbour)
    return party.sign_text(encode_header(header), payload, version=2)


def _too_long(party: Party, _known: bytes) -> bytes:
    header, payload = party.draft(party.neighbour, ext={"a": ""})
    missing = HEADER_BYTES_MAX + 1 - len(encode_header(header))
    longer = msgspec.structs.replace(header, ext={"a": "x" * missing})
    return party.sign_text(encode_header(longer), payload)


def _signed_wrongly(party: Party, _known: bytes) -> bytes:
    ours, other = cut(party.packet(party.neighbour)), cut(party.packet(party.neighbour))
    return join_head(ours.signed, other.signature) + ours.payload


def _other_payload(party: Party, _known: bytes) -> bytes:
    frame = bytearray(party.packet(party.neighbour, b"content"))
    frame[-1] ^= 1
    return bytes(frame)


def _id_again(party: Party, known: bytes) -> bytes:
    return party.packet(party.neighbour, b"other", id=cut(known).header.id)


def _number_again(party: Party, known: bytes) -> bytes:
    return party.packet(party.neighbour, b"other", seq=cut(known).header.seq)


def _changed(**changes: Callable[[Party], object]) -> "Make":
    """Return a frame of ours with these header fields."""

    def make(party: Party, _known: bytes) -> bytes:
        fields: dict[str, Any] = {name: value(party) for name, value in changes.items()}
        return party.packet(fields.pop("to", party.neighbour), **fields)

    return make


Make = Callable[[Party, bytes], bytes]
"""Makes a bad packet; the second argument is a good one that the neighbour has."""
_FORMAT = {Reason.FORMAT_INVALID}

BAD_PACKETS: dict[str, tuple[Make, set[Reason]]] = {
    "an empty entry": (lambda _, __: b"", _FORMAT),
    "noise behind the magic": (lambda _, __: b"BBAJ\x01\x01" + bytes(range(200)), _FORMAT),
    "half a packet": (_cut_off, _FORMAT),
    "a later version": (_newer, {Reason.FORMAT_VERSION}),
    "a header that is too long": (_too_long, {Reason.FORMAT_INVALID, Reason.TOO_LARGE}),
    "JSON 8,000 deep": (lambda party, _: party.sign_text(b"[" * 8000 + b"]" * 8000), _FORMAT),
    "the same key twice": (_rewritten(b'"type"', b'"type":"other/1","type"'), _FORMAT),
    "a number too large": (_rewritten(b'"epoch":1,', b'"epoch":9007199254740993,'), _FORMAT),
    "an escape": (_rewritten(b'"net"', rb'"n\u0065t"'), _FORMAT),
    "another's name": (
        _changed(from_=lambda party: f"{party.neighbour}.nobody"),
        {Reason.ROUTE_FORBIDDEN},
    ),
    "back where it came from": (
        _changed(to=lambda party: f"{party.address}.nobody"),
        {Reason.ROUTE_FORBIDDEN},
    ),
    "the signature of another packet": (_signed_wrongly, {Reason.SIG_INVALID}),
    "another payload": (_other_payload, {Reason.DIGEST_MISMATCH}),
    "an id again": (_id_again, {Reason.REPLAY}),
    "a number again": (_number_again, {Reason.REPLAY}),
    "from the future": (
        _changed(sent=lambda _: format_instant(now() + HOUR)),
        {Reason.OUTSIDE_TIME_WINDOW},
    ),
    "too late": (
        _changed(
            sent=lambda _: format_instant(now() - 2 * SECOND),
            expires=lambda _: format_instant(now() - SECOND),
        ),
        {Reason.EXPIRED},
    ),
}


# --- objects --------------------------------------------------------------------------------------


def _signed(field: Field, **changes: object) -> bytes:
    """Return a custody note of ours that says nothing new, but for changes of its header."""
    party = field.party
    note = CustodyNote(
        **{**party.stamp(), **changes},
        position=party.taken["bulk"].position("bulk"),
        hello=party.shake.heard,
    )
    return sign_object(note, party.signer)


def _turned(raw: bytes) -> bytes:
    """Return an object whose last byte, the end of its signature, has one bit turned."""
    return raw[:-1] + bytes([raw[-1] ^ 1])


def _late_note(field: Field) -> bytes:
    """Return a note of an earlier connection that would take back everything."""
    party = field.party
    position = msgspec.structs.replace(
        party.taken["fast"].position("fast"), up_to=0, chain=bytes(32).hex(), seen=0
    )
    note = CustodyNote(**party.stamp(), position=position, hello="0" * 32)
    return sign_object(note, party.signer)


BAD_OBJECTS: dict[str, Callable[[Field], bytes]] = {
    "nothing": lambda _: b"",
    "noise": lambda field: field.chance.draw(300),
    "much noise": lambda field: field.chance.draw(NOISE_BYTES),
    "noise behind the magic": lambda field: b"BBAL\x01\x02\x01" + field.chance.draw(300),
    "half an object": lambda field: _signed(field)[:150],
    "a byte behind the end": lambda field: _signed(field) + b"\0",
    "a later version": lambda field: b"BBAL\x02" + _signed(field)[5:],
    "an unknown kind": lambda field: b"BBAL\x01\xfe" + _signed(field)[6:],
    "from somebody else": lambda field: _signed(field, from_=f"{field.party.neighbour}.nobody"),
    "to somebody else": lambda field: _signed(field, to=f"{field.party.neighbour}.nobody"),
    "a signature turned": lambda field: _turned(_signed(field)),
    "a note of an earlier connection": _late_note,
}
