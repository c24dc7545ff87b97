"""What goes wrong, by name: each begins at its time, and ends by itself or when all is healed."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from exchange.signed_size import SIZE_FILE
from simulation.lying import Liar
from simulation.network import Weather
from simulation.plan import Fault

if TYPE_CHECKING:
    from simulation.country import Country
    from simulation.machine import Machine

Begin = Callable[["Country", Fault], None]
ROOM = 1_000_000
RESTORING_S = 120.0


def _note(country: "Country", fault: Fault) -> None:
    lasts = f" for {fault.lasts_s:.0f} s" if fault.lasts_s else ""
    country.watch.note(fault.where, "fault", f"{fault.kind} {fault.value:g}{lasts}")


def _weather(name: str) -> Begin:
    """Return what sets one probability of a line for a time."""

    def begin(country: "Country", fault: Fault) -> None:
        _note(country, fault)
        weather = country.lines[fault.where].weather
        setattr(weather, name, fault.value)
        country.loop.call_later(fault.lasts_s, setattr, weather, name, 0.0)

    return begin


def cut(country: "Country", fault: Fault) -> None:
    """Let nothing through for a time."""
    _note(country, fault)
    line = country.lines[fault.where]
    line.block()
    country.loop.call_later(fault.lasts_s, line.unblock)


def slow(country: "Country", fault: Fault) -> None:
    """Make it a satellite line: a long way, and narrow."""
    _note(country, fault)
    weather = country.lines[fault.where].weather
    weather.delay_s, weather.bytes_per_s = fault.value, 4_000.0
    country.loop.call_later(fault.lasts_s, _quicken, weather)


def _quicken(weather: Weather) -> None:
    weather.delay_s, weather.bytes_per_s = 0.0, 1_000_000.0


def full(country: "Country", fault: Fault) -> None:
    """Leave no room in the broker's queues."""
    _note(country, fault)
    line = country.lines[fault.where]
    for pipe in (line.up, line.down):
        pipe.room = 0
        country.loop.call_later(fault.lasts_s, setattr, pipe, "room", ROOM)


def purge(country: "Country", fault: Fault) -> None:
    """Lose all that waits at the broker."""
    _note(country, fault)
    country.lines[fault.where].purge()


def again(country: "Country", fault: Fault) -> None:
    """Have the broker bring again what was settled."""
    _note(country, fault)
    country.lines[fault.where].bring_again()


def crash(country: "Country", fault: Fault) -> None:
    """Cut the power, whatever is under way."""
    _note(country, fault)
    country.machines[fault.where].crash(fault.lasts_s)


def crash_between(country: "Country", fault: Fault) -> None:
    """Cut the power between two effects, `value` of them from now on."""
    machine = country.machines[fault.where]
    machine.crash_at[machine.effects + 1 + int(fault.value)] = fault.lasts_s


def _commit(kind: str) -> Begin:
    """Return what makes the next commit fail in a way."""

    def begin(country: "Country", fault: Fault) -> None:
        _note(country, fault)
        country.machines[fault.where].server.commit_fault = kind

    return begin


def database(country: "Country", fault: Fault) -> None:
    """Take the database down for a time."""
    _note(country, fault)
    server = country.machines[fault.where].server
    server.is_up.clear()
    country.loop.call_later(fault.lasts_s, server.is_up.set)


def alarm(country: "Country", fault: Fault) -> None:
    """Let a node's own broker take nothing for a time: it lacks memory or disk."""
    _note(country, fault)
    has_room = country.machines[fault.where].queues.has_room
    has_room.clear()
    country.loop.call_later(fault.lasts_s, has_room.set)


def clock(country: "Country", fault: Fault) -> None:
    """Set a machine's clock wrong by so many seconds, for a time."""
    _note(country, fault)
    machine = country.machines[fault.where]
    machine.clock_offset_us = round(fault.value * 1e6)
    if machine.parent is None:
        country.exchanges.astray(fault.where, is_wrong=True)
    country.loop.call_later(fault.lasts_s, _set_right, country, machine)


def _set_right(country: "Country", machine: "Machine") -> None:
    machine.clock_offset_us = 0
    country.exchanges.astray(machine.address, is_wrong=False)


def restore(country: "Country", fault: Fault) -> None:
    """Make a backup now, and bring it back in place of the record after a time.

    With a `value` below a half the file of the signed size comes back as well.
    """
    machine = country.machines[fault.where]
    backup, size_file = machine.server.record.copy(), machine.folder / SIZE_FILE
    size = size_file.read_bytes() if size_file.exists() else None
    since_s = country.loop.time()

    def bring_back() -> None:
        _note(country, fault)
        machine.crash(RESTORING_S)
        machine.server.record = backup
        machine.was_restored = True
        if fault.value < 0.5:
            machine.disk.bring_back(size_file, size)
        country.watch.restored(fault.where, since_s)

    country.loop.call_later(fault.lasts_s, bring_back)


def lie(country: "Country", fault: Fault) -> None:
    """Have a node lie in so many of its messages, for a time."""
    _note(country, fault)
    machine = country.machines[fault.where]
    if machine.liar is None:
        own = machine.network.nodes[machine.address]
        machine.liar = Liar(own, fault.value, machine.chance)
    machine.liar.lies = fault.value
    country.liars.add(fault.where)
    country.loop.call_later(fault.lasts_s, setattr, machine.liar, "lies", 0.0)


def revoke(country: "Country", fault: Fault) -> None:
    """Revoke a node's packet key: what it seals from now on is refused, and nothing else."""
    _note(country, fault)
    country.liars.add(fault.where)
    country.watch.revoked(fault.where)
    country.begin(country.authorities.revoke(fault.where))


FAULTS: dict[str, Begin] = {
    "cut": cut,
    "slow": slow,
    "full": full,
    "purge": purge,
    "again": again,
    "crash": crash,
    "crash-between": crash_between,
    "database": database,
    "alarm": alarm,
    "clock": clock,
    "restore": restore,
    "lie": lie,
    "revoke": revoke,
    **{name: _weather(name) for name in ("lose", "double", "reorder", "damage", "flaky")},
    **{f"commit-{kind}": _commit(kind) for kind in ("refused", "unheard", "torn")},
}


def heal(country: "Country") -> None:
    """End every fault: from now on everything must close."""
    for line in country.lines.values():
        line.weather.__init__()  # type: ignore[misc]
        line.up.room = line.down.room = ROOM
        line.unblock()
    for machine in country.machines.values():
        machine.server.is_up.set()
        machine.server.commit_fault = None
        machine.queues.has_room.set()
        _set_right(country, machine)
        if machine.liar is not None:
            machine.liar.lies = 0.0
        machine.crash_at.clear()
        machine.is_on.set()
