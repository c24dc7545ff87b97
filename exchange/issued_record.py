"""A public log as the record has it: recomputed whole, and how it departs from its head (14.4).

Nothing may be signed, taken or sent on top of entries that are not those of the last signed head:
of our own log that would be a fork, of another's it would look like one.
"""

import msgspec

from exchange.ports import Archive
from schemas.errors import FormatError
from schemas.records import IssuedHead
from signing.notes import checkpoint_of
from store.merkle import Tree, leaf_hash

READ_ENTRIES = 1024
"""So many entries are read at once."""


class Log(msgspec.Struct):
    """One authority's log as far as its heads have held."""

    tree: Tree = msgspec.field(default_factory=Tree)
    head: IssuedHead | None = None
    roots: dict[int, bytes] = {}
    """By size, of heads that have held in this life."""
    partial: list[bytes] = []
    """Entries from `begin` on, whose head has not held yet."""
    doubted: bool = False
    """What came beyond ours did not give its head's root: all is fetched again, to see why."""
    fresh: list[bytes] = []
    """Entries of the batch under way."""
    via: str = ""
    damage: str = ""
    """How the record departs from the head: nothing is compared, signed, taken or sent then."""

    def copy(self) -> "Log":
        """Return a log that grows by itself."""
        return Log(
            self.tree.copy(),
            self.head,
            dict(self.roots),
            self.partial,
            self.doubted,
            damage=self.damage,
        )

    @property
    def begin(self) -> int:
        """Where the entries that wait for a head begin."""
        return 0 if self.doubted else self.tree.size

    @property
    def reached(self) -> int:
        """Up to where entries are at hand."""
        return self.begin + len(self.partial)


async def read_log(archive: Archive, authority: str, head: IssuedHead | None) -> Log:
    """Return a log of the record, recomputed up to its newest head, and compared with it."""
    log = Log(head=head)
    if head is not None:
        await extend_from(archive, log.tree, authority, head.size)
        log.roots[log.tree.size] = log.tree.root()
    log.damage = await _damage_of(archive, authority, log)
    return log


async def extend_from(archive: Archive, tree: Tree, authority: str, size: int) -> None:
    """Extend a tree by the entries of the record up to a size, or as far as there are any."""
    while tree.size < size:
        limit = min(READ_ENTRIES, size - tree.size)
        rows = await archive.issued(authority, tree.size, limit)
        if not rows:
            return
        tree.extend([leaf_hash(row.entry) for row in rows])


async def _damage_of(archive: Archive, authority: str, log: Log) -> str:
    size = 0 if log.head is None else log.head.size
    if await archive.issued(authority, size, 1):
        return f"it has entries behind its newest head, which is of {size}"
    if log.head is None:
        return ""
    try:
        signed = checkpoint_of(log.head.note)
    except FormatError as error:
        return f"its newest head, of {size} entries, cannot be read: {error.detail}"
    if (log.tree.size, log.tree.root()) == (signed.size, signed.root):
        return ""
    return (
        f"its {log.tree.size} entries have root {log.tree.root().hex()}, its newest head says "
        f"{signed.root.hex()} of {signed.size}"
    )
