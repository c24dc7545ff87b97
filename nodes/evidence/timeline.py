"""The packet's timeline in three languages, made from the files of the folder alone (20.2).

    2026-11-23 03:32:06 UTC (2026-11-23 08:32:06 +05:00)  document: signed and sent by kz  [leaf 12]

Who verifies a folder makes the timelines again and compares them byte for byte.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import partial

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from nodes.texts import below
from schemas.codes import Language
from schemas.errors import FormatError
from schemas.header import Header, decode_header
from schemas.leaves import read_leaf
from schemas.moments import LOCAL, SECOND, Instant, as_datetime, parse_instant
from schemas.reasons import Reason
from schemas.wire import describe
from signing.certificates import named_address

Said = Mapping[str, str]
"""One language's texts about timelines, by the rest of their keys (nodes.texts)."""

_FRAMES = {".": "document", "receipt": "receipt", "closing": "closing"}
"""What a frame is called, by the kind of its folder."""

_LEAF = re.compile(r"((receipt|closing)(?:-[0-9]+)?/)?leaves/([0-9]+)-[a-z-]+\.txt")
_RECORD = re.compile(r"records/([0-9]+)-(custody|timestamp|renewal|epoch)\.txt")
_COSIGNED = re.compile(r"(checkpoints/([0-9]+)/witnesses/[0-9]+)/cosigned\.txt")
_TRACKED = re.compile(r"(tracked/[0-9]+)/header\.json")


class Event(msgspec.Struct, frozen=True, order=True):
    """One line of a timeline, in no language yet; they sort by time, then leaf."""

    at: Instant
    index: int
    """Of the leaf; -1 where it is none."""
    kind: str
    frame: str
    """Kind of the folder that it is about; empty for none."""
    facts: tuple[tuple[str, str], ...]


def timelines(files: Mapping[str, bytes], by: str, exported: str) -> dict[str, bytes]:
    """Return `timeline.<language>.txt` for the files of a folder; `exported` is a moment.

    Raises FormatError where one of them can't be read.
    """
    try:
        header = decode_header(files["header.json"])
        events = sorted(_events(files))
        return {
            f"timeline.{language}.txt": _render(said, header, events, by, exported).encode()
            for language in Language
            for said in [below("timeline", language)]
        }
    except (LookupError, ValueError, OverflowError) as error:
        raise FormatError(Reason.FORMAT_INVALID, f"timeline: {describe(error)}") from error


def _events(files: Mapping[str, bytes]) -> Iterator[Event]:
    """Yield what happened, as leaves, cosignatures and statements tell it."""
    for name, data in files.items():
        if (found := _LEAF.fullmatch(name)) and f"{found[1] or ''}head.bin" in files:
            yield _of_leaf(data, int(found[3]), found[2] or ".")
        elif found := _RECORD.fullmatch(name):
            yield _of_leaf(data, int(found[1]), "")
        elif found := _COSIGNED.fullmatch(name):
            address = _signer_of(files, found[1])
            time_s = int(data.split(b"\n")[1].removeprefix(b"time "))
            facts = {"witness": address, "size": found[2]}
            yield _event(time_s * SECOND, -1, "cosigned", "", facts)
        elif found := _TRACKED.fullmatch(name):
            at = int(files[f"{found[1]}/attime.txt"]) * SECOND
            yield _event(at, -1, "tracked", "", {"from": _signer_of(files, found[1])})


def _of_leaf(record: bytes, index: int, frame: str) -> Event:
    leaf = read_leaf(record)
    at = leaf["gen-time"] if leaf["kind"] in {"timestamp", "renewal"} else leaf["at"]
    return _event(parse_instant(at), index, leaf["kind"], frame, leaf)


def _event(at: Instant, index: int, kind: str, frame: str, facts: Mapping[str, str]) -> Event:
    return Event(at, index, kind, frame, tuple(sorted(facts.items())))


def _signer_of(files: Mapping[str, bytes], folder: str) -> str:
    """Return the address that a chain folder's certificate names."""
    certificate = x509.load_pem_x509_certificate(files[f"{folder}/signer.pem"])
    return named_address(certificate.public_bytes(Encoding.DER)) or ""


def _render(said: Said, header: Header, events: list[Event], by: str, exported: str) -> str:
    lines = [
        said["title"].format(id=header.id, type=header.type),
        said["ends"].format(sender=header.from_, recipient=header.to),
        said["journal"].format(by=by),
        said["exported"].format(at=_moment(parse_instant(exported))),
        "",
        *map(partial(_line, said), events),
    ]
    return "".join(f"{line}\n" for line in lines)


def _line(said: Said, event: Event) -> str:
    facts = defaultdict(str, event.facts)
    facts["what"] = said.get(f"frames.{_FRAMES.get(event.frame, '')}", "")
    facts["verdict"] = said.get(f"verdicts.{facts['verdict']}", facts["verdict"])
    phrase = said.get(f"events.{event.kind}", event.kind).format_map(facts).strip()
    where = f"  [{said['leaf']} {event.index}]" if event.index >= 0 else ""
    return f"{_moment(event.at)}  {phrase}{where}"


def _moment(at: Instant) -> str:
    """Return a moment in UTC and in local time."""
    utc = as_datetime(at)
    local = utc.astimezone(LOCAL)
    return f"{utc:%Y-%m-%d %H:%M:%S} UTC ({local:%Y-%m-%d %H:%M:%S} +05:00)"
