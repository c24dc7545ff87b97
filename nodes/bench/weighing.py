"""Processor time and memory of the programs of one node, as the system counts them."""

import os
from pathlib import Path

import msgspec

from nodes.sandbox.network import PrivateNetwork, database_name
from nodes.sandbox.postgres import PrivatePostgres
from nodes.sandbox.rabbitmq import PrivateBroker
from nodes.simulate.measured import Processor

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_KILOBYTES_IN_MEGABYTE = 1024


class Weight(msgspec.Struct, frozen=True):
    """What the programs of a node have used so far, and what they hold now."""

    used_us: Processor
    resident_mb: Processor


class _Process(msgspec.Struct, frozen=True):
    parent: int
    used_us: float
    ended_us: float
    """Of its children that have ended."""
    resident_mb: float
    words: str
    """Its command line; PostgreSQL writes there whose connection it serves."""


def weigh_node(
    network: PrivateNetwork,
    address: str,
    postgres: PrivatePostgres,
    broker: PrivateBroker | None,
) -> Weight:
    """Return the weight of a running node.

    What PostgreSQL does for all its databases, and did in connections that have ended, is divided
    among the nodes of the network.
    """
    daemon = network.nodes[address].process
    assert daemon is not None, f"{address} does not run"
    processes = _processes()
    parts = (
        _sum([processes[daemon.pid]]),
        _database(processes, postgres, address, len(network.nodes)),
        _sum([] if broker is None else [processes[_pid_in(broker.folder / "pid")]]),
    )
    return Weight(Processor(*(part[0] for part in parts)), Processor(*(part[1] for part in parts)))


def _database(
    processes: dict[int, _Process], postgres: PrivatePostgres, address: str, nodes: int
) -> tuple[float, float]:
    main = _pid_in(postgres.folder / "data" / "postmaster.pid")
    served = [each for each in processes.values() if each.parent == main]
    ours = [each for each in served if f" {database_name(address)} " in each.words]
    common = [each for each in served if "_daemon " not in each.words]
    own, shared = _sum(ours), _sum([processes[main], *common])
    ended_us = processes[main].ended_us
    return own[0] + (shared[0] + ended_us) / nodes, own[1] + shared[1] / nodes


def _sum(processes: list[_Process]) -> tuple[float, float]:
    return sum(each.used_us for each in processes), sum(each.resident_mb for each in processes)


def _pid_in(path: Path) -> int:
    return int(path.read_text(encoding="ascii").split()[0])


def _processes() -> dict[int, _Process]:
    """Return every process of this machine; one that ends meanwhile is left out."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            held = _held_mb(folder)
        except OSError:
            continue
        ticks, ended_ticks = (int(fields[at]) + int(fields[at + 1]) for at in (11, 13))
        found[int(folder.name)] = _Process(
            parent=int(fields[1]),
            used_us=ticks * 1e6 / _TICKS_PER_S,
            ended_us=ended_ticks * 1e6 / _TICKS_PER_S,
            resident_mb=held,
            words=words,
        )
    return found


def _held_mb(folder: Path) -> float:
    """Return the memory of a process; a page that several share counts in parts."""
    for line in (folder / "smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / _KILOBYTES_IN_MEGABYTE
    return 0.0
