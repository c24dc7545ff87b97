"""Makes rows such as a node's sequencer makes: real heads and digests, signatures of zeros."""

import base64
from hashlib import sha256, sha512
from typing import Any

from schemas.frame import join_head, signed_bytes
from schemas.header import Header, PayloadFacts
from schemas.leaves import LeafKind, leaf_record
from schemas.moments import SECOND, format_instant
from schemas.records import (
    Changes,
    Committed,
    DropOutcome,
    EntryRow,
    HeldRow,
    IntakeRow,
    LeafRow,
    NoteRow,
    OpenRow,
    PacketRow,
    PayloadRow,
    PendingDrop,
    QuarantineRow,
    Released,
)

START = 1_795_404_726_000_000
"""2026-11-23T03:32:06Z."""
MONTH = "2026-11"
CLASSES = ("R5", "N5", "QRN")
PARENT = "kz.akmola.burabay"
HERE = "kz.akmola.burabay.school-7"
CERTIFICATE = sha256(b"certificate").hexdigest()
NO_CHAIN = bytes(32)


def seal(bucket: str, aad: bytes, payload: bytes) -> bytes:
    """Stand in for the encryption at rest: bound to bucket and additional data."""
    return sha256(bucket.encode() + aad).digest()[:16] + payload


def unseal(bucket: str, aad: bytes, sealed: bytes) -> bytes:
    """Undo `seal`. Raises ValueError for another bucket or other additional data."""
    if sealed[:16] != sha256(bucket.encode() + aad).digest()[:16]:
        raise ValueError("sealed under another key")
    return sealed[16:]


class Scribe:
    """Writes one node's record: call verbs, then take `changes` and commit them."""

    def __init__(self, address: str = HERE, now: int = START) -> None:
        self.address = address
        self.now = now
        self.frame = 0
        self.leaves = 0
        self.seqs: dict[tuple[str, str], int] = {}
        self.tails: dict[str, tuple[int, bytes]] = {}
        self.taken: dict[str, tuple[int, bytes]] = {}
        self.receipts: dict[str, str] = {}
        self.serial = 0
        self.changes = Changes()
        self.renew()

    def renew(self) -> Changes:
        """Return the changes so far and begin new ones."""
        done, self.changes = (
            self.changes,
            Changes(
                packets=[],
                payloads=[],
                leaves=[],
                entries=[],
                intakes=[],
                notes=[],
                quarantine=[],
                incidents=[],
                certificates=[],
                crls=[],
                drops=[],
                released=[],
                open=[],
                closed=[],
                held=[],
                judged=[],
            ),
        )
        return done

    def leaf(self, kind: LeafKind, frame: int | None, **fields: str) -> int:
        record = leaf_record(kind, at=format_instant(self.now), **fields)
        self.changes.leaves.append(LeafRow(self.leaves, kind, frame, record))
        self.leaves += 1
        return self.leaves - 1

    def packet(
        self,
        sender: str,
        recipient: str,
        *,
        via: str,
        type_: str = "attendance.daily/1",
        class_: str = "R5",
        re: str | None = None,
        payload_bytes: int = 1000,
        period: str | None = None,
        section: str = "S01",
        flow: str = "info",
    ) -> PacketRow:
        """Store a packet and its payload, without a leaf."""
        self.frame += 1
        self.serial += 1
        self.now += 1
        seq = self.seqs[sender, recipient] = self.seqs.get((sender, recipient), 0) + 1
        mark = sha256(f"{self.address}{self.serial}".encode()).hexdigest()
        payload = (mark.encode() * (payload_bytes // 64 + 1))[:payload_bytes]
        sent = self.now - SECOND
        facts = PayloadFacts(
            sha256(payload).hexdigest(),
            sha512(payload).hexdigest(),
            len(payload),
            "application/json",
            "salt",
        )
        header = Header(
            id=_packet_id(sent, mark),
            type=type_,
            from_=sender,
            to=recipient,
            sent=format_instant(sent),
            epoch=1,
            seq=seq,
            period=period,
            section=section,
            class_=class_,
            flow=flow,
            re=re,
            certificate=CERTIFICATE,
            payload=facts,
        )
        head = join_head(signed_bytes(header), bytes(70))
        frame_sha256 = sha256(head + payload).digest()
        row = PacketRow(
            frame=self.frame,
            id=header.id,
            sender=sender,
            recipient=recipient,
            epoch=1,
            seq=seq,
            type=type_,
            section=section,
            class_=class_,
            flow=flow,
            period=period,
            re=re,
            sent=sent,
            received=self.now,
            via=via,
            size=len(head) + len(payload),
            head_sha256=sha256(head).digest(),
            frame_sha256=frame_sha256,
            head=head,
            media_type=facts.media_type,
            coding=facts.coding,
        )
        bucket = f"{class_}-{MONTH}"
        self.changes.packets.append(row)
        self.changes.payloads.append(
            PayloadRow(row.frame, bucket, seal(bucket, frame_sha256, payload))
        )
        return row

    def packet_leaf(self, kind: LeafKind, row: PacketRow, **fields: str) -> int:
        return self.leaf(
            kind,
            row.frame,
            id=row.id,
            type=row.type,
            from_=row.sender,
            to=row.recipient,
            epoch=str(row.epoch),
            seq=str(row.seq),
            sent=format_instant(row.sent),
            received=format_instant(row.received),
            size=str(row.size),
            via=row.via,
            head_sha256=row.head_sha256.hex(),
            head_sha512=sha512(row.head).hexdigest(),
            frame_sha256=row.frame_sha256.hex(),
            certificate=CERTIFICATE,
            **fields,
        )

    def place(self, stream: str, row: PacketRow | None, thing: bytes | None = None) -> EntryRow:
        number, chain = self.tails.get(stream, (0, NO_CHAIN))
        digest = row.frame_sha256 if row else sha256(thing or b"").digest()
        number += 1
        chain = sha256(chain + number.to_bytes(8) + digest).digest()
        self.tails[stream] = (number, chain)
        size = row.size if row else len(thing or b"")
        entry = EntryRow(
            stream,
            1,
            number,
            row.frame if row else None,
            None if row else thing,
            digest,
            chain,
            size,
            self.now,
        )
        self.changes.entries.append(entry)
        return entry

    def send(self, recipient: str = PARENT, **facts: Any) -> PacketRow:
        """Seal and send a document of ours."""
        row = self.packet(self.address, recipient, via=self.address, **facts)
        self.packet_leaf(LeafKind.SENT, row)
        self.place(f"{PARENT}/bulk", row)
        self.changes.open.append(
            OpenRow(
                row.frame,
                row.frame,
                "receipt",
                self.now,
                self.now + 900 * SECOND,
                0,
                self.now + 3600 * SECOND,
            )
        )
        return row

    def receive(self, sender: str = PARENT, **facts: Any) -> PacketRow:
        """Take a document for us, release it and answer it; return the document's row."""
        row = self.packet(sender, self.address, via=PARENT, **facts)
        self.packet_leaf(LeafKind.RECEIVED, row, verdict="accepted")
        self.packet_leaf(LeafKind.RELEASED, row, by="sis")
        self.changes.released.append(Released(row.frame, "sis", self.now))
        self.take(f"{PARENT}/bulk", row.frame_sha256)
        receipt = self.packet(self.address, sender, via=self.address, type_="receipt/1", re=row.id)
        self.receipts[row.id] = receipt.id
        self.packet_leaf(LeafKind.SENT, receipt)
        self.place(f"{PARENT}/fast", receipt)
        self.changes.open.append(
            OpenRow(receipt.frame, row.frame, "closing", self.now, self.now + 900 * SECOND, 0, None)
        )
        return row

    def relay(self, sender: str, recipient: str, to_stream: str, **facts: Any) -> PacketRow:
        """Pass a packet on."""
        row = self.packet(sender, recipient, via=sender, **facts)
        self.packet_leaf(LeafKind.RELAYED, row)
        self.place(to_stream, row)
        return row

    def confirm(self, row: PacketRow, verdict: str = "accepted") -> PacketRow:
        """Take the receipt for a document of ours; close the exchange. Returns the receipt."""
        receipt = self.packet(row.recipient, self.address, via=PARENT, type_="receipt/1", re=row.id)
        self.packet_leaf(LeafKind.RECEIVED, receipt, verdict="accepted")
        reason = "" if verdict == "accepted" else "type-not-allowed"
        self.packet_leaf(
            LeafKind.CONFIRMED, row, verdict=verdict, reason=reason, receipt=receipt.id
        )
        self.changes.closed.append(row.frame)
        closing = self.packet(
            self.address, row.recipient, via=self.address, type_="closing/1", re=receipt.id
        )
        self.packet_leaf(LeafKind.SENT, closing)
        self.place(f"{PARENT}/fast", closing)
        return receipt

    def close(self, row: PacketRow) -> PacketRow:
        """Take the closing for a document that we received. Returns the closing."""
        closing = self.packet(
            row.sender, self.address, via=PARENT, type_="closing/1", re=self.receipts[row.id]
        )
        self.packet_leaf(LeafKind.RECEIVED, closing, verdict="accepted")
        self.packet_leaf(LeafKind.CLOSED, row)
        self.changes.closed.append(row.frame)
        return closing

    def take(self, stream: str, *digests: bytes) -> IntakeRow:
        last, chain = self.taken.get(stream, (0, NO_CHAIN))
        first = last + 1
        for digest in digests:
            last += 1
            chain = sha256(chain + last.to_bytes(8) + digest).digest()
        self.taken[stream] = (last, chain)
        row = IntakeRow(stream, 1, first, last, chain, self.now, b"".join(digests))
        self.changes.intakes.append(row)
        return row

    def note(self, stream: str, up_to: int) -> None:
        self.now += 1
        self.changes.notes.append(NoteRow(stream, 1, up_to, self.now, b"note"))

    def quarantine(self, state: str = "refused", raw: bytes = b"damaged frame") -> QuarantineRow:
        """Keep a frame that was refused, or is held."""
        self.frame += 1
        digest = sha256(raw).digest()
        row = QuarantineRow(
            self.frame,
            digest,
            state,
            "sig-invalid" if state == "refused" else "sender-unknown",
            "signature does not verify",
            PARENT,
            self.now,
            len(raw),
            True,
            None,
            None,
            None,
        )
        self.changes.quarantine.append(row)
        bucket = f"QRN-{MONTH}"
        self.changes.payloads.append(PayloadRow(row.frame, bucket, seal(bucket, digest, raw)))
        if state == "refused":
            self.leaf(
                LeafKind.REFUSED,
                row.frame,
                via=PARENT,
                size=str(len(raw)),
                frame_sha256=digest.hex(),
                frame_sha512=sha512(raw).hexdigest(),
                verdict="refused",
                reason=row.reason,
                detail=row.detail,
            )
        else:
            self.leaf(LeafKind.HELD, row.frame, via=PARENT, frame_sha256=digest.hex())
            self.changes.held.append(
                HeldRow(row.frame, PARENT, "certificate", CERTIFICATE, self.now)
            )
        return row


def _packet_id(sent: int, mark: str) -> str:
    time = f"{sent // 1000:012x}"
    return f"{time[:8]}-{time[8:]}-7{mark[:3]}-8{mark[3:6]}-{mark[6:18]}"


def pending_drop(drop_id: str = "d-1", system: str = "sis", now: int = START) -> PendingDrop:
    """Return a document handed over by command."""
    return PendingDrop(
        system,
        drop_id,
        now,
        "attendance.daily/1",
        PARENT,
        "S01",
        "2026-11-23",
        None,
        None,
        "application/json",
        f"R5-{MONTH}",
        b"sealed body",
    )


def outcome(drop: PendingDrop, frame: int | None = 1, fault: str | None = None) -> DropOutcome:
    return DropOutcome(drop.system, drop.drop_id, frame, fault, drop.dropped + SECOND)


def unsigned_note(committed: Committed) -> str:
    """Return a checkpoint in its form, under no key: the store does not look at signatures."""
    root = base64.b64encode(committed.root).decode()
    return f"origin/1\n{committed.leaves}\n{root}\n\n\u2014 origin/1 AAAA\n"
