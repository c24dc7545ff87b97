"""Manifests: what a file is that travels in parts, and the digest of each (clause 5.10).

    manifest = u16 length || JSON {title, media_type, source_ref, size} || 32-byte SHA-256 of each

The parts are the file's bytes, cut every 256 KiB; together the digests say what the whole is.
"""

import hashlib

import msgspec

from schemas.documents.faults import DocumentError
from schemas.documents.file import FACTS_BYTES_MAX, FileFacts, encode_file
from schemas.documents.reading import decode_json
from schemas.documents.registry import DOCUMENT_FILE
from schemas.errors import FormatError
from schemas.header import Count
from schemas.limits import PART_CONTENT_BYTES, WHOLE_BYTES_MAX
from schemas.reasons import Reason

MANIFEST_MEDIA_TYPE = "application/vnd.bbaj.manifest"
"""In the header of a `document.file/1`: its content is a manifest."""
DIGEST_BYTES = 32


class ManifestFacts(FileFacts, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True):
    """What a file is, and how many bytes it has."""

    size: Count


class Manifest(msgspec.Struct, frozen=True, gc=False):
    """A file that travels in parts."""

    facts: ManifestFacts
    digests: bytes
    """SHA-256 of each part's content, one behind the other."""

    @property
    def parts(self) -> int:
        """How many parts there are, numbered from 1."""
        return len(self.digests) // DIGEST_BYTES

    def names(self, number: int, sha256: bytes, size: int) -> bool:
        """Say whether content of `size` bytes and this SHA-256 is part `number`."""
        end = number * DIGEST_BYTES
        return (
            1 <= number <= self.parts
            and size == self.size_of(number)
            and sha256 == self.digests[end - DIGEST_BYTES : end]
        )

    def size_of(self, number: int) -> int:
        """Return how many bytes a part's content has."""
        return min(PART_CONTENT_BYTES, self.facts.size - (number - 1) * PART_CONTENT_BYTES)


class Piece(msgspec.Struct, frozen=True, gc=False):
    """What a part was found to hold."""

    sha256: bytes
    size: int


_facts = msgspec.json.Decoder(ManifestFacts)


def piece_of(content: bytes) -> Piece:
    """Return what a part's content is known by."""
    return Piece(hashlib.sha256(content).digest(), len(content))


def encode_manifest(facts: ManifestFacts, digests: bytes) -> bytes:
    """Return the bytes of a manifest. Raises DocumentError where its facts would not be taken."""
    _check(facts)
    raw = msgspec.json.encode(facts)
    assert len(raw) <= FACTS_BYTES_MAX, "limits of the fields keep the facts below 64 KiB"
    whole = len(raw).to_bytes(2, "big") + raw + digests
    decode_manifest(whole)  # what we write, we also read
    return whole


def decode_manifest(content: bytes) -> Manifest:
    """Return a manifest.

    Raises FormatError: `format-invalid`; `too-large` over the limit of a whole; `parts-mismatch`
    where there are more or fewer digests than its size has parts.
    """
    start = 2 + int.from_bytes(content[:2], "big")
    if len(content) < start:
        raise FormatError(Reason.FORMAT_INVALID, "manifest ends within its facts")
    try:
        facts = decode_json(content[2:start], _facts)
        _check(facts)
    except DocumentError as error:
        raise FormatError(
            Reason.FORMAT_INVALID, f"manifest has faulty facts: {error.field}"
        ) from error
    if facts.size > WHOLE_BYTES_MAX:
        detail = f"file of {facts.size} bytes, limit {WHOLE_BYTES_MAX}"
        raise FormatError(Reason.TOO_LARGE, detail)
    count = -(-facts.size // PART_CONTENT_BYTES)
    if len(content) - start != count * DIGEST_BYTES:
        detail = f"{len(content) - start} bytes of digests for {count} parts"
        raise FormatError(Reason.PARTS_MISMATCH, detail)
    return Manifest(facts, content[start:])


def as_file(content: bytes, type_name: str, media_type: str) -> bytes:
    """Return a content, a manifest as a file without bytes, by which its title is found."""
    if not is_manifest(type_name, media_type):
        return content
    facts = decode_manifest(content).facts
    named = FileFacts(title=facts.title, media_type=facts.media_type, source_ref=facts.source_ref)
    return encode_file(named, b"")


def _check(facts: ManifestFacts) -> None:
    for fault in facts.faults():
        raise DocumentError(fault.field, fault.problem, fault.kind)


def is_manifest(type_name: str, media_type: str) -> bool:
    """Say whether a packet's content is a manifest, by its header's type and media type.

    In a packet of any other type that media type says nothing: nobody has read a manifest in it.
    """
    return (type_name, media_type) == (DOCUMENT_FILE, MANIFEST_MEDIA_TYPE)
