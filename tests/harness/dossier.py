"""A whole exchange in memory, sealed by real gates: what `nodes.evidence` writes out.

The journal is that of the packet's sender; a few leaves of other packets stand between its own.
"""

import hashlib
from pathlib import Path

import msgspec

from exchange.batch import header_facts
from exchange.core.registry import Registry
from exchange.gate import Gate
from exchange.identity import new_packet_id
from exchange.sealing import SealedFrame
from harness.pki import DISTRICT, NOW, SCHOOL, Network, make_network
from nodes.evidence import Dossier, FrameEvidence, JournalHead, ProvenLeaf, Trust
from schemas.answers import CLOSING, RECEIPT, Closing, PacketName, Receipt
from schemas.documents.registry import TYPES
from schemas.header import Header, PayloadFacts
from schemas.leaves import LeafKind, leaf_record
from schemas.limits import Limits
from schemas.moments import SECOND, Instant, format_instant
from schemas.records import PacketRow
from signing.at_rest import AtRest
from signing.keys import fingerprint
from signing.notes import origin, sign_checkpoint
from signing.payload import clear_payload
from store.merkle import Tree, inclusion_proof, leaf_hash

DOCUMENT = b'{"pupils":[' + b",".join(b'{"number":%d}' % n for n in range(200)) + b"]}"


class Exchange:
    """Two nodes, their gates, and a journal that grows."""

    def __init__(self, folder: Path, now: Instant = NOW, network: Network | None = None) -> None:
        self.now = now
        self.network = network or make_network([DISTRICT, SCHOOL], now)
        self.crls = self.network.crls(now)
        self.gates = {address: self._gate(address, folder) for address in (SCHOOL, DISTRICT)}
        self.records: list[bytes] = []
        self.frames: list[tuple[str, SealedFrame, list[tuple[int, str]]]] = []

    def _gate(self, address: str, folder: Path) -> Gate:
        return Gate(
            here=address,
            epoch=1,
            trust=self.network.trust(),
            signer=self.network.nodes[address].packet,
            journal=self.network.nodes[address].journal,
            encryption=self.network.nodes[address].encryption,
            at_rest=AtRest(folder / address),
            limits=Limits(),
            registry=Registry(address),
        )

    def send(
        self, folder: str, type_: str, content: bytes, *, by: str, re: str | None = None
    ) -> SealedFrame:
        """Seal a packet between the two, and journal it."""
        self.now += SECOND
        gate = self.gates[by]
        to = DISTRICT if by == SCHOOL else SCHOOL
        draft = Header(
            id=new_packet_id(self.now),
            type=type_,
            from_=by,
            to=to,
            sent=format_instant(self.now),
            epoch=1,
            seq=len(self.frames) + 1,
            section="S15",
            class_="R5",
            flow="result",
            re=re,
            certificate=gate.fingerprint,
            payload=PayloadFacts("0" * 64, "0" * 128, 0, "application/json", "salt"),
        )
        personal = TYPES[type_].personal
        reader = self.network.nodes[to].encryption.newest.public if personal else None
        sealed = gate.seal_packet(draft, content, self.now, reader)
        marks: list[tuple[int, str]] = []
        self.frames.append((folder, sealed, marks))
        self.mark(sealed, LeafKind.SENT if by == SCHOOL else LeafKind.RECEIVED)
        return sealed

    def mark(self, sealed: SealedFrame, kind: LeafKind, **more: str) -> None:
        """Journal something about a packet, behind a leaf about something else."""
        at = format_instant(self.now)
        self.records.append(leaf_record(LeafKind.OPERATOR, at=at, who="uid-1", what="looked"))
        facts = header_facts(sealed.frame.header) | more
        marks = next(marks for _, each, marks in self.frames if each is sealed)
        marks.append((len(self.records), kind))
        head_sha256 = sealed.head_sha256.hex()
        self.records.append(leaf_record(kind, at=at, **facts, head_sha256=head_sha256))

    def complete(self, content: bytes = DOCUMENT) -> "Exchange":
        """Send a document, have it accepted, and close."""
        packet = self.send(".", "attendance.daily/1", content, by=SCHOOL)
        receipt = self.answer(packet, "accepted")
        self.mark(packet, LeafKind.CONFIRMED, verdict="accepted", by=DISTRICT)
        closing = Closing(
            packet=name_of(packet),
            receipt=name_of(receipt),
            receipt_head_sha256=receipt.head_sha256.hex(),
            confirmed=format_instant(self.now),
        )
        body = msgspec.json.encode(closing)
        self.send("closing", CLOSING, body, by=SCHOOL, re=receipt.frame.header.id)
        return self

    def answer(self, packet: SealedFrame, verdict: str, **more: object) -> SealedFrame:
        """Return a receipt of the addressee."""
        receipt = Receipt(
            packet=name_of(packet),
            head_sha256=packet.head_sha256.hex(),
            frame_sha256=packet.frame_sha256.hex(),
            verdict=verdict,
            received=format_instant(self.now),
            epoch=1,
            index=7,
            **more,
        )
        body = msgspec.json.encode(receipt)
        return self.send("receipt", RECEIPT, body, by=DISTRICT, re=packet.frame.header.id)

    def _clear_of(self, sealed: SealedFrame) -> bytes | None:
        header, payload = sealed.frame.header, sealed.frame.payload
        if not header.payload.is_encrypted:
            return None
        return clear_payload(header, payload, self.network.nodes[SCHOOL].encryption, 1 << 24)

    def dossier(self, *, covered: int | None = None, destroyed: bool = False) -> Dossier:
        """Return what an export gathers; the checkpoint covers the first `covered` leaves."""
        hashes = [leaf_hash(record) for record in self.records]
        size = len(hashes) if covered is None else covered
        tree = Tree()
        tree.extend(hashes[:size])
        name = origin(SCHOOL, 1)
        journal = self.network.nodes[SCHOOL].journal
        note = sign_checkpoint(name, size, tree.root(), journal)
        certificates = [self.network.root.der, *self.network.certificates]

        def fetch(level: int, index: int) -> bytes:
            assert (level, index) == (0, 0), "the journal is one tile"
            return b"".join(hashes)

        def leaf(index: int, kind: str) -> ProvenLeaf:
            proof = inclusion_proof(index, size, fetch) if index < size else None
            return ProvenLeaf(index, kind, self.records[index], proof)

        return Dossier(
            frames=[
                FrameEvidence(
                    folder,
                    row_of(sealed, number),
                    None if destroyed else sealed.frame.raw,
                    None if destroyed else self.gates[SCHOOL].open_content(sealed.frame),
                    [leaf(*mark) for mark in marks],
                    None if destroyed else self._clear_of(sealed),
                )
                for number, (folder, sealed, marks) in enumerate(self.frames, 1)
            ],
            journal=JournalHead(note, name, self.now, journal.certificate),
            trust=Trust(
                self.network.root.der, {fingerprint(der): der for der in certificates}, self.crls
            ),
        )


def name_of(sealed: SealedFrame) -> PacketName:
    header = sealed.frame.header
    return PacketName(header.from_, header.epoch, header.id)


def row_of(sealed: SealedFrame, number: int) -> PacketRow:
    header = sealed.frame.header
    return PacketRow(
        frame=number,
        id=header.id,
        sender=header.from_,
        recipient=header.to,
        epoch=1,
        seq=header.seq,
        type=header.type,
        section=header.section,
        class_=header.class_,
        flow=header.flow,
        period=None,
        re=header.re,
        sent=header.sent_at,
        received=header.sent_at,
        via=header.from_,
        size=len(sealed.frame.raw),
        head_sha256=sealed.head_sha256,
        frame_sha256=hashlib.sha256(sealed.frame.raw).digest(),
        head=sealed.frame.head,
        media_type="application/json",
        coding=header.payload.coding,
    )
