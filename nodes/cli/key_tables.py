"""Keys as people read them."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType

from nodes.cli.drawing import facts_table, new_table
from nodes.cli.key_shapes import EscrowWritten, KeyLine, KeysRestored, RenewalAsked
from nodes.cli.moments import utc_over_local


def keys(rows: Sequence[KeyLine]) -> Iterator[RenderableType]:
    """Draw `keys list`."""
    table = new_table("key", "state", "until", "renewed", "kept in", "id")
    for row in rows:
        until = "" if row.until is None else utc_over_local(row.until)
        renewed = "" if row.renewed_at is None else utc_over_local(row.renewed_at)
        table.add_row(row.purpose, row.state, until, renewed, row.where, row.id or "-")
    yield table


def renewal(asked: RenewalAsked) -> Iterator[RenderableType]:
    """Draw `keys renew`."""
    yield facts_table([("request", asked.request), ("keys", ", ".join(asked.purposes))])
    yield "asked for; `bbaj keys list` shows when they are in use"


def escrow(written: EscrowWritten) -> Iterator[RenderableType]:
    """Draw `keys escrow`."""
    yield facts_table([("file", written.file), ("keys", str(len(written.keys)))])
    yield "keep it with the backup, its passphrase elsewhere, and make it anew after each renewal"


def restored(done: KeysRestored) -> Iterator[RenderableType]:
    """Draw `keys restore`."""
    yield facts_table(
        [
            ("of", done.address),
            ("made", done.made),
            ("restored", str(len(done.restored))),
            ("there already", str(len(done.known))),
        ]
    )
    if done.restored:
        yield "restart the daemon: it reads its encryption keys when it begins"
