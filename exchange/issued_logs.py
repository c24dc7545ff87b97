"""The public logs of what authorities have issued: kept whole, recomputed, passed on (clause 14.4).

Ours where an authority is on line here, and those that the node follows: of every authority above
it and below. Entries count once the head over all of them has held; whoever brought them. A head
that does not fit is evidence against the authority, and both are kept; entries that do not fit may
be its bringer's, and are looked at from the first on.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import msgspec

from exchange.batch import Batch
from exchange.gate import sha256_of
from exchange.issued_pages import cut_page, send_page
from exchange.issued_record import Log, extend_from, read_log
from exchange.issuer_gate import IssuerGate
from exchange.links import Link
from exchange.noted import certified_key, own_journal_of
from exchange.quotas import HourlyQuota
from exchange.state import NodeState
from schemas.errors import FormatError
from schemas.issued import is_certificate, log_origin
from schemas.objects import Ask, Issued
from schemas.reasons import Reason
from schemas.records import IssuedHead, IssuedRow
from schemas.wire import printable
from signing.authority import authority_address
from signing.certificates import parse_certificate
from signing.notes import Checkpoint, checkpoint_of, open_note, read_checkpoint, with_lines_of
from signing.profiles import Purpose
from store.merkle import EMPTY_ROOT, Tree, leaf_hash, root_of

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

    async def open(self) -> dict[str, str]:
        """Take over the logs of the record, each recomputed; return which do not hold, and how."""
        archive = self._state.archive
        heads = await archive.issued_heads()
        for authority in heads.keys() | ({self._own} if self._own is not None else set()):
            log = await read_log(archive, authority, heads.get(authority))
            if log.head is not None or log.damage:
                self._logs[authority] = log
        return {authority: log.damage for authority, log in self._logs.items() if log.damage}

    # --- what is known ------------------------------------------------------------------------

    def is_followed(self, authority: str) -> bool:
        """Say whether there is a log of this authority here."""
        return authority in self._logs

    def size(self, authority: str) -> int:
        """Return how many entries count."""
        log = self._logs.get(authority)
        return 0 if log is None else log.tree.size

    def is_whole(self, authority: str) -> bool:
        """Say whether the record gives the last head that was signed of a log, if any was."""
        return authority not in self._logs or not self._logs[authority].damage

    def heads(self) -> list[IssuedHead]:
        """Return the head of each log that is whole here, as it is committed."""
        logs = self._logs.values()
        return [log.head for log in logs if log.head is not None and not log.damage]

    async def own_head(self, size: int) -> IssuedHead | None:
        """Return our head over `size` entries of our own log, signed by the key in use.

        None where we have signed none. Raises FormatError where the record has changed it since.
        """
        issuer = self._state.gate.issuer
        if issuer is None or not self.is_whole(issuer.subtree):
            return None
        head = await self._state.archive.issued_head_from(issuer.subtree, size)
        if head is None or head.size != size or own_journal_of(self._state, head.note) is None:
            return None
        return _signed_anew(head, issuer, checkpoint_of(head.note).root)

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
        assert self.is_whole(issuer.subtree), "a head over other entries would be a fork"
        log = self._in(issuer.subtree, batch)
        self._grow(issuer.subtree, log, entries, batch)
        note = issuer.sign_head(log.tree.size, log.tree.root())
        self._take_head(issuer.subtree, log, note, issuer.journal.fingerprint, batch)
        await self._on_entries(issuer.subtree, entries, batch)

    # --- what neighbours bring ----------------------------------------------------------------

    async def take(self, header: Issued, body: bytes, link: Link, batch: Batch) -> str | None:
        """Take entries of a log that a neighbour brings; return a head that fits the log."""
        if header.authority not in self.authorities() or not self.is_whole(header.authority):
            return None
        try:
            note, entries = cut_page(header, body)
            checkpoint, head = self._open_head(header, note, batch)
        except FormatError as error:
            detail = printable(f"{header.authority}: {error.detail}")
            self._state.effects.raise_incident("log_unreadable", link.neighbour, detail, batch)
            return None
        log = self._in(header.authority, batch)
        if checkpoint.size <= log.tree.size:
            fits = await self._compare(header.authority, log, checkpoint, head, batch)
            return note if fits else None
        if header.authority == self._own and batch.epoch == 1:
            self._on_fork(header.authority, _note_of(log), head, batch)
            return None
        if header.first > log.reached:
            self._ask(header.authority, log.reached, link, batch)
        elif header.last > log.reached and len(log.partial) < PARTIAL_ENTRIES_MAX:
            log.partial = [*log.partial, *entries[log.reached - header.first :]]
            if header.last < checkpoint.size:
                self._ask(header.authority, header.last, link, batch)
            elif await self._complete(header, log, checkpoint, head, link, batch):
                return note
        return None

    async def _complete(  # noqa: PLR0917 - one head and what it is about
        self,
        header: Issued,
        log: Log,
        checkpoint: Checkpoint,
        head: str,
        link: Link,
        batch: Batch,
    ) -> bool:
        """Let entries count whose head is at hand: the whole tree must give its root."""
        entries = log.partial[: checkpoint.size - log.begin]
        hashes = [*map(leaf_hash, entries)]
        is_whole, log.partial, log.doubted = log.doubted, [], False
        tree = Tree() if is_whole else log.tree.copy()
        tree.extend(hashes)
        if tree.root() != checkpoint.root:
            self._doubt(header.authority, log, head, link, batch, again=is_whole)
            return False
        if is_whole:
            if root_of(hashes[: log.tree.size]) != log.tree.root():
                self._on_fork(header.authority, _note_of(log), head, batch)
                return False
            entries = entries[log.tree.size :]
        self._grow(header.authority, log, entries, batch)
        if header.authority == self._own:
            self.on_regained(entries, batch)
        log.via = link.neighbour
        self._take_head(header.authority, log, head, header.journal, batch)
        await self._on_entries(header.authority, entries, batch)
        return True

    def _doubt(
        self, authority: str, log: Log, head: str, link: Link, batch: Batch, *, again: bool
    ) -> None:
        """Find out who is wrong where entries do not give their head's root.

        The whole log does, if the authority has signed another one; if not, who brought it is.
        """
        if link.neighbour == authority:
            self._on_fork(authority, _note_of(log), head, batch)
        elif again:
            detail = f"entries of the log of {authority} that do not give the root of its head"
            self._state.effects.raise_incident("log_misbrought", link.neighbour, detail, batch)
        else:
            log.doubted = True
            self._ask(authority, 0, link, batch)

    async def _compare(
        self, authority: str, log: Log, checkpoint: Checkpoint, head: str, batch: Batch
    ) -> bool:
        """Say whether an older head, or the present one, is of the log that we have."""
        fits = await self._root_at(authority, log, checkpoint.size, batch) == checkpoint.root
        if not fits:
            self._on_fork(authority, _note_of(log), head, batch)
        return fits

    async def _root_at(self, authority: str, log: Log, size: int, batch: Batch) -> bytes:
        """Return the root that a log had when it had `size` entries."""
        if size in log.roots or size == 0:
            return log.roots.get(size, EMPTY_ROOT)
        tree = Tree()
        await extend_from(self._state.archive, tree, authority, size)
        fresh = [row for row in batch.changes.issued if row.authority == authority]
        tree.extend(leaf_hash(row.entry) for row in fresh if tree.size <= row.index < size)
        return _remember(log, size, tree.root())

    def _open_head(self, header: Issued, note: str, batch: Batch) -> tuple[Checkpoint, str]:
        """Return what a head says, and the head with the line of the authority's journal key alone.

        Raises FormatError where that has not signed it.
        """
        authority, origin = header.authority, log_origin(header.authority)
        key = certified_key(
            self._state, header.journal, authority, Purpose.JOURNAL, origin, batch.now
        )
        text = open_note(note, [key]).text
        if text != Checkpoint(origin, header.size, read_checkpoint(text).root).text:
            raise FormatError(Reason.FORMAT_INVALID, "log: the head is of another log or size")
        checkpoint = read_checkpoint(text)
        return checkpoint, with_lines_of(note, [key])

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
        _remember(log, log.tree.size, log.tree.root())
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
            is_own = authority == self._own and batch.epoch > 1
            if (is_beyond or is_own) and self.is_whole(authority):
                log = self._logs.get(authority)
                self._ask(authority, 0 if log is None else log.reached, link, batch)

    def _ask(self, authority: str, after: int, link: Link, batch: Batch) -> None:
        stamp = self._state.gate.stamp(link.neighbour, batch.now)
        ask = Ask(**stamp, what="issued", address=authority, after=after)  # type: ignore[arg-type]
        batch.after_commit(partial(link.send_object, self._state.gate.sign(ask)))

    async def answer_ask(self, ask: Ask, link: Link, batch: Batch) -> bool:
        """Send the entries of a log that a neighbour lacks, as many as one message takes.

        Return whether it lacks none after that.
        """
        log = self._logs.get(ask.address or "")
        after = ask.after or 0
        if (
            log is None
            or log.damage
            or self._quota.take(link.neighbour, batch.now) >= ASKS_PER_HOUR
        ):
            return False  # it asks again at its next greeting
        if after < log.tree.size:
            rows = await self._state.archive.issued(ask.address or "", after, PAGE_ENTRIES)
            entries = [row.entry for row in rows]
            batch.after_commit(partial(self._send, log, after, entries, link, batch))
        return after + PAGE_ENTRIES >= log.tree.size

    def _send(
        self, log: Log, first: int, entries: Sequence[bytes], link: Link, batch: Batch
    ) -> None:
        """Send a page of a log with its head, after the commit of the batch."""
        page = list(entries[:PAGE_ENTRIES])
        send_page(self._state, self._head_of(log), (first, page), link, batch.now)

    def _head_of(self, log: Log) -> IssuedHead:
        """Return a log's head; ours is signed again once our journal key is another."""
        assert log.head is not None, "a log that has entries has a head"
        issuer = self._state.gate.issuer
        if issuer is not None and log.head.authority == issuer.subtree:
            log.head = _signed_anew(log.head, issuer, log.tree.root())
        return log.head


def _remember(log: Log, size: int, root: bytes) -> bytes:
    """Keep the root that a log had at a size, in the place of the one kept longest; return it."""
    log.roots[size] = root
    while len(log.roots) > ROOTS_MAX:
        del log.roots[next(iter(log.roots))]
    return root


def _signed_anew(head: IssuedHead, issuer: IssuerGate, root: bytes) -> IssuedHead:
    """Return a head of our own, signed by the journal key in use."""
    journal = issuer.journal.fingerprint
    if journal == head.journal:
        return head
    note = issuer.sign_head(head.size, root)
    return msgspec.structs.replace(head, note=note, journal=journal)


def _nobody_issues(_entries: Sequence[bytes], _batch: Batch) -> None:
    """Before an authority is on line here."""


def _note_of(log: Log) -> str:
    return "" if log.head is None else log.head.note
