"""Private services for this folder's tests, in a folder that their user can reach."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from nodes.authority_files import AuthorityFiles
from nodes.clock import now
from nodes.sandbox.network import make_brokers
from nodes.sandbox.postgres import PrivatePostgres
from nodes.sandbox.rabbitmq import PrivateBroker

NODES = ("kz", "kz.akmola", "kz.akmola.burabay")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Lend a folder for one test; pytest's own are closed to other users."""
    with tempfile.TemporaryDirectory(prefix="bbaj-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture
async def postgres(folder: Path) -> AsyncIterator[PrivatePostgres]:
    server = PrivatePostgres(folder / "postgres")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture(scope="session")
def work() -> Iterator[Path]:
    """Lend a folder for the session, with the keys of NODES."""
    with tempfile.TemporaryDirectory(prefix="bbaj-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o711)
        authority = AuthorityFiles(Path(name) / "ca")
        authority.init_root(now())
        authority.issue_authority("kz", now())
        for address in NODES:
            authority.issue_node(address, now(), with_children=True)
        yield Path(name)


@pytest.fixture(scope="session")
async def broker(work: Path) -> AsyncIterator[PrivateBroker]:
    """Lend a broker that is `kz` and `kz.akmola` at once."""
    group = {"shared": ["kz", "kz.akmola"]}
    shared = make_brokers(AuthorityFiles(work / "ca"), work, group, schedulers=1)["kz"]
    await shared.start()
    yield shared
    await shared.stop()
