"""A rich evidence folder in seconds, without a daemon: all that the format knows is in it.

    folder = make_evidence(tmp_path / "folder")

Certificates are those of a made-up network, time-stamps are made by `openssl ts`, cosignatures are
Ed25519 and ML-DSA-44. All of it happened on the morning of `harness.pki.NOW`.
"""

import hashlib
from pathlib import Path

import msgspec

from harness.dossier import DOCUMENT, Exchange
from harness.pki import DISTRICT, NOW, SCHOOL
from nodes.evidence.model import Custody, Dossier, TrackedEvidence
from nodes.evidence.write import write_evidence
from nodes.sandbox.timestamp_authority import TimestampAuthority
from schemas.leaves import LeafKind, leaf_record
from schemas.moments import DAY, HOUR, format_instant
from schemas.object_header import Body
from schemas.objects import (
    NO_CHAIN,
    CustodyNote,
    StreamPosition,
    pack_pieces,
)
from schemas.statements import Tracked
from signing.algorithms import DEFAULT, POLICY_NAME, encode_policy
from signing.notes import origin, sign_checkpoint
from signing.proofs import LeafProof, proof_text
from store.merkle import leaf_hash


def make_evidence(
    folder: Path,
    *,
    content: bytes = DOCUMENT,
    stamped: bool = True,
    cosigned: bool = True,
    answered: bool = True,
    readable: bool = True,
    destroyed: bool = False,
) -> Path:
    """Write a whole evidence folder; its keys lie in a folder beside it."""
    exchange = make_exchange(
        folder.with_name(f"{folder.name}-keys"),
        content=content,
        stamped=stamped,
        cosigned=cosigned,
        answered=answered,
    )
    write_evidence(rich_dossier(exchange, readable=readable, destroyed=destroyed), folder)
    return folder


def make_exchange(
    keys: Path,
    *,
    content: bytes = DOCUMENT,
    stamped: bool = True,
    cosigned: bool = True,
    answered: bool = True,
) -> Exchange:
    """Have a document exchanged; the journal is cosigned and stamped, and again some time later."""
    exchange = Exchange(keys)
    exchange.bind(LeafKind.EPOCH, address=SCHOOL, epoch="1", origin=origin(SCHOOL, 1))
    exchange.bind(LeafKind.POLICY, **_digests(encode_policy(DEFAULT)), name=POLICY_NAME)
    for der in exchange.network.certificates:
        exchange.bind(LeafKind.CERTIFICATE, **_digests(der), via=DISTRICT)
    for der in exchange.crls:
        exchange.bind(LeafKind.CRL, **_digests(der), issuer="kz", number="1", via=DISTRICT)
    if answered:
        exchange.complete(content)
    else:
        exchange.send(".", "attendance.daily/1", content, by=SCHOOL)
    note = custody_of(exchange)
    exchange.custody.append(note)
    exchange.bind(
        LeafKind.CUSTODY,
        neighbour=DISTRICT,
        lane="bulk",
        epoch="1",
        up_to=str(note.entries[-1][0]),
        chain=fold(note.before, note.entries).hex(),
        note_sha256=hashlib.sha256(note.note).hexdigest(),
    )
    authorities = [_authority(keys, name) for name in ("national", "outside")] if stamped else []
    exchange.checkpoint(cosigned=cosigned, stamped=authorities)
    if stamped:
        exchange.checkpoint(cosigned=cosigned, stamped=authorities[:1])
        exchange.checkpoint(cosigned=cosigned)
    exchange.crls += exchange.network.crls(NOW + 2 * HOUR)
    return exchange


def rich_dossier(exchange: Exchange, *, readable: bool = True, destroyed: bool = False) -> Dossier:
    """Return all that the folder of such an exchange has."""
    dossier = msgspec.structs.replace(
        exchange.dossier(readable=readable, destroyed=destroyed),
        policies=[encode_policy(DEFAULT)],
        custody=exchange.custody,
        tracked=[tracked_of(exchange)],
    )
    return exchange.prove(dossier)


def custody_of(exchange: Exchange) -> Custody:
    """Return the district's note about the packet, the third entry of the school's stream."""
    packet = exchange.frames[0][1]
    before = fold(
        bytes.fromhex(NO_CHAIN), [(n, hashlib.sha256(b"%d" % n).digest()) for n in (1, 2)]
    )
    entries = [(3, packet.frame_sha256), (4, hashlib.sha256(b"another").digest())]
    chain = fold(before, entries).hex()
    header = CustodyNote(
        **exchange.gates[DISTRICT].stamp(SCHOOL, exchange.now),
        position=StreamPosition("bulk", 1, 4, chain, 4),
        hello="0f1e2d3c4b5a69788796a5b4c3d2e1f0",
    )
    return Custody(exchange.gates[DISTRICT].sign(header), exchange.now, before, entries)


def fold(chain: bytes, entries: list[tuple[int, bytes]]) -> bytes:
    """Return the chain value behind some entries (clause 7.3)."""
    for number, digest in entries:
        chain = hashlib.sha256(chain + number.to_bytes(8) + digest).digest()
    return chain


def tracked_of(exchange: Exchange) -> TrackedEvidence:
    """Return the district's statement: its `received` leaf, proven in its own journal."""
    packet = exchange.frames[0][1]
    header = packet.frame.header
    leaf = leaf_record(
        LeafKind.RECEIVED,
        at=format_instant(exchange.now),
        id=header.id,
        head_sha256=packet.head_sha256.hex(),
    )
    journal = exchange.network.nodes[DISTRICT].journal
    note = sign_checkpoint(origin(DISTRICT, 1), 1, leaf_hash(leaf), journal)
    body = pack_pieces([proof_text(LeafProof(0, [], note, leaf)).encode()])
    gate = exchange.gates[DISTRICT]
    statement = Tracked(
        **gate.stamp(SCHOOL, exchange.now),
        sender=SCHOOL,
        packet_epoch=1,
        packet=header.id,
        body=Body(hashlib.sha256(body).hexdigest(), len(body)),
    )
    return TrackedEvidence(gate.sign(statement, body), exchange.now)


def _authority(keys: Path, name: str) -> TimestampAuthority:
    return TimestampAuthority(keys / name, name, since=NOW - DAY)


def _digests(data: bytes) -> dict[str, str]:
    return {"sha256": hashlib.sha256(data).hexdigest(), "sha512": hashlib.sha512(data).hexdigest()}
