"""`bbaj bench seal`: processor time to seal and to open one packet, clear and encrypted.

One thread, nothing but the cryptography and the formats: salt, deflate, digests, signature, and for
encrypted packets the wraps for recipient and archive.
"""

import os
import statistics
import time
from collections.abc import Callable

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from exchange.identity import new_packet_id
from nodes.clock import now
from schemas.frame import cut
from schemas.header import Header, PayloadFacts
from schemas.moments import format_instant
from signing.authority import Issuer, der_of, issue_authority, issue_node, make_root
from signing.encryption import EncryptionKeyring, HybridKey
from signing.keys import PacketSigner
from signing.payload import (
    decrypt_content,
    encrypt_content,
    make_payload,
    open_payload,
    payload_facts,
)
from signing.profiles import Purpose
from signing.seal import seal

SENDER, RECIPIENT = "kz.zhambyl.taraz", "kz.zhambyl.shu"
WARM_UP = 20


class SealResult(msgspec.Struct, frozen=True):
    """What `--json` prints: medians of processor time for one packet, in milliseconds."""

    content_bytes: int
    packets: int
    seal_clear_ms: float
    seal_encrypted_ms: float
    open_clear_ms: float
    open_encrypted_ms: float
    encrypted_bytes: int


def run_seal(*, content_bytes: int, packets: int) -> SealResult:
    """Measure both ways, one after the other for each packet."""
    bench = _Bench()
    times: dict[str, list[float]] = {}
    size = 0
    for number in range(WARM_UP + packets):
        content = os.urandom(content_bytes)
        clear, took = _timed(bench.seal_clear, content)
        times.setdefault("seal_clear", []).append(took)
        encrypted, took = _timed(bench.seal_encrypted, content)
        times.setdefault("seal_encrypted", []).append(took)
        opened, took = _timed(bench.open_clear, clear)
        times.setdefault("open_clear", []).append(took)
        decrypted, took = _timed(bench.open_encrypted, encrypted)
        times.setdefault("open_encrypted", []).append(took)
        assert opened == decrypted == content, f"packet {number} did not open"
        size = len(encrypted)
    medians = {
        f"{name}_ms": round(statistics.median(each[WARM_UP:]) * 1e3, 3)
        for name, each in times.items()
    }
    return SealResult(content_bytes, packets, encrypted_bytes=size, **medians)


class _Bench:
    """Keys in memory, and the two ways."""

    def __init__(self) -> None:
        root = make_root(ec.generate_private_key(ec.SECP384R1()), now())
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = Issuer(issue_authority(root, "kz", key.public_key(), now()), key)
        own = ec.generate_private_key(ec.SECP256R1())
        certificate = issue_node(issuer, SENDER, Purpose.PACKET, own.public_key(), now())
        self._signer = PacketSigner(own, der_of(certificate))
        self._recipient = EncryptionKeyring(HybridKey.generate())
        self._readers = (self._recipient.newest.public, HybridKey.generate().public)

    def seal_clear(self, content: bytes) -> bytes:
        """Return the frame of a clear packet."""
        payload, coding = make_payload(content, os.urandom(16))
        facts = payload_facts(payload, "application/json", coding)
        header = msgspec.structs.replace(self._draft("admin.order/1"), payload=facts)
        return seal(header, payload, self._signer)

    def seal_encrypted(self, content: bytes) -> bytes:
        """Return the frame of an encrypted packet."""
        draft = self._draft("attendance.daily/1")
        payload, facts = encrypt_content(draft, content, os.urandom(16), self._readers, padded=True)
        return seal(msgspec.structs.replace(draft, payload=facts), payload, self._signer)

    @staticmethod
    def open_clear(raw: bytes) -> bytes:
        """Return the content of a clear frame."""
        frame = cut(raw)
        return open_payload(frame.payload, frame.header.payload.coding, 1 << 26)

    def open_encrypted(self, raw: bytes) -> bytes:
        """Return the content of an encrypted frame."""
        frame = cut(raw)
        return decrypt_content(frame.header, frame.payload, self._recipient, 1 << 26)

    def _draft(self, type_: str) -> Header:
        return Header(
            id=new_packet_id(now()),
            type=type_,
            from_=SENDER,
            to=RECIPIENT,
            sent=format_instant(now()),
            epoch=1,
            seq=1,
            section="S15",
            class_="R5",
            flow="result",
            certificate=self._signer.fingerprint,
            payload=PayloadFacts("0" * 64, "0" * 128, 0, "application/json", "salt"),
        )


def _timed(action: Callable[[bytes], bytes], given: bytes) -> tuple[bytes, float]:
    """Return a result, and the processor seconds that it took."""
    began = time.process_time()
    result = action(given)
    return result, time.process_time() - began
