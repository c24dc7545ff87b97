"""The record of a node that had a whole exchange: what `bbaj evidence export` gathers from."""

import hashlib
from collections.abc import Sequence

from cryptography import x509

from harness.dossier import Exchange, row_of
from harness.evidence import fold, tracked_of
from harness.pki import DISTRICT, OBLAST, SCHOOL
from nodes.evidence.draft import pem
from nodes.evidence.gather import Exporter, Opened
from nodes.policies import root_policy_name
from nodes.sandbox.timestamp_authority import TimestampAuthority
from schemas.issued import CrlEntry, log_origin
from schemas.objects import NO_CHAIN
from schemas.records import (
    CertificateRow,
    Changes,
    CrlRow,
    EntryRow,
    IssuedCosignature,
    IssuedHead,
    IssuedRow,
    LeafRow,
    NoteRow,
    PacketRow,
    PolicyRow,
    RenewalRow,
    TimestampRow,
    TrackedRow,
)
from signing.algorithms import DEFAULT, POLICY_NAME, AlgorithmPolicy, encode_policy
from signing.notes import checkpoint_of, origin, sign_checkpoint
from signing.second_log import SecondHead, sign_second_head
from store.merkle import RENEWED, leaf_hash, root_of
from store.postgres import PostgresArchive

STREAM = f"{DISTRICT}/bulk"


async def keep(
    archive: PostgresArchive, exchange: Exchange, renewals: Sequence[RenewalRow] = ()
) -> None:
    """Commit all that the sender's record has of an exchange."""
    about = {
        index: number
        for number, (_, _, marks) in enumerate(exchange.frames, 1)
        for index, _ in marks
    }
    changes = Changes(
        packets=[
            row_of(sealed, number) for number, (_, sealed, _) in enumerate(exchange.frames, 1)
        ],
        leaves=[
            LeafRow(index, _kind(record), about.get(index), record)
            for index, record in enumerate(exchange.records)
        ],
        entries=_entries(exchange),
        notes=[
            NoteRow(STREAM, 1, note.entries[-1][0], note.at, note.note) for note in exchange.custody
        ],
        certificates=[
            CertificateRow(_sha256(der), der, exchange.now) for der in exchange.network.certificates
        ],
        crls=[
            CrlRow(_sha256(der), _issuer(der), number, der, exchange.now)
            for number, der in enumerate(exchange.crls, 1)
        ],
        cosignatures=list(exchange.cosignatures),
        timestamps=_stamps(exchange),
        renewals=list(renewals),
        policies=_policies(exchange),
        issued=_issued(exchange),
        issued_heads=[_issued_head(exchange)],
        issued_cosignatures=[_issued_cosignature(exchange)],
        tracked=[_tracked(exchange)],
    )
    await archive.commit(changes)
    for checkpoint in exchange.checkpoints:
        text, blank, lines = checkpoint.note.partition("\n\n")
        own = lines.splitlines(keepends=True)[0]
        await archive.add_checkpoint(checkpoint.size, checkpoint.at, f"{text}{blank}{own}")


def second_log(exchange: Exchange, authority: TimestampAuthority) -> RenewalRow:
    """Have the hash of the journal renewed: a second log over it, stamped."""
    hashes = [RENEWED.leaf(record) for record in exchange.records]
    head = SecondHead(origin(SCHOOL, 1), len(hashes), root_of(hashes, RENEWED))
    note = sign_second_head(head, exchange.network.nodes[SCHOOL].journal)
    stamp = exchange.stamp(note, head.size, authority)
    at = stamp.gen_time
    return RenewalRow(
        _sha256(stamp.token), authority.name, head.size, note, at, exchange.now, stamp.token
    )


def exporter_of(exchange: Exchange, policy: AlgorithmPolicy = DEFAULT) -> Exporter:
    """Return the school as it exports."""
    node = exchange.network.nodes[SCHOOL]
    return Exporter(
        address=SCHOOL,
        signer=node.packet,
        root=exchange.network.root.der,
        certificates=node.certificates,
        policy=policy,
    )


def opening(exchange: Exchange):
    """Return what opens the exchange's frames."""

    async def open_frame(packet: PacketRow) -> Opened:
        sealed = exchange.frames[packet.frame - 1][1]
        clear = exchange.clear_of(sealed)
        return Opened(sealed.frame.raw, exchange.content_of(sealed), clear)

    return open_frame


def _entries(exchange: Exchange) -> list[EntryRow]:
    """Return the school's stream: two other entries, the packet, one more."""
    digests = [(number, hashlib.sha256(b"%d" % number).digest()) for number in (1, 2)]
    digests += [each for note in exchange.custody for each in note.entries]
    chain, rows = bytes.fromhex(NO_CHAIN), []
    for number, digest in digests:
        chain = fold(chain, [(number, digest)])
        is_packet = digest == exchange.frames[0][1].frame_sha256
        rows.append(
            EntryRow(
                stream=STREAM,
                epoch=1,
                number=number,
                frame=1 if is_packet else None,
                object=None if is_packet else b"another",
                sha256=digest,
                chain=chain,
                size=1,
                placed=exchange.now,
            )
        )
    return rows


def _stamps(exchange: Exchange) -> list[TimestampRow]:
    return [
        TimestampRow(
            sha256=_sha256(stamp.token),
            authority=stamp.authority,
            size=checkpoint.size,
            note=stamp.note,
            gen_time=stamp.gen_time,
            at=stamp.gen_time,
            token=stamp.token,
        )
        for checkpoint in exchange.checkpoints
        for stamp in checkpoint.stamps
    ]


def _policies(exchange: Exchange) -> list[PolicyRow]:
    roots = {
        root_policy_name(stamp.authority): pem(stamp.root)
        for checkpoint in exchange.checkpoints
        for stamp in checkpoint.stamps
    }
    told = {POLICY_NAME: encode_policy(DEFAULT), "rights.toml": b"[users]\n"} | roots
    rows = [PolicyRow(_sha256(each), name, each, exchange.now) for name, each in told.items()]
    name, others = root_policy_name("national"), roots.get(root_policy_name("outside"))
    if others is not None:  # told of later, and no time-stamp here leads to it
        rows.append(PolicyRow(_sha256(others), name, others, exchange.now + 1))
    return rows


def _issued(exchange: Exchange) -> list[IssuedRow]:
    """Return the oblast's log: what is cosigned, and one entry that is not yet."""
    ders = exchange.network.certificates
    rows = [IssuedRow(OBLAST, index, der, _sha256(der)) for index, der in enumerate(ders)]
    return [*rows, IssuedRow(OBLAST, len(rows), CrlEntry(1, bytes(32), 0).text, None)]


def _issued_head(exchange: Exchange) -> IssuedHead:
    journal = exchange.network.nodes[OBLAST].journal
    entries = [row.entry for row in _issued(exchange)]
    root = root_of([leaf_hash(entry) for entry in entries])
    note = sign_checkpoint(log_origin(OBLAST), len(entries), root, journal)
    return IssuedHead(OBLAST, len(entries), note, exchange.now, journal.fingerprint)


def _issued_cosignature(exchange: Exchange) -> IssuedCosignature:
    note = exchange.log_head() + exchange.log_line()
    nodes = exchange.network.nodes
    journal, certificate = nodes[OBLAST].journal.fingerprint, nodes[DISTRICT].witness.fingerprint
    size = checkpoint_of(note).size
    return IssuedCosignature(OBLAST, size, DISTRICT, exchange.now, note, journal, certificate)


def _tracked(exchange: Exchange) -> TrackedRow:
    statement = tracked_of(exchange)
    packet = exchange.frames[0][1].frame.header.id
    digest = _sha256(statement.object)
    return TrackedRow(digest, SCHOOL, 1, packet, DISTRICT, statement.at, statement.object)


def _kind(record: bytes) -> str:
    return record.split(b"\n")[1].removeprefix(b"kind ").decode()


def _issuer(der: bytes) -> str:
    return x509.load_der_x509_crl(der).issuer.rfc4514_string()


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
