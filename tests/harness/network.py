"""A private network for end-to-end tests: one PostgreSQL, one broker that all nodes share."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from nodes.authority_files import AuthorityFiles
from nodes.clock import now
from nodes.sandbox.network import NodeSpec, PrivateNetwork, make_brokers
from nodes.sandbox.postgres import PrivatePostgres
from schemas.moments import DAY

QUICK = {
    "sweep_every_us": 300_000,
    "ask_every_us": 300_000,
    "resend_first_us": 3_000_000,
    "resend_most_us": 5_000_000,
    "checkpoint_due_us": 500_000,
    "reconnect_most_s": 1,
}
"""Limits that let tests see resends within seconds."""
ROOT_AGE_US = 60 * DAY
"""The root is older than the rest, so that tests may use certificates of an earlier time."""


@asynccontextmanager
async def private_network(
    specs: Sequence[NodeSpec],
    *,
    authorities: Sequence[str] = ("kz",),
    also_children: Sequence[str] = (),
    limits: Mapping[str, int] | None = None,
) -> AsyncIterator[PrivateNetwork]:
    """Set a network up, its daemons not started; tear it down whatever happens."""
    with tempfile.TemporaryDirectory(prefix="bbaj-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)
        authority = AuthorityFiles(folder / "ca")
        authority.init_root(now() - ROOT_AGE_US)
        for address in authorities:
            authority.issue_authority(address, now())
        (folder / "ca" / "known").mkdir()
        for path in (folder / "ca" / "authorities").glob("*/cert.pem"):
            (folder / "ca" / "known" / f"{path.parent.name}.pem").write_bytes(path.read_bytes())
        postgres = PrivatePostgres(folder / "postgres")
        addresses = [spec.address for spec in specs]
        brokers = make_brokers(authority, folder, {"shared": addresses}, schedulers=2)
        broker = brokers[addresses[0]]
        network = PrivateNetwork(
            folder, postgres=postgres, brokers=brokers, limits={**QUICK, **(limits or {})}
        )
        try:
            await asyncio.gather(postgres.start(), broker.start())
            await network.add_nodes(specs, also_children=also_children)
            yield network
        finally:
            await network.stop_all()
            await broker.stop()
            await postgres.stop()
