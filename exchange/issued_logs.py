"""The public logs of what authorities have issued: kept whole, recomputed, passed on (clause 14.4).

Ours where an authority is on line here, and those that the node follows: of every authority above
it and below. Entries count once the head over all of them has held; whoever brought them. A head
that does not fit is evidence against the authority, and both are kept.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import msgspec
from cryptography.hazmat.primitives.asymmetric import ed25519

from exchange.batch import Batch
from exchange.gate import sha256_of
from exchange.links import Link
from exchange.quotas import HourlyQuota
from exchange.signing_desk import body_of
from exchange.state import NodeState
from schemas.errors import FormatError
from schemas.issued import check_entry, is_certificate, log_origin
from schemas.objects import Ask, Issued, pack_pieces, unpack_pieces
from schemas.reasons import Reason
from schemas.records import IssuedHead, IssuedRow
from schemas.wire import printable
from signing.authority import authority_address
from signing.certificates import parse_certificate
from signing.chain import Trusted
from signing.notes import Checkpoint, KeyType, VerifierKey, open_note, read_checkpoint
from signing.profiles import Purpose
from store.merkle import EMPTY_ROOT, Tree, leaf_hash

PAGE_ENTRIES = 256
"""So many entries are brought at once; whoever lacks more asks on."""
PARTIAL_ENTRIES_MAX = 200_000
"""So many entries of one log wait in memory for the head that covers them."""
ASKS_PER_HOUR = 1000
"""So many asks of one neighbour are answered within an hour."""
ROOTS_MAX = 256
"""So many roots of earlier sizes are remembered; any other is computed again."""

OnEntries = Callable[[str, Sequence[bytes], Batch], Awaitable[None]]
OnFork = Callable[[str, str, str, Batch], None]
"""Told the authority, our head and the one that does not fit it."""


class Log(msgspec.Struct):
    """One authority's log as far as its heads have held."""

    tree: Tree = msgspec.field(default_factory=Tree)
    head: IssuedHead | None = None
    roots: dict[int, bytes] = {}
    """By size, of heads that have held in this life."""
    partial: list[bytes] = []
    """Entries beyond, whose head has not held yet."""
    fresh: list[bytes] = []
    """Entries of the batch under way."""
    via: str = ""

    def copy(self) -> "Log":
        """Return a log that grows by itself."""
        return Log(self.tree.copy(), self.head, dict(self.roots), self.partial)


class IssuedLogs:
    """The logs that are kept here."""

    def __init__(self, state: NodeState, on_entries: OnEntries, on_fork: OnFork) -> None:
        """Share the node's state; tell of each entry that counts now, and of each fork."""
        self._state = state
        self._on_entries = on_entries
        self._on_fork = on_fork
        self._logs: dict[str, Log] = {}
        self._quota = HourlyQuota(ASKS_PER_HOUR)
        self.on_regained: Callable[[Sequence[bytes], Batch], None] = _nobody_issues
        """Told of entries of our own log that our record had lost."""
        self._batch: Batch | None = None
        self._working: dict[str, Log] = {}

    async def open(self) -> list[str]:
        """Take over the logs of the record, each recomputed; return those that do not hold."""
        damaged = []
        for authority, head in (await self._state.archive.issued_heads()).items():
            log = Log(head=head)
            await self._read(log.tree, authority, head.size)
            found = read_checkpoint(head.note.partition("\n\n")[0] + "\n")
            log.roots[head.size] = found.root
            self._logs[authority] = log
            if (log.tree.size, log.tree.root()) != (found.size, found.root):
                damaged.append(authority)
        return damaged

    async def _read(self, tree: Tree, authority: str, size: int) -> None:
        while tree.size < size:
            limit = min(4 * PAGE_ENTRIES, size - tree.size)
            rows = await self._state.archive.issued(authority, tree.size, limit)
            if not rows:
                return
            tree.extend([leaf_hash(row.entry) for row in rows])

    # --- what is known ------------------------------------------------------------------------

    def is_followed(self, authority: str) -> bool:
        """Say whether there is a log of this authority here."""
        return authority in self._logs

    def size(self, authority: str) -> int:
        """Return how many entries count."""
        log = self._logs.get(authority)
        return 0 if log is None else log.tree.size

    def authorities(self) -> set[str]:
        """Return every authority whose log this node should have."""
        registry = self._state.registry
        known = map(parse_certificate, self._state.gate.trust.authorities())
        found = {authority_address(each) for each in known if each is not None} | set(self._logs)
        return {each for each in found if each and registry.concerns(registry.here, each)}

    @property
    def _own(self) -> str | None:
        """The authority that is on line here, if one is."""
        issuer = self._state.gate.issuer
        return None if issuer is None else issuer.subtree

    # --- our own ------------------------------------------------------------------------------

    async def append(self, entries: Sequence[bytes], batch: Batch) -> None:
        """Append to our own authority's log, and sign its head."""
        issuer = self._state.gate.issuer
        assert issuer is not None, "only an authority appends"
        log = self._in(issuer.subtree, batch)
        self._grow(issuer.subtree, log, entries, batch)
        note = issuer.sign_head(log.tree.size, log.tree.root())
        self._take_head(issuer.subtree, log, note, issuer.journal.fingerprint, batch)
        await self._on_entries(issuer.subtree, entries, batch)

    # --- what neighbours bring ----------------------------------------------------------------

    async def take(self, header: Issued, body: bytes, link: Link, batch: Batch) -> None:
        """Take entries of a log that a neighbour brings."""
        if header.authority not in self.authorities():
            return
        try:
            head, entries = _cut_body(header, body)
            checkpoint = self._open_head(header, head, batch)
        except FormatError as error:
            detail = printable(f"{header.authority}: {error.detail}")
            self._state.effects.raise_incident("log_unreadable", link.neighbour, detail, batch)
            return
        log = self._in(header.authority, batch)
        if checkpoint.size <= log.tree.size:
            await self._compare(header.authority, log, checkpoint, head, batch)
            return
        if header.authority == self._own and batch.epoch == 1:
            self._on_fork(header.authority, _note_of(log), head, batch)
            return
        have = log.tree.size + len(log.partial)
        if header.first > have:
            self._ask(header.authority, have, link, batch)
        elif header.last > have and len(log.partial) < PARTIAL_ENTRIES_MAX:
            log.partial = [*log.partial, *entries[have - header.first :]]
            if header.last < checkpoint.size:
                self._ask(header.authority, header.last, link, batch)
            else:
                await self._complete(header, log, checkpoint, head, link, batch)

    async def _complete(  # noqa: PLR0917 - one head and what it is about
        self,
        header: Issued,
        log: Log,
        checkpoint: Checkpoint,
        head: str,
        link: Link,
        batch: Batch,
    ) -> None:
        """Let entries count whose head is at hand: the whole tree must give its root."""
        entries = log.partial[: checkpoint.size - log.tree.size]
        log.partial = []
        tree = log.tree.copy()
        tree.extend(map(leaf_hash, entries))
        if tree.root() != checkpoint.root:
            self._on_fork(header.authority, _note_of(log), head, batch)
            return
        self._grow(header.authority, log, entries, batch)
        if header.authority == self._own:
            self.on_regained(entries, batch)
        log.via = link.neighbour
        self._take_head(header.authority, log, head, header.journal, batch)
        await self._on_entries(header.authority, entries, batch)

    async def _compare(
        self, authority: str, log: Log, checkpoint: Checkpoint, head: str, batch: Batch
    ) -> None:
        """Look whether an older head, or the present one, is of the log that we have."""
        root = await self._root_at(authority, log, checkpoint.size)
        if root is not None and root != checkpoint.root:
            self._on_fork(authority, _note_of(log), head, batch)

    async def _root_at(self, authority: str, log: Log, size: int) -> bytes | None:
        """Return the root that a log had; None while the entries are being committed."""
        if size in log.roots or size == 0:
            return log.roots.get(size, EMPTY_ROOT)
        committed = self._logs.get(authority)
        if committed is None or committed.tree.size < size:
            return None
        tree = Tree()
        await self._read(tree, authority, size)
        log.roots[size] = tree.root()
        return log.roots[size]

    def _open_head(self, header: Issued, note: str, batch: Batch) -> Checkpoint:
        """Return what a head says, signed by the authority's journal key. Raises FormatError."""
        state = self._state
        standing = state.gate.trust.judge_neighbour(
            header.journal, header.authority, Purpose.JOURNAL, batch.now, state.rules.limits
        )
        if not isinstance(standing, Trusted):
            raise FormatError(Reason.CERTIFICATE_UNTRUSTED, f"journal key: {standing.detail}")
        assert isinstance(standing.public_key, ed25519.Ed25519PublicKey), "such keys are Ed25519"
        origin = log_origin(header.authority)
        key = VerifierKey(origin, KeyType.ED25519, standing.public_key.public_bytes_raw())
        checkpoint = read_checkpoint(open_note(note, [key]).text)
        if (checkpoint.origin, checkpoint.size) != (origin, header.size):
            raise FormatError(Reason.FORMAT_INVALID, "log: the head is of another log or size")
        return checkpoint

    # --- one batch ----------------------------------------------------------------------------

    def _in(self, authority: str, batch: Batch) -> Log:
        """Return a log as this batch sees it; it counts once the batch is committed."""
        if self._batch is not batch:
            self._batch, self._working = batch, {}
        if authority not in self._working:
            log = self._logs[authority].copy() if authority in self._logs else Log()
            self._working[authority] = log
            batch.after_commit(partial(self._adopt, authority, log, batch))
        return self._working[authority]

    def _grow(self, authority: str, log: Log, entries: Sequence[bytes], batch: Batch) -> None:
        rows = [
            IssuedRow(authority, index, entry, sha256_of(entry) if is_certificate(entry) else None)
            for index, entry in enumerate(entries, log.tree.size)
        ]
        batch.changes.issued += rows
        log.tree.extend(map(leaf_hash, entries))
        log.fresh = [*log.fresh, *entries]

    def _take_head(self, authority: str, log: Log, note: str, journal: str, batch: Batch) -> None:
        """Keep the head that holds; of several in one batch the last one."""
        heads = batch.changes.issued_heads
        heads[:] = [each for each in heads if each.authority != authority]
        log.head = IssuedHead(authority, log.tree.size, note, batch.now, journal)
        log.roots[log.tree.size] = log.tree.root()
        while len(log.roots) > ROOTS_MAX:
            del log.roots[next(iter(log.roots))]
        heads.append(log.head)

    def _adopt(self, authority: str, log: Log, batch: Batch) -> None:
        """Let a log count, and bring what it gained to those whom it concerns."""
        self._logs[authority] = log
        gained, log.fresh = log.fresh, []
        if not gained:
            return
        first = log.tree.size - len(gained)
        for link in self._state.links.values():
            concerned = self._state.registry.concerns(link.neighbour, authority)
            if concerned and link.neighbour != log.via:
                self._send(log, first, gained, link, batch)
        log.via = ""

    # --- asking and answering -----------------------------------------------------------------

    def greet(self, link: Link, batch: Batch) -> None:
        """Ask a neighbour that has just greeted us for what the logs beyond it have gained.

        Of our own log, too, once our record has lost its end: it may have had entries there.
        """
        registry = self._state.registry
        for authority in sorted(self.authorities()):
            is_beyond = (
                authority != registry.here and registry.next_hop(authority) == link.neighbour
            )
            if is_beyond or (authority == self._own and batch.epoch > 1):
                log = self._logs.get(authority)
                after = 0 if log is None else log.tree.size + len(log.partial)
                self._ask(authority, after, link, batch)

    def _ask(self, authority: str, after: int, link: Link, batch: Batch) -> None:
        stamp = self._state.gate.stamp(link.neighbour, batch.now)
        ask = Ask(**stamp, what="issued", address=authority, after=after)  # type: ignore[arg-type]
        batch.after_commit(partial(link.send_object, self._state.gate.sign(ask)))

    async def answer_ask(self, ask: Ask, link: Link, batch: Batch) -> None:
        """Send the entries of a log that a neighbour lacks, as many as one message takes."""
        log = self._logs.get(ask.address or "")
        after = ask.after or 0
        if log is None or after >= log.tree.size:
            return
        if self._quota.take(link.neighbour, batch.now) >= ASKS_PER_HOUR:
            return  # it asks again at its next greeting
        rows = await self._state.archive.issued(ask.address or "", after, PAGE_ENTRIES)
        entries = [row.entry for row in rows]
        batch.after_commit(partial(self._send, log, after, entries, link, batch))

    def _send(
        self, log: Log, first: int, entries: Sequence[bytes], link: Link, batch: Batch
    ) -> None:
        head = self._head_of(log)
        page = list(entries[:PAGE_ENTRIES])
        body = pack_pieces([head.note.encode(), *page])
        header = Issued(
            **self._state.gate.stamp(link.neighbour, batch.now),  # type: ignore[arg-type]
            authority=head.authority,
            journal=head.journal,
            first=first,
            last=first + len(page),
            size=head.size,
            body=body_of(body),
        )
        raw = self._state.gate.sign(header, body)
        link.send_statement(raw, self._state.gate.fingerprint, head.journal)

    def _head_of(self, log: Log) -> IssuedHead:
        """Return a log's head; ours is signed again once our journal key is another."""
        assert log.head is not None, "a log that has entries has a head"
        issuer = self._state.gate.issuer
        if issuer is not None and log.head.authority == issuer.subtree:
            journal = issuer.journal.fingerprint
            if journal != log.head.journal:
                note = issuer.sign_head(log.tree.size, log.tree.root())
                log.head = msgspec.structs.replace(log.head, note=note, journal=journal)
        return log.head


def _cut_body(header: Issued, body: bytes) -> tuple[str, list[bytes]]:
    """Return head and entries as the header says. Raises FormatError."""
    pieces, end = unpack_pieces(body)
    if end != len(body) or len(pieces) != 1 + header.last - header.first:
        raise FormatError(Reason.FORMAT_INVALID, "log: not the entries that the header names")
    if not header.first <= header.last <= header.size:
        raise FormatError(Reason.FORMAT_INVALID, "log: entries behind the head")
    for entry in pieces[1:]:
        check_entry(entry)
    try:
        return pieces[0].decode(), pieces[1:]
    except UnicodeDecodeError as error:
        raise FormatError(Reason.FORMAT_INVALID, "log: the head is no text") from error


def _nobody_issues(_entries: Sequence[bytes], _batch: Batch) -> None:
    """Before an authority is on line here."""


def _note_of(log: Log) -> str:
    return "" if log.head is None else log.head.note
