"""Frame folders: a frame's own bytes, cut as VERIFY.md cuts them (protocol clause 20.4)."""

from nodes.errors import NotFound
from nodes.evidence.chains import Chains, add_chain, add_issuing
from nodes.evidence.draft import Draft
from nodes.evidence.model import Dossier, FrameEvidence
from nodes.said import Said
from schemas.frame import cut
from signing.cms import detached_cms

HEADER_AT = 8
"""The header begins behind magic, version, algorithm and length."""


def add_frame(draft: Draft, chains: Chains, dossier: Dossier, frame: FrameEvidence) -> None:
    """Add a frame's folder. Raises NotFound where the signer's certificate is not at hand."""
    folder, pieces = frame.folder, cut(frame.packet.head)
    draft.put(folder, "head.bin", frame.packet.head)
    draft.put(folder, "signed.bin", pieces.signed)
    draft.put(folder, "header.json", pieces.signed[HEADER_AT:])
    draft.put(folder, "signature.der", pieces.signature)
    _add_payload(draft, frame)
    signer = chains.trust.certificates.get(pieces.header.certificate)
    if signer is None:
        raise NotFound(
            f"certificate {pieces.header.certificate} is not in the record: ask a neighbour for it"
        )
    authority = add_chain(draft, chains, folder, signer, dossier.moment_of(frame))
    if authority is not None:
        draft.put(folder, "packet.p7s", detached_cms(pieces.signature, signer, authority))
    add_issuing(draft, chains, folder, pieces.header.certificate)
    for leaf in frame.leaves:
        draft.put(folder, f"leaves/{leaf.name}", leaf.record)
    if not frame.leaves:
        draft.note(folder, Said("proof.missing.leaf"))


def _add_payload(draft: Draft, frame: FrameEvidence) -> None:
    folder = frame.folder
    if frame.raw is None:
        draft.note(folder, Said("proof.missing.payload"))
        return
    draft.put(folder, "frame.bin", frame.raw)
    draft.put(folder, "payload.bin", frame.raw[len(frame.packet.head) :])
    if frame.content is None:
        draft.note(folder, Said("proof.missing.content"))
        return
    draft.put(folder, "content", frame.content)
    if frame.clear is not None:
        draft.put(folder, "clear.bin", frame.clear)
