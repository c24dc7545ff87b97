"""`document.file/1`: any bytes as they are, with a title that is not for the header.

    container = u16 length || JSON {title, media_type, source_ref} || bytes

The length is big-endian and counts the JSON. The bytes are never looked at.
"""

from collections.abc import Iterator

import msgspec

from schemas.documents.common import ShortText, SourceRef, check_text
from schemas.documents.faults import DocumentError, Fault, FaultKind
from schemas.documents.reading import decode_json
from schemas.header import MediaType

CONTAINER_MEDIA_TYPE = "application/vnd.bbaj.file"
"""The payload's media type in the header; the file's own stands inside."""

FACTS_BYTES_MAX = 0xFFFF
PREFIX_BYTES_MAX = 2 + FACTS_BYTES_MAX
"""So many bytes from the start always hold the whole of a file's facts."""


class FileFacts(msgspec.Struct, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True):
    """What a file is: its title, what its bytes are, and what it rests on (R-37)."""

    title: ShortText
    media_type: MediaType
    source_ref: SourceRef

    def faults(self) -> Iterator[Fault]:
        """Yield what is wrong beyond fields and their forms."""
        yield from check_text(self.title, "$.title")
        yield from check_text(self.media_type, "$.media_type")
        yield from self.source_ref.faults("$.source_ref")


class FileDocument(msgspec.Struct, frozen=True, gc=False):
    """A file and its facts."""

    facts: FileFacts
    data: bytes


_facts = msgspec.json.Decoder(FileFacts)


def encode_file(facts: FileFacts, data: bytes) -> bytes:
    """Return the container of a file. Raises DocumentError where the facts would not be taken."""
    for fault in facts.faults():
        raise DocumentError(fault.field, fault.problem, fault.kind)
    raw = msgspec.json.encode(facts)
    decode_json(raw, _facts)  # what we write, we also read
    assert len(raw) <= FACTS_BYTES_MAX, "limits of the fields keep the facts below 64 KiB"
    return len(raw).to_bytes(2, "big") + raw + data


def decode_file(body: bytes) -> FileDocument:
    """Return the file in a container. Raises DocumentError where it is not one."""
    facts, start = read_facts(body)
    return FileDocument(facts, body[start:])


def read_facts(prefix: bytes) -> tuple[FileFacts, int]:
    """Return a container's facts and where its bytes begin; PREFIX_BYTES_MAX of it are enough.

    Raises DocumentError where they cannot be read; what they say is checked by `faults`.
    """
    if len(prefix) < 2:
        raise DocumentError("$", "the container ends before the length of its facts", _MALFORMED)
    start = 2 + int.from_bytes(prefix[:2], "big")
    if len(prefix) < start:
        problem = f"the container's facts should be {start - 2} bytes, only {len(prefix) - 2} came"
        raise DocumentError("$", problem, _MALFORMED)
    return decode_json(prefix[2:start], _facts), start


_MALFORMED = FaultKind.MALFORMED
