"""Certificates asked for: signs a request, repeats it until its authority has answered.

Used by a parent for who joins and for invitations, and by a node for its own next keys. Requests
and grants pass hop by hop, by the way of frames; at the authority `exchange.authority` answers
them. What waits stands in the record: a restart asks again.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial

import msgspec

from exchange.batch import Batch
from exchange.core.backoff import next_ask
from exchange.gate import OpenedObject, sha256_of
from exchange.learning import learn_certificate
from exchange.links import Link
from exchange.signing_desk import body_of
from exchange.state import NodeState
from schemas.addresses import Address, is_within
from schemas.cards import ENROLMENT_LABEL
from schemas.errors import FormatError
from schemas.moments import Instant
from schemas.objects import cut_object, pack_pieces, unpack_pieces
from schemas.records import GrantRow, OwnKey, RequestRow
from schemas.statements import Grant, Request
from schemas.wire import printable
from signing.authority import authority_address, public_key_of_request
from signing.certificates import named_address, parse_certificate, public_key_of
from signing.errors import IssueError
from signing.keys import key_digest


class Granted(msgspec.Struct, frozen=True):
    """An authority's answer to a request of ours; no certificates where it refused."""

    request: bytes
    subject: str
    what: str
    certificates: list[bytes]
    """DER, in the order of the requests."""
    detail: str


OnGrant = Callable[[Granted, Batch], Awaitable[None]]
Answer = Callable[[OpenedObject, Batch], Awaitable[None]]
"""Answers a request at the authority it is for."""


class _Waiting(msgspec.Struct):
    """A request of ours without an answer."""

    row: RequestRow
    header: Request
    body: bytes
    next_at: Instant = 0
    asked: int = 0
    fresh: Batch | None = None
    """The batch that brings it into the record, until that is committed."""


class Requests:
    """The requests of ours that wait for an answer."""

    def __init__(self, state: NodeState) -> None:
        """Share the node's state; `on_grant` is named by the parts that ask."""
        self._state = state
        self.on_grant: dict[str, OnGrant] = {}
        self.answer: Answer = self._lack_authority
        self._waiting: dict[bytes, _Waiting] = {}

    async def open(self) -> None:
        """Take over the requests of the record that have no answer yet."""
        for row in await self._state.archive.open_requests():
            found = cut_object(row.object)
            if row.issuer == self._state.rules.here and isinstance(found.header, Request):
                self._waiting[row.sha256] = _Waiting(row, found.header, found.body)

    # --- asking -------------------------------------------------------------------------------

    def ask(self, subject: str, what: str, pieces: Sequence[bytes] | bytes, batch: Batch) -> bytes:
        """Sign and keep a request (CSRs in DER, or a revocation's text); return its SHA-256."""
        body = pieces if isinstance(pieces, bytes) else pack_pieces(list(pieces))
        header = Request(
            **self._state.gate.stamp(self._authority_for(subject), batch.now),  # type: ignore[arg-type]
            subject=subject,
            what=what,  # type: ignore[arg-type]
            body=body_of(body),
        )
        raw = self._state.gate.sign(header, body)
        here = self._state.rules.here
        row = RequestRow(sha256_of(raw), here, subject, what, batch.now, raw)
        batch.changes.requests.append(row)
        if not isinstance(pieces, bytes) and is_own_name(subject, here):
            self._keep_keys(pieces, what, batch)
        waiting = _Waiting(row, header, body, fresh=batch)
        self._waiting[row.sha256] = waiting
        batch.after_commit(partial(self._begin, waiting, batch.now))
        return row.sha256

    def is_pending(self, subject: str, what: str) -> bool:
        """Say whether a request of ours waits for its answer."""
        return any(
            (each.row.subject, each.row.what) == (subject, what) for each in self._waiting.values()
        )

    def _authority_for(self, subject: str) -> Address:
        """Return whose authority to ask: our own where it covers the subject, else our issuer's."""
        gate = self._state.gate
        if gate.issuer is not None and is_within(subject, gate.issuer.subtree):
            return gate.issuer.subtree
        ders = gate.trust.ders_for(gate.fingerprint)
        authority = parse_certificate(ders[-1])
        address = None if authority is None else authority_address(authority)
        assert address is not None, "our packet certificate has its authority"
        return address

    def _keep_keys(self, requests: Sequence[bytes], what: str, batch: Batch) -> None:
        """Remember whose keys certificates in our own name may be for (clause 14.5)."""
        for each in requests:
            with suppress(IssueError):  # the authority refuses it, and says so
                digest = key_digest(public_key_of_request(each))
                batch.changes.own_keys.append(OwnKey(digest, what, batch.now))

    def _begin(self, waiting: _Waiting, now: Instant) -> None:
        """Send a request on its way; one to ourselves is answered at the next sweep."""
        waiting.fresh = None
        if waiting.header.to == self._state.rules.here:
            self._state.wake()
        else:
            self._postpone(waiting, now)
            self._pass_on(waiting.row.object, waiting.header)

    def _postpone(self, waiting: _Waiting, now: Instant) -> None:
        waiting.asked += 1
        waiting.next_at = next_ask(waiting.row.sha256, waiting.asked, now, self._state.rules.limits)

    # --- what neighbours bring ----------------------------------------------------------------

    async def take(self, opened: OpenedObject, link: Link, batch: Batch) -> None:
        """Take a request or a grant that a neighbour brings: ours, or to be passed on."""
        header = opened.header
        assert isinstance(header, Request | Grant), "the dialogue sorts them"
        fault = self._fault_of_way(header, link, batch.now)
        if fault is not None:
            kind = type(header).__name__.lower()
            detail = printable(f"{kind} of {header.from_} to {header.to}: {fault}")
            self._state.effects.raise_incident("statement_misrouted", link.neighbour, detail, batch)
        elif header.to != self._state.rules.here:
            batch.after_commit(partial(self._pass_on, opened.raw, header))
        elif isinstance(header, Grant):
            await self.settle(opened, batch)
        else:
            await self.answer(opened, batch)

    def _fault_of_way(self, header: Request | Grant, link: Link, now: Instant) -> str | None:
        """Return why a link may not bring this; a request only comes up from who is in standing."""
        registry = self._state.registry
        grace_us = self._state.rules.limits.hold_limit_us
        if not registry.allows(link.neighbour, header.from_, header.to, now, grace_us):
            return f"not by the way of {link.neighbour}"
        if isinstance(header, Grant):
            return None
        for address in {link.neighbour, header.from_}:
            card = registry.card(address)
            known = card is not None or not registry.is_responsible_for(address)
            if not known or (card is not None and card.facts.standing != "active"):
                return f"{address} is not in active standing"
        return None

    def _pass_on(self, raw: bytes, header: Request | Grant) -> None:
        hop = self._state.registry.next_hop(header.to)
        link = None if hop is None else self._state.links.get(hop)
        if link is not None:
            link.send_statement(raw, header.certificate)

    async def settle(self, opened: OpenedObject, batch: Batch) -> None:
        """Take the answer to a request of ours, and let who asked go on."""
        header = opened.header
        assert isinstance(header, Grant), "the caller sorts them"
        waiting = self._waiting.get(bytes.fromhex(header.request))
        if waiting is None or waiting.fresh is not None or self._is_answered(waiting, batch):
            return  # an answer that comes again
        certificates, fault = self._read(header, opened.body, waiting)
        if fault is not None:
            detail = printable(f"{header.from_} on {waiting.row.what} {header.subject}: {fault}")
            self._state.effects.raise_incident("grant_refused", header.from_, detail, batch)
            return
        row = GrantRow(waiting.row.sha256, header.outcome, batch.now, opened.raw)
        batch.changes.grants.append(row)
        for der in certificates:
            learn_certificate(self._state, der, header.from_, batch)
        batch.after_commit(partial(self._waiting.pop, waiting.row.sha256, None))
        handler = self.on_grant.get(waiting.row.what)
        if handler is not None:
            what, subject = waiting.row.what, waiting.row.subject
            granted = Granted(row.request, subject, what, certificates, header.detail)
            await handler(granted, batch)

    @staticmethod
    def _is_answered(waiting: _Waiting, batch: Batch) -> bool:
        return any(row.request == waiting.row.sha256 for row in batch.changes.grants)

    def _read(
        self, header: Grant, body: bytes, waiting: _Waiting
    ) -> tuple[list[bytes], str | None]:
        """Return what was granted, and what is wrong with the answer."""
        if (header.from_, header.subject) != (waiting.header.to, waiting.row.subject):
            return [], "it is not from whom was asked, or about another"
        try:
            certificates, end = unpack_pieces(body)
        except FormatError as error:
            return [], error.detail
        if end != len(body):
            return [], f"{len(body) - end} bytes behind the last certificate"
        if header.outcome == "refused" or waiting.row.what == "revoke":
            return [], "certificates where none were due" if certificates else None
        return certificates, _fault_of_certificates(certificates, waiting)

    async def _lack_authority(self, opened: OpenedObject, batch: Batch) -> None:
        """Raise that we were asked for what we have no key to give; who asked goes on asking."""
        header = opened.header
        detail = printable(f"{header.from_} asks here for certificates: no authority is on line")
        self._state.effects.raise_incident("authority_off_line", header.from_, detail, batch)

    # --- time ---------------------------------------------------------------------------------

    async def sweep(self, batch: Batch) -> None:
        """Repeat what waits, at a pace that backs off; answer what is for ourselves."""
        for sha256, waiting in list(self._waiting.items()):
            if waiting.fresh is not None:
                if waiting.fresh is not batch:
                    del self._waiting[sha256]  # its commit failed: whoever asked will ask again
            elif waiting.next_at <= batch.now:
                self._postpone(waiting, batch.now)
                await self._ask_again(waiting, batch)

    async def _ask_again(self, waiting: _Waiting, batch: Batch) -> None:
        if waiting.header.to == self._state.rules.here:
            opened = OpenedObject(waiting.header, waiting.row.object, waiting.body)
            await self.answer(opened, batch)
        else:
            batch.after_commit(partial(self._pass_on, waiting.row.object, waiting.header))


def is_own_name(address: str, here: str) -> bool:
    """Say whether certificates of this name are for keys of ours: our own, or an invitation's."""
    return address == here or address.startswith(f"{here}.{ENROLMENT_LABEL}.")


def _fault_of_certificates(certificates: list[bytes], waiting: _Waiting) -> str | None:
    """Return what is wrong with certificates granted, by what was asked for."""
    requests, _ = unpack_pieces(waiting.body)
    if len(certificates) != len(requests):
        return f"{len(certificates)} certificates for {len(requests)} requests"
    for der, request in zip(certificates, requests, strict=True):
        parsed = parse_certificate(der)
        if parsed is None or named_address(der) != waiting.row.subject:
            return "a certificate that names another"
        try:
            if public_key_of(parsed) != public_key_of_request(request):
                return "a certificate for another key"
        except IssueError as error:
            return str(error)
    return None
