"""Nobody in between reads: what is planted in documents is found at their ends, and nowhere else.

karatau ── kz.zhambyl ── kz ── kz.turkestan ── otrar      over three relays, real brokers
"""

import asyncio
import base64
import zlib
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest

from exchange.dropped import Drop
from harness.planted import (
    base64_core,
    database_of,
    disguises,
    files_of,
    found_in,
    surroundings_of,
    unwrapped,
)
from harness.rogue import SALT
from nodes import samples
from nodes.cli.handing import SYSTEM, send
from nodes.cli.inboxes import Taking, take
from schemas.answers import PacketName
from schemas.documents.attendance import AttendanceDaily
from schemas.documents.notice import NoticeReturned
from schemas.documents.order import AdminOrder
from schemas.frame import cut
from schemas.identifiers import artificial_iin
from signing.encryption import EncryptionKeyring, HybridKey
from signing.payload import payload_facts
from signing.wrapping import binding_of, encrypt

FROM, TO = "kz.zhambyl.karatau", "kz.turkestan.otrar"
RELAYS = ("kz.zhambyl", "kz", "kz.turkestan")
ROOT, RELAY, RECIPIENT = "kz", "kz.zhambyl", "kz.zhambyl.shu"
NAME = "Құпиябай Жасырынұлы"
LATIN = "Jasyryn Qupiyabaiuly"
IIN = artificial_iin(48_217_391)
PLANTED = (NAME, LATIN, IIN)
PATIENCE_S = 30.0


# ------------------------------------------------------------------ the search itself


@pytest.mark.parametrize("form", disguises(NAME))
def test_every_disguise_is_found(form):
    """Each form in which a text can stand is found by itself."""
    places = {"here": b"before " + disguises(NAME)[form] + b" behind"}
    assert (form, NAME) in {(name, text) for _, name, text in found_in(places, PLANTED)}


@pytest.mark.parametrize("before", [b"", b"a", b"ab", b"abc"])
def test_base64_is_found_wherever_it_begins(before):
    """Whatever stands before and behind a text within Base64, its core is there."""
    text = base64.b64encode(before + NAME.encode() + b"behind")
    assert base64_core(NAME.encode(), len(before) % 3) in text
    assert found_in({"here": text}, [NAME])


@pytest.mark.parametrize("window_bits", [-15, 15, 31])
def test_what_is_compressed_is_found(window_bits):
    """Raw deflate, zlib and gzip data are inflated."""
    packer = zlib.compressobj(wbits=window_bits)
    packed = packer.compress(NAME.encode() * 9) + packer.flush()
    assert not found_in({"here": packed}, [NAME])
    assert found_in({"here": b"".join(unwrapped(packed))}, [NAME])


async def test_frames_are_found_in_anything(country):
    """A deflated payload is found in the midst of other bytes, an encrypted one with its key."""
    rogue = await country.lasting_rogue("secrecy")
    content, keys = NAME.encode() * 20, EncryptionKeyring(HybridKey.generate())
    clear = rogue.packet(ROOT, content)
    closed = rogue.encrypted(ROOT, content, keys.newest.public, padded=True)
    for frame, opener in ((clear, None), (closed, keys)):
        midst = b"BBAJ\x01\x01" + frame[:200] + frame + b"more"
        assert not found_in({"here": midst}, [NAME])
        assert found_in({"here": b"".join(unwrapped(midst, opener))}, [NAME])
    assert not found_in({"here": b"".join(unwrapped(closed))}, [NAME])


# ------------------------------------------------------------------ the search at work


def documents() -> list[Drop]:
    """Return one document of each personal type, with all that is planted in each."""
    attendance = msgspec.json.decode(samples.tiny(1), type=AttendanceDaily)
    source = msgspec.structs.replace(attendance.pupils[0].source_ref, number=f"{NAME} {LATIN}")
    pupil = msgspec.structs.replace(attendance.pupils[0], iin=IIN, source_ref=source)
    day = msgspec.structs.replace(attendance, pupils=(pupil,))
    notice = NoticeReturned(
        packet=PacketName(FROM, 1, "01a20675-fef0-7a11-8c3e-0d5a4b7f6e21"),
        reasons_version=1,
        reason="other",
        text=f"{NAME}, {LATIN}: {IIN}",
    )
    text = f"{NAME}\n{LATIN}\n{IIN}\n" * 100
    return [
        _drop("attendance.daily/1", msgspec.json.encode(day)),
        _drop("notice.returned/1", msgspec.json.encode(notice), section="S06"),
        _drop("document.file/1", text.encode(), section="S06", title=f"{NAME} {LATIN} {IIN}"),
        _drop("document.file/1", text.encode("utf-16"), section="S06", title="utf-16"),
    ]


def order() -> Drop:
    """Return a document of a type that is not personal, with the same planted in it."""
    decoded = msgspec.json.decode(samples.order(1, 1), type=AdminOrder)
    texts = [
        msgspec.structs.replace(each, text=f"{NAME}, {LATIN}, {IIN}. " * 5)
        for each in decoded.texts
    ]
    body = msgspec.json.encode(msgspec.structs.replace(decoded, texts=tuple(texts)))
    return _drop("admin.order/1", body, section="S05")


def _drop(type_: str, body: bytes, **more: str) -> Drop:
    media_type = "text/plain" if type_ == "document.file/1" else None
    return Drop(
        SYSTEM, f"planted {type_} {len(body)}", type_, TO, body, media_type=media_type, **more
    )


async def deliver(country, drop: Drop) -> str:
    """Hand a document over as `bbaj send --wait` does; return its packet's id."""
    config = country.network.nodes[FROM].config()
    done = await send(config, drop, PATIENCE_S, lambda _: None)
    assert done.state == "delivered", done
    return done.packet or ""


async def relays_hold(country) -> set[tuple[str, str]]:
    """Return where the relays and their brokers hold what is planted, and what of it."""
    places = {}
    for address in RELAYS:
        watch = country.at[address]
        found = await database_of(watch) | await surroundings_of(watch)
        places |= {f"{address}: {name}": blob for name, blob in found.items()}
    broker = country.network._brokers[ROOT]
    places |= {f"broker: {name}": blob for name, blob in files_of(broker.folder).items()}
    queues = await broker.ctl("eval", "rabbit_amqqueue:list().")
    names = "\n".join(str(path) for path in country.network.folder.rglob("*"))
    places |= {"queues": queues.encode(), "names of files": names.encode()}
    assert all(places.values()), [name for name, blob in places.items() if not blob]
    return {(place, text) for place, _, text in found_in(places, PLANTED)}


@pytest.mark.timeout(180)
async def test_what_is_planted_is_found_at_its_ends_only(country):
    """No relay holds it, in no disguise; its ends do, and relays too, once it is not encrypted."""
    await country.network.start("kz.turkestan", FROM, TO)
    try:
        packets = await asyncio.gather(*(deliver(country, drop) for drop in documents()))
        assert await relays_hold(country) == set()
        for end in (TO, FROM):
            held = found_in(await database_of(country.at[end]), PLANTED)
            assert {text for place, _, text in held if place == "at rest"} == set(PLANTED)
        taken = await take_out(country, packets)
        assert found_in({"taken": taken}, PLANTED)
        await deliver(country, order())
        held = await relays_hold(country)
        assert {(f"{relay}: at rest", text) for relay in RELAYS for text in PLANTED} <= held
        assert {("broker: files", text) for text in PLANTED} <= held
    finally:
        await country.network.stop("kz.turkestan", FROM, TO)


async def take_out(country, packets: Iterable[str]) -> bytes:
    """Return what `bbaj inbox take --all` takes of packets at the recipient."""
    config = country.network.nodes[TO].config()
    folder = Path(country.network.folder) / "taken"
    folder.mkdir()
    found = await take(config, Taking(every=True, folder=folder))
    assert {each.id for each in found} >= set(packets)
    return b"".join(Path(each.path).read_bytes() for each in found if each.path)


async def test_a_document_for_nobody_waits_and_is_a_fault(country):
    """While its recipient's card is asked for it waits; the root then says that there is none."""
    facts = {"type": "attendance.daily/1", "to": "kz.nobody"}
    await country.sender.drop("for-nobody", country.document(), **facts)
    fault = await country.sender.until_status("for-nobody", "fault")
    assert country.sender.states_of("for-nobody") == ["waiting", "fault"]
    assert (fault["field"], fault["problem"]) == ("to", "kz.nobody is unknown")


# ------------------------------------------------------------------ payloads that do not open

ATTENDANCE = {
    "type": "attendance.daily/1", "section": "S15", "class_": "R5", "flow": "result",
}  # fmt: skip


def key_of(country, address: str) -> bytes:
    return EncryptionKeyring.load(country.network.keys_of(address)).newest.public


def in_clear(rogue, key, content):
    return rogue.packet(ROOT, content, **ATTENDANCE)


def to_another_key(rogue, key, content):
    return rogue.encrypted(ROOT, content, HybridKey.generate().public, **ATTENDANCE)


def truncated(rogue, key, content):
    header, payload = cut_up(rogue, key, content)
    return rogue.seal_as(header, payload[:-1], header.payload)


def without_its_end(rogue, key, content):
    header, payload = cut_up(rogue, key, content)
    return rogue.seal_as(header, payload[:1000], header.payload)


def under_another_header(rogue, key, content):
    stolen, payload = cut_up(rogue, key, content)
    header, _ = rogue.draft(ROOT, content, **ATTENDANCE)
    return rogue.seal_as(header, payload, stolen.payload)


def another_clear_digest(rogue, key, content):
    header, payload = cut_up(rogue, key, content)
    lying = msgspec.structs.replace(header.payload, clear_sha256="ab" * 32)
    return rogue.seal_as(header, payload, lying)


def bomb(rogue, key, content):
    """Return half a mebibyte that would inflate to half a gibibyte."""
    packer = zlib.compressobj(9, wbits=-15)
    packed = packer.compress(SALT) + b"".join(packer.compress(bytes(1 << 20)) for _ in range(512))
    packed += packer.flush()
    header, _ = rogue.draft(ROOT, content, **ATTENDANCE)
    payload = encrypt(packed, binding_of(header), [key])
    facts = payload_facts(payload, "application/json", "salt+deflate+hpke")
    return rogue.seal_as(header, payload, msgspec.structs.replace(facts, clear_sha256="ab" * 32))


def cut_up(rogue, key, content):
    """Return header and payload of a good encrypted packet."""
    frame = cut(rogue.encrypted(ROOT, content, key, **ATTENDANCE))
    return frame.header, frame.payload


DEFECTS = {
    in_clear: "encryption-required",
    to_another_key: "decrypt-failed",
    truncated: "decrypt-failed",
    without_its_end: "decrypt-failed",
    under_another_header: "decrypt-failed",
    another_clear_digest: "decrypt-failed",
    bomb: "too-large",
}


@pytest.mark.parametrize("make", DEFECTS, ids=lambda make: make.__name__)
async def test_its_recipient_refuses_it(country, make):
    """The relay passes it on, for it cannot tell; the recipient refuses it for its reason."""
    rogue = await country.lasting_rogue("secrecy")
    key = key_of(country, ROOT)
    bad, good = (
        make(rogue, key, country.document()),
        rogue.encrypted(ROOT, country.document(), key, **ATTENDANCE),
    )
    await rogue.send(bad, good, lane="fast")
    _, refused = await rogue.receipt_on(bad)
    _, accepted = await rogue.receipt_on(good)
    assert (refused.verdict, refused.reason) == ("refused", DEFECTS[make])
    assert accepted.verdict == "accepted"
    header = cut(bad).header
    assert await country.at[RELAY].state_of(header.id) == "relayed"
    (row,) = await country.at[ROOT].quarantine_of(bad)
    assert (row.state, row.reason) == ("refused", DEFECTS[make])
    assert not country.ministry.received(header.id)
