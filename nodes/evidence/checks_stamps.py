"""Check `stamp`: RFC 3161 tokens over whole notes, and what keeps them good since (clause 21.5).

A token is judged at its own time first. Whether it still holds up is judged from the newest one
backwards: its chain and algorithms are good now, or were when a later token that holds up sealed
its `timestamp` leaf.
"""

import hashlib
from collections.abc import Iterable, Mapping

import msgspec
from cryptography import x509

from nodes.evidence.case import Case, at
from nodes.evidence.checks_leaves import read_leaf_file
from nodes.evidence.reading import Folder, PieceFault
from nodes.evidence.verdict import Check, CheckName
from schemas.errors import FormatError
from schemas.leaves import LeafKind
from schemas.moments import Instant, format_instant
from signing.algorithms import TREE
from signing.certificates import is_issued_by
from signing.errors import MALFORMED
from signing.keys import fingerprint
from signing.note_text import split_note
from signing.notes import check_order
from signing.timestamps import TokenFacts, verify_token

_TOKEN_LEAVES = {LeafKind.TIMESTAMP, LeafKind.RENEWAL}


class Place(msgspec.Struct, frozen=True):
    """Where a token lies: over which note, and which leaves are proven under that note."""

    where: str
    note: str
    """The file that was stamped."""
    head: str
    """The folder of the checkpoint, or of the second log's head."""
    proven: frozenset[int]

    @property
    def check(self) -> CheckName:
        """What a verdict calls it: the token over a second log's head is part of the renewal."""
        return "renewal" if self.where == self.head else "stamp"


class Stamp(msgspec.Struct, frozen=True):
    """A token that has held at its own time."""

    place: Place
    sha256: str
    sha512: str
    facts: TokenFacts


class Stamps(msgspec.Struct, frozen=True):
    """The check of each token by its folder, and those that hold up."""

    checks: Mapping[str, Check]
    holding: list[Stamp]

    def over(self, head: str) -> Instant | None:
        """Return the earliest moment that a token proves for a head."""
        return min((s.facts.gen_time for s in self.holding if s.place.head == head), default=None)

    @property
    def roots(self) -> list[str]:
        """The fingerprints of the roots that those which hold up lean on."""
        roots = (stamp.facts.root for stamp in self.holding)
        return sorted({fingerprint(root) for root in roots if root is not None})


def places_of(folder: Folder, head: str, proven: Iterable[int]) -> list[Place]:
    """Return the tokens over a checkpoint's note."""
    return [
        Place(where, f"{where}/note.txt", head, frozenset(proven))
        for where in folder.numbered(f"{head}/stamps")
    ]


def judge_stamps(case: Case, places: Iterable[Place]) -> Stamps:
    """Judge every token of the folder."""
    checks: dict[str, Check] = {}
    good: list[Stamp] = []
    places = list(places)
    for place in places:
        try:
            root = _root_of(case.folder, place)
            if case.stamp_roots and root not in case.stamp_roots:
                said = f"its root {fingerprint(root)} is none of those that are trusted"
                checks[place.where] = Check(place.check, place.where, "unsupported", said)
            else:
                good.append(_read(case, place))
        except PieceFault as fault:
            checks[place.where] = Check(place.check, fault.where, "fails", fault.detail)
        except FormatError as fault:
            checks[place.where] = Check(place.check, place.where, "fails", fault.detail)
    leaves = _token_leaves(case.folder)
    holding: list[Stamp] = []
    for stamp in sorted(good, key=lambda each: -each.facts.gen_time):
        check = _judge_standing(case, stamp, holding, leaves)
        checks[stamp.place.where] = check
        if check.result == "holds":
            holding.append(stamp)
    return Stamps({place.where: checks[place.where] for place in places}, holding)


def _read(case: Case, place: Place) -> Stamp:
    """Return a token that holds at its own genTime. Raises FormatError."""
    folder, token = case.folder, f"{place.where}/token.der"
    note = folder.text(place.note)
    _check_note(folder, place, note)
    root = _load(folder, f"{place.where}/root.pem")
    if not is_issued_by(root[0], root[0]):
        raise PieceFault(f"{place.where}/root.pem", "is no root: its key has not signed it")
    chain = _load(folder, f"{place.where}/chain.pem")
    data = folder.read(token)
    try:
        facts = verify_token(data, note.encode(), root, intermediates=chain)
    except FormatError as fault:
        raise at(token, fault) from fault
    beside = folder.pem(f"{place.where}/chain.pem", "CERTIFICATE")
    if beside != list(facts.certificates[: len(beside)]):
        raise PieceFault(f"{place.where}/chain.pem", "is not the chain of the token, its own first")
    folder.line(f"{place.where}/authority.txt")
    _check_order(case, token, note, facts.gen_time)
    return Stamp(place, hashlib.sha256(data).hexdigest(), hashlib.sha512(data).hexdigest(), facts)


def _root_of(folder: Folder, place: Place) -> bytes:
    return folder.certificate(f"{place.where}/root.pem")


def _check_order(case: Case, token: str, note: str, gen_time: Instant) -> None:
    """Raise PieceFault where a token is older than a cosignature in what it stamps."""
    try:
        check_order(note, gen_time, case.limits.time_window_ahead_us)
    except FormatError as fault:
        raise at(token, fault) from fault


def _check_note(folder: Folder, place: Place, note: str) -> None:
    """Raise PieceFault unless what was stamped is the head's note, or an earlier form of it."""
    try:
        text, lines = split_note(note)
        whole, known = split_note(folder.text(f"{place.head}/note.txt"))
    except FormatError as fault:
        raise at(place.note, fault) from fault
    if text != whole:
        raise PieceFault(place.note, "is of another checkpoint")
    if not set(lines) <= set(known):
        raise PieceFault(place.note, "has a signature line that the checkpoint's note has not")


def _token_leaves(folder: Folder) -> dict[str, set[int]]:
    """Return the leaves that record a token, by the token's digests in hex."""
    found: dict[str, set[int]] = {}
    for name in folder.below("records"):
        try:
            leaf = read_leaf_file(folder, name)
        except PieceFault:
            continue  # check `leaf` says so
        if leaf["kind"] in _TOKEN_LEAVES:
            index = int(name.rpartition("/")[2].partition("-")[0])
            for digest in (leaf.get("sha256"), leaf.get("sha512")):
                found.setdefault(digest or "", set()).add(index)
    return found


def _judge_standing(
    case: Case, stamp: Stamp, later: list[Stamp], leaves: Mapping[str, set[int]]
) -> Check:
    """Say whether a token that held at its own time holds up now, and by what."""
    facts, where = stamp.facts, stamp.place.where
    root = fingerprint(facts.root) if facts.root is not None else "not looked at"
    said = f"{format_instant(facts.gen_time)} by {facts.tsa}, root {root}"
    if not facts.supported:
        detail = f"{said}: its signature is by an algorithm that is unknown here"
        return Check(stamp.place.check, where, "unsupported", detail)
    ended = _ended(case, facts, case.now)
    if not ended:
        return Check(stamp.place.check, where, "holds", said)
    sealed = leaves.get(stamp.sha256, set()) & leaves.get(stamp.sha512, set())
    renewed = renewed_leaves(case, later)
    is_tree_good = case.policy.allowed(TREE, case.now)
    for newer in reversed(later):
        in_time = newer.facts.gen_time > facts.gen_time and not _ended(
            case, facts, newer.facts.gen_time
        )
        counts = is_tree_good or newer.place.check == "renewal" or bool(sealed & renewed)
        if in_time and counts and sealed & newer.place.proven:
            return Check(
                stamp.place.check, where, "holds", f"{said}; renewed by {newer.place.where}"
            )
    detail = f"{said}: {ended}, and no later time-stamp that holds renewed it before"
    return Check(stamp.place.check, where, "fails", detail)


def renewed_leaves(case: Case, holding: Iterable[Stamp]) -> set[int]:
    """Return the leaves that a stamped second log covers since before the tree's hash ended."""
    in_time = (
        stamp.place.proven
        for stamp in holding
        if stamp.place.check == "renewal" and case.policy.allowed(TREE, stamp.facts.gen_time)
    )
    return set().union(*in_time)


def _ended(case: Case, facts: TokenFacts, moment: Instant) -> str:
    """Say what a token relies on and is no longer good at a moment; empty where all is."""
    if facts.ends is not None and facts.ends < moment:
        return f"its chain ended {format_instant(facts.ends)}"
    bad = [name for name in facts.algorithms if not case.policy.allowed(name, moment)]
    return f"{bad[0]} was not allowed at {format_instant(moment)}" if bad else ""


def _load(folder: Folder, name: str) -> list[x509.Certificate]:
    try:
        return [x509.load_der_x509_certificate(der) for der in folder.pem(name, "CERTIFICATE")]
    except MALFORMED as error:
        raise PieceFault(name, "has a certificate that cannot be read") from error
