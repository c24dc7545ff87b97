"""Judges an evidence folder for the command line: by its files and the reader's terms alone."""

from datetime import UTC, datetime
from pathlib import Path

from nodes.cli.errors import FileFault, UsageFault
from nodes.clock import now
from nodes.errors import JudgementFailed, NotFound
from nodes.evidence.case import Terms
from nodes.evidence.reading import Folder, PieceFault, read_folder
from nodes.evidence.verdict import Verdict
from schemas.limits import Limits
from schemas.moments import Instant, from_datetime
from signing.algorithms import DEFAULT, TABLE_BYTES_MAX, AlgorithmPolicy, decode_policy
from signing.keys import load_certificate, load_certificates

ROOT = "root.pem"


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
