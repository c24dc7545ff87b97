"""Checkpoints with cosignatures, time-stamps and the proofs under them (clauses 20.7 to 20.9)."""

from nodes.evidence.chains import Chains, add_chain
from nodes.evidence.draft import Draft, line, pem
from nodes.evidence.model import (
    CheckpointEvidence,
    Cosignature,
    Dossier,
    LatticeCosignature,
    Renewal,
    Stamp,
)
from nodes.evidence.notes import own_signature, signed_text
from nodes.said import Said
from schemas.manifest import is_manifest
from schemas.moments import SECOND
from signing.proofs import PROOF_FIRST_LINE, LeafProof, proof_text

RENEWED_FIRST_LINE = "bbaj-proof/1 sha-512\n"


def add_checkpoint(draft: Draft, chains: Chains, found: CheckpointEvidence) -> None:
    """Add the folder of a checkpoint."""
    folder = f"checkpoints/{found.size}"
    draft.put(folder, "note.txt", found.note.encode())
    draft.put(folder, "signed.txt", signed_text(found.note))
    draft.put(folder, "signature.bin", own_signature(found.note, found.origin))
    add_chain(draft, chains, folder, found.certificate, found.moment)
    for index, proof in sorted(found.proofs.items()):
        text = proof_text(LeafProof(index, proof, found.note))
        draft.put(folder, f"proofs/{index}.proof", text.encode())
    for number, witness in enumerate(found.witnesses, 1):
        _add_witness(draft, chains, f"{folder}/witnesses/{number}", witness)
    for number, stamp in enumerate(found.stamps, 1):
        draft.put(f"{folder}/stamps/{number}", "note.txt", stamp.note.encode())
        _add_stamp(draft, f"{folder}/stamps/{number}", stamp)


def add_renewal(draft: Draft, chains: Chains, number: int, found: Renewal) -> None:
    """Add the folder of a head of the second log."""
    folder = f"renewals/{number}"
    draft.put(folder, "note.txt", found.note.encode())
    draft.put(folder, "signed.txt", signed_text(found.note))
    draft.put(folder, "signature.bin", own_signature(found.note, found.origin))
    add_chain(draft, chains, folder, found.certificate, found.stamp.gen_time)
    for index, proof in sorted(found.proofs.items()):
        text = proof_text(LeafProof(index, proof, found.note))
        renewed = text.replace(PROOF_FIRST_LINE, RENEWED_FIRST_LINE, 1)
        draft.put(folder, f"proofs/{index}.proof", renewed.encode())
    _add_stamp(draft, folder, found.stamp)


def note_what_is_missing(draft: Draft, dossier: Dossier) -> None:
    """Say which leaves no checkpoint covers yet, and for which frames' nobody else vouches."""
    largest = max((each.size for each in dossier.checkpoints), default=0)
    uncovered = sum(leaf.index >= largest for leaf in dossier.leaves)
    if not dossier.checkpoints:
        draft.notes.append(Said("proof.missing.checkpoint"))
    elif uncovered:
        draft.notes.append(Said("proof.missing.covered", {"leaves": uncovered}))
    if is_manifest(dossier.packet.type, dossier.packet.media_type):
        draft.notes.append(Said("proof.missing.parts"))
    if dossier.uncosigned:
        draft.notes.append(Said("proof.missing.cosigned", {"leaves": dossier.uncosigned}))
    if dossier.unstamped:
        draft.notes.append(Said("proof.missing.stamped", {"leaves": dossier.unstamped}))


def _add_witness(
    draft: Draft, chains: Chains, folder: str, witness: Cosignature | LatticeCosignature
) -> None:
    draft.put(folder, "signature.bin", witness.signature)
    if isinstance(witness, Cosignature):
        draft.put(folder, "cosigned.txt", witness.signed)
        moment = witness.at_s * SECOND
        add_chain(draft, chains, folder, witness.certificate, moment)
        return
    draft.put(folder, "cosigned.bin", witness.signed)
    draft.put(folder, "vkey.txt", line(witness.vkey))
    draft.put(folder, "object.bin", witness.object)
    add_chain(draft, chains, folder, witness.certificate, witness.at)


def _add_stamp(draft: Draft, folder: str, stamp: Stamp) -> None:
    draft.bind(stamp.token)
    draft.put(folder, "token.der", stamp.token)
    draft.put(folder, "chain.pem", b"".join(map(pem, stamp.chain)))
    draft.put(folder, "root.pem", pem(stamp.root))
    draft.put(folder, "authority.txt", line(stamp.authority))
