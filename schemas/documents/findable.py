"""What a document is found by: the fields that its type declares, and nothing else (R-4.5).

A path names a field as the document's type does, `texts[].title`; `[]` goes into each item.
"""

from collections.abc import Iterator, Mapping

import msgspec

from schemas.documents.registry import TYPES, PacketType, decode_document

_EACH = "[]"


class Findable(msgspec.Struct, frozen=True, gc=False):
    """What a document is found by."""

    subjects: frozenset[str]
    """IIN and BIN of the persons and bodies that it is about."""
    texts: tuple[str, ...]
    """Its permitted fields, its title first."""


def findable_types(types: Mapping[str, PacketType] = TYPES) -> list[str]:
    """Return the types whose documents are found by something in them."""
    return [one.name for one in types.values() if one.subjects or one.searchable]


def findable_of(
    type_name: str, content: bytes, types: Mapping[str, PacketType] = TYPES
) -> Findable:
    """Return what a document is found by. Raises DocumentError where it cannot be read."""
    packet_type = types[type_name]
    document = decode_document(type_name, content, types=types)
    subjects = (value for path in packet_type.subjects for value in _values(document, path))
    texts = (value for path in packet_type.searchable for value in _values(document, path))
    return Findable(frozenset(subjects), tuple(texts))


def _values(thing: object, path: str) -> Iterator[str]:
    """Yield the texts at a path; a field that is left out has none."""
    if thing is None:
        return
    if not path:
        assert isinstance(thing, str), "a path ends at a text"
        yield thing
        return
    name, _, rest = path.partition(".")
    value = getattr(thing, name.removesuffix(_EACH))
    for item in value if name.endswith(_EACH) else (value,):
        yield from _values(item, rest)
