"""Documents as local systems hand them over: read, checked, and made into content."""

import hashlib
from collections.abc import Mapping

import msgspec

from exchange.core.rules import Rules
from exchange.identity import is_packet_id
from schemas.addresses import is_address
from schemas.documents.common import SourceRef
from schemas.documents.contents import make_content, section_of
from schemas.documents.registry import DOCUMENT_FILE, DocumentError, PacketType, find_type
from schemas.manifest import MANIFEST_MEDIA_TYPE, decode_manifest
from schemas.moments import Instant

DROP_ID_MAX = 128


class Drop(msgspec.Struct, frozen=True, gc=False):
    """A document as a local system hands it over; texts are as given, not judged yet."""

    system: str
    drop_id: str
    type: str
    to: str
    body: bytes
    section: str | None = None
    period: str | None = None
    title: str | None = None
    re: str | None = None
    media_type: str | None = None
    dropped: Instant = 0
    misnamed: bool = False
    """The id given can't be used; `drop_id` is a digest of the whole instead."""
    own_fault: bool = False
    """We failed at it once: it becomes a fault that says so, and nothing waits for it."""
    awaits: str | None = None
    """What it waits for in the record already: `card`, `returned`."""
    parts: int | None = None
    """The body is the manifest of so many parts, which wait in the record."""


def content_of(drop: Drop, here: str) -> tuple[bytes, str]:
    """Return a packet's content and media type. Raises DocumentError, or FormatError of a manifest.

    `here` keeps the register that a file rests on where nobody says.
    """
    if drop.parts is not None:
        if drop.type != DOCUMENT_FILE:
            raise DocumentError("type", f"{drop.type} never travels in parts")
        decode_manifest(drop.body)
        return drop.body, MANIFEST_MEDIA_TYPE
    return make_content(
        drop.type,
        drop.body,
        title=drop.title,
        media_type=drop.media_type,
        source=SourceRef(kind="register", issuer=here, number=drop.drop_id[:100] or "-"),
    )


def check_drop(drop: Drop, rules: Rules) -> PacketType:
    """Return the type of a drop that may be sealed. Raises DocumentError naming the field."""
    packet_type = find_type(drop.type)
    if not packet_type.droppable:
        raise DocumentError("type", f"{drop.type} is made by nodes only")
    if not is_address(drop.to):
        raise DocumentError("to", f"{drop.to[:80]!r} is no address")
    if drop.to == rules.here:
        raise DocumentError("to", "is this node itself")
    if rules.registry.next_hop(drop.to) is None:
        raise DocumentError("to", f"{rules.here} knows no way to {drop.to}")
    if drop.misnamed:
        raise DocumentError("drop-id", f"needs 1 to {DROP_ID_MAX} printable characters")
    section_of(packet_type, drop.section)
    if drop.re is not None and not is_packet_id(drop.re):
        raise DocumentError("re", "is no packet id")
    return packet_type


def read_drop(
    system: str, headers: Mapping[str, str | int | bool], content_type: str, body: bytes
) -> Drop:
    """Return the drop in an AMQP message.

    A drop-id that is missing or can't be used becomes a digest of the whole.
    """
    text = {name: str(value).replace("\0", " ") for name, value in headers.items()}
    facts = "\n".join(f"{name} {text[name]}" for name in sorted(text)).encode()
    given = text.get("drop-id", "")
    usable = 0 < len(given) <= DROP_ID_MAX and given.isprintable()
    digest = hashlib.sha256(facts + b"\n\n" + body).hexdigest()
    return Drop(
        system=system,
        drop_id=given if usable else f"sha256-{digest}",
        misnamed=bool(given) and not usable,
        type=text.get("type", ""),
        to=text.get("to", ""),
        body=body,
        section=text.get("section"),
        period=text.get("period"),
        title=text.get("title"),
        re=text.get("re"),
        media_type=content_type.partition(";")[0].strip().lower() or None,
    )
