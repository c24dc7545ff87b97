"""The gate between bytes and domain: what comes in is authenticated, what leaves is sealed.

With the two classes that it extends, the one place of the protocol that touches keys: signing is
in `signing_desk`, payloads are in `sealing`, and here is the judging of what comes in. The methods
take `now` and are safe to call from worker threads; nothing waits or does I/O.
"""

import hashlib

import msgspec

from exchange.core.custody import Content
from exchange.core.registry import KnownCard, Registry
from exchange.issuer_gate import IssuerGate
from exchange.sealing import Sealing
from exchange.vouching import keys_bytes, read_card
from schemas import answers
from schemas import header as header_format
from schemas.answers import decode_closing, decode_receipt
from schemas.documents.registry import TYPES
from schemas.errors import BbajError, FormatError
from schemas.frame import Frame, cut
from schemas.header import Header
from schemas.limits import Limits
from schemas.manifest import decode_manifest, is_manifest, piece_of
from schemas.moments import Instant
from schemas.objects import (
    MAGIC as OBJECT_MAGIC,
)
from schemas.objects import (
    AnyObject,
    Bundle,
    Certificate,
    CustodyNote,
    CutObject,
    Refusal,
    Void,
    cut_object,
    unpack_bundle_body,
    unpack_pieces,
)
from schemas.reasons import Reason
from schemas.rebuilding import Rebuilt
from schemas.retention import CLASSES, DEFAULT, RetentionPolicy
from schemas.witnessing import Returned
from signing.at_rest import AtRest
from signing.authenticate import (
    Accepted,
    Held,
    Refused,
    authenticate,
    authenticate_own,
    authenticate_past,
    check_object,
    check_own_object,
)
from signing.chain import Trusted, TrustStore
from signing.cosigner import Cosigner
from signing.encryption import EncryptionKeyring
from signing.keys import JournalSigner, Signer
from signing.profiles import Purpose


class JudgedEntry(msgspec.Struct, frozen=True, gc=False):
    """One entry of a bundle as the gate found it; an accepted one's payload is ready for rest."""

    raw: bytes
    sha256: bytes
    verdict: Accepted | Refused | Held | CutObject
    bucket: str = ""
    sealed: bytes = b""
    content: Content = None


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


class Gate(Sealing):
    """Keys, trust and the at-rest keyring of one node."""

    def __init__(  # noqa: PLR0913 - the parts of one node
        self,
        *,
        here: str,
        epoch: int,
        trust: TrustStore,
        signer: Signer,
        journal: JournalSigner,
        encryption: EncryptionKeyring,
        at_rest: AtRest,
        limits: Limits,
        registry: Registry,
        issuer: IssuerGate | None = None,
        cosigner: Cosigner | None = None,
        retention: RetentionPolicy = DEFAULT,
    ) -> None:
        """Hold what sealing, opening and authenticating need."""
        super().__init__(
            here=here,
            epoch=epoch,
            trust=trust,
            signer=signer,
            journal=journal,
            encryption=encryption,
            at_rest=at_rest,
            issuer=issuer,
            cosigner=cosigner,
            retention=retention,
        )
        self.registry = registry
        self.limits = limits

    def learn(self, raw: bytes) -> list[bytes]:
        """Take over the certificates that a message brings; return what is learned by that.

        Harmless before any signature: each is judged on use. Called in the order of arrival, so
        that a bundle judged in another thread finds what an earlier one has brought.
        """
        try:
            message = cut_object(raw)
            if not isinstance(message.header, Bundle | Certificate | Returned | Rebuilt):
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

    def open_statement(self, raw: bytes, now: Instant) -> OpenedObject:
        """Authenticate a statement, whoever brought it. Raises FormatError.

        `sender-unknown` where its issuer's certificate is not at hand.
        """
        checked = check_object(
            raw, trust=self.trust, here=self.here, neighbour="", now=now, limits=self.limits
        )
        return OpenedObject(checked.header, raw, checked.body)

    def check_card(self, raw: bytes, now: Instant) -> KnownCard:
        """Return a card once its issuer's signature and that of the keys in it have held.

        Raises FormatError, as `open_statement` does.
        """
        self.open_statement(raw, now)
        card = read_card(raw)
        if card.keys is not None:
            self.open_statement(keys_bytes(card.facts), now)
        return card

    def still_counts(self, fingerprint: str, address: str, now: Instant) -> bool:
        """Say whether a packet certificate that has signed a statement is in force by now."""
        judge = self.trust.judge_neighbour
        return isinstance(judge(fingerprint, address, Purpose.PACKET, now, self.limits), Trusted)

    def judge(self, raw: bytes, neighbour: str, now: Instant) -> JudgedEntry:
        """Authenticate one entry and encrypt its bytes for rest."""
        if raw[:4] == OBJECT_MAGIC:
            return self._judge_object(raw, neighbour, now)
        verdict = authenticate(
            raw,
            trust=self.trust,
            routes=self.registry,
            neighbour=neighbour,
            now=now,
            limits=self.limits,
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
        if header.epoch > self.registry.epoch_of(header.from_):
            detail = f"epoch {header.epoch} is not on the card of {header.from_} that we hold"
            return JudgedEntry(
                raw,
                verdict.frame_sha256,
                Held("epoch", detail, header.from_, raw, verdict.frame_sha256, header),
            )
        content = self._read(verdict.frame) if header.to == self.here else None
        return self._for_rest(verdict, now, content)

    def judge_own(self, raw: bytes, now: Instant) -> JudgedEntry:
        """Authenticate a frame of ours that comes back, and encrypt it for rest.

        It counts whatever became of the key since. Raises FormatError.
        """
        return self._for_rest(authenticate_own(raw, trust=self.trust, here=self.here), now)

    def judge_past(self, raw: bytes, moment: Instant) -> JudgedEntry:
        """Authenticate a frame that we had taken at `moment`, and encrypt it for rest.

        Raises FormatError.
        """
        verdict = authenticate_past(raw, trust=self.trust, moment=moment, limits=self.limits)
        header = verdict.frame.header
        if header.class_ not in CLASSES:
            detail = f"class {header.class_} is on no list of ours"
            raise FormatError(Reason.CLASS_MISMATCH, detail)
        content = self._read(verdict.frame) if header.to == self.here else None
        return self._for_rest(verdict, moment, content)

    def own_note(self, raw: bytes) -> CustodyNote:
        """Return a custody note that we had signed. Raises FormatError."""
        found = check_own_object(raw, trust=self.trust, here=self.here)
        if not isinstance(found, CustodyNote):
            raise FormatError(Reason.FORMAT_INVALID, "no custody note")
        return found

    def _for_rest(
        self,
        verdict: Accepted,
        now: Instant,
        content: Content = None,
    ) -> JudgedEntry:
        header = verdict.frame.header
        bucket = self.bucket(header.class_, header.period, now)
        sealed = self._at_rest.seal(bucket, verdict.frame_sha256, verdict.frame.payload)
        raw = verdict.frame.raw
        return JudgedEntry(raw, verdict.frame_sha256, verdict, bucket, sealed, content)

    def rest_of(self, entry: JudgedEntry, bucket: str | None = None) -> tuple[str, bytes]:
        """Return bucket and sealed payload of an accepted entry, as they may be kept now.

        Its bucket may have been closed since it was judged; a part goes where its manifest lies.
        """
        bucket = self.open_generation(bucket or entry.bucket)
        if bucket == entry.bucket:
            return entry.bucket, entry.sealed
        assert isinstance(entry.verdict, Accepted), "only what is accepted lies in a bucket yet"
        return bucket, self.seal_for_rest(bucket, entry.sha256, entry.verdict.frame.payload)

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

    def _read(self, frame: Frame) -> Content:
        """Return what a frame to us says, or why the payload of any packet can't be taken."""
        header = frame.header
        try:
            check_is_encrypted(header)
            content = self.open_content(frame)
            match header.type:
                case answers.RECEIPT:
                    return decode_receipt(content)
                case answers.CLOSING:
                    return decode_closing(content)
                case header_format.PART:
                    return piece_of(content)
                case _ if is_manifest(header.type, header.payload.media_type):
                    return decode_manifest(content)
                case _:
                    return None
        except FormatError as error:
            return error


def check_is_encrypted(header: Header) -> None:
    """Raise FormatError(encryption-required) for a personal type in clear; the addressee's word."""
    packet_type = TYPES.get(header.type)
    if packet_type is not None and packet_type.personal and not header.payload.is_encrypted:
        raise FormatError(Reason.ENCRYPTION_REQUIRED, f"{header.type} came in clear")


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
