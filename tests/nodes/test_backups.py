"""A node whose database is lost: backed up by command while it runs, brought back, and started."""

import os
import re
import signal
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import asyncpg
import pytest

from harness.cli_run import bbaj, start_bbaj
from harness.daemons import daemon, replacing, variant
from harness.network import private_network
from harness.watch import Watch
from nodes.cli.backup_shapes import BackupDone, RestoreDone
from nodes.cli.recovering import ApproveDone, RecoverDone
from nodes.cli.shapes import Sending
from nodes.config import load_config
from nodes.sandbox.network import NodeSpec, PrivateNetwork, database_name
from nodes.upkeep import prepare_database
from nodes.wiring import database_url
from store.reading import Filters, Reading

pytestmark = pytest.mark.slow

TOP, OBLAST = "kz", "kz.zhambyl"
NAME = database_name(OBLAST)
EMPTY = f"{NAME}_anew"
TABLES = ("packet", "leaf", "payload%", "entry")
LONG_S = 60.0


@dataclass
class Story:
    """What the tests share: the network, the backup, and packets sent before and after it."""

    network: PrivateNetwork
    parent: Watch
    folder: Path
    backup: BackupDone
    before: str
    after: str
    scans: dict[str, int]
    """How often each large table was read as a whole in a day's work."""

    @property
    def config(self) -> Path:
        return self.network.nodes[OBLAST].config_path

    def words(self, *more: str) -> tuple[str, ...]:
        word = str(self.folder / "word")
        return (*more, "--keys-from", str(self.folder / "keys"), "--passphrase-file", word)


@pytest.fixture(scope="module")
async def story(tmp_path_factory):
    """Let a node tell its state; then back it up between two packets, and end its daemon."""
    folder = tmp_path_factory.mktemp("backups")
    word = folder / "word"
    word.touch(mode=0o600)
    word.write_text("correct horse\n")
    async with private_network([NodeSpec(TOP), NodeSpec(OBLAST)]) as network:
        parent, config = Watch(network, TOP), network.nodes[OBLAST].config_path
        await network.start(TOP)
        before, scans = await live_by_index(network, parent)
        async with daemon(config) as running:
            await running.until_said("record_opened")
            words = ("--to", str(folder / "data"), "--keys-to", str(folder / "keys"), "--json")
            done = await bbaj("backup", *words, "--passphrase-file", str(word), config=config)
            after = await ping(config)
            await parent.until(partial(is_witnessed, parent, config, after))
            assert await running.stop() == 0
        yield Story(network, parent, folder, done.shape(BackupDone), before, after, scans)
        await parent.close()


async def live_by_index(network, parent) -> tuple[str, dict[str, int]]:
    """Run the node for a day's work, where the planner reads a table whole only if it must.

    Returns a packet that was delivered, and how often it had to, by table.
    """
    config = network.nodes[OBLAST].config_path
    await prepare_database(load_config(config))
    await as_superuser(network, f'ALTER DATABASE "{NAME}" SET enable_seqscan = off')
    started = await scanned(network)
    telling = variant(config, "telling", replacing("state = false", "state = true"))
    async with daemon(telling) as running:
        await running.until_said("record_opened")
        packet = await ping(config)
        await parent.until(partial(is_told, parent), LONG_S)
        assert await running.stop() == 0
    ended = await scanned(network)
    await as_superuser(network, f'ALTER DATABASE "{NAME}" RESET enable_seqscan')
    return packet, {name: count - started.get(name, 0) for name, count in ended.items()}


async def as_superuser(network, statement) -> None:
    connection = await asyncpg.connect(network._postgres.admin_url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def is_told(parent) -> bool:
    """Say whether the state of the day lies at the parent, its exchange ended."""
    page = await (await parent.reading()).list_packets(Filters(type_="archive.state/1"))
    return any(str(each.standing.state) == "closed" for each in page.packets)


async def ping(config) -> str:
    sent = (await bbaj("ping", TOP, "--wait=60", "--json", config=config)).shape(Sending)
    assert sent.state in {"delivered", "closed"}, sent
    return sent.packet


async def is_witnessed(parent, config, packet_id) -> bool:
    """Say whether the parent has kept a checkpoint over the last leaf of a packet."""
    [kept] = await parent.rows("SELECT max(size) FROM witnessed WHERE address = $1", OBLAST)
    async with Reading(database_url(load_config(config))) as record:
        timeline = await record.timeline(packet_id)
    return (kept["max"] or 0) > max(each.index or 0 for each in timeline.moments)


async def scanned(network) -> dict[str, int]:
    """Return how often each large table was read as a whole."""
    url = network._postgres.admin_url.removesuffix("/postgres")
    connection = await asyncpg.connect(f"{url}/{NAME}")
    query = "SELECT relname, seq_scan FROM pg_stat_user_tables WHERE relname LIKE ANY ($1)"
    try:
        return dict(map(tuple, await connection.fetch(query, list(TABLES))))
    finally:
        await connection.close()


async def has_state(record, packet_id, states) -> bool:
    page = await record.list_packets(Filters(id=packet_id))
    return any(str(each.standing.state) in states for each in page.packets)


@pytest.fixture(scope="module")
async def restored(story) -> tuple[Path, RestoreDone]:
    """Lose the database; return a configuration of an empty one, and what the restore said."""
    await as_superuser(story.network, f'CREATE DATABASE "{EMPTY}" OWNER "{NAME}_owner"')
    config = variant(story.config, EMPTY, replacing(f"/{NAME}\\b", f"/{EMPTY}"))
    words = story.words("restore", "--from", story.backup.folder, "--json")
    return config, (await bbaj(*words, config=config)).shape(RestoreDone)


def test_it_was_proven_while_the_daemon_ran(story):
    """The command ends well beside a running daemon, and has verified what it made."""
    assert story.backup.verified
    assert story.backup.buckets > 0


async def test_it_is_not_restored_over_the_newer_record(story):
    """The node's own database is refused: exit 83, and words that say which is newer."""
    words = story.words("restore", "--from", story.backup.folder)
    done = await bbaj(*words, config=story.config)
    assert done.code == 83
    assert "an older copy never replaces a newer record" in done.err


def test_the_restore_says_what_is_lost(restored):
    """The size beside the database tells that leaves are missing, and what to do."""
    _, done = restored
    assert done.stands_still
    assert done.signed > done.leaves
    assert "journal recover" in done.next_step


async def test_the_restored_node_recovers(story, restored):
    """It stands still, asks for a new epoch, and what was sent after the backup comes back."""
    config, _ = restored
    parent = story.parent
    async with daemon(config) as running:
        said = await running.until_said("journal_lost")
        assert re.search(r"were signed, \d+ are here", said)
        asked = (await bbaj("journal", "recover", "--json", config=config)).shape(RecoverDone)
        await parent.until(partial(parent.incidents, "recovery_asked", OBLAST))
        words = ("journal", "approve", OBLAST, "--json")
        opened = (await bbaj(*words, config=parent.node.config_path)).shape(ApproveDone)
        async with Reading(database_url(load_config(config))) as record:
            await parent.until(
                partial(has_state, record, story.after, {"delivered", "closed"}), LONG_S
            )
            assert await has_state(record, story.before, {"delivered", "closed"})
        assert await running.stop() == 0
    assert (asked.of_epoch, opened.epoch) == (1, 2)


async def test_a_backup_that_is_killed_leaves_no_name(story):
    """Whenever it is killed, nothing lies there that looks like a backup."""
    target = story.folder / "killed"
    words = ("--to", str(target), "--keys-to", str(story.folder / "keys-killed"))
    process = await start_bbaj(
        "backup", *words, "--passphrase-file", str(story.folder / "word"),
        "--config", str(story.config),
    )  # fmt: skip
    drafts = f".{OBLAST}-*.new/database/toc.dat"
    await story.parent.until(partial(is_there, target, drafts, process), LONG_S)
    os.kill(process.pid, signal.SIGKILL)
    await process.communicate()
    assert [path for path in target.iterdir() if not path.name.startswith(".")] == []


async def is_there(folder, pattern, process) -> bool:
    assert process.returncode is None, (await process.communicate())[1]
    return any(folder.glob(pattern))


def test_daily_work_reads_no_large_table_as_a_whole(story):
    """Sweeps, looks, samples and the daily state find what they need by index."""
    assert {"packet", "leaf", "entry"} < story.scans.keys()
    assert {name: count for name, count in story.scans.items() if count} == {}
