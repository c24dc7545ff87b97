"""The gate between bytes and domain: what comes in is authenticated, what leaves is sealed.

The one place of the protocol that touches keys. Its methods take `now` and are safe to call from
worker threads; nothing here waits or does I/O.
"""

import hashlib
import os

import msgspec

from schemas.answers import ANSWERS, RECEIPT, Closing, Receipt, decode_closing, decode_receipt
from schemas.codes import RetentionClass
from schemas.errors import BbajError, FormatError
from schemas.frame import Frame, cut
from schemas.header import Header
from schemas.limits import PAYLOAD_BYTES_MAX, Limits
from schemas.moments import Instant, format_instant
from schemas.objects import (
    MAGIC as OBJECT_MAGIC,
)
from schemas.objects import (
    AnyObject,
    Body,
    Bundle,
    Certificate,
    Crl,
    CutObject,
    Refusal,
    Void,
    cut_object,
    pack_bundle_body,
    pack_pieces,
    unpack_bundle_body,
    unpack_pieces,
)
from schemas.reasons import Reason
from signing.at_rest import AtRest
from signing.authenticate import Accepted, Held, Refused, authenticate, check_object
from signing.chain import TrustStore
from signing.keys import Signer
from signing.payload import make_payload, open_payload, payload_facts
from signing.seal import seal, sign_object

CONTENT_BYTES_MAX = 64 * PAYLOAD_BYTES_MAX
"""What a payload may inflate to."""
CLASSES = frozenset(retention.value for retention in RetentionClass)


class JudgedEntry(msgspec.Struct, frozen=True, gc=False):
    """One entry of a bundle as the gate found it; an accepted one's payload is ready for rest."""

    raw: bytes
    sha256: bytes
    verdict: Accepted | Refused | Held | CutObject
    bucket: str = ""
    sealed: bytes = b""
    content: Receipt | Closing | FormatError | None = None


class OpenedBundle(msgspec.Struct, frozen=True, gc=False):
    """A bundle whose signature holds; its place in the stream is not judged yet."""

    header: Bundle
    raw_sha256: bytes
    entries: list[JudgedEntry]


class OpenedObject(msgspec.Struct, frozen=True, gc=False):
    """Any other link object whose signature holds."""

    header: AnyObject
    raw: bytes
    body: bytes


class Unreadable(msgspec.Struct, frozen=True, gc=False):
    """A message that proves nothing: kept as an incident."""

    reason: str
    detail: str
    raw: bytes


Opened = OpenedBundle | OpenedObject | Unreadable


class SealedFrame(msgspec.Struct, frozen=True, gc=False):
    """A frame of our own making, with what the record wants of it."""

    frame: Frame
    head_sha256: bytes
    head_sha512: bytes
    frame_sha256: bytes
    bucket: str
    sealed: bytes


class Gate:
    """Keys, trust and the at-rest keyring of one node."""

    def __init__(
        self,
        *,
        here: str,
        epoch: int,
        trust: TrustStore,
        signer: Signer,
        at_rest: AtRest,
        limits: Limits,
    ) -> None:
        """Hold what sealing and authenticating need."""
        self.here = here
        self.epoch = epoch
        self.trust = trust
        self.limits = limits
        self._signer = signer
        self._at_rest = at_rest
        self._object_number = 0

    @property
    def fingerprint(self) -> str:
        """The fingerprint of our packet certificate."""
        return self._signer.fingerprint

    def learn(self, raw: bytes) -> list[bytes]:
        """Take over the certificates that a message brings; return what is learned by that.

        Harmless before any signature: each is judged on use. Called in the order of arrival, so
        that a bundle judged in another thread finds what an earlier one has brought.
        """
        try:
            message = cut_object(raw)
            if not isinstance(message.header, Bundle | Certificate):
                return []
            certificates, _ = unpack_pieces(message.body)
        except FormatError:
            return []
        # With an authority those are learned, too, that had come before it.
        return [self.trust.ders_for(name)[0] for name in self.trust.add_certificates(certificates)]

    def open_message(self, raw: bytes, neighbour: str, now: Instant) -> Opened:
        """Authenticate one message of a link, a bundle with all of its frames."""
        try:
            return self._open_message(raw, neighbour, now)
        except FormatError as error:
            return Unreadable(error.reason, error.detail, raw)
        except BbajError:
            raise  # our keys or room, not the neighbour's bytes: the life ends, unsettled
        except Exception as error:  # noqa: BLE001 - nothing that a neighbour sends may stop us
            return Unreadable("own-fault", type(error).__name__, raw)

    def _open_message(
        self, raw: bytes, neighbour: str, now: Instant
    ) -> OpenedBundle | OpenedObject:
        checked = check_object(
            raw, trust=self.trust, here=self.here, neighbour=neighbour, now=now, limits=self.limits
        )
        if not isinstance(checked.header, Bundle):
            return OpenedObject(checked.header, raw, checked.body)
        _, pieces = unpack_bundle_body(checked.body)
        entries = [self.judge(piece, neighbour, now) for piece in pieces]
        return OpenedBundle(checked.header, hashlib.sha256(raw).digest(), entries)

    def judge(self, raw: bytes, neighbour: str, now: Instant) -> JudgedEntry:
        """Authenticate one entry and encrypt its bytes for rest."""
        if raw[:4] == OBJECT_MAGIC:
            return self._judge_object(raw, neighbour, now)
        verdict = authenticate(
            raw, trust=self.trust, here=self.here, neighbour=neighbour, now=now, limits=self.limits
        )
        if not isinstance(verdict, Accepted):
            return JudgedEntry(raw, verdict.frame_sha256, verdict)
        header = verdict.frame.header
        if header.class_ not in CLASSES:
            detail = f"class {header.class_} is on no list of ours"
            return JudgedEntry(
                raw,
                verdict.frame_sha256,
                Held("class", detail, header.certificate, raw, verdict.frame_sha256, header),
            )
        bucket = self.bucket(header.class_, now)
        sealed = self._at_rest.seal(bucket, verdict.frame_sha256, verdict.frame.payload)
        content = self._read(verdict.frame) if header.to == self.here else None
        return JudgedEntry(raw, verdict.frame_sha256, verdict, bucket, sealed, content)

    def _judge_object(self, raw: bytes, neighbour: str, now: Instant) -> JudgedEntry:
        digest = hashlib.sha256(raw).digest()
        verdict: CutObject | Refused
        try:
            verdict = check_object(
                raw,
                trust=self.trust,
                here=self.here,
                neighbour=neighbour,
                now=now,
                limits=self.limits,
            )
            _check_is_entry(verdict)
        except FormatError as error:
            verdict = Refused(error.reason, error.detail, raw, digest, None, False)
        return JudgedEntry(raw, digest, verdict)

    def _read(self, frame: Frame) -> Receipt | Closing | FormatError | None:
        """Return what an answer to us says, or why the payload of any packet can't be opened."""
        try:
            content = open_payload(frame.payload, frame.header.payload.coding, CONTENT_BYTES_MAX)
            if frame.header.type not in ANSWERS:
                return None
            return (
                decode_receipt(content) if frame.header.type == RECEIPT else decode_closing(content)
            )
        except FormatError as error:
            return error

    def check_size(self, content: bytes) -> None:
        """Raise FormatError(too-large) where content does not fit one packet."""
        size = len(make_payload(content, bytes(16))[0])
        if size > PAYLOAD_BYTES_MAX:
            detail = f"payload of {size} bytes, limit {PAYLOAD_BYTES_MAX}"
            raise FormatError(Reason.TOO_LARGE, detail)

    def seal_packet(self, header: Header, content: bytes, now: Instant) -> SealedFrame:
        """Seal a packet of ours; the draft's certificate and payload facts are filled in here."""
        payload, coding = make_payload(content, os.urandom(16))
        facts = payload_facts(payload, header.payload.media_type, coding)
        whole = msgspec.structs.replace(header, payload=facts, certificate=self.fingerprint)
        frame = cut(seal(whole, payload, self._signer))
        frame_sha256 = hashlib.sha256(frame.raw).digest()
        bucket = self.bucket(header.class_, now)
        return SealedFrame(
            frame=frame,
            head_sha256=hashlib.sha256(frame.head).digest(),
            head_sha512=hashlib.sha512(frame.head).digest(),
            frame_sha256=frame_sha256,
            bucket=bucket,
            sealed=self._at_rest.seal(bucket, frame_sha256, payload),
        )

    def content_of(self, head: bytes, bucket: str, sealed: bytes, frame_sha256: bytes) -> bytes:
        """Return the content of a stored packet. Raises FormatError where it can't be undone."""
        raw = head + self.open_rest(bucket, frame_sha256, sealed)
        frame = cut(raw)
        return open_payload(frame.payload, frame.header.payload.coding, CONTENT_BYTES_MAX)

    def seal_for_rest(self, bucket: str, aad: bytes, data: bytes) -> bytes:
        """Encrypt bytes for the record."""
        return self._at_rest.seal(bucket, aad, data)

    def open_rest(self, bucket: str, aad: bytes, sealed: bytes) -> bytes:
        """Decrypt bytes of the record."""
        return self._at_rest.open(bucket, aad, sealed)

    def bucket(self, class_: str, now: Instant) -> str:
        """Return partition and key name of what arrives now under a retention class."""
        return f"{class_}-{format_instant(now)[:7]}"

    def stamp(self, to: str, now: Instant) -> dict[str, object]:
        """Return the fields every link object begins with; its number always rises."""
        self._object_number = max(self._object_number + 1, now)
        return {
            "from_": self.here,
            "to": to,
            "epoch": self.epoch,
            "number": self._object_number,
            "certificate": self.fingerprint,
        }

    def sign(self, header: AnyObject, body: bytes = b"") -> bytes:
        """Return a link object's exact bytes."""
        return sign_object(header, self._signer, body)

    def make_bundle(  # noqa: PLR0913, PLR0917 - each is one field of a bundle
        self,
        to: str,
        lane: str,
        first: int,
        chain: bytes,
        entries: list[bytes],
        certificates: list[bytes],
        now: Instant,
    ) -> bytes:
        """Return a signed bundle of consecutive entries from number `first` on."""
        body = pack_bundle_body(certificates, entries)
        header = Bundle(
            **self.stamp(to, now),  # type: ignore[arg-type]
            lane=lane,  # type: ignore[arg-type]
            first=first,
            last=first + len(entries) - 1,
            chain=chain.hex(),
            body=body_of(body),
        )
        return self.sign(header, body)

    def make_certificates(self, to: str, answers: str | None, now: Instant) -> bytes:
        """Return an object with a certificate and its authority's; ours where none is named."""
        ders = self.trust.ders_for(answers or self.fingerprint)
        body = pack_pieces(ders)
        stamp = self.stamp(to, now)
        return self.sign(Certificate(**stamp, answers=answers, body=body_of(body)), body)  # type: ignore[arg-type]

    def make_crl(self, to: str, der: bytes, now: Instant) -> bytes:
        """Return an object with one CRL."""
        return self.sign(Crl(**self.stamp(to, now), body=body_of(der)), der)  # type: ignore[arg-type]


def _check_is_entry(found: CutObject) -> None:
    if not isinstance(found.header, Refusal | Void):
        kind = type(found.header).__name__
        raise FormatError(Reason.FORMAT_INVALID, f"{kind} is no entry of a stream")


def digest_of_head(entry: JudgedEntry) -> str:
    """Return the SHA-256 of an entry's head in hex, as its receipt names it."""
    verdict = entry.verdict
    if isinstance(verdict, Accepted):
        return verdict.head_sha256.hex()
    return sha256_of(cut(entry.raw).head).hex()


def digest_in_chain(entry: JudgedEntry) -> bytes:
    """Return what the chain has of an entry; a void repeats what it stands for (clause 7.2)."""
    if isinstance(entry.verdict, CutObject) and isinstance(entry.verdict.header, Void):
        return bytes.fromhex(entry.verdict.header.entry_sha256)
    return entry.sha256


def sha256_of(data: bytes) -> bytes:
    """Return the SHA-256 of bytes."""
    return hashlib.sha256(data).digest()


def body_of(body: bytes) -> Body:
    """Return digest and size of an object's body."""
    return Body(hashlib.sha256(body).hexdigest(), len(body))
