"""Files in packets: text and pictures with their content, all others by name, size and digest."""

import io
import struct
from collections.abc import Iterator
from hashlib import sha256

from nodes.printing.blocks import Block, Notice, Picture, code, facts
from nodes.printing.forms import source_of
from nodes.printing.speaker import Speaker
from nodes.printing.tree import lay_out_text
from schemas.documents.file import FileDocument
from schemas.manifest import Manifest

PICTURES = {"image/png": "PNG", "image/jpeg": "JPEG"}
TEXTS = frozenset({"text/plain", "text/csv", "application/json"})
PICTURE_BYTES_MAX = 16 * 1024 * 1024
PICTURE_PIXELS_MAX = 24_000_000
"""A bitmap of so many pixels takes 100 MB while it is made smaller."""
SIDE_PIXELS_MAX = 1_600
"""So many pixels across the page are as sharp as office printers print."""


def lay_out_file(document: FileDocument, speaker: Speaker) -> Iterator[Block]:
    """Lay out a file: what it is, and as much of its content as is safe."""
    say, facts_, data = speaker.say, document.facts, document.data
    yield facts(
        (say("print.form.title"), facts_.title),
        (say("print.form.media-type"), facts_.media_type),
        (say("print.form.size"), str(len(data))),
        code("SHA-256", sha256(data).hexdigest()),
        (say("print.form.source"), source_of(facts_.source_ref, speaker)),
    )
    if facts_.media_type in TEXTS:
        yield from lay_out_text(data, speaker)
    elif facts_.media_type in PICTURES:
        png = small_png(data, PICTURES[facts_.media_type])
        shown = Notice(say("print.no-picture")) if png is None else Picture(png, facts_.title)
        yield shown
    else:
        yield Notice(say("print.by-digest"))


def lay_out_manifest(manifest: Manifest, speaker: Speaker) -> Iterator[Block]:
    """Lay out what a file is that travels in parts."""
    say, facts_ = speaker.say, manifest.facts
    yield facts(
        (say("print.form.title"), facts_.title),
        (say("print.form.media-type"), facts_.media_type),
        (say("print.form.size"), str(facts_.size)),
        (say("print.form.source"), source_of(facts_.source_ref, speaker)),
    )
    yield Notice(say("print.in-parts", parts=manifest.parts))


def small_png(data: bytes, kind: str) -> bytes | None:
    """Return a picture decoded and encoded anew; None where it is too large, or none of its kind.

    Nothing but its pixels is left: no metadata, no profile, no second frame.
    """
    from PIL import Image, ImageFile  # noqa: PLC0415 - only who prints pictures pays for it

    ImageFile.LOAD_TRUNCATED_IMAGES = False  # the typesetter allows for half a picture
    if len(data) > PICTURE_BYTES_MAX:
        return None
    try:
        with Image.open(io.BytesIO(data), formats=[kind]) as picture:
            if picture.width * picture.height > PICTURE_PIXELS_MAX:
                return None
            picture.draft("RGB", (SIDE_PIXELS_MAX, SIDE_PIXELS_MAX))
            picture.thumbnail((SIDE_PIXELS_MAX, SIDE_PIXELS_MAX))
            shown = Image.new("RGB", picture.size, "white")
            whole = picture.convert("RGBA")
            shown.paste(whole, mask=whole)
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError):
        return None
    made = io.BytesIO()
    shown.save(made, "PNG")
    return made.getvalue()
