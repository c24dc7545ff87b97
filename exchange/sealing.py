"""What a node seals and opens: its packets' payloads, and bytes at rest.

`Gate` is what all others call; its methods take `now`, and nothing here waits or does I/O.
"""

import hashlib
import os
from collections.abc import Iterable

import msgspec

from exchange.identity import marked_id
from exchange.issuer_gate import IssuerGate
from exchange.signing_desk import SigningDesk
from schemas.buckets import next_generation
from schemas.documents.registry import TYPES
from schemas.errors import FormatError
from schemas.frame import Frame, cut
from schemas.header import Header, PayloadFacts
from schemas.limits import PAYLOAD_BYTES_MAX, SALT_BYTES
from schemas.moments import Instant
from schemas.reasons import Reason
from schemas.retention import RetentionPolicy, bucket_of
from signing.at_rest import AtRest
from signing.chain import TrustStore
from signing.cosigner import Cosigner
from signing.encryption import EncryptionKeyring
from signing.errors import BucketDamagedError
from signing.keys import JournalSigner, Signer
from signing.marks import PURPOSE, Marks
from signing.payload import (
    clear_payload,
    encrypt_content,
    make_payload,
    open_salted,
    payload_facts,
    travelling_bytes,
)
from signing.seal import seal

CONTENT_BYTES_MAX = 64 * PAYLOAD_BYTES_MAX
"""What a payload may inflate to."""


class SealedFrame(msgspec.Struct, frozen=True, gc=False):
    """A frame of our own making, with what the record wants of it."""

    frame: Frame
    head_sha256: bytes
    head_sha512: bytes
    frame_sha256: bytes
    bucket: str
    sealed: bytes


class Sealing(SigningDesk):
    """The keys of one node, with its at-rest keyring."""

    def __init__(  # noqa: PLR0913 - the keys of one node
        self,
        *,
        here: str,
        epoch: int,
        trust: TrustStore,
        signer: Signer,
        journal: JournalSigner,
        encryption: EncryptionKeyring,
        at_rest: AtRest,
        issuer: IssuerGate | None,
        cosigner: Cosigner | None,
        retention: RetentionPolicy,
    ) -> None:
        """Hold the keys."""
        super().__init__(
            here=here,
            epoch=epoch,
            trust=trust,
            signer=signer,
            journal=journal,
            encryption=encryption,
            issuer=issuer,
            cosigner=cosigner,
        )
        self._at_rest = at_rest
        self.retention = retention
        """The policy in force: it says in which bucket what arrives now is kept."""
        self._closed: frozenset[str] = frozenset()

    def check_size(self, type_name: str, content: bytes) -> None:
        """Raise FormatError(too-large) where content does not fit one packet of a type."""
        packet_type = TYPES[type_name]
        size = travelling_bytes(content, encrypted=packet_type.personal, padded=packet_type.padded)
        if size > PAYLOAD_BYTES_MAX:
            detail = f"payload of {size} bytes, limit {PAYLOAD_BYTES_MAX}"
            raise FormatError(Reason.TOO_LARGE, detail)

    def seal_packet(
        self,
        header: Header,
        content: bytes,
        now: Instant,
        reader: bytes | None = None,
        bucket: str | None = None,
        *,
        drop: bytes | None = None,
    ) -> SealedFrame:
        """Seal a packet of ours; the draft's certificate and payload facts are filled in here.

        `reader` is the recipient's public encryption key; a personal type is never sealed without.
        It is kept in `bucket`, or else where its class and period say. `drop` names what it was
        made of: its id bears a mark of that.
        """
        salt = os.urandom(SALT_BYTES)
        draft = msgspec.structs.replace(header, certificate=self.fingerprint)
        if drop is not None:
            draft = msgspec.structs.replace(draft, id=marked_id(header.id, salt, drop))
        payload, facts = self._make_payload(draft, content, salt, reader)
        whole = msgspec.structs.replace(draft, payload=facts)
        frame = cut(seal(whole, payload, self._signer))
        frame_sha256 = hashlib.sha256(frame.raw).digest()
        bucket = self.open_generation(
            bucket or bucket_of(self.retention, header.class_, header.period, now)
        )
        return SealedFrame(
            frame=frame,
            head_sha256=hashlib.sha256(frame.head).digest(),
            head_sha512=hashlib.sha512(frame.head).digest(),
            frame_sha256=frame_sha256,
            bucket=bucket,
            sealed=self._at_rest.seal(bucket, frame_sha256, payload),
        )

    def _make_payload(
        self, draft: Header, content: bytes, salt: bytes, reader: bytes | None
    ) -> tuple[bytes, PayloadFacts]:
        packet_type = TYPES.get(draft.type)
        if reader is None:
            assert packet_type is None or not packet_type.personal, f"{draft.type} in clear"
            payload, coding = make_payload(content, salt)
            return payload, payload_facts(payload, draft.payload.media_type, coding)
        readers = (reader, self._encryption.newest.public)
        padded = packet_type is not None and packet_type.padded
        return encrypt_content(draft, content, salt, readers, padded=padded)

    def content_of(self, head: bytes, bucket: str, sealed: bytes, frame_sha256: bytes) -> bytes:
        """Return the content of a stored packet. Raises FormatError where it can't be undone."""
        return self.open_content(cut(head + self.open_rest(bucket, frame_sha256, sealed)))

    def salt_of(self, head: bytes, bucket: str, sealed: bytes, frame_sha256: bytes) -> bytes:
        """Return the salt of a stored packet. Raises FormatError where it can't be opened."""
        frame = cut(head + self.open_rest(bucket, frame_sha256, sealed))
        return read_salted(frame, self._encryption)[:SALT_BYTES]

    def open_content(self, frame: Frame) -> bytes:
        """Return the content of a frame to us or of ours. Raises FormatError."""
        return read_payload(frame, self._encryption)

    def seal_for_rest(self, bucket: str, aad: bytes, data: bytes) -> bytes:
        """Encrypt bytes for the record."""
        return self._at_rest.seal(bucket, aad, data)

    def open_rest(self, bucket: str, aad: bytes, sealed: bytes) -> bytes:
        """Decrypt bytes of the record."""
        return self._at_rest.open(bucket, aad, sealed)

    def marks(self, bucket: str) -> Marks:
        """Return the marks by which a bucket's content is found. Raises BucketKeyMissingError."""
        return Marks(self._at_rest.derived_key(bucket, PURPOSE))

    def close_buckets(self, buckets: Iterable[str]) -> None:
        """Put nothing into these buckets from now on: they are, or are to be, destroyed."""
        self._closed |= frozenset(buckets)

    def reopen_bucket(self, bucket: str) -> None:
        """Put payloads into a bucket again that was not destroyed after all."""
        self._closed -= {bucket}

    def is_closed(self, bucket: str) -> bool:
        """Say whether a bucket takes no more payloads."""
        return bucket in self._closed

    def destroy_bucket(self, bucket: str, act: str, at: str) -> bool:
        """Destroy a bucket's key, under an act that is in the record; False where it was gone.

        Raises OSError.
        """
        self.close_buckets([bucket])
        return self._at_rest.destroy(bucket, act, at)

    def move_rest(self, bucket: str, into: str, aad: bytes, sealed: bytes) -> bytes:
        """Return bytes at rest sealed anew for another bucket, and opened again to compare.

        Raises BucketKeyMissingError and BucketDamagedError.
        """
        data = self.open_rest(bucket, aad, sealed)
        moved = self.seal_for_rest(into, aad, data)
        if self.open_rest(into, aad, moved) != data:
            raise BucketDamagedError(f"bucket {into}: what was just sealed opens to other bytes")
        return moved

    def use_retention(self, policy: RetentionPolicy) -> None:
        """Choose buckets by another version of the policy from now on."""
        self.retention = policy

    def bucket(self, class_: str, period: str | None, now: Instant) -> str:
        """Return partition and key name of what arrives now under a class that the policy has."""
        return self.open_generation(bucket_of(self.retention, class_, period, now))

    def open_generation(self, bucket: str) -> str:
        """Return a bucket, or the one that takes what would go into it once it is closed."""
        while bucket in self._closed:
            bucket = next_generation(bucket)
        return bucket


def read_payload(frame: Frame, keys: EncryptionKeyring | None) -> bytes:
    """Return the content of a frame; `keys` are needed for an encrypted one. Raises FormatError."""
    return read_salted(frame, keys)[SALT_BYTES:]


def read_salted(frame: Frame, keys: EncryptionKeyring | None) -> bytes:
    """Return salt and content of a frame, as `read_payload` does. Raises FormatError."""
    header, payload = frame.header, frame.payload
    if header.payload.is_encrypted:
        assert keys is not None, "an encrypted payload needs keys"
        return clear_payload(header, payload, keys, CONTENT_BYTES_MAX)
    return open_salted(payload, header.payload.coding, CONTENT_BYTES_MAX)
