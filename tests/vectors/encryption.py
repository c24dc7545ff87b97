"""The vectors of encrypted payloads: fixed keys, and payloads that were made once and are kept.

Encrypting draws random bytes that cannot be fixed, so a payload that still opens to what it should
is taken over from the file; only a change of the format makes a new one.
"""

import hashlib
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from schemas.answers import PacketName
from schemas.documents.notice import NoticeReturned
from schemas.errors import FormatError
from schemas.header import Header, PayloadFacts, encode_binding, encode_header
from schemas.reasons import Reason
from signing.encryption import EncryptionKeyring, HybridKey
from signing.payload import pad, payload_facts
from signing.wrapping import WRAPPED_BYTES, binding_of, decrypt, encrypt
from vectors.fixed_keys import OBLAST, SCHOOL, SIBLING

FILE = Path(__file__).parent / "encryption.json"
NOTICE_ID = "01a20677-0128-7a67-b264-7370afd1c458"
PADDED_ID = "01a20677-36e0-7b78-8375-8481b0e2d569"
DEFLATED_ID = "01a20677-6c98-7c89-9486-9592c1f3e67a"
INFO = b"bbaj-wrap-1"

Vector = dict[str, Any]
Draft = Callable[..., Header]


def hybrid_key(address: str) -> HybridKey:
    """Return the encryption key that an address fixes."""
    seed = hashlib.sha512(f"bbaj test key: {address} ml-kem".encode()).digest()
    scalar = hashlib.sha256(f"bbaj test key: {address} x25519".encode()).digest()
    return HybridKey(
        MLKEM768PrivateKey.from_seed_bytes(seed), X25519PrivateKey.from_private_bytes(scalar)
    )


KEYS = {address: hybrid_key(address) for address in (SCHOOL, OBLAST, SIBLING)}


class Maker:
    """Makes encrypted payloads, or takes them over from the file."""

    def __init__(self, draft: Draft) -> None:
        """Read what was made before; `draft` makes headers."""
        self._draft = draft
        self._kept: dict[str, str] = {}
        if FILE.exists():
            old = json.loads(FILE.read_text(encoding="utf-8"))
            self._kept = {one["name"]: one["payload"] for one in old["opened"] + old["bad"]}

    def make(
        self, name: str, packed: bytes, clear: bytes, coding: str, **fields: Any
    ) -> tuple[Header, bytes]:
        """Return the header and the encrypted payload of `packed`, which stands for `clear`."""
        header = self._draft(**fields)
        ends = (header.to, header.from_)
        binding = binding_of(header)
        payload = bytes.fromhex(self._kept.get(name, ""))
        if not _opens(payload, binding, header.to, packed):
            payload = encrypt(packed, binding, [KEYS[end].public for end in ends])
        facts = payload_facts(payload, header.payload.media_type, coding)  # type: ignore[arg-type]
        digest = hashlib.sha256(clear).hexdigest()
        named = msgspec.structs.replace(facts, clear_sha256=digest)
        return msgspec.structs.replace(header, payload=named), payload


def _opens(payload: bytes, binding: bytes, reader: str, packed: bytes) -> bool:
    try:
        return decrypt(payload, binding, EncryptionKeyring(KEYS[reader])) == packed
    except FormatError:
        return False


def notice(attendance_id: str) -> bytes:
    """Return the content of the worked example."""
    document = NoticeReturned(
        packet=PacketName(SCHOOL, 1, attendance_id),
        reasons_version=1,
        reason="contradictory",
        text="7A: three were absent",
    )
    return msgspec.json.encode(document)


def encryption(
    draft: Draft, salt: bytes, document: bytes, attendance_id: str, deflated: bytes
) -> Vector:
    """Return the whole file; `deflated` is deflate data of a salt and some content."""
    maker = Maker(draft)
    answer = notice(attendance_id)
    inflated = zlib.decompress(deflated, -15)
    opened = [
        (
            *maker.make(
                "notice-encrypted", salt + answer, salt + answer, "salt+hpke",
                id=NOTICE_ID, type="notice.returned/1", from_=OBLAST, to=SCHOOL, flow="admin",
                re=attendance_id,
            ),
            answer,
        ),
        (
            *maker.make(
                "attendance-padded", pad(salt + document), salt + document, "salt+pad+hpke",
                id=PADDED_ID, seq=5, period="2026-11-23", ext={"payload": {"a": 1}},
            ),
            document,
        ),
        (
            *maker.make(
                "deflated", deflated, inflated, "salt+deflate+hpke",
                id=DEFLATED_ID, type="performance.period/1", seq=6, period="2026-Q4",
            ),
            inflated[16:],
        ),
    ]  # fmt: skip
    names = ("notice-encrypted", "attendance-padded", "deflated")
    return {
        "about": "Test keys known to everybody. Nothing may ever be encrypted to them.",
        "keys": {address: _describe(key) for address, key in KEYS.items()},
        "opened": [_lay_out(name, *one) for name, one in zip(names, opened, strict=True)],
        "bad": _bad(maker, opened[0][0], opened[0][1], salt, answer),
        "bad_content_bytes_max": 4096,
    }


def _describe(key: HybridKey) -> dict[str, str]:
    return {
        "mlkem_seed": key.mlkem.private_bytes_raw().hex(),
        "x25519_private": key.x25519.private_bytes_raw().hex(),
        "public": key.public.hex(),
        "id": key.id.hex(),
    }


def _lay_out(name: str, header: Header, payload: bytes, content: bytes) -> Vector:
    """Return each step from payload to content."""
    binding = binding_of(header)
    wrapped = payload[35 : 35 + WRAPPED_BYTES]
    keyring = EncryptionKeyring(KEYS[header.to])
    return {
        "name": name,
        "header": encode_header(header).decode(),
        "binding": encode_binding(header).decode(),
        "binding_sha256": binding.hex(),
        "key": KEYS[header.to].unwrap(wrapped, INFO + binding).hex(),
        "packed": decrypt(payload, binding, keyring).hex(),
        "payload": payload.hex(),
        "content": content.hex(),
    }


def _bad(maker: Maker, header: Header, good: bytes, salt: bytes, answer: bytes) -> list[Vector]:
    """Return payloads that their recipient refuses, named after their defect."""
    damaged = {
        "empty": b"",
        "no-wrapped-key": b"\0" + good[1:],
        "nine-wrapped-keys": b"\x09" + good[1:],
        "cut-in-a-wrapped-key": good[:2000],
        "cut-in-its-tag": good[:-1],
        "bytes-behind": good + b"\0",
        "length-of-a-wrapped-key": good[:34] + b"\x91" + good[35:],
        "wrapped-key-flipped": good[:100] + bytes([good[100] ^ 1]) + good[101:],
        "content-flipped": good[:-20] + bytes([good[-20] ^ 1]) + good[-19:],
        "ids-swapped": good[:1] + good[1203:1235] + good[33:1203] + good[1:33] + good[1235:],
    }
    found = [_refused(name, header, payload) for name, payload in damaged.items()]
    found += [
        _refused("to-others-only", header, good, reader=SIBLING),
        _refused("under-another-header", msgspec.structs.replace(header, seq=2), good),
    ]
    lying = maker.make("another-clear-digest", salt + answer, b"else", "salt+hpke", **_end())
    bomb_of, zeros = _bomb(salt)
    bomb = maker.make("content-over-limit", bomb_of, zeros, "salt+deflate+hpke", **_end())
    short = maker.make("no-salt", b"fifteen bytes..", b"", "salt+hpke", **_end())
    unmarked = maker.make("padding-without-mark", salt + b"x", b"", "salt+pad+hpke", **_end())
    return [
        *found,
        _refused("another-clear-digest", *lying),
        _refused("content-over-limit", *bomb, reason=Reason.TOO_LARGE),
        _refused("no-salt", *short, reason=Reason.FORMAT_INVALID),
        _refused("padding-without-mark", *unmarked, reason=Reason.FORMAT_INVALID),
    ]


def _end() -> dict[str, Any]:
    return {"from_": OBLAST, "to": SCHOOL, "type": "notice.returned/1", "flow": "admin"}


def _bomb(salt: bytes) -> tuple[bytes, bytes]:
    """Return deflate data of stored blocks that hold more than the limit, and what they hold."""
    zeros = salt + bytes(5000)
    size = len(zeros).to_bytes(2, "little")
    return b"\x01" + size + bytes(byte ^ 0xFF for byte in size) + zeros, zeros


def _refused(
    name: str,
    header: Header,
    payload: bytes,
    *,
    reader: str | None = None,
    reason: Reason = Reason.DECRYPT_FAILED,
) -> Vector:
    facts = payload_facts(payload, header.payload.media_type, header.payload.coding)
    named: PayloadFacts = msgspec.structs.replace(facts, clear_sha256=header.payload.clear_sha256)
    return {
        "name": name,
        "reader": reader or header.to,
        "header": encode_header(msgspec.structs.replace(header, payload=named)).decode(),
        "payload": payload.hex(),
        "reason": reason,
    }
