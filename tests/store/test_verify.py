"""Tampering is done as a superuser who walks past the triggers; verification must name it."""

import asyncio
import base64
from dataclasses import dataclass
from hashlib import sha256, sha512

import asyncpg
import pytest

from harness.record_rows import HERE, MONTH, PARENT, unseal, unsigned_note
from schemas.leaves import LeafKind
from schemas.records import CertificateRow, CrlRow, PacketRow
from store.faults import Kind
from store.packing import pack
from store.verify import Verification, verify

BULK = f"{PARENT}/bulk"
R5 = f'"payload_R5-{MONTH}"'
KINDS = {
    "was added": Kind.ADDED,
    "deleted": Kind.REMOVED,
    "was changed": Kind.CHANGED,
    "was cut": Kind.CUT,
    "cannot be opened": Kind.UNREADABLE,
}
"""What the words of a fault say of its kind, the first that fit."""


@dataclass
class Evidence:
    """A record with something of everything, its checkpoints, and hands that tamper."""

    sent: PacketRow
    received: PacketRow
    refused_frame: int
    first_size: int
    leaves: int
    root: bytes
    superuser: asyncpg.Connection
    url: str

    async def tamper(self, text: str, *values: object) -> None:
        done = await self.superuser.execute(text, *values)
        assert not done.endswith(" 0")

    async def verify(self, **options) -> Verification:
        found = await verify(self.url, unseal, **options)
        for fault in found.faults:
            kind = next((kind for words, kind in KINDS.items() if words in fault.what), fault.kind)
            assert fault.kind is kind, fault
        return found

    async def first_fault(self) -> str:
        verification = await self.verify()
        assert not verification.holds
        return str(verification.faults[0])

    async def faults(self) -> list[str]:
        return [str(fault) for fault in (await self.verify()).faults]


@pytest.fixture
async def evidence(archive, superuser, record, scribe):
    sent, received = scribe.send(), scribe.receive()
    scribe.confirm(sent)
    refused = scribe.quarantine(raw=b"bad")
    scribe.quarantine("held", raw=b"early")
    scribe.place(BULK, None, b"refusal")
    scribe.note(BULK, 1)
    scribe.take(BULK, b"1" * 32)
    der = b"certificate"
    scribe.changes.certificates.append(CertificateRow(sha256(der).digest(), der, 1))
    scribe.changes.crls.append(CrlRow(sha256(der).digest(), "CN=x", 1, der, 1))
    first = await archive.commit(scribe.renew())
    await archive.add_checkpoint(first.leaves, 1, unsigned_note(first))
    for _ in range(280):
        scribe.send(payload_bytes=100)
    scribe.note(BULK, 282)
    last = await archive.commit(scribe.renew())
    await archive.add_checkpoint(last.leaves, 2, unsigned_note(last))
    await archive.close()
    await superuser.execute("SET session_replication_role = replica")
    return Evidence(
        sent,
        received,
        refused.frame,
        first.leaves,
        last.leaves,
        last.root,
        superuser,
        record.daemon,
    )


async def test_sound_record(evidence):
    """A record that nobody touched verifies, with figures for each table."""
    stages = []
    verification = await evidence.verify(on_progress=lambda *told: stages.append(told))
    assert verification.faults == []
    assert verification.holds
    assert (verification.counts["leaf"], verification.root) == (evidence.leaves, evidence.root)
    assert verification.counts["packet"] == verification.counts["payload"] - 2 == 285
    assert verification.counts["quarantine"] == 2
    assert verification.counts["entry"] == 284
    assert verification.counts["checkpoint"] == 2
    assert verification.counts["destroyed"] == 0
    assert [stage for stage, done, total in stages if done == total] == [
        "journal", "frames", "streams"
    ]  # fmt: skip


async def test_empty_record(record):
    """A new record verifies."""
    assert (await verify(record.daemon, unseal)).holds


async def test_edited_payload(evidence):
    """One changed byte of a payload is found, and the packet named."""
    await evidence.tamper(
        "UPDATE payload SET sealed = set_byte(sealed, 400, 0) WHERE frame = $1", evidence.sent.frame
    )
    found = await evidence.faults()
    assert found[0] == (
        f"payload R5-{MONTH} frame {evidence.sent.frame} packet {evidence.sent.id} of {HERE}: "
        "its sha256 is not what the header says"
    )
    assert "digest of the whole frame differs" in found[1]


async def test_payload_under_another_key(evidence):
    """A payload that cannot be opened is found."""
    await evidence.tamper(
        "UPDATE payload SET sealed = set_byte(sealed, 0, 0) WHERE frame = $1", evidence.sent.frame
    )
    assert "cannot be opened" in await evidence.first_fault()


async def test_deleted_payload(evidence):
    """A payload row that is gone while its partition stands is found."""
    await evidence.tamper("DELETE FROM payload WHERE frame = $1", evidence.sent.frame)
    assert evidence.sent.id in await evidence.first_fault()
    assert (await evidence.verify()).faults[0].what == "the row was deleted"


async def test_deleted_place_of_payload(evidence):
    """A payload that can't be found any more is a fault."""
    await evidence.tamper("DELETE FROM kept WHERE frame = $1", evidence.sent.frame)
    assert f"kept frame {evidence.sent.frame}" in await evidence.first_fault()


async def test_a_partition_that_is_gone_without_an_act(evidence):
    """Payloads that are missing although no act destroyed them are a fault, named once."""
    await evidence.superuser.execute(f"DROP TABLE {R5}")
    verification = await evidence.verify()
    assert [str(fault) for fault in verification.faults] == [
        f"payload bucket R5-{MONTH}: its partition is gone, and no act destroyed it"
    ]


def edited(head):
    """Return a head with one other byte."""
    return head[:300] + b"A" + head[301:]


@pytest.mark.parametrize("stored", [pack, list])
async def test_edited_head(evidence, stored):
    """One changed byte of a head, packed or plain, is found against its digest and its leaf."""
    (head,) = stored([edited(evidence.sent.head)])
    await evidence.tamper("UPDATE packet SET head = $2 WHERE frame = $1", evidence.sent.frame, head)
    found = await evidence.faults()
    name = f"packet frame {evidence.sent.frame} packet {evidence.sent.id} of {HERE}"
    assert found[0] == f"{name}: its head is not that of head_sha256"
    assert f"{name}: its head-sha256 is not that of leaf 0" in found


@pytest.mark.parametrize("byte", [0, 5, 40, 200])
async def test_damaged_packed_head(evidence, byte):
    """A changed byte of what is packed is found as any other change."""
    await evidence.tamper(
        "UPDATE packet SET head = set_byte(head, $2, get_byte(head, $2) # 255) WHERE frame = $1",
        evidence.sent.frame,
        byte,
    )
    assert "its head is not that of head_sha256" in await evidence.first_fault()


async def test_edited_head_with_its_digest(evidence):
    """Changing the digest along with the head does not help: the leaf has it."""
    head = edited(evidence.sent.head)
    await evidence.tamper(
        "UPDATE packet SET head = $2, head_sha256 = sha256($2) WHERE frame = $1",
        evidence.sent.frame,
        head,
    )
    assert "its head-sha256 is not that of leaf 0" in await evidence.first_fault()


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("recipient", "UPDATE packet SET recipient = 'kz.other' WHERE frame = $1"),
        ("seq", "UPDATE packet SET seq = 7777 WHERE frame = $1"),
        ("sent", "UPDATE packet SET sent = 1 WHERE frame = $1"),
        ("class", "UPDATE packet SET class = 'P75' WHERE frame = $1"),
        ("re", "UPDATE packet SET re = 'x' WHERE frame = $1"),
    ],
)
async def test_edited_column(evidence, column, text):
    """A column that differs from the signed header is found."""
    await evidence.tamper(text, evidence.sent.frame)
    found = await evidence.faults()
    assert any(f"its column {column} is not what its header says" in fault for fault in found)


async def test_deleted_leaf(evidence):
    """A deleted leaf is found and named by its index; what follows is still checked."""
    await evidence.tamper("DELETE FROM leaf WHERE index = 1")
    found = await evidence.faults()
    assert found[0] == "leaf index 1: the row was deleted"
    assert any("has no leaf of its verdict" in fault for fault in found)
    assert not any(fault.startswith("checkpoint") for fault in found[1:2])


async def test_deleted_leaf_beyond_the_last_tile(evidence):
    """A leaf that stands in no full tile yet is missed by the checkpoint too."""
    await evidence.tamper("DELETE FROM leaf WHERE index = $1", evidence.leaves - 2)
    found = await evidence.faults()
    assert found[0] == f"leaf index {evidence.leaves - 2}: the row was deleted"
    assert found[1] == (
        f"checkpoint size {evidence.leaves}: its root is not that of the leaves: something was "
        f"changed in leaves {evidence.first_size} to {evidence.leaves - 1}, or the root was"
    )


async def test_edited_leaf(evidence):
    """An edited leaf disagrees with its tile and with every checkpoint after it."""
    await evidence.tamper(
        "UPDATE leaf SET record = overlay(record placing '7' from 40) WHERE index = 3"
    )
    found = await evidence.faults()
    assert (
        "leaf index 3: the record was changed: its hash is not that in tile level 0 index 0"
        in found
    )
    assert any(fault.startswith("checkpoint size") for fault in found)


async def test_edited_kind(evidence):
    """The column of a leaf's kind must be what the record says."""
    await evidence.tamper("UPDATE leaf SET kind = 'expired' WHERE index = 0")
    assert await evidence.first_fault() == (
        "leaf index 0: its column kind is not that of the record"
    )


async def test_leaf_moved_to_another_frame(evidence):
    """A leaf hung onto another packet is found."""
    await evidence.tamper("UPDATE leaf SET frame = $1 WHERE index = 0", evidence.received.frame)
    assert any("its id is not that of leaf 0" in fault for fault in await evidence.faults())


async def test_deleted_packet(evidence):
    """A deleted packet is named by its id and sender, from its leaf."""
    await evidence.tamper("DELETE FROM packet WHERE frame = $1", evidence.sent.frame)
    assert await evidence.first_fault() == (
        f"packet frame {evidence.sent.frame}: the row was deleted: leaf 0 (sent) names it, "
        f"packet {evidence.sent.id} of {HERE}"
    )


async def test_deleted_quarantine(evidence):
    """A refused frame whose row is gone is named from its leaf."""
    await evidence.tamper("DELETE FROM quarantine WHERE frame = $1", evidence.refused_frame)
    assert (await evidence.first_fault()).startswith(f"quarantine frame {evidence.refused_frame}")


async def test_edited_quarantine(evidence):
    """A refused frame given another digest is found."""
    await evidence.tamper(
        "UPDATE quarantine SET sha256 = sha256('x') WHERE frame = $1", evidence.refused_frame
    )
    assert "its sha256 is not that of leaf" in await evidence.first_fault()


async def test_packet_without_leaf(evidence):
    """A packet slipped in without a leaf is found."""
    await evidence.tamper(
        "INSERT INTO packet SELECT 9999, replace(id, '-7', '-7'), 'kz.ghost', recipient, epoch, "
        "seq, type, section, class, flow, period, re, sent, received, via, size, head_sha256, "
        "frame_sha256, head, media_type, coding FROM packet WHERE frame = 1"
    )
    assert any("frame 9999" in fault and "no leaf" in fault for fault in await evidence.faults())


async def test_cut_tail(evidence):
    """A journal cut below a checkpoint is found, whatever else was cut with it."""
    await evidence.tamper("DELETE FROM leaf WHERE index >= $1", evidence.leaves - 10)
    assert await evidence.first_fault() == (
        f"leaf index {evidence.leaves - 10}: the journal was cut: it has {evidence.leaves - 10} "
        f"leaves, a checkpoint vouches for {evidence.leaves}"
    )


async def test_cut_tail_that_a_witness_saw(evidence):
    """When the checkpoints were cut too, the root that a witness holds tells."""
    await evidence.tamper("DELETE FROM leaf WHERE index >= $1", evidence.leaves - 10)
    await evidence.tamper("DELETE FROM checkpoint WHERE size = $1", evidence.leaves)
    verification = await evidence.verify(witnessed={evidence.leaves: evidence.root})
    assert "a witness vouches for" in verification.faults[0].what


async def test_rewritten_journal_disagrees_with_witness(evidence):
    """A root that a witness holds must be that of the leaves."""
    verification = await evidence.verify(witnessed={5: bytes(32)})
    assert str(verification.faults[0]) == (
        "witness size 5: its root is not that of the leaves: something was changed in leaves "
        "0 to 4, or the root was"
    )


async def test_cut_journal_below_its_tiles(evidence):
    """A journal cut down below its tiles is found without any checkpoint."""
    await evidence.tamper("DELETE FROM checkpoint")
    await evidence.tamper("DELETE FROM leaf WHERE index >= 100")
    assert "tiles stand for more" in await evidence.first_fault()


@pytest.mark.parametrize("text", ["{1}", "origin\n{0}\n%%\n\n", "origin\n3\n{1}\n\n"])
async def test_edited_checkpoint(evidence, text):
    """A stored checkpoint that does not name this size and root is found."""
    root = base64.b64encode(evidence.root).decode()
    await evidence.tamper(
        "UPDATE checkpoint SET note = $2 WHERE size = $1",
        evidence.leaves, text.format(evidence.leaves, root),
    )  # fmt: skip
    assert (await evidence.first_fault()).startswith(f"checkpoint size {evidence.leaves}")


async def test_deleted_tile(evidence):
    """A deleted tile is found."""
    await evidence.tamper("DELETE FROM tile")
    assert await evidence.first_fault() == "tile level 0 index 0: the row was deleted"


async def test_doubled_release(evidence, archive, scribe):
    """A document released twice is named, with both leaves."""
    await archive.open(wait=True)
    leaf = scribe.packet_leaf(LeafKind.RELEASED, evidence.received, by="sis")
    await archive.commit(scribe.renew())
    await archive.close()
    assert await evidence.first_fault() == (
        f"released frame {evidence.received.frame}: released 2 times (leaves 2, {leaf}): "
        f"packet {evidence.received.id} of {PARENT}"
    )


async def test_deleted_release(evidence):
    """A released leaf without its row is found."""
    await evidence.tamper("DELETE FROM released")
    assert "the row was deleted" in await evidence.first_fault()


async def test_release_without_leaf(evidence):
    """A row that claims a release without a leaf is found."""
    await evidence.tamper("INSERT INTO released VALUES ($1, 'sis', 1)", evidence.sent.frame)
    assert "has no released leaf" in await evidence.first_fault()


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (
            "UPDATE entry SET sha256 = sha256('x') WHERE stream = $1 AND number = 1",
            "the row was changed: its sha256 is not that of its bytes",
        ),
        (
            "UPDATE entry SET size = 1 WHERE stream = $1 AND number = 1",
            "the row was changed: its size is not that of its bytes",
        ),
        (
            "UPDATE entry SET chain = sha256('x') WHERE stream = $1 AND number = 1",
            "the chain is broken: the row was changed or added, or rows were reordered",
        ),
    ],
)
async def test_changed_entry(evidence, text, what):
    """A changed entry is named by stream and number."""
    await evidence.tamper(text, BULK)
    assert await evidence.first_fault() == f"entry {BULK} epoch 1 number 1: {what}"


async def test_changed_object(evidence):
    """A changed object in a stream is found."""
    await evidence.tamper("UPDATE entry SET object = 'other' WHERE object IS NOT NULL")
    assert "sha256 is not that of its bytes" in await evidence.first_fault()


async def test_deleted_entry(evidence):
    """An entry deleted from the middle is found, and only there."""
    await evidence.tamper("DELETE FROM entry WHERE stream = $1 AND number = 5", BULK)
    assert await evidence.faults() == [
        f"entry {BULK} epoch 1 number 5: rows were deleted: 6 follows"
    ]


async def test_cut_stream(evidence):
    """A stream cut below what a neighbour has noted is found."""
    await evidence.tamper("DELETE FROM entry WHERE stream = $1 AND number > 200", BULK)
    assert await evidence.faults() == [
        f"entry {BULK} epoch 1 number 201: rows were deleted: a note reaches to 282"
    ]


async def test_deleted_intake(evidence, archive, scribe):
    """A gap in what was taken from a neighbour is found."""
    await archive.open(wait=True)
    scribe.take(BULK, b"2" * 32)
    await archive.commit(scribe.renew())
    await archive.close()
    await evidence.tamper("DELETE FROM intake WHERE first = 1")
    assert "intakes were deleted: 2 follows" in await evidence.first_fault()


async def test_edited_digest_of_an_intake(evidence):
    """What was taken is bound by the chain, entry by entry."""
    await evidence.tamper("UPDATE intake SET digests = set_byte(digests, 3, 7) WHERE first = 1")
    assert "its chain is not that of its digests" in await evidence.first_fault()


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ("certificate", "UPDATE certificate SET der = 'forged'"),
        ("crl", "UPDATE crl SET der = 'forged'"),
    ],
)
async def test_changed_certificate(evidence, table, text):
    """A certificate or CRL that is not what its digest names is found."""
    await evidence.tamper(text)
    assert (await evidence.first_fault()).startswith(f"{table} sha256")


TOKEN = sha512(b"note").digest()
"""As a time-stamp of a note has it among its bytes."""


@pytest.mark.parametrize("table", ["timestamp_token", "renewal_token"])
async def test_changed_note_of_a_time_stamp(evidence, table):
    """A note that its time-stamp is not of is found."""
    row = (sha256(TOKEN).digest(), "tsa", 0, "another note", 1, 1, TOKEN)
    await evidence.superuser.copy_records_to_table(table, records=[row])
    assert await evidence.faults() == [
        f"{table} sha256 {row[0].hex()}: the row was changed: its time-stamp is not of its note"
    ]


DELETE_NAMED = {
    "certificate": "DELETE FROM certificate WHERE sha256 = $1",
    "crl": "DELETE FROM crl WHERE sha256 = $1",
    "timestamp_token": "DELETE FROM timestamp_token WHERE sha256 = $1",
    "renewal_token": "DELETE FROM renewal_token WHERE sha256 = $1",
}


@pytest.mark.parametrize(
    ("kind", "table", "row"),
    [
        (LeafKind.CERTIFICATE, "certificate", (TOKEN, 1)),
        (LeafKind.CRL, "crl", ("CN=x", 1, TOKEN, 1)),
        (LeafKind.TIMESTAMP, "timestamp_token", ("tsa", 1, "note", 1, 1, TOKEN)),
        (LeafKind.RENEWAL, "renewal_token", ("tsa", 0, "note", 1, 1, TOKEN)),
    ],
)
async def test_deleted_certificate(evidence, archive, scribe, kind, table, row):
    """What a leaf names by its digest must be there: certificates, CRLs, time-stamps."""
    await archive.open(wait=True)
    digest = sha256(TOKEN).digest()
    leaf = scribe.leaf(kind, None, sha256=digest.hex())
    await archive.commit(scribe.renew())
    await archive.close()
    await evidence.superuser.copy_records_to_table(table, records=[(digest, *row)])
    assert (await evidence.verify()).holds
    await evidence.tamper(DELETE_NAMED[table], digest)
    assert await evidence.faults() == [
        f"{table} sha256 {digest.hex()}: the row was deleted: leaf {leaf} ({kind}) names it"
    ]


async def test_drop_without_packet(evidence):
    """A drop whose packet is gone is found."""
    await evidence.tamper("INSERT INTO drop_outcome VALUES ('sis', 'd-9', 200, NULL, 1)")
    await evidence.tamper("DELETE FROM packet WHERE frame = 200")
    assert any("drop d-9 of sis" in fault for fault in await evidence.faults())


async def test_verification_beside_the_daemon(evidence, archive, scribe):
    """What is committed while a verification runs does not disturb it."""
    await archive.open(wait=True)
    stopped = asyncio.Event()

    async def go_on():
        while not stopped.is_set():
            scribe.relay("kz.a", "kz.b", "kz.b/bulk")
            await archive.commit(scribe.renew())

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(go_on())
        verifications = [await evidence.verify() for _ in range(5)]
        stopped.set()
    await archive.close()
    assert [verification.faults for verification in verifications] == [[]] * 5
    assert verifications[-1].counts["leaf"] > evidence.leaves
