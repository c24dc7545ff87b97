"""Evidence as people read of it, in the language spoken here; what checks found stays English."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from nodes.cli.drawing import new_table, plain
from nodes.cli.moments import utc_and_local
from nodes.cli.shapes import EvidenceFile
from nodes.cli.speaking import say, say_of
from nodes.evidence.case import Terms
from nodes.evidence.verdict import Verdict
from nodes.said import spoken
from signing.keys import fingerprint

_STYLES = {
    "holds": "green",
    "warns": "yellow",
    "fails": "red",
    "absent": "dim",
    "unsupported": "yellow",
}
_STRANGE_STAMP = ("stamp", "unsupported")


def exported(file: EvidenceFile) -> Iterator[RenderableType]:
    """Draw `evidence export`."""
    yield say("proof.written", folder=file.folder, files=len(file.files))
    yield say("proof.leaves", leaves=file.leaves, proven=file.leaves_proven)
    yield say(
        "proof.vouched",
        cosigned=file.cosigned,
        stamps=file.stamps,
        custody=file.custody,
        tracked=file.tracked,
    )
    for note in file.notes:
        yield say("proof.note", note=plain(spoken(note)))


def verdict(found: Verdict, by: Terms, *, given: bool) -> Iterator[RenderableType]:
    """Draw `evidence verify`."""
    table = new_table("", *(say(f"verdict.{name}") for name in ("check", "where", "found")))
    for each in found.checks:
        mark = Text(say_of("verdict.results", each.result), _STYLES[each.result])
        table.add_row(mark, each.check, plain(each.where), plain(each.detail))
    yield table
    yield provenance(by, given=given)
    if (said := stamp_provenance(found)) is not None:
        yield said
    if found.existed is not None:
        at = utc_and_local(found.existed)
        yield say("verdict.existed", packet=found.packet, at=at, by=say(_proof_of(found)))
    yield _end(found)


def provenance(by: Terms, *, given: bool) -> str:
    """Say in plain words whose root was trusted."""
    return say("verdict.root-given" if given else "verdict.root-own", root=fingerprint(by.root))


def stamp_provenance(found: Verdict) -> str | None:
    """Say in plain words which roots time-stamps lean on, and whose; None where they are none."""
    are_given = found.stamp_roots == "given"
    if not found.stamp_root_sha256:
        stamps = any((each.check, each.result) == _STRANGE_STAMP for each in found.checks)
        return say("verdict.stamp-roots-none") if stamps and are_given else None
    key = "verdict.stamp-roots-given" if are_given else "verdict.stamp-roots-own"
    return say(key, roots=", ".join(found.stamp_root_sha256))


def _proof_of(found: Verdict) -> str:
    match found.existed_by:
        case "time-stamp":
            return "verdict.by-stamp" if found.stamp_roots == "given" else "verdict.by-stamp-own"
        case "witness":
            return "verdict.by-witness"
        case _:
            return "verdict.by-sender"


def _end(found: Verdict) -> str:
    warnings = sum(each.result == "warns" for each in found.checks)
    if warnings:
        return say(
            "verdict.holds-warned" if found.holds else "verdict.fails-warned", warnings=warnings
        )
    return say("verdict.holds" if found.holds else "verdict.fails")
