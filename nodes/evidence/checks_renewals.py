"""Check `renewal`: the same leaves under a second log, hashed with SHA-512 (clause 19.4)."""

import msgspec

from nodes.evidence.case import Case, at
from nodes.evidence.checks_journal import check_journal_key, check_signed_note, leaf_files
from nodes.evidence.checks_leaves import Existence
from nodes.evidence.checks_stamps import Place, Stamps
from nodes.evidence.reading import Folder, PieceFault
from nodes.evidence.verdict import Check, Finding, judge
from schemas.errors import FormatError
from schemas.moments import Instant
from signing.notes import read_origin
from signing.second_log import (
    SUFFIX,
    SecondHead,
    read_renewed_proof,
    renewed_proof_text,
    second_head_of,
)
from store.merkle import RENEWED, inclusion_holds

RENEWALS = "renewals"


class Renewed(msgspec.Struct, frozen=True):
    """One head of the second log: which leaves are proven under it, and every check of a proof."""

    where: str
    proven: frozenset[int]
    proofs: list[Check]


def read_renewals(folder: Folder) -> list[Renewed]:
    """Look through the proofs under every head; whose word the heads are is judged later."""
    return [_read(folder, where) for where in folder.numbered(RENEWALS)]


def place_of(renewed: Renewed) -> Place:
    """Return where the token over a head lies."""
    where = renewed.where
    return Place(where, f"{where}/note.txt", where, renewed.proven)


def check_renewals(case: Case, found: list[Renewed], stamps: Stamps, by: str | None) -> list[Check]:
    """Return the checks of every head, and of the proofs under it."""
    if not found:
        return [Check("renewal", RENEWALS, "absent", "the hash was not renewed")]
    checks = []
    for each in found:
        if stamps.checks[each.where].result == "unsupported":
            continue  # nothing is known of its moment, so that it renews nothing here
        moment = stamps.over(each.where)
        checks.append(judge("renewal", each.where, _check_head, case, each, moment, by))
        checks.extend(each.proofs)
    return checks


def _read(folder: Folder, where: str) -> Renewed:
    try:
        head = _head_of(folder, where)
    except PieceFault:
        return Renewed(where, frozenset(), [])  # the check of the head says so
    leaves = leaf_files(folder)
    wanted = {f"{where}/proofs/{index}.proof": index for index in leaves if index < head.size}
    checks = {
        name: judge("proof", name, _check_proof, folder, where, name, index)
        for name, index in wanted.items()
    }
    stray = [
        Check("proof", name, "fails", "is of no leaf of the folder")
        for name in folder.below(f"{where}/proofs")
        if name not in wanted
    ]
    proven = frozenset(wanted[name] for name, each in checks.items() if each.result == "holds")
    return Renewed(where, proven, [*checks.values(), *stray])


def _head_of(folder: Folder, where: str) -> SecondHead:
    name = f"{where}/note.txt"
    try:
        return second_head_of(folder.text(name))
    except FormatError as fault:
        raise at(name, fault) from fault


def _check_proof(folder: Folder, where: str, name: str, index: int) -> str:
    text, head = folder.text(name), _head_of(folder, where)
    try:
        proof = read_renewed_proof(text)
    except FormatError as fault:
        raise at(name, fault) from fault
    if renewed_proof_text(proof) != text or proof.index != index:
        raise PieceFault(name, f"is not the one form of a proof of leaf {index}")
    if proof.note != folder.text(f"{where}/note.txt"):
        raise PieceFault(name, "ends in another note than the head's")
    for leaf in leaf_files(folder)[index]:
        hashed = RENEWED.leaf(folder.read(leaf))
        if not inclusion_holds(index, head.size, hashed, proof.hashes, head.root, hashing=RENEWED):
            raise PieceFault(name, f"does not lead from {leaf} to the root")
    return ""


def _check_head(case: Case, found: Renewed, moment: Instant | None, by: str | None) -> Finding:
    folder, where = case.folder, found.where
    head = _head_of(folder, where)
    address = read_origin(head.origin)[0]
    if by not in {address, None}:
        raise PieceFault(f"{where}/note.txt", f"is not of the journal of {by}")
    name = f"{where}/note.txt"
    check_signed_note(case, where, name, folder.text(name), head.origin + SUFFIX)
    if moment is None:
        raise PieceFault(f"{where}/token.der", "no time-stamp that holds is over this head")
    for each in found.proofs:
        if each.result != "holds":
            raise PieceFault(each.where, "is no proof under the second log")
    return check_journal_key(case, where, address, Existence(moment, "time-stamp"))
