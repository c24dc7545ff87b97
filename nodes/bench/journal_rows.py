"""Rows for `bbaj bench journal`: leaves such as links write, and packets such as a relay keeps."""

import os
from collections import Counter
from hashlib import sha256, sha512
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from exchange.answering import packet_row
from exchange.batch import Batch, header_facts, stream_to
from exchange.identity import new_packet_id
from nodes.clock import now
from schemas.frame import cut
from schemas.header import Header
from schemas.leaves import LeafKind
from schemas.moments import format_instant
from schemas.records import PayloadRow
from schemas.retention import DEFAULT, bucket_of
from signing.at_rest import AtRest
from signing.authority import Issuer, der_of, issue_authority, issue_node, make_root
from signing.keys import PacketSigner
from signing.payload import ClearCoding, payload_facts
from signing.profiles import Purpose
from signing.seal import seal

PARENT, RELAY, SENDER = "kz", "kz.zhambyl", "kz.zhambyl.taraz"
RETENTION = "R10"


class Writer:
    """Makes rows; what it seals is sealed as a daemon would seal it."""

    def __init__(self, folder: Path) -> None:
        """Make keys; those of payloads at rest go into `folder`."""
        root = make_root(ec.generate_private_key(ec.SECP384R1()), now())
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = Issuer(issue_authority(root, RELAY, key.public_key(), now()), key)
        own = ec.generate_private_key(ec.SECP256R1())
        certificate = issue_node(issuer, SENDER, Purpose.PACKET, own.public_key(), now())
        self._signer = PacketSigner(own, der_of(certificate))
        self.at_rest = AtRest(folder)
        self.bytes_written: Counter[str] = Counter()
        """Leaves count under `journal`, heads and payloads under `frames`."""
        self._seq = 0

    def add_leaves(self, batch: Batch, count: int) -> None:
        """Append leaves of custody notes: the commonest that belong to no packet."""
        for _ in range(count):
            digest = sha256(batch.leaf.to_bytes(8)).hexdigest()
            batch.append_leaf(
                LeafKind.CUSTODY,
                None,
                neighbour=PARENT,
                lane="bulk",
                epoch="1",
                up_to=str(batch.leaf + 1),
                chain=digest,
                note_sha256=digest,
            )
            self.bytes_written["journal"] += len(batch.changes.leaves[-1].record)

    def add_packets(self, batch: Batch, count: int, payload_bytes: int) -> None:
        """Add packets relayed: row, payload at rest, leaf and place in the parent's stream."""
        for _ in range(count):
            self.add_packet(batch, os.urandom(payload_bytes), "salt")

    def add_packet(self, batch: Batch, payload: bytes, coding: ClearCoding) -> None:
        """Add one packet with this payload, relayed."""
        self._seq += 1
        header = Header(
            id=new_packet_id(batch.now),
            type="admin.order/1",
            from_=SENDER,
            to=PARENT,
            sent=format_instant(batch.now),
            epoch=1,
            seq=self._seq,
            section="S05",
            class_=RETENTION,
            flow="admin",
            certificate=self._signer.fingerprint,
            payload=payload_facts(payload, "application/json", coding),
        )
        raw = seal(header, payload, self._signer)
        head, frame_sha256 = cut(raw).head, sha256(raw).digest()
        packet = packet_row(
            header,
            frame=batch.next_frame(),
            batch=batch,
            via=SENDER,
            head=head,
            size=len(raw),
            digests=(sha256(head).digest(), frame_sha256),
        )
        batch.changes.packets.append(packet)
        bucket = bucket_of(DEFAULT, RETENTION, None, batch.now)
        sealed = self.at_rest.seal(bucket, frame_sha256, payload)
        batch.changes.payloads.append(PayloadRow(packet.frame, bucket, sealed))
        batch.append_leaf(
            LeafKind.RELAYED,
            packet.frame,
            **header_facts(header),
            received=batch.at,
            size=str(packet.size),
            via=SENDER,
            head_sha256=packet.head_sha256.hex(),
            head_sha512=sha512(head).hexdigest(),
            frame_sha256=frame_sha256.hex(),
            certificate=header.certificate,
            crl="1",
            verdict="accepted",
        )
        batch.place(stream_to(PARENT, "bulk"), frame_sha256, len(raw), frame=packet.frame)
        self.bytes_written["journal"] += len(batch.changes.leaves[-1].record)
        self.bytes_written["frames"] += len(raw)
