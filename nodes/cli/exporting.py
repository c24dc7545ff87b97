"""Gathers a packet, its answers and their proofs from the record into an evidence folder."""

from pathlib import Path

from nodes.cli.opening import find, reading
from nodes.cli.shapes import EvidenceFile
from nodes.cli.shelf import Shelf
from nodes.config import Config
from nodes.evidence import (
    Dossier,
    FrameEvidence,
    JournalHead,
    ProvenLeaf,
    Trust,
    find_journal_certificate,
    write_evidence,
)
from nodes.evidence_text import PACKET_FOLDER
from schemas.answers import CLOSING, RECEIPT
from schemas.errors import FormatError
from schemas.limits import SALT_BYTES
from schemas.records import LeafMark, PacketRow
from signing.errors import BucketKeyMissingError
from signing.keys import load_certificate
from signing.notes import origin, read_checkpoint
from store.errors import StoreFault
from store.reading import Reading


async def export(config: Config, packet_id: str, folder: Path) -> EvidenceFile:
    """Write the evidence folder of a packet.

    Raises NotFound, FileExistsError, and what the store and the keyring raise.
    """
    async with reading(config) as desk:
        dossier = await _gather(config, desk, packet_id)
    written = write_evidence(dossier, folder)
    leaves = [leaf for frame in dossier.frames for leaf in frame.leaves]
    return EvidenceFile(
        packet=packet_id,
        folder=str(folder),
        files=written.files,
        frames=[frame.folder for frame in dossier.frames],
        leaves=len(leaves),
        leaves_proven=sum(leaf.proof is not None for leaf in leaves),
        notes=written.notes,
    )


async def _gather(config: Config, desk: Reading, packet_id: str) -> Dossier:
    packet = (await find(desk, packet_id)).packet
    receipts = [row for row in await desk.answers_to([packet.id]) if row.type == RECEIPT]
    ids = [row.id for row in receipts]
    closings = [row for row in await desk.answers_to(ids) if row.type == CLOSING]
    rows = {PACKET_FOLDER: packet} | _named("receipt", receipts) | _named("closing", closings)
    known = {row.sha256.hex(): row.der for row in await desk.certificates()}
    journal = await _journal_head(config, desk, known)
    size = read_checkpoint(journal.note.partition("\n\n")[0] + "\n").size if journal else 0
    shelf = Shelf(config)
    frames = [await _frame(desk, shelf, name, row, size) for name, row in rows.items()]
    crls = [row.der for row in await desk.crls(every=True)]
    return Dossier(frames, journal, Trust(load_certificate(config.keys.root), known, crls))


def _named(name: str, rows: list[PacketRow]) -> dict[str, PacketRow]:
    """Return rows by folder: `receipt`, `receipt-2`, …."""
    return {name if number == 1 else f"{name}-{number}": row for number, row in enumerate(rows, 1)}


async def _frame(
    desk: Reading, shelf: Shelf, folder: str, packet: PacketRow, size: int
) -> FrameEvidence:
    try:
        raw = (await shelf.fetch(desk, packet.frame)).raw
    except BucketKeyMissingError:
        raw = None  # destroyed with its class; the head and the leaves stay
    marks = (await desk.trail_of_frame([packet.frame]))[packet.frame].marks
    leaves = [await _leaf(desk, mark, size) for mark in marks]
    content, clear = _opened(shelf, raw)
    return FrameEvidence(folder, packet, raw, content, leaves, clear)


def _opened(shelf: Shelf, raw: bytes | None) -> tuple[bytes | None, bytes | None]:
    """Return content, and salt with content of an encrypted frame; None where it can't be opened.

    A relay can't: it holds frames that are encrypted to others.
    """
    try:
        if raw is None:
            return None, None
        clear = shelf.clear_of(raw)
        return (shelf.content_of(raw), None) if clear is None else (clear[SALT_BYTES:], clear)
    except FormatError:
        return None, None


async def _leaf(desk: Reading, mark: LeafMark, size: int) -> ProvenLeaf:
    proof = await desk.inclusion_proof(mark.index, size) if mark.index < size else None
    return ProvenLeaf(mark.index, mark.kind, mark.record, proof)


async def _journal_head(
    config: Config, desk: Reading, known: dict[str, bytes]
) -> JournalHead | None:
    """Return the newest checkpoint with the certificate of the key that signed it.

    Raises StoreFault where no key of ours did.
    """
    last = await desk.last_checkpoint()
    if last is None:
        return None
    _, at, note = last
    name = origin(config.address, desk.epoch)
    own = load_certificate(config.keys.folder / "journal.pem")
    certificate = find_journal_certificate(note, name, [own, *known.values()])
    if certificate is None:
        raise StoreFault(
            f"the newest checkpoint is not signed by a journal key of {config.address}: "
            "run `bbaj store verify`"
        )
    return JournalHead(note, name, at, certificate)
