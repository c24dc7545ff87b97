"""A private network for end-to-end tests: one PostgreSQL, one broker that all nodes share."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from harness.places import passing_place
from nodes.authority_files import AuthorityFiles
from nodes.clock import now
from nodes.sandbox.network import NodeSpec, PrivateNetwork, make_brokers
from nodes.sandbox.postgres import PrivatePostgres
from schemas.addresses import parent_of
from schemas.moments import DAY
from signing.profiles import Purpose

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
    on_line: Sequence[str] = (),
    also_children: Sequence[str] = (),
    limits: Mapping[str, int] | None = None,
    lives: Mapping[str, Mapping[Purpose, int]] | None = None,
    log_for: str | None = None,
    brokers_of: Mapping[str, Sequence[str]] | None = None,
    on_disk: bool = False,
) -> AsyncIterator[PrivateNetwork]:
    """Set a network up, its daemons not started; tear it down whatever happens.

    It lies in memory where there is room: each hop waits for several writes to reach a disk, which
    no test here looks at. Who measures wants them to, `on_disk`.

    Nodes named `on_line` hold the key of their subtree's authority; `lives` are those of nodes'
    first certificates (microseconds) that are not as usual; `log_for` is the node that hears the
    broker's log, else the first; `brokers_of` are the addresses of each broker, where all do not
    share one.
    """
    place = None if on_disk else passing_place()
    with tempfile.TemporaryDirectory("", "bbaj-", place, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)
        authority = AuthorityFiles(folder / "ca")
        authority.init_root(now() - ROOT_AGE_US)
        for address in authorities:
            authority.issue_authority(address, now())
        (folder / "ca" / "known").mkdir()
        for path in (folder / "ca" / "authorities").glob("*/cert.pem"):
            (folder / "ca" / "known" / f"{path.parent.name}.pem").write_bytes(path.read_bytes())
        for address, short in (lives or {}).items():
            make_keys_above(authority, folder / "ca", address)
            AuthorityFiles(folder / "ca", lives=short).issue_node(
                address, now(), with_children=True
            )
        postgres = PrivatePostgres(folder / "postgres")
        addresses = [spec.address for spec in specs]
        groups = brokers_of or {"shared": addresses}
        brokers = make_brokers(authority, folder, groups, schedulers=2, log_for=log_for)
        servers = set(brokers.values())
        network = PrivateNetwork(
            folder, postgres=postgres, brokers=brokers, limits={**QUICK, **(limits or {})}
        )
        try:
            await asyncio.gather(postgres.start(), *(broker.start() for broker in servers))
            await network.add_nodes(specs, also_children=also_children)
            for address in on_line:
                key = folder / "ca" / "authorities" / address / "key.pem"
                shutil.copyfile(key, network.keys_of(address) / "authority.key")
            yield network
        finally:
            await network.stop_all()
            # The database needs no last checkpoint: its folder goes with it.
            stopping = (broker.stop() for broker in servers)
            await asyncio.gather(postgres.stop(at_once=True), *stopping)


def make_keys_above(authority: AuthorityFiles, folder: Path, address: str) -> None:
    """Make the keys of all ancestors that have none: each vouches for the next."""
    parent = parent_of(address)
    if parent is not None and not (folder / "nodes" / parent).exists():
        make_keys_above(authority, folder, parent)
        authority.issue_node(parent, now(), with_children=True)
