"""What all tables are made of."""

from collections.abc import Iterable

from rich.table import Table

STYLES = {
    "delivered": "green",
    "closed": "green",
    "released": "green",
    "ok": "green",
    "refused": "red",
    "expired": "red",
    "fault": "red",
    "incident": "red",
    "held": "yellow",
    "warning": "yellow",
    "overdue": "yellow",
    "skipped": "dim",
}
"""Colours by the state itself, whatever its word in a language."""

_CONTROL = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F)], "?")


def new_table(*columns: str) -> Table:
    """Return a table with a line of headings."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def facts_table(pairs: Iterable[tuple[str, str]]) -> Table:
    """Return a table of names and values."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in pairs:
        table.add_row(name, value)
    return table


def plain(text: str | None) -> str:
    """Return a text of others on one line, without what would steer a terminal."""
    return (text or "").translate(_CONTROL)
