"""Backups of a small record on a real server: made, damaged, refused, brought back."""

import shutil
import subprocess
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import asyncpg
import msgspec
import pytest

from exchange.batch import Batch, Tails
from exchange.signed_size import SignedSize, SizeFile
from harness.key_node import config_of, make_key_node
from nodes.backup import keys as backup_keys
from nodes.backup import programs
from nodes.backup.making import LOCK
from nodes.backup.manifest import BackupManifest, files_in
from nodes.bench.journal_rows import RELAY, RETENTION, Writer
from nodes.cli import backups
from nodes.cli.backups import Places
from nodes.cli.errors import FileFault, UsageFault
from nodes.clock import now
from nodes.config import Config, Database
from nodes.errors import BackupDamaged, ConfigurationFault, DatabaseOccupied, ServiceDown
from schemas.records import PayloadRow
from signing.at_rest import AtRest, read_destroyed
from signing.errors import KeyPassphraseError
from store.errors import StoreMisfit
from store.migrate import ensure_partitions, migrate
from store.postgres import PostgresArchive
from store.upkeep import last_backup

PACKETS = 5
KEPT, GONE = f"{RETENTION}-2027-08", f"{RETENTION}-2015-08"
"""The two buckets of the record; tests destroy the second."""


@dataclass
class Node:
    """A node's files and its database; no daemon runs."""

    file: Path
    config: Config
    new_database: Callable

    async def back_up(self, places: Places, *, is_proven=True):
        return await backups.back_up(
            self.config, self.file, places, is_proven=is_proven, scratch=self.scratch
        )

    @asynccontextmanager
    async def scratch(self, _where):
        async with self.new_database() as record:
            yield record.owner

    @asynccontextmanager
    async def on_new_database(self):
        """Lend the same node, its database empty."""
        async with self.new_database() as record:
            places = Database(url=record.daemon, owner_url=record.owner)
            yield msgspec.structs.replace(self.config, database=places)


async def fill(url: str, writer: Writer, ring: AtRest, bucket: str) -> None:
    """Add packets whose payloads lie in a bucket, sealed with the keys of a ring."""
    archive = PostgresArchive(url)
    try:
        batch = Batch(Tails(await archive.open()), now())
        writer.add_packets(batch, PACKETS, 2000)
        changes = batch.changes
        for packet, row in zip(changes.packets, list(changes.payloads), strict=True):
            payload = writer.at_rest.open(row.bucket, packet.frame_sha256, row.sealed)
            sealed = ring.seal(bucket, packet.frame_sha256, payload)
            changes.payloads.remove(row)
            changes.payloads.append(PayloadRow(row.frame, bucket, sealed))
        await archive.commit(changes)
    finally:
        await archive.close()


@pytest.fixture(scope="module")
async def node(new_database, tmp_path_factory):
    """Make a node with two buckets, each with packets."""
    folder = tmp_path_factory.mktemp("node")
    file = make_key_node(folder, RELAY)
    async with new_database() as record:
        await migrate(record.owner, "daemon", RELAY)
        await ensure_partitions(record.owner, [KEPT, GONE])
        places = Database(url=record.daemon, owner_url=record.owner)
        config = msgspec.structs.replace(config_of(file), database=places)
        writer, ring = Writer(folder / "writer"), AtRest(config.data / "at-rest")
        await fill(record.daemon, writer, ring, KEPT)
        await fill(record.daemon, writer, ring, GONE)
        yield Node(file, config, new_database)


@pytest.fixture
def places(tmp_path) -> Places:
    word = tmp_path / "escrow.word"
    word.touch(mode=0o600)
    word.write_text("correct horse\n")
    return Places(tmp_path / "backups", tmp_path / "keys", word)


@pytest.fixture(scope="module")
async def backup(node, tmp_path_factory) -> Places:
    """Make one proven backup, for tests that read it."""
    folder = tmp_path_factory.mktemp("backup")
    word = folder / "escrow.word"
    word.touch(mode=0o600)
    word.write_text("correct horse\n")
    places = Places(folder / "backups", folder / "keys", word)
    done = await node.back_up(places)
    assert done.verified
    assert Path(done.folder).is_dir()
    return Places(Path(done.folder), places.keys, word)


@pytest.fixture(scope="module")
async def empty(node):
    """Lend the node on an empty database, to tests that leave it empty."""
    async with node.on_new_database() as config:
        yield config


@pytest.fixture
def copied(backup, tmp_path) -> Places:
    """Return a copy of it, to be damaged."""
    shutil.copytree(backup.data, tmp_path / "copy")
    shutil.copytree(backup.keys, tmp_path / "keys-copy")
    return Places(tmp_path / "copy", tmp_path / "keys-copy", backup.passphrase_file)


def emptied(config: Config, tmp_path) -> Config:
    """Return the node on a machine that has lost its data folder."""
    return msgspec.structs.replace(config, data=tmp_path / "data")


async def test_a_proven_backup_is_recorded(node, backup):
    """The record says when the last backup was made that was restored and verified."""
    run = await last_backup(node.config.database.url)
    assert run is not None
    assert (run.name, run.leaves) == (backup.data.name, 2 * PACKETS)


def test_no_secret_lies_in_a_backup(node, backup):
    """Neither a key of a bucket nor a private key nor a password is in its files."""
    ring = node.config.data / "at-rest"
    secrets = [path.read_bytes() for path in ring.glob("*.key")]
    assert len(secrets) == 2
    held = b"".join(path.read_bytes() for _, path in files_in(backup.data))
    held += b"".join(path.read_bytes() for path in backup.keys.iterdir())
    for secret in (*secrets, b"PRIVATE KEY"):
        assert secret not in held


async def test_it_comes_back_with_its_keys(node, backup, tmp_path):
    """An empty database and an empty data folder hold record and keys again, and verify."""
    async with node.on_new_database() as config:
        fresh = emptied(config, tmp_path)
        done = await backups.restore(fresh, backup)
        assert (done.leaves, done.stands_still, len(done.keys.buckets)) == (2 * PACKETS, False, 2)
        assert AtRest(fresh.data / "at-rest").buckets() == [GONE, KEPT]


@pytest.mark.slow
async def test_less_than_was_signed_is_told(node, backup, tmp_path):
    """The size beside the database stays as it is: the node will stand still."""
    async with node.on_new_database() as config:
        fresh = emptied(config, tmp_path)
        fresh.data.mkdir()
        SizeFile(fresh.data / "journal.size").write(SignedSize(1, 1000))
        done = await backups.restore(fresh, backup)
        assert (done.stands_still, done.signed) == (True, 1000)
        assert "journal recover" in done.next_step
        assert SizeFile(fresh.data / "journal.size").read() == SignedSize(1, 1000)


async def test_it_is_never_restored_over_a_record(node, backup):
    """The node's own database, newer or as new, is refused, and nothing is changed."""
    with pytest.raises(DatabaseOccupied, match="10 leaves of epoch 1"):
        await backups.restore(node.config, backup)


@pytest.mark.slow
async def test_it_is_never_restored_over_other_tables(node, backup):
    """A database that somebody else uses is refused by the names of its tables."""
    async with node.on_new_database() as config:
        connection = await asyncpg.connect(config.database.owner_url)
        await connection.execute("CREATE TABLE payroll (x int)")
        await connection.close()
        with pytest.raises(DatabaseOccupied, match="payroll"):
            await backups.restore(config, backup)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(bytes(data))


def largest(folder: Path) -> Path:
    return max((path for _, path in files_in(folder)), key=lambda path: path.stat().st_size)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: flip(largest(folder)), "changed or is damaged"),
        (lambda folder: largest(folder).unlink(), "is missing"),
        (lambda folder: (folder / "database/extra").write_text("x"), "not of this backup"),
        (lambda folder: flip(folder / "SHA256SUMS"), "not the one sealed"),
        (lambda folder: flip(folder / "manifest.json"), "no packet key|no whole backup"),
        (lambda folder: (folder / "manifest.p7s").unlink(), "no whole backup"),
    ],
    ids=["bit", "missing", "added", "sums", "manifest", "seal"],
)
async def test_a_damaged_backup_changes_nothing(empty, copied, tmp_path, damage, words):
    """What is not as it was sealed is named, before database or keys are touched."""
    damage(copied.data)
    fresh = emptied(empty, tmp_path)
    with pytest.raises(BackupDamaged, match=words):
        await backups.restore(fresh, copied)
    assert not fresh.data.exists()


async def test_another_passphrase_opens_nothing(node, empty, copied, tmp_path):
    """A wrong passphrase is told apart, at the restore and at the next backup."""
    copied.passphrase_file.with_name("wrong").touch(mode=0o600)
    wrong = copied.passphrase_file.with_name("wrong")
    wrong.write_text("hoarse\n")
    with pytest.raises(KeyPassphraseError):
        await backups.restore(empty, Places(copied.data, copied.keys, wrong))
    with pytest.raises(KeyPassphraseError):
        await node.back_up(Places(tmp_path / "more", copied.keys, wrong), is_proven=False)
    assert [each.name for each in (tmp_path / "more").iterdir()] == [LOCK]


async def test_keys_never_lie_with_what_they_open(node, places):
    """The same folder for both, or one in the other, is refused."""
    with pytest.raises(UsageFault, match="apart"):
        await node.back_up(Places(places.data, places.data / "keys", places.passphrase_file))


@pytest.mark.slow
async def test_one_that_is_not_proven_leaves_nothing(node, places):
    """Where the proof fails, no folder with a backup's name is left, nor a draft."""

    @asynccontextmanager
    async def no_room(_where):
        raise FileFault("no room for the scratch server")
        yield

    node = Node(node.file, node.config, node.new_database)
    node.scratch = no_room
    with pytest.raises(FileFault, match="no room"):
        await node.back_up(places)
    assert [path.name for path in places.data.iterdir()] == [LOCK]


@pytest.mark.slow
async def test_a_destroyed_bucket_does_not_come_back(node, backup, copied, tmp_path):
    """Once the keys were written over, an older backup restores without the bucket."""
    async with node.on_new_database() as config:
        own = emptied(config, tmp_path)
        await backups.restore(own, copied)
        AtRest(own.data / "at-rest").destroy(GONE, "an-act", "2026-11-23T00:00:00.000000Z")
        later = Places(tmp_path / "later", copied.keys, copied.passphrase_file)
        await backups.back_up(own, node.file, later, is_proven=False)
    async with node.on_new_database() as config:
        fresh = msgspec.structs.replace(config, data=tmp_path / "fresh")
        done = await backups.restore(fresh, copied)
    assert (done.keys.destroyed, done.keys.buckets) == ([GONE], [KEPT])
    assert not (fresh.data / "at-rest" / f"{GONE}.key").exists()
    assert GONE in read_destroyed(fresh.data / "at-rest")


@pytest.mark.slow
async def test_a_lost_key_is_not_taken_for_destroyed(node, copied, tmp_path):
    """A key that is missing beside its payloads stays in the escrow, and comes back from it."""
    data = tmp_path / "data"
    shutil.copytree(node.config.data, data)
    config = msgspec.structs.replace(node.config, data=data)
    (data / "at-rest" / f"{GONE}.key").unlink()
    later = Places(tmp_path / "later", copied.keys, copied.passphrase_file)
    with pytest.raises(BackupDamaged, match=GONE):
        await backups.back_up(config, node.file, later, is_proven=False)
    back = backups.restore_keys(config, copied.keys, copied.passphrase_file)
    assert back.buckets == [GONE]


@pytest.mark.slow
async def test_killed_in_the_middle_it_has_no_name(node, places):
    """A draft that a kill has left is no backup, and goes with the next one."""
    left = places.data / f".{RELAY}-20260101T000000Z.new"
    (left / "database").mkdir(parents=True)
    await node.back_up(places, is_proven=False)
    names = [path.name for path in places.data.iterdir() if path.name != LOCK]
    assert len(names) == 1
    assert names[0].startswith(f"{RELAY}-")


def test_a_backup_of_a_newer_program_is_told(backup):
    """What this program cannot read is not begun."""
    manifest = msgspec.json.decode(
        (backup.data / "manifest.json").read_bytes(), type=BackupManifest
    )
    with pytest.raises(StoreMisfit, match="newer one"):
        backups._require_known(msgspec.structs.replace(manifest, schema=manifest.schema + 1))


def test_stock_openssl_verifies_the_seal(backup):
    """Whoever has the root checks the manifest with openssl, and the files with sha256sum."""
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=backup.data, check=True)
    command = (
        "openssl cms -verify -inform DER -in manifest.p7s -content manifest.json -noverify"
        " -certfile signer.pem -binary -out /dev/null"
    )
    done = subprocess.run(command.split(), cwd=backup.data, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


async def test_a_disk_without_room_is_told_before_anything(node, places, monkeypatch):
    """Where the database does not fit, nothing is begun."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=1))
    with pytest.raises(FileFault, match="room for 1 bytes"):
        await node.back_up(places, is_proven=False)
    assert [path.name for path in places.data.iterdir()] == [LOCK]
    assert not places.keys.exists()


@pytest.fixture
def small_disk(tmp_path):
    """Mount a disk of 64 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root may mount a disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
async def test_a_disk_that_fills_up_meanwhile_keeps_nothing(node, places, small_disk, monkeypatch):
    """Full in the middle of the dump: that is said, and the draft is gone with what it took."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=2**40))
    with pytest.raises(FileFault, match="the disk is full"):
        await node.back_up(Places(small_disk / "data", places.keys, places.passphrase_file))
    assert [path.name for path in (small_disk / "data").iterdir()] == [LOCK]


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        ("could not write to file: No space left on device", FileFault, "the disk is full"),
        ("permission denied for table leaf", ConfigurationFault, "database.owner_url"),
        ("aborting because of server version mismatch", ServiceDown, "older than the server"),
        ("connection to server failed", ServiceDown, "ended with 1"),
    ],
)
def test_what_pg_dump_fails_at_is_said_in_our_words(said, kind, words):
    """Each comes with what to do about it."""
    fault = programs._fault("pg_dump", 1, f"pg_dump: error: {said}")
    assert isinstance(fault, kind)
    assert words in str(fault)


def test_the_escrow_of_before_is_blotted_out(node, places):
    """What a bucket's key was sealed in before is not left on the disk under another name."""
    places.keys.mkdir()
    path = places.keys / backup_keys.BUCKETS
    path.write_bytes(b"secret" * 100)
    with path.open("rb") as before:
        backup_keys._write_over(path, b"new")
        assert before.read() == bytes(600)
    assert path.read_bytes() == b"new"
