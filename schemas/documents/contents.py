"""Between a local system's document and a packet's content: only files are wrapped."""

import msgspec

from schemas.documents.common import SourceRef
from schemas.documents.faults import DocumentError, FaultKind
from schemas.documents.file import FileFacts, decode_file, encode_file
from schemas.documents.periods import find_period_problem
from schemas.documents.registry import (
    DOCUMENT_FILE,
    PacketType,
    check_document,
    decode_document,
    find_type,
)
from schemas.manifest import decode_manifest, is_manifest

UNTITLED = "untitled"
OCTETS = "application/octet-stream"


class Delivered(msgspec.Struct, frozen=True, gc=False):
    """A document as its recipient gets it: the very bytes that were dropped, and what they are."""

    body: bytes
    media_type: str
    title: str | None = None


def make_content(
    type_name: str, body: bytes, *, title: str | None, media_type: str | None, source: SourceRef
) -> tuple[bytes, str]:
    """Return a packet's content and media type for a dropped document, checked.

    `source` is what a file rests on where nobody says (R-37): the sender's own register of drops.
    Raises DocumentError, naming the field.
    """
    packet_type = find_type(type_name)
    if type_name == DOCUMENT_FILE:
        facts = FileFacts(
            title=title or UNTITLED, media_type=media_type or OCTETS, source_ref=source
        )
        body = encode_file(facts, body)
    check_document(type_name, body)
    return body, packet_type.media_type


def read_content(type_name: str, content: bytes, media_type: str) -> Delivered:
    """Return the document in a packet's content. Raises DocumentError where a file is damaged.

    Of a file in parts, without its bytes. Raises FormatError where its manifest is damaged.
    """
    if is_manifest(type_name, media_type):
        facts = decode_manifest(content).facts
        return Delivered(b"", facts.media_type, facts.title)
    if type_name != DOCUMENT_FILE:
        return Delivered(content, media_type)
    file = decode_file(content)
    return Delivered(file.data, file.facts.media_type, file.facts.title)


def section_of(packet_type: PacketType, given: str | None) -> str:
    """Return the section a packet bears. Raises DocumentError where it must or may not be named."""
    allowed = ", ".join(packet_type.sections)
    if given is None:
        if packet_type.section is None:
            problem = f"{packet_type.name} needs one of {allowed}"
            raise DocumentError("section", problem, FaultKind.MISSING_FIELD)
        return packet_type.section
    if given not in packet_type.sections:
        raise DocumentError("section", f"{packet_type.name} belongs to {allowed}")
    return given


def period_of(packet_type: PacketType, given: str | None, body: bytes) -> str | None:
    """Return the period a packet bears: the one given, which must be the document's own if any.

    Raises DocumentError where it is not one that the type allows, or not that of the document.
    """
    own = None
    if packet_type.struct is not None:
        own = getattr(decode_document(packet_type.name, body), "period", None)
    if given is None or given == own:
        return own
    if own is not None:
        raise DocumentError("period", f"is {own} inside the document", FaultKind.WRONG_PERIOD)
    if not packet_type.periods:
        raise DocumentError("period", f"{packet_type.name} has none", FaultKind.WRONG_PERIOD)
    problem = find_period_problem(given, packet_type.periods)
    if problem is not None:
        raise DocumentError("period", problem, FaultKind.WRONG_PERIOD)
    return given
