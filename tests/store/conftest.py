"""A private PostgreSQL for the session, and a database of its own for each test."""

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import asyncpg
import pytest

from harness.places import passing_place
from harness.record_rows import CLASSES, HERE, MONTH, Scribe, unsigned_note
from schemas.leaves import LeafKind
from store.migrate import ensure_partitions, migrate
from store.postgres import PostgresArchive

BIN = Path("/usr/lib/postgresql/15/bin")
VECTORS = Path(__file__).resolve().parents[3] / "shared" / "vectors"

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Server:
    """A PostgreSQL on a socket in a directory of its own."""

    directory: str

    def url(self, role: str, database: str) -> str:
        return f"postgresql://{role}@/{database}?host={self.directory}&port=5432"


@dataclass(frozen=True)
class Record:
    """An empty record with its roles."""

    name: str
    superuser: str
    owner: str
    daemon: str


@dataclass(frozen=True)
class LongRecord:
    """A record of thousands of leaves: what a witness has seen of it, and its end."""

    record: Record
    shown: int
    shown_root: bytes
    leaves: int
    root: bytes
    last_frame: int


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    if not BIN.is_dir():
        pytest.skip("postgresql-15 is not installed")
    directory = tempfile.mkdtemp(prefix="bbaj-store-", dir=passing_place())
    user = "nobody" if os.getuid() == 0 else None
    if user:
        shutil.chown(directory, user)

    def run(*command):
        subprocess.run(command, check=True, user=user, cwd=directory, stdout=subprocess.DEVNULL)

    data = f"{directory}/data"
    run(BIN / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
    options = f"-k {directory} -c listen_addresses='' -c fsync=off -c autovacuum=off"
    run(BIN / "pg_ctl", "-D", data, "-o", options, "-l", f"{directory}/log", "-w", "start")
    try:
        yield Server(directory)
    finally:
        run(BIN / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(directory)


@pytest.fixture(scope="session")
async def template(server: Server) -> str:
    """Make a database with today's schema; others are copied from it."""
    connection = await asyncpg.connect(server.url("postgres", "postgres"))
    for role in ("owner", "daemon", "stranger"):
        await connection.execute(f"CREATE ROLE {role} LOGIN")
    await connection.execute("CREATE DATABASE template_record OWNER owner")
    await connection.close()
    owner = server.url("owner", "template_record")
    await migrate(owner, "daemon", HERE)
    await ensure_partitions(owner, [f"{class_}-{MONTH}" for class_ in CLASSES])
    return "template_record"


@pytest.fixture
async def empty_database(server: Server, template: str) -> AsyncIterator[Record]:
    """Lend a database without any schema."""
    assert template  # which has made the roles
    async with OwnDatabase(server, "template1") as record:
        yield record


@pytest.fixture(scope="session")
def new_database(server: Server, template: str) -> Callable[[], "OwnDatabase"]:
    """Return what lends databases without any schema, as many as a test asks for."""
    assert template  # which has made the roles
    return partial(OwnDatabase, server, "template1")


@pytest.fixture(scope="session")
async def shared_record(server: Server, template: str) -> AsyncIterator[Record]:
    """One for tests that leave nothing behind."""
    async with OwnDatabase(server, template) as record:
        yield record


@pytest.fixture(scope="module")
async def module_record(server: Server, template: str) -> AsyncIterator[Record]:
    """One for the tests of a file."""
    async with OwnDatabase(server, template) as record:
        yield record


@pytest.fixture
async def record(server: Server, template: str) -> AsyncIterator[Record]:
    async with OwnDatabase(server, template) as record:
        yield record


class OwnDatabase:
    def __init__(self, server: Server, template: str) -> None:
        self.server = server
        self.template = template
        self.name = f"record_{next(_numbers)}"

    async def __aenter__(self) -> Record:
        await self._execute(f"CREATE DATABASE {self.name} TEMPLATE {self.template} OWNER owner")
        urls = [self.server.url(role, self.name) for role in ("postgres", "owner", "daemon")]
        return Record(self.name, *urls)

    async def __aexit__(self, *_: object) -> None:
        await self._execute(f"DROP DATABASE {self.name} WITH (FORCE)")

    async def _execute(self, text: str) -> None:
        connection = await asyncpg.connect(self.server.url("postgres", "postgres"))
        await connection.execute(text)
        await connection.close()


@pytest.fixture
async def archive(record: Record) -> AsyncIterator[PostgresArchive]:
    """Lend an open archive."""
    opened = PostgresArchive(record.daemon)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def superuser(record: Record) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(record.superuser)
    yield connection
    await connection.close()


@pytest.fixture
def scribe() -> Scribe:
    return Scribe()


@pytest.fixture
def vectors() -> Path:
    if not VECTORS.is_dir():
        pytest.skip("the vectors of other projects are not here")
    return VECTORS


@pytest.fixture(scope="session")
async def long_template(server: Server, template: str) -> AsyncIterator[LongRecord]:
    """Make a record of some length once; others are copied from it."""
    async with OwnDatabase(server, template) as record:
        archive, scribe = PostgresArchive(record.daemon), Scribe()
        await archive.open()
        for _ in range(1500):
            scribe.send(payload_bytes=100)
        for number in range(6800):
            scribe.leaf(LeafKind.OPERATOR, None, who="op", what=f"thing {number}")
        shown = await archive.commit(scribe.renew())
        await archive.add_checkpoint(shown.leaves, 1, unsigned_note(shown))
        sent = [scribe.send(payload_bytes=100) for _ in range(200)]
        last = await archive.commit(scribe.renew())
        await archive.add_checkpoint(last.leaves, 2, unsigned_note(last))
        await archive.close()
        yield LongRecord(record, shown.leaves, shown.root, last.leaves, last.root, sent[-1].frame)


@pytest.fixture
async def long_record(server: Server, long_template: LongRecord) -> AsyncIterator[LongRecord]:
    """Lend a copy of it."""
    async with OwnDatabase(server, long_template.record.name) as record:
        yield replace(long_template, record=record)
