"""A packet's content as blocks: by the layout of its form, or in general."""

from collections.abc import Iterator

from nodes.printing.blocks import Block, Notice
from nodes.printing.files import lay_out_file, lay_out_manifest
from nodes.printing.forms import layout_of
from nodes.printing.speaker import Speaker
from nodes.printing.tree import lay_out_unknown
from schemas.documents.faults import DocumentError
from schemas.documents.file import FileDocument
from schemas.documents.registry import TYPES, decode_document
from schemas.errors import FormatError
from schemas.manifest import decode_manifest, is_manifest


def lay_out(type_name: str, content: bytes, media_type: str, speaker: Speaker) -> tuple[Block, ...]:
    """Return the blocks of a content. There are always some, whatever the bytes are."""
    return tuple(_blocks(type_name, content, media_type, speaker))


def _blocks(type_name: str, content: bytes, media_type: str, speaker: Speaker) -> Iterator[Block]:
    if type_name not in TYPES:
        yield Notice(speaker.say("print.unknown-form", form=type_name))
        yield from lay_out_unknown(content, media_type, speaker)
        return
    try:
        if is_manifest(type_name, media_type):
            yield from lay_out_manifest(decode_manifest(content), speaker)
            return
        document = decode_document(type_name, content)
    except FormatError as error:
        yield Notice(speaker.say("print.unfit", field="manifest", problem=error.detail))
        return
    except DocumentError as error:
        yield Notice(speaker.say("print.unfit", field=error.field, problem=error.problem))
        yield from lay_out_unknown(content, media_type, speaker)
        return
    layout = layout_of(document)
    if isinstance(document, FileDocument):
        yield from lay_out_file(document, speaker)
    elif layout is not None:
        yield from layout(document, speaker)
    else:
        yield from lay_out_unknown(content, media_type, speaker)
