"""`bbaj evidence export`: opens what this node may read, and seals what it has gathered."""

from pathlib import Path

from nodes.cli.errors import UsageFault
from nodes.cli.opening import find, reading
from nodes.cli.shapes import EvidenceFile
from nodes.cli.shelf import Shelf
from nodes.clock import now
from nodes.config import Config
from nodes.evidence.gather import Exporter, Opened, gather
from nodes.evidence.model import Dossier
from nodes.evidence.write import write_evidence
from nodes.policies import open_algorithms
from nodes.said import Said
from nodes.wiring import open_keys
from schemas.errors import FormatError
from schemas.header import PART
from schemas.limits import SALT_BYTES
from schemas.moments import format_instant
from schemas.records import DestroyedRow, PacketRow
from signing.errors import BucketKeyMissingError
from signing.keys import load_certificate
from store.reading import Reading


async def export(config: Config, packet_id: str, folder: Path) -> EvidenceFile:
    """Write the evidence folder of a packet.

    Raises NotFound, UsageFault for a part, FileExistsError, and what the store and the keyring
    raise.
    """
    exporter = _exporter(config)
    shelf = Shelf(config)
    async with reading(config) as desk:
        packet = (await find(desk, packet_id)).packet
        if packet.type == PART:
            raise UsageFault(f"{packet_id} is a part of a file: export the file's own packet")

        async def open_frame(row: PacketRow) -> Opened:
            return await _opened(shelf, desk, row)

        dossier = await gather(desk, packet, exporter, open_frame, now())
        gone = await desk.destroyed_of([frame.packet.frame for frame in dossier.frames])
    written = write_evidence(dossier, folder)
    notes = [
        _destroyed(frame.folder, gone[frame.packet.frame])
        for frame in dossier.frames
        if frame.packet.frame in gone
    ]
    return _told(dossier, folder, written.files, [*written.notes, *notes])


def _destroyed(folder: str, row: DestroyedRow) -> Said:
    """Note that the payload of a frame is gone."""
    facts = {"frame": folder, "act": row.act, "at": format_instant(row.at)}
    return Said("proof.destroyed", facts)


def _exporter(config: Config) -> Exporter:
    """Return this node with its packet key, which seals the manifest. Raises KeyFileError."""
    keys = open_keys(config)
    return Exporter(
        address=config.address,
        signer=keys.packet_signer(),
        root=load_certificate(config.keys.root),
        certificates=list(keys.certificates().values()),
        policy=open_algorithms(config),
    )


async def _opened(shelf: Shelf, desk: Reading, packet: PacketRow) -> Opened:
    """Return as much of a frame as is here and can be opened.

    A relay holds frames that are encrypted to others; and a payload's key may be destroyed.
    """
    try:
        raw = (await shelf.fetch(desk, packet.frame)).raw
    except BucketKeyMissingError:
        return Opened()
    if raw is None:
        return Opened()
    try:
        clear = shelf.clear_of(raw)
        content = shelf.content_of(raw) if clear is None else clear[SALT_BYTES:]
    except FormatError:
        return Opened(raw)
    return Opened(raw, content, clear)


def _told(dossier: Dossier, folder: Path, files: list[str], notes: list[str]) -> EvidenceFile:
    leaves = {leaf.index for leaf in dossier.leaves}
    proven = {index for each in dossier.checkpoints for index in each.proofs}
    return EvidenceFile(
        packet=dossier.packet.id,
        folder=str(folder),
        files=files,
        frames=[frame.folder for frame in dossier.frames],
        leaves=len(leaves),
        leaves_proven=len(leaves & proven),
        checkpoints=[each.size for each in dossier.checkpoints],
        cosigned=sum(len(each.witnesses) for each in dossier.checkpoints),
        stamps=sum(len(each.stamps) for each in dossier.checkpoints) + len(dossier.renewals),
        custody=len(dossier.custody),
        tracked=len(dossier.tracked),
        leaves_uncosigned=dossier.uncosigned,
        leaves_unstamped=dossier.unstamped,
        notes=notes,
    )
