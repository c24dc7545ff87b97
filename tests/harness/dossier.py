"""A whole exchange in memory, sealed by real gates: what `nodes.evidence` writes out.

The journal is that of the packet's sender; a few leaves of other packets stand between its own.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric import mldsa

from exchange.batch import header_facts
from exchange.core.registry import Registry
from exchange.gate import Gate
from exchange.identity import new_packet_id
from exchange.sealing import SealedFrame
from harness.pki import DISTRICT, NOW, OBLAST, SCHOOL, Network, make_network
from nodes.evidence.cosigned import cosignatures_of, witness_keys
from nodes.evidence.model import (
    CheckpointEvidence,
    Custody,
    Dossier,
    FrameEvidence,
    IssuingProof,
    Leaf,
    Stamp,
    Trust,
)
from nodes.evidence.write import bound_by
from nodes.sandbox.timestamp_authority import TimestampAuthority
from schemas.answers import CLOSING, RECEIPT, Closing, PacketName, Receipt
from schemas.documents.registry import TYPES
from schemas.header import Header, PayloadFacts
from schemas.issued import log_origin
from schemas.leaves import LeafKind, leaf_record, read_leaf
from schemas.limits import Limits
from schemas.moments import HOUR, SECOND, Instant, format_instant
from schemas.object_header import Body
from schemas.records import CosignatureRow, PacketRow
from schemas.witnessing import Cosigned
from signing.at_rest import AtRest
from signing.cosigner import Cosigner
from signing.keys import fingerprint
from signing.notes import checkpoint_of, origin, sign_checkpoint
from signing.payload import clear_payload
from signing.timestamps import build_request, load_roots, read_response, verify_token
from store.merkle import inclusion_proof, leaf_hash, root_of

DOCUMENT = b'{"pupils":[' + b",".join(b'{"number":%d}' % n for n in range(200)) + b"]}"


class Exchange:
    """Two nodes, their gates, the sender's journal that grows, and who vouches for it."""

    def __init__(self, folder: Path, now: Instant = NOW, network: Network | None = None) -> None:
        self.now = now
        self.folder = folder
        self.network = network or make_network([OBLAST, DISTRICT, SCHOOL], now)
        self.crls = self.network.crls(now)
        self.gates = {address: self._gate(address, folder) for address in (SCHOOL, DISTRICT)}
        self.records: list[bytes] = []
        self.bound: list[int] = []
        """Indexes of the leaves that bind something else than a frame."""
        self.frames: list[tuple[str, SealedFrame, list[tuple[int, str]]]] = []
        self.checkpoints: list[CheckpointEvidence] = []
        self.cosignatures: list[CosignatureRow] = []
        self.custody: list[Custody] = []
        self.lattice = mldsa.MLDSA44PrivateKey.generate()

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
        digests = {"head_sha256": sealed.head_sha256.hex()}
        if kind in {LeafKind.SENT, LeafKind.RECEIVED}:
            digests |= {
                "head_sha512": sealed.head_sha512.hex(),
                "frame_sha256": sealed.frame_sha256.hex(),
                "certificate": sealed.frame.header.certificate,
                "size": str(len(sealed.frame.raw)),
            }
        if kind == LeafKind.RECEIVED:
            digests |= {"received": at, "via": DISTRICT, "crl": "1", "verdict": "accepted"}
        self.records.append(leaf_record(kind, at=at, **facts, **digests))

    def bind(self, kind: LeafKind, **fields: str) -> None:
        """Journal something that the proof needs besides the frames."""
        self.bound.append(len(self.records))
        self.records.append(leaf_record(kind, at=format_instant(self.now), **fields))

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

    def clear_of(self, sealed: SealedFrame) -> bytes | None:
        header, payload = sealed.frame.header, sealed.frame.payload
        if not header.payload.is_encrypted:
            return None
        return clear_payload(header, payload, self.network.nodes[SCHOOL].encryption, 1 << 24)

    # --- who vouches for the journal --------------------------------------------------------

    def checkpoint(
        self,
        *,
        cosigned: bool = False,
        stamped: Iterable[TimestampAuthority] = (),
        size: int | None = None,
    ) -> CheckpointEvidence:
        """Sign the journal as it is; have it cosigned by the district, then time-stamped."""
        self.now += SECOND
        name, journal = origin(SCHOOL, 1), self.network.nodes[SCHOOL].journal
        hashes = [leaf_hash(record) for record in self.records[:size]]
        note = sign_checkpoint(name, len(hashes), root_of(hashes), journal)
        at, rows = self.now, []
        if cosigned:
            self.now += SECOND
            rows = [self._cosign(note)]
            note += rows[0].lines
        witnesses = cosignatures_of(
            note,
            rows,
            witness_keys(self.network.certificates),
            {fingerprint(der): der for der in self.network.certificates},
        )
        stamps = [self.stamp(note, len(hashes), authority) for authority in stamped]
        made = CheckpointEvidence(
            size=len(hashes),
            note=note,
            origin=name,
            at=at,
            certificate=journal.certificate,
            proofs={},
            witnesses=witnesses,
            stamps=stamps,
        )
        self.checkpoints.append(made)
        return made

    def _cosign(self, note: str) -> CosignatureRow:
        node, gate = self.network.nodes[DISTRICT], self.gates[DISTRICT]
        witness = Cosigner(DISTRICT, node.witness, self.lattice)
        found = checkpoint_of(note)
        lines = witness.cosign(found.text, self.now // SECOND)
        header = Cosigned(
            **gate.stamp(SCHOOL, self.now),
            origin=found.origin,
            size=found.size,
            status=200,
            keys=witness.vkeys,
            body=Body(hashlib.sha256(lines.encode()).hexdigest(), len(lines.encode())),
        )
        object_ = gate.sign(header, lines.encode())
        row = CosignatureRow(1, found.size, DISTRICT, self.now, lines, object_)
        self.cosignatures.append(row)
        return row

    def stamp(self, note: str, size: int, authority: TimestampAuthority) -> Stamp:
        """Have a note stamped, and journal that."""
        self.now += SECOND
        authority.clock_at = self.now
        token = read_response(authority.answer(build_request(note.encode()).der))
        roots = load_roots(authority.root_path.read_bytes())
        facts = verify_token(token, note.encode(), roots)
        assert facts.root is not None, "the chain ends at a root"
        self.bind(
            LeafKind.TIMESTAMP,
            sha256=hashlib.sha256(token).hexdigest(),
            sha512=hashlib.sha512(token).hexdigest(),
            authority=authority.name,
            size=str(size),
            gen_time=format_instant(facts.gen_time),
        )
        chain = list(facts.certificates)
        return Stamp(note, token, authority.name, facts.gen_time, chain, facts.root)

    def log_head(self) -> str:
        """Return the head of the oblast's log, in which every certificate stands."""
        entries = self.network.certificates
        root = root_of([leaf_hash(entry) for entry in entries])
        journal = self.network.nodes[OBLAST].journal
        return sign_checkpoint(log_origin(OBLAST), len(entries), root, journal)

    def log_line(self, witness: str = DISTRICT) -> str:
        """Return a witness's line under that head; that of the district is in the evidence."""
        cosigner = Cosigner(witness, self.network.nodes[witness].witness)
        return cosigner.certified_line(checkpoint_of(self.log_head()).text, NOW // SECOND)

    def issuing(self) -> Mapping[str, IssuingProof]:
        """Return that every certificate stands in the oblast's log, under its cosigned head."""
        entries = self.network.certificates
        hashes = [leaf_hash(entry) for entry in entries]
        note = self.log_head() + self.log_line()
        certificate = self.network.nodes[OBLAST].journal.certificate
        return {
            fingerprint(entry): IssuingProof(index, _proof(index, hashes), note, certificate, NOW)
            for index, entry in enumerate(entries)
        }

    def dossier(self, *, destroyed: bool = False, readable: bool = True) -> Dossier:
        """Return what an export gathers; without a checkpoint signed yet, one more is."""
        if not self.checkpoints:
            self.checkpoint()
        frames = [
            FrameEvidence(
                folder,
                row_of(sealed, number),
                None if destroyed else sealed.frame.raw,
                self.content_of(sealed) if readable and not destroyed else None,
                [self._leaf(index) for index, _ in marks],
                self.clear_of(sealed) if readable and not destroyed else None,
            )
            for number, (folder, sealed, marks) in enumerate(self.frames, 1)
        ]
        certificates = [self.network.root.der, *self.network.certificates]
        return Dossier(
            frames=frames,
            trust=Trust(
                self.network.root.der,
                {fingerprint(der): der for der in certificates},
                self.crls,
                self.issuing(),
            ),
            by=SCHOOL,
            exported=NOW + 3 * HOUR,
            signer=self.network.nodes[SCHOOL].packet,
            checkpoints=self.checkpoints,
        )

    def prove(self, dossier: Dossier) -> Dossier:
        """Return a dossier with the leaves that bind what is in it, and every proof."""
        bound = bound_by(dossier)
        records = [leaf for leaf in map(self._leaf, self.bound) if _binds(leaf.record, bound)]
        hashes = [leaf_hash(record) for record in self.records]
        found = msgspec.structs.replace(dossier, records=records)
        indexes = [leaf.index for leaf in found.leaves]
        checkpoints = [
            msgspec.structs.replace(
                each,
                proofs={n: _proof(n, hashes[: each.size]) for n in indexes if n < each.size},
            )
            for each in dossier.checkpoints
        ]
        return msgspec.structs.replace(found, checkpoints=checkpoints)

    def _leaf(self, index: int) -> Leaf:
        record = self.records[index]
        return Leaf(index, record.split(b"\n")[1].removeprefix(b"kind ").decode(), record)

    def content_of(self, sealed: SealedFrame) -> bytes:
        return self.gates[SCHOOL].open_content(sealed.frame)


def _proof(index: int, hashes: list[bytes]) -> list[bytes]:
    """Return an inclusion proof in a tree of at most one tile."""
    assert len(hashes) <= 256, "the tree is one tile"
    return inclusion_proof(index, len(hashes), lambda _level, _index: b"".join(hashes))


def _binds(record: bytes, digests: frozenset[str]) -> bool:
    """Say whether a leaf names one of these (SHA-256 in hex), or begins an epoch."""
    leaf = read_leaf(record)
    named = {leaf.get("sha256"), leaf.get("note-sha256")}
    return leaf["kind"] == LeafKind.EPOCH or bool(named & digests)


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
