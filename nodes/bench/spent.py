"""What processes have spent, as the system counts it: processor time by name, and memory."""

import os
from collections.abc import Mapping
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PARENT, _USER, _CHILDREN_SYSTEM = 1, 11, 14
"""Fields of `/proc/PID/stat` behind the name: the parent; the first and last of four times."""


class Meter:
    """Reads the processor time of services, each with all the processes that it has started."""

    def __init__(self, services: Mapping[str, int]) -> None:
        """Measure from now on; `services` are process ids by name."""
        self._services = dict(services)
        self._began = self._read()

    def spent_s(self) -> dict[str, float]:
        """Return the processor seconds of each service since the meter was made."""
        return {name: spent - self._began[name] for name, spent in self._read().items()}

    def _read(self) -> dict[str, float]:
        table = _processes()
        return {name: _with_children(pid, table) for name, pid in self._services.items()}


def cpu_s(pid: int) -> float:
    """Return the processor seconds of a process and of all that it has started."""
    return _with_children(pid, _processes())


def resident_mb(pid: int) -> float:
    """Return a process's resident memory in megabytes, as the system counts it."""
    return _memory_mb(pid, "VmRSS")


def resident_most_mb(pid: int) -> float:
    """Return the most resident memory that a process has had so far, in megabytes."""
    return _memory_mb(pid, "VmHWM")


def _memory_mb(pid: int, field: str) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith(field))
    return round(int(kilobytes) / 1024, 1)


def _processes() -> dict[int, tuple[int, float]]:
    """Return parent and seconds of each process; ended ones are in their parent's seconds."""
    table = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            continue
        ticks = sum(map(int, fields[_USER : _CHILDREN_SYSTEM + 1]))
        table[int(path.parent.name)] = (int(fields[_PARENT]), ticks / _TICKS)
    return table


def _with_children(pid: int, table: Mapping[int, tuple[int, float]]) -> float:
    _, own = table.get(pid, (0, 0.0))
    return own + sum(
        _with_children(each, table) for each, (parent, _) in table.items() if parent == pid
    )
