"""What benchmarks measured, as people read it, in the language spoken here."""

from collections.abc import Iterator, Sequence

import msgspec
from rich.console import RenderableType

from nodes.bench.archive import ArchiveResult
from nodes.bench.archive_disk import Disk
from nodes.bench.goals import Goal, Verdict
from nodes.bench.whole import WholeResult
from nodes.cli.drawing import facts_table, new_table
from nodes.cli.speaking import say, say_of
from nodes.simulate.measured import Measured

_DRAWN_APART = {"rebuild", "disk", "verdicts"}
_INDEX = "index "


def figures(measured: msgspec.Struct) -> Iterator[RenderableType]:
    """Draw what a benchmark measured, name by name."""
    facts: dict[str, object] = msgspec.structs.asdict(measured)
    yield facts_table((_name(name), _figure(value)) for name, value in facts.items())


def archive(measured: ArchiveResult) -> Iterator[RenderableType]:
    """Draw `bench archive`: figures beside their goals, and where the bytes lie."""
    apart = _DRAWN_APART | {each.name for each in measured.verdicts}
    facts: dict[str, object] = msgspec.structs.asdict(measured) | {
        f"rebuild_{name}": value for name, value in msgspec.structs.asdict(measured.rebuild).items()
    }
    yield facts_table(
        (_name(name), _figure(value)) for name, value in facts.items() if name not in apart
    )
    yield ""
    yield _verdicts(measured.verdicts, "bench.figures")
    for disk in measured.disk:
        yield ""
        yield from _disk(disk)


def costs(measured: Measured) -> Iterator[RenderableType]:
    """Draw `bench costs`: what an exchange costs at each place, on the line, by the clock."""
    table = new_table(*_costs("place", "program", "burst", "alone", "idle", "memory"))
    for place, found in measured.places.items():
        for program in ("daemon", "database", "broker"):
            parts = (found.burst_us, found.alone_us, found.idle_us_per_s, found.resident_mb)
            figures_of_it = (_figure(float(getattr(part, program))) for part in parts)
            table.add_row(*_costs(place, program), *figures_of_it)
    yield table
    yield ""
    yield facts_table(
        [
            *(
                (f"{say_of('bench.costs', name)}, {say_of('bench.costs', place)}", _figure(value))
                for place, found in measured.places.items()
                for name, value in (
                    ("stored_bytes", found.stored_bytes),
                    ("stored_factor", found.stored_factor),
                )
            ),
            *(
                (say_of("bench.costs", name), _figure(value))
                for part in (measured.line, measured.waits)
                for name, value in msgspec.structs.asdict(part).items()
            ),
            (say_of("bench.costs", "greeting_us"), _figure(round(measured.greeting_us.total))),
            *((name, _figure(size)) for name, size in measured.frame_bytes.items()),
        ]
    )


def _costs(*names: str) -> list[str]:
    return [say_of("bench.costs", name) for name in names]


def whole(measured: WholeResult) -> Iterator[RenderableType]:
    """Draw `bench all`: each figure with its goal, and what came of it."""
    yield facts_table((_name(name), _figure(value)) for name, value in measured.conditions.items())
    yield ""
    yield _verdicts(measured.verdicts, "bench.rows")


def _verdicts(verdicts: Sequence[Verdict], names: str) -> RenderableType:
    table = new_table(*_headings("figure", "measured", "goal", "verdict"))
    for each in verdicts:
        verdict = say("bench.reached" if each.reached else "bench.missed")
        table.add_row(say_of(names, each.name), f"{each.value:,}", _bounds(each.goal), verdict)
    return table


def _disk(disk: Disk) -> Iterator[RenderableType]:
    yield say(
        "bench.disk",
        packets=f"{disk.packets:,}",
        frame=f"{disk.frame_bytes:,}",
        each=f"{disk.bytes_per_packet:,}",
        factor=disk.factor,
    )
    table = new_table(*_headings("table", "part", "bytes"))
    for use in disk.uses:
        table.add_row(
            say_of("bench.parts", use.table), _part(use.part), f"{use.bytes_per_packet:,}"
        )
    yield table


def _part(part: str) -> str:
    if part.startswith(_INDEX):
        return say("bench.index", name=part.removeprefix(_INDEX))
    return say_of("bench.parts", part)


def _headings(*names: str) -> list[str]:
    return [say(f"bench.{name}") for name in names]


def _name(name: str) -> str:
    """Return what a figure is called; settings of PostgreSQL bear their own names."""
    return say_of("bench.figures", name)


def _bounds(goal: Goal) -> str:
    bounds = (("bench.least", goal.least), ("bench.most", goal.most))
    return ", ".join(say(key, bound=f"{bound:g}") for key, bound in bounds if bound is not None)


def _figure(value: object) -> str:
    match value:
        case bool():
            return say("print.yes" if value else "print.no")
        case float():
            return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
        case int():
            return f"{value:,}"
        case list():
            return "\n".join(_figure(each) for each in value)
        case dict() | msgspec.Struct():
            named = value if isinstance(value, dict) else msgspec.structs.asdict(value)
            return ", ".join(f"{_name(name)} {_figure(each)}" for name, each in named.items())
        case _:
            return str(value)
