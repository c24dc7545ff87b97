"""Judges an evidence folder: no network, no database, no key (docs/protocol.md clause 21).

Time first: which time-stamps hold up, then which cosignatures, then which checkpoints; from these
follows when each frame existed, and at that moment its certificate is judged.
"""

from collections.abc import Iterable, Mapping

import msgspec

from nodes.evidence.case import Case, Terms
from nodes.evidence.checks_files import check_files, check_manifest, check_names, manifest_of
from nodes.evidence.checks_frames import check_frame, frame_folders
from nodes.evidence.checks_journal import (
    CHECKPOINTS,
    check_checkpoint,
    check_proofs,
    proven_indexes,
    uncovered,
)
from nodes.evidence.checks_leaves import (
    Existence,
    check_leaves,
    check_records,
    frame_of,
    index_of,
)
from nodes.evidence.checks_renewals import (
    check_renewals,
    place_of,
    read_renewals,
)
from nodes.evidence.checks_stamps import judge_stamps, places_of, renewed_leaves
from nodes.evidence.checks_statements import check_custody, check_issued, check_tracked
from nodes.evidence.checks_witnesses import check_witnesses
from nodes.evidence.model import PACKET_FOLDER
from nodes.evidence.reading import Folder, PieceFault, inside
from nodes.evidence.timeline import timelines
from nodes.evidence.verdict import Check, Verdict, in_order, it_holds, judge
from schemas.errors import FormatError
from schemas.moments import Instant, format_instant
from signing.algorithms import TREE
from signing.errors import MALFORMED


class Head(msgspec.Struct, frozen=True):
    """One checkpoint: which leaves it proves, and who saw it when; empty where it fails itself."""

    where: str
    proven: set[int]
    stamped: Instant | None
    cosigned: Instant | None


class _Journal(msgspec.Struct, frozen=True):
    """All that the journal shows: its checks, and its checkpoints as far as they hold."""

    checks: list[Check]
    heads: list[Head]
    roots: list[str]
    """Fingerprints of the roots that its time-stamps lean on."""


def verify(folder: Folder, terms: Terms) -> Verdict:
    """Return the verdict about a folder. Raises nothing for what is in it."""
    case = Case(folder, terms)
    frames, checkpoints = frame_folders(folder), folder.numbered(CHECKPOINTS)
    checks = [*check_files(folder), *check_names(folder)]
    checks += check_manifest(case, frames, checkpoints)
    journal = _judge_journal(case, checkpoints, _exporter(folder))
    checks += journal.checks + check_records(folder)
    existence: dict[str, Existence] = {}
    for where in frames:
        leaves = check_leaves(folder, where)
        existed = _existence(case, where, leaves, journal.heads)
        checks += [*leaves, _check_existence(case, where, existed)]
        if existed is not None:
            existence[where] = existed
        checks += check_frame(case, where, existed or Existence(terms.now, "sender"))
    checks += [*check_custody(case), *check_tracked(case), *check_issued(case)]
    checks += _check_timelines(folder)
    return _verdict(case, in_order(checks), existence.get(PACKET_FOLDER), journal.roots)


def _verdict(
    case: Case, checks: list[Check], existed: Existence | None, roots: list[str]
) -> Verdict:
    try:
        packet = frame_of(case.folder, PACKET_FOLDER).header.id
    except PieceFault:
        packet = None
    return Verdict(
        holds=it_holds(checks),
        packet=packet,
        existed=None if existed is None else format_instant(existed.at),
        existed_by=None if existed is None else existed.by,
        stamp_roots="given" if case.stamp_roots else "folder",
        stamp_root_sha256=roots,
        checks=checks,
    )


def _exporter(folder: Folder) -> str | None:
    """Return whose journal the folder is cut from; None where its manifest cannot be read."""
    try:
        return manifest_of(folder).by
    except PieceFault:
        return None


# ----------------------------------------------------------------------------- the journal


def _judge_journal(case: Case, checkpoints: list[str], by: str | None) -> _Journal:
    proofs = {where: check_proofs(case.folder, where) for where in checkpoints}
    renewals = read_renewals(case.folder)
    places = [
        place
        for where in checkpoints
        for place in places_of(case.folder, where, proven_indexes(proofs[where]))
    ]
    stamps = judge_stamps(case, [*places, *map(place_of, renewals)])
    renewed = renewed_leaves(case, stamps.holding)
    checks = [*stamps.checks.values(), *check_renewals(case, renewals, stamps, by)]
    if not any(each.check == "stamp" for each in checks):
        checks.append(Check("stamp", CHECKPOINTS, "absent", "no time-stamp is here"))
    heads = []
    for where in checkpoints:
        stamped = stamps.over(where)
        witnessed = check_witnesses(case, where, stamped)
        cosigned = min(witnessed.moments, default=None)
        checkpoint = check_checkpoint(case, where, _earliest(stamped, cosigned), by)
        proven = [_allow_tree(case, check, renewed) for check in proofs[where]]
        checks += [checkpoint, *witnessed.checks, *proven]
        if checkpoint.stands:
            heads.append(Head(where, proven_indexes(proven), stamped, cosigned))
    if not checkpoints:
        checks.append(Check("checkpoint", CHECKPOINTS, "absent", "none is signed yet"))
    return _Journal([*checks, *uncovered(case.folder, checkpoints)], heads, stamps.roots)


def _allow_tree(case: Case, check: Check, renewed: set[int]) -> Check:
    """Let a proof fail whose hash has ended without a renewal of it (clause 21.4)."""
    ended = check.result == "holds" and not case.policy.allowed(TREE, case.now)
    if ended and not proven_indexes([check]) & renewed:
        detail = f"{TREE} is not allowed any more, and no second log has renewed it before"
        return Check("proof", check.where, "fails", detail)
    return check


# ----------------------------------------------------------------------------- existence


def _existence(
    case: Case, where: str, leaves: Iterable[Check], heads: Iterable[Head]
) -> Existence | None:
    """Return when a frame existed, and who says so; None where its head cannot be read."""
    try:
        sent = frame_of(case.folder, where).header.sent_at
    except FormatError:
        return None
    found = [index_of(each.where) for each in leaves if each.result == "holds"]
    first = min((index for index in found if index is not None), default=None)
    over = [head for head in heads if first in head.proven]
    stamped = [head.stamped for head in over if head.stamped is not None]
    if stamped:
        return Existence(min(stamped), "time-stamp")
    cosigned = [head.cosigned for head in over if head.cosigned is not None]
    return Existence(min(cosigned), "witness") if cosigned else Existence(sent, "sender")


def _earliest(stamped: Instant | None, cosigned: Instant | None) -> Existence | None:
    """Return the first word of others about a checkpoint."""
    if stamped is None or (cosigned is not None and cosigned < stamped):
        return None if cosigned is None else Existence(cosigned, "witness")
    return Existence(stamped, "time-stamp")


def _check_existence(case: Case, where: str, existed: Existence | None) -> Check:
    if existed is None:
        return Check("existence", where, "fails", "its head cannot be read")
    if not existed.proven:
        said = f"{format_instant(existed.at)}, as its sender claims and nobody proves"
        return Check("existence", where, "absent", said)
    return judge("existence", where, _compare_sent, case, where, existed)


def _compare_sent(case: Case, where: str, existed: Existence) -> str:
    said = f"{format_instant(existed.at)} by {existed.by}"
    sent = frame_of(case.folder, where).header.sent_at
    if sent > existed.at + case.limits.time_window_ahead_us:
        name = inside(where, "header.json")
        raise PieceFault(name, f"says sent {format_instant(sent)}, and was there before: {said}")
    return said


# ----------------------------------------------------------------------------- timelines


def _check_timelines(folder: Folder) -> list[Check]:
    """Render the timelines again, and compare."""
    try:
        made = _timelines(folder)
    except FormatError as fault:
        return [Check("timeline", "timeline.*.txt", "fails", fault.detail)]
    return [judge("timeline", name, _compare, folder, name, text) for name, text in made.items()]


def _timelines(folder: Folder) -> Mapping[str, bytes]:
    manifest = manifest_of(folder)
    try:
        return timelines(folder.files, manifest.by, manifest.exported)
    except (*MALFORMED, ArithmeticError, LookupError) as error:
        raise PieceFault("timeline.*.txt", "cannot be made from the other files") from error


def _compare(folder: Folder, name: str, text: bytes) -> str:
    if folder.read(name) != text:
        raise PieceFault(name, "is not what the folder's other files tell")
    return ""
