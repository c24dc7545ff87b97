"""Gathers a packet, its answers and all that proves them from the record (protocol clause 20)."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import sha256

import msgspec

from nodes.evidence.gather_journal import JournalGatherer
from nodes.evidence.issuing import issuing_proofs
from nodes.evidence.model import (
    PACKET_FOLDER,
    CheckpointEvidence,
    Custody,
    Dossier,
    FrameEvidence,
    Leaf,
    Renewal,
    TrackedEvidence,
    Trust,
)
from nodes.evidence.write import bound_by
from schemas.answers import CLOSING, RECEIPT
from schemas.frame import cut
from schemas.moments import DAY, Instant
from schemas.objects import NO_CHAIN, Kind
from schemas.records import LeafMark, PacketRow
from signing.algorithms import POLICY_NAME, AlgorithmPolicy
from signing.keys import Signer
from store.reading import Reading

LISTS_WITHIN_US = 40 * DAY
"""Revocation lists are looked for that came within so much time of a moment judged."""


class Opened(msgspec.Struct, frozen=True):
    """As much of a frame as is here and may be read: whole, its content, salt and content."""

    raw: bytes | None = None
    content: bytes | None = None
    clear: bytes | None = None


Open = Callable[[PacketRow], Awaitable[Opened]]


class Exporter(msgspec.Struct, frozen=True, kw_only=True):
    """The node that exports: who it is, what it trusts, and what it decides by."""

    address: str
    signer: Signer
    root: bytes
    certificates: Sequence[bytes]
    """Its own, besides those of the record (DER)."""
    policy: AlgorithmPolicy


async def gather(
    desk: Reading, packet: PacketRow, exporter: Exporter, open_frame: Open, now: Instant
) -> Dossier:
    """Return all that proves a packet. Raises NotFound, StoreFault, and what `open_frame` does."""
    rows = await _frames_about(desk, packet)
    frames = [await _frame(desk, name, row, open_frame) for name, row in rows.items()]
    known = {row.sha256.hex(): row.der for row in await desk.certificates()}
    known |= {sha256(der).hexdigest(): der for der in exporter.certificates}
    signers = [cut(row.head).header.certificate for row in rows.values()]
    vouching = await JournalGatherer(desk, known, exporter.policy, now).gather(_firsts(frames))
    issued = await issuing_proofs(desk, signers, known)
    custody = [each for frame in frames for each in await _custody(desk, frame)]
    tracked = [
        TrackedEvidence(row.object, row.at)
        for row in await desk.tracked([packet.id])
        if (row.sender, row.packet_epoch) == (packet.sender, packet.epoch)
    ]
    moments = {now, *(row.sent for row in rows.values()), *vouching.moments}
    moments |= {each.at for each in issued.values()}
    moments |= {each.at for each in custody} | {each.at for each in tracked}
    dossier = Dossier(
        frames=frames,
        trust=Trust(
            exporter.root,
            known,
            await desk.crls_about(moments, LISTS_WITHIN_US),
            issued,
        ),
        by=exporter.address,
        exported=now,
        signer=exporter.signer,
        policies=[row.content for row in await desk.policies() if row.name == POLICY_NAME],
        checkpoints=vouching.checkpoints,
        custody=custody,
        tracked=tracked,
        renewals=vouching.renewals,
    )
    return await _proven(desk, dossier)


async def _frames_about(desk: Reading, packet: PacketRow) -> dict[str, PacketRow]:
    """Return the packet, its receipts and their closings, by folder."""
    receipts = [row for row in await desk.answers_to([packet.id]) if row.type == RECEIPT]
    answers = await desk.answers_to([row.id for row in receipts])
    closings = [row for row in answers if row.type == CLOSING]
    return {PACKET_FOLDER: packet} | _named("receipt", receipts) | _named("closing", closings)


def _named(name: str, rows: list[PacketRow]) -> dict[str, PacketRow]:
    """Return rows by folder: `receipt`, `receipt-2`, …."""
    return {name if number == 1 else f"{name}-{number}": row for number, row in enumerate(rows, 1)}


async def _frame(desk: Reading, folder: str, packet: PacketRow, open_frame: Open) -> FrameEvidence:
    opened = await open_frame(packet)
    marks = (await desk.trail_of_frame([packet.frame]))[packet.frame].marks
    leaves = [_leaf(mark) for mark in marks]
    return FrameEvidence(folder, packet, opened.raw, opened.content, leaves, opened.clear)


def _leaf(mark: LeafMark) -> Leaf:
    return Leaf(mark.index, mark.kind, mark.record)


def _firsts(frames: Sequence[FrameEvidence]) -> list[int]:
    """Return the first leaf of each frame, and the last leaf of all."""
    indexes = [[leaf.index for leaf in frame.leaves] for frame in frames if frame.leaves]
    return sorted({*map(min, indexes), *([max(map(max, indexes))] if indexes else [])})


async def _custody(desk: Reading, frame: FrameEvidence) -> list[Custody]:
    """Return the first custody note of each neighbour that covers a frame."""
    found: dict[str, Custody] = {}
    for number, note in await desk.notes_over(frame.packet.frame, Kind.CUSTODY_NOTE):
        neighbour = note.stream.partition("/")[0]
        if neighbour in found or note.object is None:
            continue
        before = await desk.chain_at(note.stream, note.epoch, number - 1)
        entries = await desk.digests_of(note.stream, note.epoch, number, note.up_to)
        start = bytes.fromhex(NO_CHAIN) if before is None else before
        found[neighbour] = Custody(note.object, note.noted, start, entries)
    return list(found.values())


async def _proven(desk: Reading, dossier: Dossier) -> Dossier:
    """Return the dossier with the leaves that bind what is in it, and every proof."""
    records = [_leaf(mark) for mark in await desk.binding_leaves(bound_by(dossier))]
    first = min((leaf.index for frame in dossier.frames for leaf in frame.leaves), default=0)
    for note in dossier.custody:
        mark = await desk.custody_leaf(first, sha256(note.note).hexdigest())
        records += [] if mark is None else [_leaf(mark)]
    found = msgspec.structs.replace(dossier, records=sorted(records, key=lambda leaf: leaf.index))
    indexes = sorted({leaf.index for leaf in found.leaves})
    return msgspec.structs.replace(
        found,
        checkpoints=[await _prove(desk, each, indexes) for each in dossier.checkpoints],
        renewals=[await _prove_anew(desk, each, indexes) for each in dossier.renewals],
    )


async def _prove(
    desk: Reading, checkpoint: CheckpointEvidence, indexes: Sequence[int]
) -> CheckpointEvidence:
    size = checkpoint.size
    proofs: Mapping[int, list[bytes]] = {
        index: await desk.inclusion_proof(index, size) for index in indexes if index < size
    }
    return msgspec.structs.replace(checkpoint, proofs=proofs)


async def _prove_anew(desk: Reading, renewal: Renewal, indexes: Sequence[int]) -> Renewal:
    covered = [index for index in indexes if index < renewal.size]
    proofs = await desk.renewed_proofs(covered, renewal.size)
    return msgspec.structs.replace(renewal, proofs=proofs)
