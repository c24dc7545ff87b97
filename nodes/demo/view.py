"""What a person sees: a live picture on a terminal, plain lines elsewhere; in his language."""

import time
from collections import deque
from collections.abc import Mapping
from typing import Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nodes.cli.speaking import say
from nodes.demo.messages import Tally
from nodes.demo.words import name_of

NEWS_SHOWN = 8
PLAIN_EVERY_S = 5.0
STYLES = {
    "up": "green",
    "starting": "yellow",
    "waiting": "yellow",
    "waiting-to-join": "yellow",
    "broker-starting": "yellow",
    "provisioning": "yellow",
    "provisioned": "yellow",
}
"""Ordinary states, by the keys of their words; any other is news."""
COLUMNS = ("flow", "dropped", "delivered", "refused", "overdue")


class View(Protocol):
    """What the story tells of itself."""

    def say(self, key: str, **facts: object) -> None:
        """Something begins, or has happened: a text of the catalogue."""

    def node(self, address: str, state: str) -> None:
        """Show a change of a node's state; `demo.states` has its word."""

    def flows(self, flows: Mapping[str, Tally]) -> None:
        """Documents have moved."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class PlainView:
    """One line for each thing that happens; documents are summed up every few seconds."""

    def __init__(self, console: Console) -> None:
        """Print to `console`."""
        self._console = console
        self._began = time.monotonic()
        self._summed_up = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def say(self, key: str, **facts: object) -> None:
        """Print a line with the seconds since the start."""
        self._console.print(Text(_line(self._began, key, facts)), soft_wrap=True)

    def node(self, address: str, state: str) -> None:
        """Print what is out of the ordinary."""
        if state not in STYLES:
            self.say("demo.news.node", address=address, state=_word(state))

    def flows(self, flows: Mapping[str, Tally]) -> None:
        """Print a sum now and then."""
        if time.monotonic() - self._summed_up < PLAIN_EVERY_S:
            return
        self._summed_up = time.monotonic()
        self.say("demo.sum", **sum_up(flows))


class LiveView:
    """Flows with their progress, nodes with their states, and what is happening now."""

    def __init__(self, console: Console) -> None:
        """Draw on `console` while the view is entered."""
        self._began = time.monotonic()
        self._flows: Mapping[str, Tally] = {}
        self._nodes: dict[str, str] = {}
        self._news: deque[str] = deque(maxlen=NEWS_SHOWN)
        self._live = Live(
            console=console, get_renderable=self._draw, refresh_per_second=4, transient=True
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def say(self, key: str, **facts: object) -> None:
        """Add a line of news."""
        self._news.append(_line(self._began, key, facts))

    def node(self, address: str, state: str) -> None:
        """Show a node's state."""
        self._nodes[address] = state
        if state not in STYLES:
            self.say("demo.news.node", address=address, state=_word(state))

    def flows(self, flows: Mapping[str, Tally]) -> None:
        """Show where the flows stand."""
        self._flows = flows

    def _draw(self) -> RenderableType:
        lines = Text("\n".join(self._news) or "...")
        return Group(self._draw_nodes(), self._draw_flows(), lines)

    def _draw_nodes(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for address in sorted(self._nodes):
            state = self._nodes[address]
            depth = address.count(".")
            name = Text("  " * depth + address.rpartition(".")[2])
            table.add_row(name, Text(_word(state), style=STYLES.get(state, "bold red")))
        return table

    def _draw_flows(self) -> Table:
        table = Table(box=None, padding=(0, 1))
        first, *heads = (say(f"demo.columns.{name}") for name in COLUMNS)
        table.add_column(first)
        table.add_column()
        for head in heads:
            table.add_column(head, justify="right")
        for name, flow in self._flows.items():
            done = flow.delivered + sum(flow.refused.values())
            bar = ProgressBar(total=max(1, flow.planned), completed=done, width=20)
            counts = (flow.dropped, flow.delivered, sum(flow.refused.values()), flow.overdue)
            table.add_row(name_of("demo.flows", name), bar, *(str(count) for count in counts))
        return table


def _line(began: float, key: str, facts: Mapping[str, object]) -> str:
    """Return a line with the seconds since the start."""
    took = say("demo.took", seconds=f"{time.monotonic() - began:6.1f}")
    return f"{took}  {say(key, **facts)}"


def sum_up(flows: Mapping[str, Tally]) -> dict[str, int]:
    """Return where all flows stand together: the facts of `demo.sum`."""
    return {
        "planned": sum(flow.planned for flow in flows.values()),
        "dropped": sum(flow.dropped for flow in flows.values()),
        "delivered": sum(flow.delivered for flow in flows.values()),
        "refused": sum(sum(flow.refused.values()) for flow in flows.values()),
    }


def _word(state: str) -> str:
    return say(f"demo.states.{state}")


def open_view(console: Console) -> View:
    """Return the view that fits where the output goes."""
    return LiveView(console) if console.is_terminal else PlainView(console)
