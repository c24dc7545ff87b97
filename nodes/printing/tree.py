"""The general layout: JSON of any depth as a table of paths and values, anything else as a text."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec

from nodes.printing.blocks import Block, Listing, Notice, Table
from nodes.printing.speaker import Speaker

LEAVES_MAX = 20_000
DEPTH_MAX = 40
VALUE_CHARACTERS_MAX = 4_000
TEXT_CHARACTERS_MAX = 64 * 1024
LINE_CHARACTERS_MAX = 1_000
INDENT = "· "


def lay_out_unknown(content: bytes, media_type: str, speaker: Speaker) -> Iterator[Block]:
    """Lay out a content whose form is not known here."""
    if media_type == "application/json" or media_type.endswith("+json"):
        try:
            rows = tuple(islice(_rows("", msgspec.json.decode(content), 0), LEAVES_MAX + 1))
        except (msgspec.DecodeError, UnicodeDecodeError):
            yield Notice(speaker.say("print.no-json"))
        except RecursionError:
            yield Notice(speaker.say("print.deep-json", depth=DEPTH_MAX, leaves=LEAVES_MAX))
        else:
            if len(rows) <= LEAVES_MAX:
                heads = (speaker.say("print.form.field"), speaker.say("print.form.value"))
                yield Table(heads, rows)
                return
            yield Notice(speaker.say("print.deep-json", depth=DEPTH_MAX, leaves=LEAVES_MAX))
    yield from lay_out_text(content, speaker)


def lay_out_text(data: bytes, speaker: Speaker) -> Iterator[Block]:
    """Lay out what may be text, as far as that goes; of anything else only that it is none."""
    text = _decoded(data)
    if text is None:
        yield Notice(speaker.say("print.no-text", size=len(data)))
        return
    shown = text[:TEXT_CHARACTERS_MAX]
    if len(shown) < len(text):
        yield Notice(speaker.say("print.cut", shown=len(shown), whole=len(text)))
    yield Listing("\n".join(_folded(shown)))


def _decoded(data: bytes) -> str | None:
    """Return a text in UTF-8; None where the bytes are none, or mostly not for reading."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text[:TEXT_CHARACTERS_MAX] else text


def _folded(text: str) -> Iterator[str]:
    """Yield the lines of a text, endless ones in pieces: no typesetter shall choke on them."""
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        for start in range(0, max(len(line), 1), LINE_CHARACTERS_MAX):
            yield line[start : start + LINE_CHARACTERS_MAX]


def _rows(name: str, value: Any, depth: int) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - JSON
    if depth > DEPTH_MAX:
        raise RecursionError
    shown = INDENT * max(depth - 1, 0) + name
    match value:
        case dict() if value:
            yield from _head(shown, name)
            for key, each in value.items():
                yield from _rows(str(key), each, depth + 1)
        case list() if value:
            yield from _head(shown, name)
            for number, each in enumerate(value, 1):
                yield from _rows(f"{number}.", each, depth + 1)
        case _:
            yield shown, _scalar(value)


def _head(shown: str, name: str) -> Iterator[tuple[str, str]]:
    if name:
        yield shown, ""


def _scalar(value: object) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    rest = len(text) - VALUE_CHARACTERS_MAX
    return text if rest <= 0 else f"{text[:VALUE_CHARACTERS_MAX]}… (+{rest})"
