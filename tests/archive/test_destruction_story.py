"""Destruction from the proposal to a restored backup, by commands, on real daemons.

A document with a mark in it is searched for everywhere before and after: through the product, in
tables, in the server's files, in a dump and in a base backup. `make destruction` runs it alone.
"""

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from harness.cli_run import Done, bbaj
from harness.daemons import daemon, replacing, variant
from harness.destruction import OLD, OLD_DAY, approved
from harness.network import private_network
from nodes import samples
from nodes.cli.destructions import ActDone, ProposalLine
from nodes.cli.shapes import Sending, StoreCheck, Story
from nodes.config import load_config
from nodes.rights import login_name
from nodes.sandbox.network import NodeSpec, PrivateNetwork, database_name
from nodes.sandbox.processes import service_user
from schemas.retention import encode_policy
from signing.at_rest import AtRest
from signing.errors import BucketDestroyedError

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

ABOVE, HERE = "kz", "kz.akmola"
MARK = "register-entry-7b1f40c2"
PATIENCE_S = 60.0
HEAD = "head-of-archive"
RIGHTS = """
[act]
name = "On the commission for destruction"
number = "3"
date = "2026-09-01"

[users]
{login} = "authority"
{head} = "approver"
"""


@dataclass(frozen=True)
class Copies:
    """What was set aside of the database before the act."""

    dump: bytes
    base: Path


class Office:
    """The node that destroys, its people, and where its bytes lie."""

    def __init__(self, network: PrivateNetwork) -> None:
        self.network = network
        self.node = network.nodes[HERE]
        self.data = network._postgres.folder / "data"
        folder = self.node.folder
        (folder / "retention.json").write_bytes(encode_policy(approved("R5")))
        people = RIGHTS.format(login=login_name(), head=HEAD)
        (folder / "rights.toml").write_text(people, encoding="utf-8")
        text = self.node.config_path.read_text(encoding="utf-8")
        text += '\n[rights]\npolicy = "rights.toml"\n[retention]\npolicy = "retention.json"\n'
        self.node.config_path.write_text(text, encoding="utf-8")

    async def __call__(
        self, *words: str, who: str | None = None, config: Path | None = None
    ) -> Done:
        """Run a command; `who` is another person than whoever runs the tests."""
        return await bbaj(*words, config=config or self.node.config_path, login=who)

    async def send(self, number: int) -> str:
        """Let the ministry send a document about a day long ago; return its id once closed."""
        body = json.loads(samples.tiny(number))
        body["period"] = OLD_DAY
        body["pupils"][0]["source_ref"]["number"] = MARK
        words = ("send", "-", "--type", "attendance.daily/1", "--to", HERE, "--json", "--wait=40")
        above = self.network.nodes[ABOVE].config_path
        given = json.dumps(body, separators=(",", ":")).encode()
        sent = (await bbaj(*words, config=above, given=given)).shape(Sending)
        assert sent.packet is not None
        packet = sent.packet

        async def closed() -> bool:
            return await self.state(packet) == "closed"

        await until(closed)
        return packet

    async def state(self, packet: str) -> str | None:
        lines = (await self("show", packet, "--json")).shape(Story).packets
        return lines[0].state if lines else None

    async def read(self, packet: str) -> Done:
        """Take a document out of the inbox, as its reader does."""
        return await self("inbox", "take", packet, "--to", "-", "--again")

    async def rows(self, query: str, *values: object, database: str | None = None) -> list:
        url = self.network._postgres.admin_url.removesuffix("/postgres")
        connection = await asyncpg.connect(f"{url}/{database or database_name(HERE)}")
        try:
            return await connection.fetch(query, *values)
        finally:
            await connection.close()

    async def sealed(self, packet: str) -> bytes:
        """Return the bytes at rest of a packet, as the table has them."""
        query = (
            "SELECT l.sealed FROM payload AS l JOIN packet AS p ON p.frame = l.frame "
            "WHERE p.id = $1 AND l.bucket = $2"
        )
        [row] = await self.rows(query, packet, OLD)
        return row["sealed"]

    async def files_with(self, needle: bytes, *, wal: bool = False) -> list[str]:
        """Return the server's files that have these bytes, written out to the last page."""
        await self.rows("CHECKPOINT")
        found = await asyncio.to_thread(files_with, self.data, needle)
        return [name for name in found if wal or "pg_wal" not in name]

    def tool(self, name: str, *words: str) -> bytes:
        """Run one of PostgreSQL's own tools as the superuser."""
        password = (self.network._postgres.folder / "superuser").read_text(encoding="ascii")
        return subprocess.run(
            [self.network._postgres._programs / name, *words],
            check=True,
            stdout=subprocess.PIPE,
            env={"PATH": "/usr/bin:/bin", "PGPASSWORD": password},
        ).stdout

    def set_aside(self) -> Copies:
        """Make a dump and a base backup."""
        place = ("--host=127.0.0.1", f"--port={self.network._postgres.port}", "--username=postgres")
        base = self.network.folder / "base"
        dump = self.tool("pg_dump", *place, f"--dbname={database_name(HERE)}")
        self.tool(
            "pg_basebackup", *place, f"--pgdata={base}", "--wal-method=stream", "--checkpoint=fast"
        )
        return Copies(dump, base)

    async def restore(self, dump: bytes) -> Path:
        """Bring a dump into a database of its own; return the configuration of the node on it."""
        name = database_name(HERE)
        restored = f"{name}_restored"
        place = ("--host=127.0.0.1", f"--port={self.network._postgres.port}", "--username=postgres")
        await self.rows(f'CREATE DATABASE "{restored}" OWNER "{name}_owner"', database="postgres")
        script = self.network.folder / "dump.sql"
        script.write_bytes(dump)
        await asyncio.to_thread(
            self.tool, "psql", *place, f"--dbname={restored}", "--quiet", "--set=ON_ERROR_STOP=1",
            f"--file={script}",
        )  # fmt: skip
        return variant(self.node.config_path, restored, replacing(f"/{name}\\b", f"/{restored}"))

    async def until_dropped(self, database: str | None = None) -> None:
        query = f"SELECT to_regclass('\"payload_{OLD}\"') IS NULL"

        async def dropped() -> bool:
            return (await self.rows(query, database=database))[0][0]

        await until(dropped)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():  # noqa: ASYNC110 - the record tells no events
            await asyncio.sleep(0.1)


def files_with(folder: Path, needle: bytes) -> list[str]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return [str(path) for path in paths if needle in path.read_bytes()]


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    specs = [NodeSpec(ABOVE, systems=("ministry",)), NodeSpec(HERE)]
    async with private_network(specs) as network:
        office = Office(network)
        await network.start(ABOVE, HERE)
        yield office


async def test_what_was_destroyed_under_an_act_is_gone_everywhere(office):
    """Proposed, held, approved by two, destroyed; no copy opens; a restored dump loses it again."""
    gone, kept = await office.send(1), await office.send(2)
    for packet in (gone, kept):
        assert MARK.encode() in (await office.read(packet)).out
    sealed = await office.sealed(gone)
    assert await office.files_with(sealed[40:104]) != []
    copies = await asyncio.to_thread(office.set_aside)
    assert sealed.hex().encode() in copies.dump
    assert files_with(copies.base, sealed[40:104]) != []
    key = (load_config(office.node.config_path).data / "at-rest" / f"{OLD}.key").read_bytes()

    act = await destroy_with_a_hold(office, kept)
    await office.until_dropped()
    await nothing_is_left(office, gone, sealed, key)
    await all_else_stands(office, gone, kept, act)
    await copies_open_no_more(office, copies, sealed)
    await a_restored_dump_loses_it_again(office, copies, gone)


async def destroy_with_a_hold(office, kept) -> ActDone:
    """Go through proposal, a hold in between, two approvals and the act."""
    [first] = (await office("retention", "propose", OLD, "--json")).shape(list[ProposalLine])
    assert (first.packets, first.held) == (2, 0)
    assert (await office("hold", "set", "--packet", kept, "--dispute", "17/2026")).code == 0
    digest = first.frames_sha256[:16]
    void = await office("retention", "approve", first.id, digest)
    assert (void.code, "a legal hold came on 1 of them" in void.err) == (80, True)
    [line] = (await office("retention", "propose", OLD, "--json")).shape(list[ProposalLine])
    words = (line.id, line.frames_sha256[:16])
    assert (line.packets, line.held) == (1, 1)
    assert (await office("retention", "approve", line.id, digest)).code == 64
    assert (await office("retention", "approve", *words)).code == 0
    again = await office("retention", "approve", *words)
    assert (again.code, "another person must approve it" in again.err) == (80, True)
    early = await office("retention", "act", *words)
    assert (early.code, "1 of 2 approvals are missing" in early.err) == (80, True)
    assert (await office("retention", "approve", *words, who=HEAD)).code == 0
    done = (await office("retention", "act", *words, "--json")).shape(ActDone)
    assert (done.packets, done.held) == (1, 1)
    return done


async def nothing_is_left(office, gone, sealed, key):
    """Neither table nor file of the server has the bytes, and no file the key."""
    assert await office.files_with(sealed[40:104]) == []
    assert await office.files_with(MARK.encode(), wal=True) == []
    data = load_config(office.node.config_path).data
    assert not (data / "at-rest" / f"{OLD}.key").exists()
    assert files_with(office.network.folder, key) == []
    read = await office.read(gone)
    assert read.code == 66
    assert "destroyed under act" in read.err


async def all_else_stands(office, gone, kept, act):
    """Look for the held document, the tombstone, the act on both sides and every proof."""
    assert MARK.encode() in (await office.read(kept)).out
    [line] = (await office("show", gone, "--json")).shape(Story).packets
    assert (line.act, line.state) == (act.act, "closed")
    for address in (HERE, ABOVE):
        config = office.network.nodes[address].config_path
        checked = (await office("store", "verify", "--json", config=config)).read(StoreCheck)
        assert checked.faults == []
        story = (await office("show", act.act, "--json", config=config)).shape(Story)
        assert story.packets[0].class_ == "PERM"
    folder = office.network.folder / "evidence"
    exported = await office("evidence", "export", gone, "--to", str(folder))
    assert exported.code == 0, exported.err
    assert f"destroyed under act {act.act}" in exported.out.decode()
    root = str(load_config(office.node.config_path).keys.root)
    judged = await bbaj("evidence", "verify", str(folder), "--root", root)
    assert judged.code == 0, judged.out
    printed = folder.with_suffix(".pdf")
    drawn = await office("print", act.act, "--lang", "kk", "-o", str(printed))
    assert (drawn.code, printed.exists()) == (0, True), drawn.err
    shown = await office("retention", "list", "--json")
    assert [each.state for each in shown.shape(list[ProposalLine])] == ["outdated", "destroyed"]


async def copies_open_no_more(office, copies, sealed):
    """Try to open what a dump and a base backup have of it."""
    assert sealed.hex().encode() in copies.dump
    assert MARK.encode() not in copies.dump
    assert files_with(copies.base, MARK.encode()) == []
    async with on_base_backup(office, copies.base) as url:
        connection = await asyncpg.connect(url)
        [row] = await connection.fetch(
            "SELECT p.frame_sha256 FROM payload AS l JOIN packet AS p ON p.frame = l.frame "
            "WHERE l.sealed = $1", sealed,
        )  # fmt: skip
        await connection.close()
    data = load_config(office.node.config_path).data
    with pytest.raises(BucketDestroyedError):
        AtRest(data / "at-rest").open(OLD, row["frame_sha256"], sealed)


@asynccontextmanager
async def on_base_backup(office, base) -> AsyncIterator[str]:
    """Run a server on a base backup; yield the URL of the node's database in it."""
    programs = office.network._postgres._programs
    user = service_user().pw_name if os.geteuid() == 0 else None
    for path in (base, *base.rglob("*")) if user else ():
        shutil.chown(path, user)
    options = f"-c listen_addresses='' -c unix_socket_directories={base} -c port=5433"

    def run(*words):
        subprocess.run(words, check=True, user=user, cwd=base, stdout=subprocess.DEVNULL)

    run(programs / "pg_ctl", "-D", base, "-o", options, "-l", base / "log", "-w", "start")
    password = (office.network._postgres.folder / "superuser").read_text(encoding="ascii")
    try:
        yield (f"postgresql://postgres:{password}@/{database_name(HERE)}?host={base}&port=5433")
    finally:
        run(programs / "pg_ctl", "-D", base, "-m", "immediate", "-w", "stop")


async def a_restored_dump_loses_it_again(office, copies, gone):
    """On the dump the node stands still, recovers, hears of its act, and carries it out again."""
    await office.network.stop(HERE)
    config = await office.restore(copies.dump)
    restored = f"{database_name(HERE)}_restored"
    above = office.network.nodes[ABOVE].config_path
    async with daemon(config) as running:
        await running.until_said("journal_lost", PATIENCE_S)
        read = await office("inbox", "take", gone, "--to", "-", "--again", config=config)
        assert (read.code, MARK.encode() in read.out) == (66, False)
        assert (await office("journal", "recover", config=config)).code == 0

        async def approved_above() -> bool:
            return (await office("journal", "approve", HERE, config=above)).code == 0

        await until(approved_above)
        await office.until_dropped(restored)
        checked = (await office("store", "verify", "--json", config=config)).read(StoreCheck)
        assert checked.faults == []
        assert await running.stop() == 0
