"""What is no frame, and all but a frame: each refused by itself, between two good ones."""

import re
from collections.abc import Callable
from random import Random

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from harness.rogue import Rogue
from nodes.clock import now
from schemas.frame import cut, join_head
from schemas.header import encode_header
from schemas.limits import HEADER_BYTES_MAX
from schemas.moments import format_instant
from schemas.objects import Ask
from signing.keys import P256_ORDER
from signing.payload import payload_facts
from signing.seal import sign_object

ROOT, RELAY = "kz", "kz.zhambyl"

Spoil = Callable[[Rogue], bytes]


def rewritten(pattern: bytes, by: bytes) -> Spoil:
    """Return a frame under a good signature whose header is written otherwise in one place."""

    def make(rogue: Rogue) -> bytes:
        header, payload = rogue.draft(ROOT)
        text, count = re.subn(pattern, by, encode_header(header), count=1)
        assert count == 1, f"{pattern!r} is not in the header"
        return rogue.sign_text(text, payload)

    return make


def cut_off(where: Callable[[bytes], int]) -> Spoil:
    """Return a frame that ends too early."""

    def make(rogue: Rogue) -> bytes:
        frame = rogue.packet(ROOT)
        return frame[: where(frame)]

    return make


def signed_otherwise(spoil: Callable[[bytes], bytes]) -> Spoil:
    """Return a frame whose signature is the right one, written in another way."""

    def make(rogue: Rogue) -> bytes:
        frame = cut(rogue.packet(ROOT))
        return join_head(frame.signed, spoil(frame.signature)) + frame.payload

    return make


def high_s(signature: bytes) -> bytes:
    r, s = decode_dss_signature(signature)
    return encode_dss_signature(r, P256_ORDER - s)


def lax_der(signature: bytes) -> bytes:
    """Return the signature with its length in two bytes where one is the rule."""
    return signature[:1] + b"\x81" + signature[1:]


def header_one_byte_too_long(rogue: Rogue) -> bytes:
    header, payload = rogue.draft(ROOT, ext={"a": ""})
    missing = HEADER_BYTES_MAX + 1 - len(encode_header(header))
    text = encode_header(msgspec.structs.replace(header, ext={"a": "x" * missing}))
    assert len(text) == HEADER_BYTES_MAX + 1
    return rogue.sign_text(text, payload)


def ext_five_deep(rogue: Rogue) -> bytes:
    header, payload = rogue.draft(ROOT, ext={"a": {"a": {"a": {"a": {"a": 1}}}}})
    return rogue.sign_text(encode_header(header), payload)


def an_object_that_is_no_entry(rogue: Rogue) -> bytes:
    return sign_object(Ask(**rogue.stamp(), what="crls"), rogue.signer)


def a_moment_that_never_was(rogue: Rogue) -> bytes:
    text = format_instant(now())
    header, payload = rogue.draft(ROOT, sent=text)
    bad = encode_header(header).replace(
        text.encode(), text[:5].encode() + b"02-30" + text[10:].encode()
    )
    return rogue.sign_text(bad, payload)


DEFECTS: dict[str, Spoil] = {
    "nothing": lambda _: b"",
    "three bytes": cut_off(lambda _: 3),
    "prefix without header": cut_off(lambda _: 8),
    "half of the header": cut_off(lambda frame: cut(frame).signed_bytes // 2),
    "header without signature": cut_off(lambda frame: cut(frame).signed_bytes),
    "half of the signature": cut_off(lambda frame: cut(frame).head_bytes - 20),
    "random bytes": lambda _: Random(1).randbytes(300),
    "random bytes behind the magic": lambda _: b"BBAJ\x01\x01" + Random(2).randbytes(300),
    "header length beyond the end": lambda rogue: rogue.sign_text(b"{}", size=16000),
    "header of 16 KiB and 1": header_one_byte_too_long,
    "header is no JSON": lambda rogue: rogue.sign_text(b"id=1"),
    "header is a list": lambda rogue: rogue.sign_text(b"[]"),
    "JSON 8000 deep": lambda rogue: rogue.sign_text(b"[" * 8000 + b"]" * 8000),
    "objects 2000 deep in ext": rewritten(
        rb"}$", b',"ext":' + b'{"a":' * 2000 + b"1" + b"}" * 2001
    ),
    "ext five deep": ext_five_deep,
    "wrong UTF-8": rewritten(rb'"net"', b'"n\xffet"'),
    "UTF-8 beyond ASCII": rewritten(rb'"net"', '"nеt"'.encode()),
    "a control character": rewritten(rb'"net"', b'"ne\x07t"'),
    "an escape": rewritten(rb'"net"', rb'"n\\u0065t"'),
    "the same key twice": rewritten(rb'"type"', b'"type":"other/1","type"'),
    "epoch 1.0": rewritten(rb'"epoch":1,', b'"epoch":1.0,'),
    "epoch 1e0": rewritten(rb'"epoch":1,', b'"epoch":1e0,'),
    "epoch 01": rewritten(rb'"epoch":1,', b'"epoch":01,'),
    "epoch -1": rewritten(rb'"epoch":1,', b'"epoch":-1,'),
    "epoch 0": rewritten(rb'"epoch":1,', b'"epoch":0,'),
    "epoch as text": rewritten(rb'"epoch":1,', b'"epoch":"1",'),
    "epoch beyond 2^53": rewritten(rb'"epoch":1,', b'"epoch":9007199254740993,'),
    "number of 400 digits": rewritten(rb'"epoch":1,', b'"epoch":' + b"9" * 400 + b","),
    "white space": rewritten(rb'"type":', b'"type": '),
    "a line break at the end": rewritten(rb"}$", b"}\n"),
    "another order of fields": rewritten(rb'^{("id":"[^"]*"),("type":"[^"]*"),', rb"{\2,\1,"),
    "an unknown field": rewritten(rb'"section"', b'"secret":"x","section"'),
    "a payload elsewhere": rewritten(
        rb'"payload":{', b'"payload":{"href":"https://example.org/1",'
    ),
    "a field left out": rewritten(rb'"section":"net",', b""),
    "null for what is absent": rewritten(rb'"section"', b'"period":null,"section"'),
    "neither seq nor part": rewritten(rb'"seq":[0-9]+,', b""),
    "from equal to to": rewritten(rb'"to":"kz"', b'"to":"kz.zhambyl.r01","from":"kz.zhambyl.r01"'),
    "an address in capitals": rewritten(rb'"to":"kz"', b'"to":"KZ"'),
    "30 February": a_moment_that_never_was,
    "digest in capitals": rewritten(rb'"sha256":"[0-9a-f]*"', b'"sha256":"' + b"A" * 64 + b'"'),
    "no signature": lambda rogue: join_head(cut(rogue.packet(ROOT)).signed, b""),
    "a signature with a high S": signed_otherwise(high_s),
    "a signature in lax DER": signed_otherwise(lax_der),
    "a signature with a byte behind it": signed_otherwise(lambda signature: signature + b"\0"),
    "an object that is no entry": an_object_that_is_no_entry,
    "an object cut off": lambda rogue: an_object_that_is_no_entry(rogue)[:-10],
}


@pytest.mark.parametrize("defect", DEFECTS)
async def test_it_is_refused_alone(country, defect):
    """It is refused as `format-invalid`, and the frames before and behind it are delivered."""
    rogue = await country.lasting_rogue("malformed")
    bad = DEFECTS[defect](rogue)
    before, behind = rogue.packet(ROOT), rogue.packet(ROOT)
    await rogue.send(before, bad, behind)
    refusal = await rogue.refusal_of(bad)
    receipts = [await rogue.receipt_on(frame) for frame in (before, behind)]
    verdicts = [receipt.verdict for _, receipt in receipts]
    assert (refusal.reason, verdicts) == ("format-invalid", ["accepted", "accepted"])


async def test_the_refusal_names_the_entrys_number(country):
    """A refusal entry names lane, number and digest of what it refuses."""
    rogue = await country.lasting_rogue("malformed")
    bad = b"no frame, by any reading"
    last = await rogue.send(rogue.packet(ROOT), bad, rogue.packet(ROOT))
    refusal = await rogue.refusal_of(bad)
    assert (refusal.lane, refusal.of_epoch, refusal.entry) == ("bulk", 1, last - 1)


async def test_a_payload_cut_off_is_answered_to_its_sender(country):
    """A frame that lost the end of its payload is refused as `digest-mismatch`, by a receipt."""
    rogue = await country.lasting_rogue("malformed")
    frame = rogue.packet(ROOT, b"content that is cut off")
    await rogue.send(frame[:-5])
    _, receipt = await rogue.receipt_on(frame[:-5])
    assert (receipt.verdict, receipt.reason) == ("refused", "digest-mismatch")


async def test_a_payload_that_cannot_be_opened_is_refused(country):
    """A sealed payload that is not what its coding says is refused by its recipient."""
    rogue = await country.lasting_rogue("malformed")
    header, _ = rogue.draft(ROOT)
    garbage = b"this was never deflated"
    facts = payload_facts(garbage, "application/json", "salt+deflate")
    frame = rogue.sign_text(encode_header(msgspec.structs.replace(header, payload=facts)), garbage)
    await rogue.send(frame)
    _, receipt = await rogue.receipt_on(frame)
    assert (receipt.verdict, receipt.reason) == ("refused", "format-invalid")


async def test_an_unknown_retention_class_is_held_and_refused_in_the_end(country):
    """A class on no list of ours stops nobody: it is held, and past the limit refused."""
    rogue = await country.lasting_rogue("malformed")
    frame = rogue.packet(ROOT, class_="Z9")
    await rogue.send(frame)
    sound = rogue.packet(ROOT)
    await rogue.send(sound)
    _, receipt = await rogue.receipt_on(sound)
    refused = await rogue.answer_to(frame)
    assert (receipt.verdict, refused.reason) == ("accepted", "type-not-allowed")
