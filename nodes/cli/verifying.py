"""Judges an evidence folder for the command line: by its files and the reader's terms alone."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from rich.console import RenderableType
from rich.text import Text

from nodes.cli.drawing import new_table
from nodes.cli.errors import FileFault, UsageFault
from nodes.cli.moments import utc_and_local
from nodes.cli.tables import plain
from nodes.clock import now
from nodes.errors import JudgementFailed, NotFound
from nodes.evidence.case import Terms
from nodes.evidence.reading import Folder, PieceFault, read_folder
from nodes.evidence.verdict import Verdict
from schemas.limits import Limits
from schemas.moments import Instant, from_datetime
from signing.algorithms import DEFAULT, TABLE_BYTES_MAX, AlgorithmPolicy, decode_policy
from signing.keys import fingerprint, load_certificate, load_certificates

ROOT = "root.pem"
_STYLES = {
    "holds": "green",
    "warns": "yellow",
    "fails": "red",
    "absent": "dim",
    "unsupported": "yellow",
}
_STRANGE_STAMP = ("stamp", "unsupported")
_NO_ROOT_OF_THOSE = (
    "time-stamp roots: no time-stamp here leads to one of those that were given, so that none "
    "counts: compare the fingerprints shown at stamp"
)


def read(path: Path) -> Folder:
    """Return an evidence folder. Raises NotFound where there is none, FileFault."""
    if not path.is_dir():
        raise NotFound(f"{path} is no folder: name the one that `bbaj evidence export` wrote")
    try:
        return read_folder(path)
    except OSError as error:
        raise FileFault(f"{path}: {error.strerror}: let this user read it") from error


def terms(
    folder: Folder, at: str | None, policy: Path | None, root: Path | None, stamp_roots: list[Path]
) -> Terms:
    """Return what the reader trusts. Raises UsageFault, FileFault, KeyFileError, FormatError."""
    return Terms(
        root=_root_in(folder) if root is None else load_certificate(root),
        policy=DEFAULT if policy is None else _read_policy(policy),
        now=now() if at is None else _read_moment(at),
        limits=Limits(),
        stamp_roots=tuple(der for path in stamp_roots for der in load_certificates(path)),
    )


def told(verdict: Verdict) -> None:
    """Raise JudgementFailed where the evidence does not hold."""
    if not verdict.holds:
        names = dict.fromkeys(each.check for each in verdict.checks if each.result == "fails")
        why = f"fails: {', '.join(names)}" if names else "what it needs is absent"
        raise JudgementFailed(f"evidence does not hold, {why}: the checks listed say where")


def provenance(by: Terms, *, given: bool) -> str:
    """Say in plain words whose root was trusted."""
    if given:
        return f"root {fingerprint(by.root)}, the one that was given"
    return (
        f"root {fingerprint(by.root)}, taken from the folder itself: the evidence proves something "
        "only if you know this fingerprint from elsewhere; --root names a root that you trust"
    )


def stamp_provenance(verdict: Verdict) -> str | None:
    """Say in plain words which roots time-stamps lean on, and whose; None where they are none."""
    if not verdict.stamp_root_sha256:
        stamps = any((each.check, each.result) == _STRANGE_STAMP for each in verdict.checks)
        return _NO_ROOT_OF_THOSE if stamps and verdict.stamp_roots == "given" else None
    roots = f"time-stamp roots {', '.join(verdict.stamp_root_sha256)}"
    if verdict.stamp_roots == "given":
        return f"{roots}, of those that were given"
    return (
        f"{roots}, taken from the folder itself, where anybody can put an authority that names any "
        "time: they prove something only if you know these fingerprints from elsewhere; "
        "--stamp-root names a root that you trust"
    )


def draw(verdict: Verdict, by: Terms, *, given: bool) -> Iterator[RenderableType]:
    """Draw `evidence verify`."""
    table = new_table("", "check", "where", "found")
    for each in verdict.checks:
        mark = Text(each.result, _STYLES[each.result])
        table.add_row(mark, each.check, plain(each.where), plain(each.detail))
    yield table
    yield provenance(by, given=given)
    if (said := stamp_provenance(verdict)) is not None:
        yield said
    if verdict.existed is not None:
        yield f"packet {verdict.packet} existed at {utc_and_local(verdict.existed)}, {_by(verdict)}"
    warnings = sum(each.result == "warns" for each in verdict.checks)
    but = f", with {warnings} warnings above" if warnings else ""
    yield f"evidence: {'holds' if verdict.holds else 'does not hold'}{but}"


def _by(verdict: Verdict) -> str:
    match verdict.existed_by:
        case "time-stamp":
            known = verdict.stamp_roots == "given"
            return f"proven by a time-stamp{'' if known else ', if you know its root'}"
        case "witness":
            return "proven by a witness"
        case _:
            return "as its sender claims, and nobody proves"


def _root_in(folder: Folder) -> bytes:
    """Return the folder's own root; empty, which no chain leads to, where it cannot be read."""
    try:
        return folder.certificate(ROOT)
    except PieceFault:
        return b""


def _read_policy(path: Path) -> AlgorithmPolicy:
    try:
        with path.open("rb") as file:
            return decode_policy(file.read(TABLE_BYTES_MAX + 1))
    except OSError as error:
        raise FileFault(f"{path}: {error.strerror}: name a policy that can be read") from error


def _read_moment(text: str) -> Instant:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        detail = f"--at {text!r} is no moment: write 2056-01-31 or 2056-01-31T12:00:00Z"
        raise UsageFault(detail) from error
    return from_datetime(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))
