"""Checks `custody`, `tracked` and `issued`: what others signed about the packet and its keys."""

import hashlib
import re

from nodes.evidence.case import Case, at
from nodes.evidence.checks_files import manifest_of
from nodes.evidence.checks_frames import frame_folders
from nodes.evidence.checks_journal import check_journal_key, check_signed_note
from nodes.evidence.checks_leaves import check_agrees, facts_of, frame_digests, frame_of
from nodes.evidence.log_lines import said_by_witnesses
from nodes.evidence.model import PACKET_FOLDER
from nodes.evidence.reading import PieceFault, inside
from nodes.evidence.verdict import Check, Finding, joined, judge
from schemas.errors import FormatError
from schemas.issued import log_origin
from schemas.leaves import LeafKind, read_leaf
from schemas.objects import (
    AnyObject,
    CustodyNote,
    WithBody,
    cut_object,
    unpack_pieces,
)
from schemas.statements import Tracked
from signing.authority import authority_address
from signing.certificates import parse_certificate
from signing.keys import fingerprint
from signing.notes import checkpoint_of, read_origin
from signing.past import Claim
from signing.profiles import Purpose
from signing.proofs import PROOF_FIRST_LINE, LeafProof, proof_text, read_proof
from store.merkle import inclusion_holds, leaf_hash

_HEADER_AT = 9
_OF_ANY = ("id", "from", "to", "epoch", "seq", "sent")
"""What even a leaf about a copy agrees with that was damaged, or was not judged yet."""
_ISSUED = re.compile(r"(.*/)?issued\.(?:der|proof)")
_CHAIN = re.compile(r"[0-9a-f]{64}\n(?:[1-9][0-9]{0,15} [0-9a-f]{64}\n)+")


def check_object(case: Case, where: str, name: str) -> tuple[AnyObject, Finding]:
    """Return the header of a signed object once signature, chain, body and pieces have held.

    With it comes what is worth saying of the chain.

    Raises PieceFault. It is judged at the moment that the folder itself names.
    """
    folder, path = case.folder, inside(where, name)
    try:
        found = cut_object(folder.read(path))
    except FormatError as fault:
        raise at(path, fault) from fault
    header = found.header
    if fingerprint(case.certificate(where)) != header.certificate:
        raise PieceFault(inside(where, "signer.pem"), "is not the certificate the header names")
    case.check_signed(where, path, found.signature, found.signed, case.now)
    moment = case.attime(where)
    claim = Claim(header.from_, Purpose.PACKET, moment, moment, case.now)
    said = case.judge_chain(where, claim, proven=False)
    if isinstance(header, WithBody):
        facts = (hashlib.sha256(found.body).hexdigest(), len(found.body))
        if facts != (header.body.sha256, header.body.size):
            raise PieceFault(path, "its body is not the one that its header names")
    elif found.body:
        raise PieceFault(path, "has bytes behind its signature")
    for piece, expected in (
        ("signed.bin", found.signed),
        ("header.json", found.signed[_HEADER_AT:]),
        ("signature.der", found.signature),
        ("body.bin", found.body),
    ):
        if folder.files.get(inside(where, piece), expected) != expected:
            raise PieceFault(inside(where, piece), "is not cut from the object")
    return header, said


# ----------------------------------------------------------------------------- custody


def check_custody(case: Case) -> list[Check]:
    """Return a check for each custody note."""
    return [
        judge("custody", where, _check_custody, case, where)
        for where in case.folder.numbered("custody")
    ] or [Check("custody", "custody", "absent", "no custody note is here")]


def _check_custody(case: Case, where: str) -> Finding:
    note, said = check_object(case, where, "note.bin")
    if not isinstance(note, CustodyNote):
        raise PieceFault(f"{where}/note.bin", "is no custody note")
    if note.to != manifest_of(case.folder).by:
        raise PieceFault(f"{where}/note.bin", f"is to {note.to}, which is not the exporter")
    name = f"{where}/chain.txt"
    text = case.folder.text(name)
    if not _CHAIN.fullmatch(text):
        raise PieceFault(name, "is not a chain value and numbered digests")
    first, *lines = text.splitlines()
    entries = [(int(number), digest) for number, _, digest in (x.partition(" ") for x in lines)]
    chain = bytes.fromhex(first)
    for expected, (number, digest) in enumerate(entries, entries[0][0]):
        if number != expected:
            raise PieceFault(name, f"lacks entry {expected}")
        chain = hashlib.sha256(chain + number.to_bytes(8) + bytes.fromhex(digest)).digest()
    if (entries[-1][0], chain.hex()) != (note.position.up_to, note.position.chain):
        raise PieceFault(name, "does not lead to the number and the chain value of the note")
    frames = frame_folders(case.folder)
    if not any(entries[0][1] in frame_digests(case.folder, frame) for frame in frames):
        raise PieceFault(name, "does not begin with a frame of this folder")
    return joined(f"{note.from_} has taken entry {entries[0][0]} of {note.to}", said)


# ----------------------------------------------------------------------------- tracked


def check_tracked(case: Case) -> list[Check]:
    """Return a check for each statement of a node on the way."""
    return [
        judge("tracked", where, _check_tracked, case, where)
        for where in case.folder.numbered("tracked")
    ] or [Check("tracked", "tracked", "absent", "no statement of a node on the way is here")]


def _check_tracked(case: Case, where: str) -> Finding:
    header, said = check_object(case, where, "object.bin")
    name = f"{where}/object.bin"
    packet = frame_of(case.folder, PACKET_FOLDER).header
    if not isinstance(header, Tracked):
        raise PieceFault(name, "is no statement about a packet")
    if (header.sender, header.packet_epoch, header.packet) != (
        packet.from_,
        packet.epoch,
        packet.id,
    ):
        raise PieceFault(name, "is about another packet")
    body = case.folder.read(f"{where}/body.bin")
    try:
        pieces, end = unpack_pieces(body)
        proven = [_check_piece(case, name, piece, header.from_) for piece in pieces]
    except FormatError as fault:
        raise at(name, fault) from fault
    if end != len(body):
        raise PieceFault(name, "has bytes behind its last leaf")
    told = f"{header.from_}: {len(pieces)} leaves, {sum(proven)} of them proven"
    return joined(told, said)


def _check_piece(case: Case, name: str, piece: bytes, issuer: str) -> bool:
    """Judge a leaf, with its proof or bare; say whether it has one. Raises FormatError."""
    has_proof = piece.startswith(PROOF_FIRST_LINE.encode())
    record = _proven_record(name, piece, issuer) if has_proof else piece
    leaf, facts = read_leaf(record), facts_of(case.folder, PACKET_FOLDER)
    is_copy = leaf["kind"] in {LeafKind.REFUSED, LeafKind.HELD}
    wanted = {key: facts[key] for key in (_OF_ANY if is_copy else facts)}
    check_agrees(name, leaf, wanted)
    if leaf.get("id") != facts["id"]:
        raise PieceFault(name, "has a leaf that does not name the packet")
    return has_proof


def _proven_record(name: str, piece: bytes, issuer: str) -> bytes:
    text = piece.decode("utf-8", "replace")
    proof = read_proof(text)
    head = checkpoint_of(proof.note)
    if proof.leaf is None or proof_text(proof) != text:
        raise PieceFault(name, "has a proof without its leaf, or not in its one form")
    if read_origin(head.origin)[0] != issuer:
        raise PieceFault(name, "has a proof of another node's journal")
    if not inclusion_holds(proof.index, head.size, leaf_hash(proof.leaf), proof.hashes, head.root):
        raise PieceFault(name, f"its proof of leaf {proof.index} does not lead to the root")
    return proof.leaf


# ----------------------------------------------------------------------------- issued


def check_issued(case: Case) -> list[Check]:
    """Return a check for each proof that a certificate stands in its authority's public log."""
    names = map(_ISSUED.fullmatch, sorted(case.folder.files))
    wheres = dict.fromkeys(
        (found[1] or PACKET_FOLDER).removesuffix("/") for found in names if found
    )
    return [judge("issued", where, _check_issued, case, where) for where in wheres] or [
        Check("issued", PACKET_FOLDER, "absent", "no proof of issuing is here")
    ]


def _check_issued(case: Case, where: str) -> Finding:
    folder, name = case.folder, inside(where, "issued.proof")
    entry = folder.read(inside(where, "issued.der"))
    if entry != case.certificate(where):
        raise PieceFault(inside(where, "issued.der"), "is not the certificate of the folder")
    try:
        proof = read_proof(folder.text(name))
        head = checkpoint_of(proof.note)
    except FormatError as fault:
        raise at(name, fault) from fault
    authority = _authority_of(case, where)
    if head.origin != log_origin(authority):
        raise PieceFault(name, "is of another log than that of the certificate's authority")
    _check_entry(name, proof, folder.text(name), entry)
    journal = inside(where, "issued_journal")
    check_signed_note(case, journal, name, proof.note, head.origin)
    said = check_journal_key(case, journal, authority, None)
    return joined(said_by_witnesses(case, name, proof.note), said)


def _check_entry(name: str, proof: LeafProof, text: str, entry: bytes) -> None:
    head = checkpoint_of(proof.note)
    if proof_text(proof) != text or proof.leaf is not None:
        raise PieceFault(name, "is not the one form of a proof")
    if not inclusion_holds(proof.index, head.size, leaf_hash(entry), proof.hashes, head.root):
        raise PieceFault(name, "does not lead from the certificate to the root")


def _authority_of(case: Case, where: str) -> str:
    name = inside(where, "authority.pem")
    parsed = parse_certificate(case.folder.certificate(name))
    address = None if parsed is None else authority_address(parsed)
    if address is None:
        raise PieceFault(name, "is of no authority")
    return address
