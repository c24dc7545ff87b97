"""Seals what a node sends of its own: documents, receipts, closings (docs/protocol.md clause 8).

The leaf an answer speaks of is numbered before the answer is sealed: a receipt knows its own
index. Everything lands in the batch; nothing is sent before its commit.
"""

import msgspec

from exchange.batch import Batch, header_facts, stream_to
from exchange.core.backoff import next_resend, receipt_deadline
from exchange.core.rules import Rules, lane_of
from exchange.gate import Gate, JudgedEntry, digest_of_head
from exchange.identity import new_packet_id
from exchange.ports import Archive
from schemas.answers import CLOSING, RECEIPT, Closing, PacketName, Receipt
from schemas.codes import RetentionClass
from schemas.documents.registry import JSON_MEDIA_TYPE, PacketType
from schemas.header import Header, PayloadFacts, decode_header
from schemas.leaves import LeafKind
from schemas.moments import format_instant
from schemas.objects import Lane
from schemas.reasons import Reason
from schemas.records import IncidentRow, OpenRow, PacketRow, PayloadRow, Trail
from schemas.retention import CLASSES
from schemas.wire import printable


class Answering:
    """Makes packets of ours within a batch."""

    def __init__(self, *, gate: Gate, archive: Archive, rules: Rules) -> None:
        """Hold what sealing needs."""
        self._gate = gate
        self._archive = archive
        self._rules = rules

    async def send_receipt(
        self,
        answered: Header,
        entry: JudgedEntry,
        batch: Batch,
        *,
        verdict: str,
        reason: Reason | None = None,
        detail: str = "",
    ) -> PacketRow | None:
        """Answer a frame; the leaf about it was appended last."""
        receipt = Receipt(
            packet=PacketName(answered.from_, answered.epoch, answered.id),
            head_sha256=digest_of_head(entry),
            frame_sha256=entry.sha256.hex(),
            verdict=verdict,  # type: ignore[arg-type]
            reason=reason,
            detail=printable(detail),
            received=batch.at,
            epoch=batch.epoch,
            index=batch.leaf - 1,
        )
        return await self._send_answer(answered, RECEIPT, receipt, batch)

    async def send_refused_by(
        self, packet: PacketRow, refused_by: str, reason: Reason, detail: str, batch: Batch
    ) -> None:
        """Tell a sender that a neighbour refused the frame which we had passed on."""
        await self.answer_stored(packet, reason, detail, batch, refused_by)

    async def answer_stored(
        self,
        packet: PacketRow,
        reason: Reason | None,
        detail: str,
        batch: Batch,
        refused_by: str | None = None,
    ) -> PacketRow | None:
        """Answer a packet that came before; refused where there is a reason."""
        name = (packet.sender, packet.epoch, packet.id)
        trail = batch.trails.get(name) or (await self._archive.known([name]))[name]
        receipt = Receipt(
            packet=PacketName(packet.sender, packet.epoch, packet.id),
            head_sha256=packet.head_sha256.hex(),
            frame_sha256=packet.frame_sha256.hex(),
            verdict="accepted" if reason is None else "refused",
            reason=reason,
            detail=printable(detail),
            refused_by=refused_by,
            received=format_instant(packet.received),
            epoch=batch.epoch,
            index=_judged_at(trail),
        )
        return await self._send_answer(header_of(packet), RECEIPT, receipt, batch)

    async def send_closing(
        self, receipt: Header, entry: JudgedEntry, packet: PacketRow, batch: Batch
    ) -> None:
        """Close the exchange about `packet` with the node that sent the receipt."""
        closing = Closing(
            packet=PacketName(packet.sender, packet.epoch, packet.id),
            receipt=PacketName(receipt.from_, receipt.epoch, receipt.id),
            receipt_head_sha256=digest_of_head(entry),
            confirmed=batch.at,
        )
        await self._send_answer(receipt, CLOSING, closing, batch)

    async def _send_answer(
        self, answered: Header, type_name: str, content: Receipt | Closing, batch: Batch
    ) -> PacketRow | None:
        to = answered.from_
        if self._rules.registry.next_hop(to) is None:
            row = IncidentRow(batch.now, "no_way_back", to, f"{type_name} to {to}", None)
            batch.changes.incidents.append(row)
            return None
        draft = Header(
            id=new_packet_id(batch.now),
            type=type_name,
            from_=self._rules.here,
            to=to,
            sent=batch.at,
            epoch=batch.epoch,
            seq=await self.next_seq(to, batch),
            section=answered.section,
            class_=answered.class_ if answered.class_ in CLASSES else RetentionClass.R1.value,
            flow=answered.flow,
            re=answered.id,
            certificate=self._gate.fingerprint,
            payload=draft_payload(JSON_MEDIA_TYPE),
        )
        return self.send_packet(draft, msgspec.json.encode(content), batch)

    async def send_document(
        self, kind: PacketType, to: str, content: bytes, batch: Batch, period: str | None = None
    ) -> PacketRow:
        """Seal a document that the node itself makes, of a type with one section."""
        assert kind.section is not None, "the type has one section"
        draft = Header(
            id=new_packet_id(batch.now),
            type=kind.name,
            from_=self._rules.here,
            to=to,
            sent=batch.at,
            epoch=batch.epoch,
            seq=await self.next_seq(to, batch),
            period=period,
            section=kind.section,
            class_=kind.retention,
            flow=kind.flow.value,
            certificate=self._gate.fingerprint,
            payload=draft_payload(kind.media_type),
        )
        packet = self.send_packet(draft, content, batch)
        self.await_receipt(packet, batch)
        return packet

    async def next_seq(self, recipient: str, batch: Batch) -> int:
        """Give out the next packet number towards a recipient, loading its tail at first use."""
        if recipient not in batch.seqs:
            here = self._rules.here
            last = await self._archive.last_seq(recipient, here, batch.epoch)
            batch.seqs.setdefault(recipient, last)
        return batch.next_seq(recipient)

    def send_packet(
        self,
        draft: Header,
        content: bytes,
        batch: Batch,
        reader: bytes | None = None,
        bucket: str | None = None,
        *,
        drop: bytes | None = None,
    ) -> PacketRow:
        """Seal a packet of ours, keep it, and place it on its way, which the caller has found.

        `reader` is the recipient's public encryption key, where the type wants one; `bucket` is
        that of a part's manifest; `drop` names the drop that it was.
        """
        sealed = self._gate.seal_packet(draft, content, batch.now, reader, bucket, drop=drop)
        header = sealed.frame.header
        packet = packet_row(
            header,
            frame=batch.next_frame(),
            batch=batch,
            via=self._rules.here,
            head=sealed.frame.head,
            size=len(sealed.frame.raw),
            digests=(sealed.head_sha256, sealed.frame_sha256),
        )
        batch.changes.packets.append(packet)
        batch.keep_part(packet, header.part)
        batch.changes.payloads.append(PayloadRow(packet.frame, sealed.bucket, sealed.sealed))
        index = batch.append_leaf(
            LeafKind.SENT,
            packet.frame,
            **header_facts(header),
            size=str(packet.size),
            head_sha256=packet.head_sha256.hex(),
            head_sha512=sealed.head_sha512.hex(),
            frame_sha256=packet.frame_sha256.hex(),
            certificate=header.certificate,
        )
        batch.keep_trail(packet, LeafKind.SENT, index)
        hop = self._rules.registry.next_hop(packet.recipient)
        assert hop is not None, "the caller has found a way"
        batch.place(
            stream_to(hop, lane_of(header)),
            packet.frame_sha256,
            packet.size,
            frame=packet.frame,
            raw=sealed.frame.raw,
            certificate=header.certificate,
        )
        return packet

    def await_receipt(self, packet: PacketRow, batch: Batch) -> None:
        """Open the exchange about a document of ours: resend and overdue count from now."""
        limits = self._rules.limits
        deadline = receipt_deadline(lane_of_packet(packet), batch.now, limits)
        again = next_resend(packet.id, 0, batch.now, limits)
        row = OpenRow(packet.frame, packet.frame, "receipt", batch.now, again, 0, deadline)
        batch.open(row)

    def await_closing(self, receipt: PacketRow, about: int, batch: Batch) -> None:
        """Repeat a receipt at long intervals until its closing comes, a bounded number of times."""
        again = next_resend(receipt.id, 0, batch.now, self._rules.limits)
        row = OpenRow(receipt.frame, about, "closing", batch.now, again, 0, None)
        batch.open(row)


def _judged_at(trail: Trail) -> int:
    """Return the index of the leaf that a receipt on a stored packet names (10.1)."""
    refused = (mark.index for mark in trail.marks if mark.kind == LeafKind.REFUSED)
    return next(refused, trail.marks[0].index)


def packet_row(  # noqa: PLR0913 - what the header does not say of a frame
    header: Header,
    *,
    frame: int,
    batch: Batch,
    via: str,
    head: bytes,
    size: int,
    digests: tuple[bytes, bytes],
) -> PacketRow:
    """Return the record's row of a packet kept now; `digests` are SHA-256 of head and frame."""
    return PacketRow(
        frame=frame,
        id=header.id,
        sender=header.from_,
        recipient=header.to,
        epoch=header.epoch,
        seq=header.seq,
        type=header.type,
        section=header.section,
        class_=header.class_,
        flow=header.flow,
        period=header.period,
        re=header.re,
        sent=header.sent_at,
        received=batch.now,
        via=via,
        size=size,
        head_sha256=digests[0],
        frame_sha256=digests[1],
        head=head,
        media_type=header.payload.media_type,
        coding=header.payload.coding,
    )


def header_of(packet: PacketRow) -> Header:
    """Return the header of a stored packet."""
    size = int.from_bytes(packet.head[6:8])
    return decode_header(packet.head[8 : 8 + size])


def lane_of_packet(packet: PacketRow) -> Lane:
    """Return the lane of a stored packet, as `lane_of` does for a header."""
    return lane_of(header_of(packet))


def draft_payload(media_type: str) -> PayloadFacts:
    """Return payload facts that sealing replaces, but for the media type."""
    return PayloadFacts("0" * 64, "0" * 128, 0, media_type, "salt")
