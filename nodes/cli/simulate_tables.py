"""A modelled day, and what it needs, as people read it in the language spoken here."""

from collections.abc import Iterator

from rich.console import RenderableType

from nodes.cli.drawing import facts_table, new_table
from nodes.cli.speaking import say, say_of
from nodes.simulate.figures import DayFigures, Wait
from nodes.simulate.sizing import Sizing

_FACTS = (
    "governing",
    "organisations",
    "packets",
    "closed",
    "open_most",
    "frames",
    "closed_at",
    "resent",
    "bundles_lost",
    "greetings",
)


def day(figures: DayFigures) -> Iterator[RenderableType]:
    """Draw one day: the country, its tiers, its links."""
    yield say("simulate.day", day=say_of("simulate.days", figures.day), seed=figures.seed)
    yield facts_table(
        [
            *((say_of("simulate.facts", name), _figure(getattr(figures, name))) for name in _FACTS),
            (say("simulate.facts.delivered"), _wait(figures.delivered)),
        ]
    )
    yield ""
    tiers = new_table(
        *_headings("tier", "nodes", "custody", "frames-s", "processor", "queue", "at", "gb-year")
    )
    for each in figures.tiers:
        tiers.add_row(
            say_of("simulate.tiers", each.tier),
            _figure(each.nodes),
            _wait(each.custody),
            _figure(each.frames_a_second_busiest_minute),
            _share(each.processor_share_busiest_minute),
            _figure(each.queue_deepest),
            each.queue_deepest_at,
            _figure(each.stored_gb_a_year),
        )
    yield tiers
    yield ""
    links = new_table(*_headings("link", "links", "up-mb", "down-mb", "busiest-mb", "kilobits"))
    for link in figures.links:
        ends = (say_of("simulate.tiers", link.child), say_of("simulate.tiers", link.parent))
        links.add_row(
            " - ".join(ends),
            _figure(link.links),
            _figure(link.up_mb),
            _figure(link.down_mb),
            _figure(link.busiest_mb),
            _figure(link.busiest_kilobits_a_second),
        )
    yield links
    yield ""
    yield say("simulate.model", day=figures.measured_on)


def sizing(sized: Sizing) -> Iterator[RenderableType]:
    """Draw what each tier needs."""
    table = new_table(
        *_headings(
            "tier",
            "nodes",
            "processor",
            "on",
            "memory",
            "gb-year",
            "gb-10",
            "kilobits",
            "queue",
            "on",
        )
    )
    for need in sized.needs:
        table.add_row(
            say_of("simulate.tiers", need.tier),
            _figure(need.nodes),
            _share(need.processor_share),
            say_of("simulate.days", need.processor_day),
            _figure(need.memory_mb),
            _figure(need.disk_gb_a_year),
            _figure(need.disk_gb_in_10_years),
            _figure(need.line_kilobits_a_second),
            _figure(need.queue_deepest),
            say_of("simulate.days", need.queue_day),
        )
    yield table
    yield ""
    yield say("simulate.ends", frames=_figure(sized.relayed_a_second))
    yield say("simulate.model", day=sized.measured_on)


def _headings(*names: str) -> list[str]:
    return [say_of("simulate.columns", name) for name in names]


def _wait(wait: Wait | None) -> str:
    if wait is None:
        return "-"
    return say(
        "simulate.wait",
        median=_figure(wait.median_s),
        p99=_figure(wait.p99_s),
        longest=_figure(wait.longest_s),
    )


def _share(share: float) -> str:
    return f"{100 * share:.2f} %"


def _figure(value: float | str) -> str:
    match value:
        case str():
            return value
        case int():
            return f"{value:,}"
        case _:
            return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
