"""Check `witness`: others have seen the checkpoint, and say when (clause 10.5)."""

import msgspec

from nodes.evidence.case import Case, at, seconds
from nodes.evidence.checks_journal import head_of, signature_of
from nodes.evidence.checks_statements import check_object
from nodes.evidence.reading import Folder, PieceFault
from nodes.evidence.verdict import Check, Finding, joined, judge
from schemas.addresses import dns_name
from schemas.errors import FormatError
from schemas.moments import SECOND, Instant, format_instant
from schemas.witnessing import Cosigned
from signing.algorithms import JOURNAL, ML_DSA_44, TREE
from signing.note_text import read_signature_line, shown, split_note
from signing.notes import (
    Checkpoint,
    KeyType,
    VerifierKey,
    cosigned_bytes,
    open_note,
    read_checkpoint,
    read_vkey,
    subtree_bytes,
)
from signing.past import Claim
from signing.profiles import Purpose

_TIME_BYTES = 8


class Witnessed(msgspec.Struct, frozen=True):
    """The cosignatures of one checkpoint, and the moments of the Ed25519 ones that hold."""

    checks: list[Check]
    moments: list[Instant]


def check_witnesses(case: Case, where: str, stamped: Instant | None) -> Witnessed:
    """Judge all cosignatures of a checkpoint; `stamped`: the earliest time-stamp over it."""
    relied_at = case.now if stamped is None else stamped
    found = Witnessed([], [])
    for witness in case.folder.numbered(f"{where}/witnesses"):
        if f"{witness}/vkey.txt" in case.folder:
            check = judge("witness", witness, _check_lattice, case, where, witness, relied_at)
        else:
            about = (case, where, witness, stamped, found.moments)
            check = judge("witness", witness, _check_ed25519, *about)
        found.checks.append(check)
    found.checks.extend(_unexplained(case, where))
    if not found.checks:
        found.checks.append(Check("witness", where, "absent", "nobody has cosigned it"))
    return found


def _check_ed25519(
    case: Case, where: str, witness: str, stamped: Instant | None, moments: list[Instant]
) -> Finding:
    """Judge a cosignature of stock algorithms; its moment is added once it has held."""
    relied_at = case.now if stamped is None else stamped
    note = case.folder.text(f"{where}/note.txt")
    moment = _time_of(case.folder, where, witness)
    address = case.address(witness)
    key = VerifierKey(dns_name(address), KeyType.COSIGNATURE_V1, case.log_key(witness))
    _check_other(witness, key.name, head_of(case.folder, where))
    _check_line(case.folder, witness, note, key, moment)
    for algorithm in (JOURNAL, TREE):
        case.allow(f"{witness}/signature.bin", algorithm, relied_at)
    claim = Claim(address, Purpose.WITNESS, moment, moment, relied_at)
    said = case.judge_chain(witness, claim, proven=stamped is not None)
    moments.append(moment)
    return joined(f"{address} at {format_instant(moment)}", said)


def _check_lattice(case: Case, where: str, witness: str, relied_at: Instant) -> Finding:
    """Judge an ML-DSA-44 cosignature, whose key a signed object of the witness vouches for."""
    folder, note = case.folder, case.folder.text(f"{where}/note.txt")
    head = head_of(folder, where)
    text = folder.line(f"{witness}/vkey.txt")
    header, said = check_object(case, witness, "object.bin")
    if not isinstance(header, Cosigned) or text not in header.keys:
        raise PieceFault(f"{witness}/object.bin", "vouches for no such key")
    if (header.origin, header.size) != (head.origin, head.size):
        raise PieceFault(f"{witness}/object.bin", "is about another checkpoint")
    try:
        key = read_vkey(text)
        signed = open_note(note, [key]).signatures[0]
        expected = subtree_bytes(head.text, key.name, signed.time or 0)
    except FormatError as fault:
        raise at(f"{witness}/vkey.txt", fault) from fault
    if key.name != dns_name(header.from_) or key.type is not KeyType.MLDSA44_COSIGNATURE:
        raise PieceFault(f"{witness}/vkey.txt", "is not the issuer's ML-DSA-44 key")
    if folder.read(f"{witness}/cosigned.bin") != expected:
        raise PieceFault(
            f"{witness}/cosigned.bin", "is not what ML-DSA-44 signs of this checkpoint"
        )
    _check_other(witness, key.name, head)
    moment = seconds(signed.time or 0, f"{witness}/cosigned.bin")
    _check_line(folder, witness, note, key, moment)
    case.allow(f"{witness}/signature.bin", ML_DSA_44, relied_at)
    return joined(f"{header.from_} at {format_instant(moment)}, by ML-DSA-44", said)


def _check_other(witness: str, name: str, head: Checkpoint) -> None:
    if head.origin.startswith(f"{name}/"):
        raise PieceFault(f"{witness}/signer.pem", "is the node itself, which is no witness")


def _check_line(folder: Folder, witness: str, note: str, key: VerifierKey, moment: Instant) -> None:
    """Raise PieceFault unless a key's cosignature with that time is in the note, and holds."""
    name = f"{witness}/signature.bin"
    try:
        opened = open_note(note, [key])
        line = signature_of(note, key) or b""
    except FormatError as fault:
        raise at(name, fault) from fault
    if line[_TIME_BYTES:] != folder.read(name):
        raise PieceFault(name, "is not the signature in the note")
    if [signed.time for signed in opened.signatures] != [moment // SECOND]:
        raise PieceFault(name, "is of another time in the note")


def _time_of(folder: Folder, where: str, witness: str) -> Instant:
    """Return the time in the bytes cosigned, once they are those of the checkpoint."""
    name = f"{witness}/cosigned.txt"
    text = folder.text(name)
    first, _, rest = text.partition("\n")
    time, _, signed = rest.partition("\n")
    number = time.removeprefix("time ")[:20]
    if first != "cosignature/v1" or not (number.isascii() and number.isdigit()):
        raise PieceFault(name, "does not begin as a cosignature does")
    head = head_of(folder, where)
    if signed != head.text:
        raise PieceFault(name, _other_text(signed, head))
    if text.encode() != cosigned_bytes(signed, int(number)):
        raise PieceFault(name, "is not in its one encoding")
    return seconds(int(number), name)


def _other_text(signed: str, head: Checkpoint) -> str:
    """Say how a text that was cosigned is another than the checkpoint's."""
    try:
        other = read_checkpoint(signed)
    except FormatError:
        return "is no cosignature of a checkpoint"
    if other.origin != head.origin:
        return "is a cosignature for another log"
    if other.size != head.size:
        return f"is a cosignature of size {other.size}, the checkpoint has {head.size}"
    return "is a cosignature of another root: two histories were shown"


def _unexplained(case: Case, where: str) -> list[Check]:
    """Return a check for each line of a note whose key is not in the folder."""
    name = f"{where}/note.txt"
    try:
        lines = [read_signature_line(line)[:2] for line in split_note(case.folder.text(name))[1]]
        origin = head_of(case.folder, where).origin
    except FormatError:
        return []  # check `checkpoint` says so
    folders = case.folder.numbered(f"{where}/witnesses")
    known = [key for folder in folders if (key := _key_of(case, folder)) is not None]
    return [
        Check("witness", name, "unsupported", f"no key for the line of {shown(line[0])} is here")
        for line in lines
        if line[0] != origin and line not in known
    ]


def _key_of(case: Case, witness: str) -> tuple[str, bytes] | None:
    """Return name and id of the key of a cosignature's folder, None where there is none."""
    try:
        if f"{witness}/vkey.txt" in case.folder:
            key = read_vkey(case.folder.line(f"{witness}/vkey.txt"))
        else:
            name = dns_name(case.address(witness))
            key = VerifierKey(name, KeyType.COSIGNATURE_V1, case.log_key(witness))
    except FormatError:
        return None
    return key.name, key.id
