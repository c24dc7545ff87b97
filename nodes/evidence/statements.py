"""Signed objects of others: custody notes, and what nodes on the way say (20.10, 20.11)."""

from nodes.evidence.chains import Chains, add_chain
from nodes.evidence.draft import Draft
from nodes.evidence.model import Custody, TrackedEvidence
from nodes.said import Said
from schemas.moments import Instant
from schemas.objects import cut_object

HEADER_AT = 9
"""The header begins behind magic, version, kind, algorithm and length."""


def add_custody(draft: Draft, chains: Chains, number: int, found: Custody) -> None:
    """Add a neighbour's custody note with the entries that bind a frame to it."""
    folder = f"custody/{number}"
    if _add_object(draft, chains, folder, found.note, found.at):
        draft.bind(found.note)
        draft.put(folder, "note.bin", found.note)
        entries = (f"{at} {each.hex()}\n" for at, each in found.entries)
        draft.put(folder, "chain.txt", "".join((f"{found.before.hex()}\n", *entries)).encode())


def add_tracked(draft: Draft, chains: Chains, number: int, found: TrackedEvidence) -> None:
    """Add what a node on the way says of the packet."""
    folder = f"tracked/{number}"
    if _add_object(draft, chains, folder, found.object, found.at):
        draft.put(folder, "object.bin", found.object)
        draft.put(folder, "body.bin", cut_object(found.object).body)


def _add_object(draft: Draft, chains: Chains, folder: str, raw: bytes, at: Instant) -> bool:
    """Add an object's pieces and whose key signed it; say whether that is known."""
    pieces = cut_object(raw)
    certificate = chains.trust.certificates.get(pieces.header.certificate)
    if certificate is None:
        draft.note(folder, Said("proof.missing.signer", {"node": pieces.header.from_}))
        return False
    draft.put(folder, "signed.bin", pieces.signed)
    draft.put(folder, "header.json", pieces.signed[HEADER_AT:])
    draft.put(folder, "signature.der", pieces.signature)
    add_chain(draft, chains, folder, certificate, at)
    return True
