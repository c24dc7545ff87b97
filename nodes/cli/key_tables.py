"""Keys as people read them, in the language spoken here."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType

from nodes.cli.drawing import facts_table, new_table
from nodes.cli.key_shapes import EscrowWritten, KeyLine, KeysRestored, RenewalAsked
from nodes.cli.moments import utc_and_local, utc_over_local
from nodes.cli.speaking import say


def _columns(*names: str) -> list[str]:
    return [say(f"keys.columns.{name}") for name in names]


def keys(rows: Sequence[KeyLine]) -> Iterator[RenderableType]:
    """Draw `keys list`; a key goes by the word that `keys renew` takes."""
    table = new_table(*_columns("key", "state", "until", "renewed", "where", "id"))
    for row in rows:
        table.add_row(
            row.purpose,
            say(f"keys.states.{row.state}"),
            "" if row.until is None else utc_over_local(row.until),
            "" if row.renewed_at is None else utc_over_local(row.renewed_at),
            say(f"keys.places.{row.where}"),
            row.id or "-",
        )
    yield table


def renewal(asked: RenewalAsked) -> Iterator[RenderableType]:
    """Draw `keys renew`."""
    request, of = _columns("request", "keys")
    yield facts_table([(request, asked.request), (of, ", ".join(asked.purposes))])
    yield say("keys.asked")


def escrow(written: EscrowWritten) -> Iterator[RenderableType]:
    """Draw `keys escrow`."""
    file, of = _columns("file", "keys")
    yield facts_table([(file, written.file), (of, str(len(written.keys)))])
    yield say("keys.keep")


def restored(done: KeysRestored) -> Iterator[RenderableType]:
    """Draw `keys restore`."""
    of, made, brought, known = _columns("of", "made", "restored", "known")
    yield facts_table(
        [
            (of, done.address),
            (made, utc_and_local(done.made)),
            (brought, str(len(done.restored))),
            (known, str(len(done.known))),
        ]
    )
    if done.restored:
        yield say("keys.restart")
