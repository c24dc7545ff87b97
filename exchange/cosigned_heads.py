"""Heads of the public logs that witnesses have cosigned: made, kept, passed on, missed (14.4).

the authority's node   Issued --> its witness: it has the log whole; the head is journaled and
                                  cosigned in one commit
                       Cosigned <--
                       Issued, that head with its lines and no entry --> all whom the log concerns

Each node keeps one line of each witness and size, and passes on what was new to it: nothing
answers such a head. Whatever a crash or a full queue swallows comes at the next greeting.
"""

from collections.abc import Iterable
from functools import partial

import msgspec

from exchange.batch import Batch
from exchange.core.witness import can_be_witnessed, is_log_witness, is_unwitnessed
from exchange.gate import OpenedObject, sha256_of
from exchange.issued_logs import IssuedLogs
from exchange.issued_pages import send_page
from exchange.links import Link
from exchange.noted import certified_key
from exchange.quotas import HourlyQuota
from exchange.signing_desk import body_of
from exchange.state import NodeState
from schemas.addresses import dns_name
from schemas.errors import FormatError
from schemas.issued import log_origin
from schemas.leaves import LeafKind
from schemas.moments import SECOND, Instant, format_instant
from schemas.objects import Issued
from schemas.reasons import Reason
from schemas.records import IssuedCosignature, IssuedHead
from schemas.wire import printable
from schemas.witnessing import Cosigned
from signing.certificates import named_address
from signing.cosigner import Cosigner
from signing.note_text import split_note
from signing.notes import VerifierKey, checkpoint_of, open_note, with_lines_of
from signing.profiles import Purpose
from signing.proofs import text_of

WITNESSES_MAX = 32
"""Lines of so many witnesses go with one head."""
BROUGHT_PER_HOUR = 1_200
"""So many answers and cosigned heads of one neighbour are looked at within an hour."""


class _Behind(msgspec.Struct):
    """Entries of a log that no cosignature covers."""

    witnessed: int
    since: Instant
    """The first head beyond has stood here since then."""
    is_raised: bool


class CosignedHeads:
    """Who has cosigned what of the logs that are kept here."""

    def __init__(self, state: NodeState, logs: IssuedLogs) -> None:
        """Share the node's state and its logs."""
        self._state = state
        self._logs = logs
        self._kept: dict[str, dict[str, IssuedCosignature]] = {}
        """By authority and witness, the newest."""
        self._due: set[str] = set()
        """Authorities of whose log there is a line that was not passed on yet."""
        self._behind: dict[str, _Behind] = {}
        self._quota = HourlyQuota(BROUGHT_PER_HOUR)

    async def open(self) -> None:
        """Take over what is kept."""
        for row in await self._state.archive.issued_cosigned():
            self._kept.setdefault(row.authority, {})[row.witness] = row

    def witnessed_size(self, authority: str) -> int:
        """Return up to which size a witness has cosigned a log."""
        return max((row.size for row in self._kept.get(authority, {}).values()), default=0)

    async def sweep(self, batch: Batch) -> None:
        """Cosign what we are the witness of, pass on what came, raise what is missing too long."""
        if self._state.loss is not None:
            return
        for head in self._logs.heads():
            self._cosign_due(head, batch)
            await self._look_for_missing(head, batch)
        if self._due:
            batch.after_commit(partial(self._pass_on, batch.now))

    # --- as a witness -------------------------------------------------------------------------

    def _cosign_due(self, head: IssuedHead, batch: Batch) -> None:
        """Cosign a head that we have recomputed, where its node is ours to witness."""
        cosigner, link = self._state.gate.cosigner, self._state.links.get(head.authority)
        if cosigner is None or link is None or link.suspended:
            return
        here = self._state.rules.here
        is_ours = is_log_witness(self._state.registry, here, head.authority)
        if is_ours and not self._is_known(head.authority, here, head.size, batch):
            self._cosign(head, cosigner, link, batch)

    def _cosign(self, head: IssuedHead, cosigner: Cosigner, link: Link, batch: Batch) -> None:
        """Journal and keep a head with our line; the line goes out once that is committed."""
        checkpoint, here = checkpoint_of(head.note), self._state.rules.here
        batch.append_leaf(
            LeafKind.WITNESSED,
            None,
            origin=checkpoint.origin,
            size=str(head.size),
            root=checkpoint.root.hex(),
            note_sha256=sha256_of(head.note.encode()).hex(),
            address=head.authority,
        )
        line = cosigner.certified_line(checkpoint.text, batch.now // SECOND)
        row = _row_of(head, here, head.note + line, cosigner.fingerprint, batch.now)
        self._keep(row, batch)
        self._answer(row, link, batch)

    def greet(self, link: Link, batch: Batch) -> None:
        """Repeat to an authority's node that has just greeted us what we have cosigned last."""
        mine = self._kept.get(link.neighbour, {}).get(self._state.rules.here)
        if mine is not None and not link.suspended and self._state.loss is None:
            self._answer(mine, link, batch)

    def _answer(self, row: IssuedCosignature, link: Link, batch: Batch) -> None:
        body = (split_note(row.note)[1][-1] + "\n").encode()
        header = Cosigned(
            **self._state.gate.stamp(link.neighbour, batch.now),  # type: ignore[arg-type]
            origin=log_origin(row.authority),
            size=row.size,
            status=200,
            witness=row.certificate,
            body=body_of(body),
        )
        raw = self._state.gate.sign(header, body)
        batch.after_commit(partial(link.send_statement, raw, row.certificate))

    # --- as the authority's node --------------------------------------------------------------

    async def take_answer(self, opened: OpenedObject, link: Link, batch: Batch) -> None:
        """Take a witness's line under a head of our own log; it goes out to all with the head."""
        header = opened.header
        assert isinstance(header, Cosigned), "the caller sorts them"
        issuer, witness = self._state.gate.issuer, link.neighbour
        if self._is_over(link, batch) or link.suspended or self._state.loss is not None:
            return
        if issuer is not None and not self._is_awaited(issuer.subtree, header, witness, batch):
            return
        try:
            head = await self._head_answered(header, link)
            note = head.note + text_of(opened.body)
            head = msgspec.structs.replace(head, note=note, at=batch.now)
            self._take_line(head, witness, header.witness or "", batch)
        except FormatError as error:
            detail = printable(f"{header.origin}: {error.detail}")
            frame = self._state.effects.keep_raw(opened.raw, link.neighbour, detail, batch)
            self._raise_invalid(link, detail, batch, frame)

    def _is_awaited(self, own: str, header: Cosigned, witness: str, batch: Batch) -> bool:
        """Say whether an answer may be new: our log is whole, and has as many entries.

        In a later epoch our record may lack entries that were cosigned before.
        """
        is_beyond = header.size > self._logs.size(own)
        if not self._logs.is_whole(own) or (is_beyond and batch.epoch > 1):
            return False
        return not self._is_known(own, witness, header.size, batch)

    async def _head_answered(self, header: Cosigned, link: Link) -> IssuedHead:
        """Return the head of ours that an answer is about. Raises FormatError."""
        authority = self._state.rules.here
        if not is_log_witness(self._state.registry, link.neighbour, authority):
            raise FormatError(Reason.SIG_INVALID, f"{link.neighbour} is no witness of our log")
        head = await self._logs.own_head(header.size)
        if head is None or header.origin != log_origin(head.authority):
            detail = f"we have signed no head of this name and {header.size} entries"
            raise FormatError(Reason.FORMAT_INVALID, detail)
        return head

    def _is_over(self, link: Link, batch: Batch) -> bool:
        return self._quota.take(link.neighbour, batch.now) >= BROUGHT_PER_HOUR

    # --- as everybody -------------------------------------------------------------------------

    def take(self, header: Issued, note: str, link: Link, batch: Batch) -> None:
        """Keep the lines of a head that fits the log here; those of strangers are passed over."""
        if not header.witnesses or self._is_over(link, batch):
            return
        head = IssuedHead(header.authority, header.size, note, batch.now, header.journal)
        for certificate in header.witnesses[:WITNESSES_MAX]:
            witness = self._witness_of(certificate, header.authority)
            if witness is None:
                continue
            try:
                self._take_line(head, witness, certificate, batch)
            except FormatError as error:
                if error.reason is Reason.CERTIFICATE_UNTRUSTED:
                    continue  # revoked or over: what it says counts no more
                detail = printable(f"{log_origin(header.authority)}: {error.detail}")
                self._raise_invalid(link, detail, batch)

    def _witness_of(self, certificate: str, authority: str) -> str | None:
        """Return whose certificate it is, if that is a witness of the authority's log."""
        ders = self._state.gate.trust.ders_for(certificate)
        address = named_address(ders[0]) if ders else None
        is_one = address is not None and is_log_witness(self._state.registry, address, authority)
        return address if is_one else None

    def _take_line(self, head: IssuedHead, witness: str, certificate: str, batch: Batch) -> None:
        """Keep one witness's line of a head, where it is beyond the last. Raises FormatError."""
        if self._is_known(head.authority, witness, head.size, batch):
            return
        state, now, name = self._state, batch.now, log_origin(head.authority)
        own = certified_key(state, head.journal, head.authority, Purpose.JOURNAL, name, now)
        key = certified_key(state, certificate, witness, Purpose.WITNESS, dns_name(witness), now)
        self._check_line(head.note, own, key, now)
        note = with_lines_of(head.note, [own, key])
        self._keep(_row_of(head, witness, note, certificate, batch.now), batch)

    def _is_known(self, authority: str, witness: str, size: int, batch: Batch) -> bool:
        """Say whether a witness's line under a head of this size, or a larger one, is kept."""
        rows = [*self._kept.get(authority, {}).values(), *batch.changes.issued_cosignatures]
        who = (authority, witness)
        return any((row.authority, row.witness) == who and row.size >= size for row in rows)

    def _check_line(self, note: str, own: VerifierKey, key: VerifierKey, now: Instant) -> None:
        """Raise FormatError unless a witness's line holds, under a head that its log has signed.

        What came behind that head could else have made another text of it.
        """
        open_note(note, [own])
        (found,) = open_note(note, [key]).signatures
        latest = (now + self._state.rules.limits.time_window_ahead_us) // SECOND
        if found.time is None or found.time > latest:
            raise FormatError(Reason.SIG_INVALID, "it bears a time that has not come yet")

    def _raise_invalid(self, link: Link, detail: str, batch: Batch, frame: int = 0) -> None:
        effects = self._state.effects
        effects.raise_incident("cosignature_invalid", link.neighbour, detail, batch, frame)

    def _keep(self, row: IssuedCosignature, batch: Batch) -> None:
        batch.changes.issued_cosignatures.append(row)
        batch.after_commit(partial(self._adopt, row))

    def _adopt(self, row: IssuedCosignature) -> None:
        self._kept.setdefault(row.authority, {})[row.witness] = row
        self._due.add(row.authority)

    # --- passed on ----------------------------------------------------------------------------

    def _pass_on(self, now: Instant) -> None:
        """Bring what is new to those whom it concerns, but to whom it comes from."""
        due, self._due = self._due, set()
        registry = self._state.registry
        for authority in sorted(due):
            for link in self._state.links.values():
                is_source = link.neighbour == registry.next_hop(authority)
                if link.synchronised and not is_source:
                    self._send(authority, link, now)

    def send(self, authority: str, link: Link, batch: Batch) -> None:
        """Bring a neighbour that has all entries of a log its newest head that is cosigned."""
        batch.after_commit(partial(self._send, authority, link, batch.now))

    def _send(self, authority: str, link: Link, now: Instant) -> None:
        kept = self._kept.get(authority, {}).values()
        newest = [row for row in kept if row.size == self.witnessed_size(authority)]
        heads = cosigned_heads(newest[:WITNESSES_MAX])
        if heads and self._state.registry.concerns(link.neighbour, authority):
            witnesses = tuple(row.certificate for row in newest[:WITNESSES_MAX])
            size = heads[authority].size
            send_page(self._state, heads[authority], (size, []), link, now, witnesses)

    # --- missed -------------------------------------------------------------------------------

    async def _look_for_missing(self, head: IssuedHead, batch: Batch) -> None:
        """Open an incident, once, where entries have stood without a cosignature for too long."""
        state, authority = self._state, head.authority
        if head.size <= self.witnessed_size(authority):
            self._behind.pop(authority, None)
            return
        behind = await self._behind_of(head)
        limit, up_since = state.rules.limits.hold_limit_us, self._up_since(authority)
        if behind.is_raised or not is_unwitnessed(behind.since, up_since, batch.now, limit):
            return
        if can_be_witnessed(state.registry, authority):
            root = checkpoint_of(head.note).root.hex()
            detail = (
                f"no witness has cosigned entries {behind.witnessed} to {head.size - 1} of its "
                f"log since {format_instant(behind.since)}: compare root {root} with others"
            )
            state.effects.raise_incident("log_unwitnessed", authority, printable(detail), batch)
            batch.after_commit(partial(setattr, behind, "is_raised", True))

    async def _behind_of(self, head: IssuedHead) -> _Behind:
        authority = head.authority
        witnessed = self.witnessed_size(authority)
        known = self._behind.get(authority)
        if known is None or known.witnessed != witnessed:
            archive = self._state.archive
            first = await archive.issued_head_from(authority, witnessed + 1)
            since = head.at if first is None else first.at
            is_raised = await archive.incident_since("log_unwitnessed", authority, since)
            known = self._behind[authority] = _Behind(witnessed, since, is_raised)
        return known

    def _up_since(self, authority: str) -> Instant | None:
        """Return since when a cosignature could have come here; None where it can't now."""
        registry = self._state.registry
        hop = registry.next_hop(authority)
        moments = [
            link.up_since
            for link in self._state.links.values()
            if (
                is_log_witness(registry, link.neighbour, authority)
                if authority == registry.here
                else link.neighbour == hop
            )
        ]
        return min((each for each in moments if each is not None), default=None)


def cosigned_heads(rows: Iterable[IssuedCosignature]) -> dict[str, IssuedHead]:
    """Return the largest head of each log that is cosigned, with all lines under its text."""
    heads: dict[str, IssuedHead] = {}
    for row in rows:
        known = heads.get(row.authority)
        if known is None or row.size > known.size:
            heads[row.authority] = IssuedHead(
                row.authority, row.size, row.note, row.at, row.journal
            )
        elif row.size == known.size and split_note(row.note)[0] == split_note(known.note)[0]:
            note = known.note + split_note(row.note)[1][-1] + "\n"
            heads[row.authority] = msgspec.structs.replace(known, note=note)
    return heads


def _row_of(
    head: IssuedHead, witness: str, note: str, certificate: str, now: Instant
) -> IssuedCosignature:
    return IssuedCosignature(
        head.authority, head.size, witness, now, note, head.journal, certificate
    )
