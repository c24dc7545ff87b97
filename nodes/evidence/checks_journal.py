"""Checks `proof` and `checkpoint`: the exporting node's journal holds the leaves (clause 10)."""

from collections import defaultdict
from collections.abc import Iterable

from nodes.evidence.case import Case, at
from nodes.evidence.checks_leaves import Existence, index_of
from nodes.evidence.names import is_known
from nodes.evidence.reading import Folder, PieceFault, inside
from nodes.evidence.verdict import Check, Finding, judge
from schemas.errors import FormatError
from signing.algorithms import JOURNAL
from signing.note_text import read_signature_line, split_note
from signing.notes import (
    Checkpoint,
    KeyType,
    VerifierKey,
    checkpoint_of,
    open_note,
    read_origin,
)
from signing.past import Claim
from signing.profiles import Purpose
from signing.proofs import proof_text, read_proof
from store.merkle import inclusion_holds, leaf_hash

CHECKPOINTS = "checkpoints"


def head_of(folder: Folder, where: str) -> Checkpoint:
    """Return what the note of a checkpoint folder says. Raises PieceFault."""
    name = inside(where, "note.txt")
    try:
        return checkpoint_of(folder.text(name))
    except FormatError as fault:
        raise at(name, fault) from fault


# ----------------------------------------------------------------------------- proofs


def leaf_files(folder: Folder) -> dict[int, list[str]]:
    """Return the files of leaves by index; more than one where frames share a leaf."""
    found: dict[int, list[str]] = defaultdict(list)
    for name in filter(is_known, folder.files):
        parent = name.rpartition("/")[0]
        index = index_of(name)
        if index is not None and parent.rpartition("/")[2] in {"leaves", "records"}:
            found[index].append(name)
    return found


def check_proofs(folder: Folder, where: str) -> list[Check]:
    """Return a check for every leaf below a checkpoint's size, and for every proof of none."""
    try:
        size = head_of(folder, where).size
    except PieceFault as fault:
        return [Check("proof", fault.where, "fails", fault.detail)]
    leaves = leaf_files(folder)
    proofs = f"{where}/proofs"
    wanted = [f"{proofs}/{index}.proof" for index in sorted(leaves) if index < size]
    stray = [name for name in folder.below(proofs) if name not in wanted]
    return [
        *(judge("proof", name, _check_proof, folder, where, name) for name in wanted),
        *(Check("proof", name, "fails", "is of no leaf of the folder") for name in stray),
    ]


def uncovered(folder: Folder, wheres: Iterable[str]) -> list[Check]:
    """Return a check for each leaf that no checkpoint of the folder covers."""
    sizes = [int(where.rpartition("/")[2]) for where in wheres]
    most = max(sizes, default=0)
    detail = "no checkpoint of the folder covers it yet"
    return [
        Check("proof", name, "absent", detail)
        for index, names in sorted(leaf_files(folder).items())
        if index >= most
        for name in names
    ]


def proven_indexes(checks: Iterable[Check]) -> set[int]:
    """Return the leaves whose proofs have held."""
    names = (each.where for each in checks if each.result == "holds")
    return {int(name.rpartition("/")[2].removesuffix(".proof")) for name in names}


def _check_proof(folder: Folder, where: str, name: str) -> str:
    text, note = folder.text(name), folder.text(f"{where}/note.txt")
    try:
        proof = read_proof(text)
    except FormatError as fault:
        raise at(name, fault) from fault
    index = int(name.rpartition("/")[2].removesuffix(".proof"))
    if proof_text(proof) != text or proof.leaf is not None or proof.index != index:
        raise PieceFault(name, f"is not the one form of a proof of leaf {index}")
    if proof.note != note:
        raise PieceFault(name, "ends in another note than the checkpoint's")
    head = head_of(folder, where)
    for leaf in leaf_files(folder)[index]:
        hashed = leaf_hash(folder.read(leaf))
        if not inclusion_holds(index, head.size, hashed, proof.hashes, head.root):
            raise PieceFault(name, f"does not lead from {leaf} to the root")
    return ""


# ----------------------------------------------------------------------------- checkpoints


def check_checkpoint(case: Case, where: str, moment: Existence | None, by: str | None) -> Check:
    """Judge a checkpoint of the exporter's journal; `moment` None: nobody else vouches for it.

    `by` is None where the manifest does not say whose journal it is: that check fails then.
    """
    return judge("checkpoint", where, _check_checkpoint, case, where, moment, by)


def _check_checkpoint(case: Case, where: str, moment: Existence | None, by: str | None) -> Finding:
    folder, head = case.folder, head_of(case.folder, where)
    name = inside(where, "note.txt")
    if where != f"{CHECKPOINTS}/{head.size}":
        raise PieceFault(name, f"is of size {head.size}, and stands in {where}")
    address, _ = _origin_of(name, head.origin)
    if by not in {address, None}:
        raise PieceFault(name, f"is of the journal of {address}, the exporter is {by}")
    check_signed_note(case, where, name, folder.text(name), head.origin)
    return check_journal_key(case, where, address, moment)


def check_signed_note(case: Case, where: str, name: str, note: str, origin: str) -> None:
    """Raise PieceFault unless the folder's Ed25519 key signed a note, of file `name`, as origin."""
    folder = case.folder
    key = VerifierKey(origin, KeyType.ED25519, case.log_key(where))
    try:
        text = open_note(note, [key]).text
        lines = [read_signature_line(line)[:2] for line in split_note(note)[1]]
    except FormatError as fault:
        whose = inside(where, "signer.pem")
        raise PieceFault(name, f"{fault.detail}, by the key in {whose}") from fault
    if lines.count((key.name, key.id)) > 1:
        raise PieceFault(name, f"has more than one line of the key of {origin}")
    if text.count("\n") != 3:
        raise PieceFault(name, "has lines behind origin, size and root")
    if folder.read(inside(where, "signed.txt")) != text.encode():
        raise PieceFault(inside(where, "signed.txt"), "is not the text of the note")
    if folder.read(inside(where, "signature.bin")) != signature_of(note, key):
        raise PieceFault(inside(where, "signature.bin"), "is not the signature in the note")


def check_journal_key(case: Case, where: str, address: str, moment: Existence | None) -> Finding:
    """Judge the journal key of a chain folder, at its own word where nothing proves a moment."""
    claimed = case.attime(where)
    judged = Existence(claimed, "sender") if moment is None else moment
    relied_at = judged.at if judged.proven else case.now
    case.allow(inside(where, "signature.bin"), JOURNAL, relied_at)
    claim = Claim(address, Purpose.JOURNAL, judged.at, judged.at, relied_at)
    return case.judge_chain(where, claim, proven=judged.proven)


def signature_of(note: str, key: VerifierKey) -> bytes | None:
    """Return the signature of a key in a note, without the key's id. Raises FormatError."""
    for line in split_note(note)[1]:
        name, identity, signature = read_signature_line(line)
        if (name, identity) == (key.name, key.id):
            return signature
    return None


def _origin_of(name: str, origin: str) -> tuple[str, int]:
    try:
        return read_origin(origin)
    except FormatError as fault:
        raise at(name, fault) from fault
