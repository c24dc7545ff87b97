"""Joining, at the parent: machines that use invitations, and what they are answered.

An invitation holds a one-time enrolment certificate; a machine that holds its key asks to become
the node it names, with keys that never leave it. Each attempt is kept, the refused ones as
incidents (docs/protocol.md clause 15). What a crash makes us forget, the machine asks again, and
is answered from the record.
"""

from functools import partial
from typing import Literal

import msgspec

from exchange.batch import Batch
from exchange.core.registry import KnownCard
from exchange.gate import OpenedObject, sha256_of
from exchange.links import Link
from exchange.ports import Archive
from exchange.requests import Granted, Requests
from exchange.signing_desk import body_of
from exchange.state import NodeState
from schemas.errors import FormatError
from schemas.invitations import JoinReason
from schemas.moments import Instant, format_instant
from schemas.objects import cut_object, pack_pieces, unpack_pieces
from schemas.records import InvitationUse
from schemas.statements import Join, Welcome
from schemas.wire import printable
from signing.authority import address_of_request, public_key_of_request
from signing.errors import IssueError
from signing.profiles import Purpose, is_key_of

JOIN_PURPOSES = (Purpose.PACKET, Purpose.JOURNAL, Purpose.LINK, Purpose.WITNESS)
"""What a machine asks certificates for, in this order; the last one is left out by a leaf."""
ATTEMPTS_KEPT = 50
"""Refused uses of one invitation that are written down; all are answered."""

JOIN_REFUSED = "join_refused"
"""The incident of an invitation used in vain."""


class _Refusal(msgspec.Struct, frozen=True):
    """Why a machine may not join: the reason it hears, and what our operators do."""

    reason: JoinReason
    detail: str


class _Asking(msgspec.Struct, frozen=True):
    """A machine that asks to join: over which link, by which invitation, and for what."""

    link: Link
    invitation: str
    digest: bytes
    """SHA-256 of its certificate requests."""


class Enrolment:
    """Machines that want to join below this node."""

    def __init__(self, state: NodeState, requests: Requests) -> None:
        """Share the node's state; take the authority's answers for those machines."""
        self._state = state
        self._requests = requests
        self._waiting: dict[bytes, _Asking] = {}
        requests.on_grant["join"] = self._take_certificates

    async def take(self, opened: OpenedObject, link: Link, batch: Batch) -> None:
        """Take a machine's request to join."""
        header = opened.header
        assert isinstance(header, Join), "the dialogue sorts them"
        asking = _Asking(link, header.invitation, sha256_of(opened.body))
        uses = await uses_of(self._state.archive, asking.invitation, batch)
        over = over_by(uses)
        if over is not None and over.state == "taken" and over.request == asking.digest:
            await self._answer_again(asking, over, batch)
            return
        refusal = await self._judge(asking, opened.body, over, batch.now)
        if refusal is not None:
            self._refuse(asking, refusal, uses, batch)
            return
        asked = self._requests.ask(link.neighbour, "join", unpack_pieces(opened.body)[0], batch)
        use = InvitationUse(asking.invitation, asking.digest, batch.now, "taken", asked.hex())
        batch.changes.invitation_uses.append(use)
        self._waiting[asked] = asking
        self._welcome(asking, batch, state="taken")

    async def _judge(
        self, asking: _Asking, body: bytes, over: InvitationUse | None, now: Instant
    ) -> _Refusal | None:
        """Return why a machine may not join; the first check that fails decides."""
        name, address = asking.invitation, asking.link.neighbour
        row = await self._state.archive.invitation(name)
        if row is None:
            return _Refusal(JoinReason.UNKNOWN, f"{name} is no invitation of ours")
        if row.address != address:
            return _Refusal(JoinReason.ADDRESS, f"{name} is for {row.address}, not {address}")
        if over is not None:
            is_used = over.state == "taken"
            reason = JoinReason.USED if is_used else JoinReason.WITHDRAWN
            what = "used by another machine" if is_used else "withdrawn"
            return _Refusal(reason, f"{name} was {what} at {format_instant(over.at)}")
        if now > row.ends:
            return _Refusal(JoinReason.EXPIRED, f"{name} ended at {format_instant(row.ends)}")
        card = self._state.registry.card(address)
        if card is None or card.facts.standing != "active":
            return _Refusal(JoinReason.WITHDRAWN, f"{address} is not in active standing")
        return _refusal_of_body(body, address)

    def _refuse(
        self, asking: _Asking, refusal: _Refusal, uses: list[InvitationUse], batch: Batch
    ) -> None:
        """Answer with the reason; what is new of it becomes a row and an incident."""
        reason = refusal.reason
        known = any(use.request == asking.digest and use.detail == reason for use in uses)
        if not known and len(uses) < ATTEMPTS_KEPT:
            use = InvitationUse(asking.invitation, asking.digest, batch.now, "refused", reason)
            batch.changes.invitation_uses.append(use)
            self._raise(asking.link, f"{reason}: {refusal.detail}", batch)
        self._welcome(asking, batch, state="refused", reason=reason)

    async def _answer_again(self, asking: _Asking, use: InvitationUse, batch: Batch) -> None:
        """Answer the machine that holds the invitation; a crash may have cost it the first one."""
        asked = bytes.fromhex(use.detail)
        grant = await self._state.archive.grant(asked)
        if grant is None:
            self._waiting[asked] = asking
            self._welcome(asking, batch, state="taken")
            return
        found = cut_object(grant.object)
        certificates = unpack_pieces(found.body)[0] if grant.outcome == "granted" else []
        self._conclude(asking, certificates, batch)

    # --- what the authority answers ------------------------------------------------------------

    async def _take_certificates(self, granted: Granted, batch: Batch) -> None:
        """Hand certificates over to the machine that waits for them."""
        asking = self._waiting.pop(granted.request, None)
        if asking is None:
            return  # after a restart the machine asks again, and is answered from the record
        if not granted.certificates:
            self._raise(asking.link, f"{JoinReason.AUTHORITY}: {granted.detail}", batch)
        elif self._has_run(asking.link.neighbour):
            batch.after_commit(partial(self._state.on_replaced, asking.link.neighbour))
            batch.after_commit(self._state.wake)
        self._conclude(asking, granted.certificates, batch)

    def _conclude(self, asking: _Asking, certificates: list[bytes], batch: Batch) -> None:
        """Send all that a machine needs to be a node, its own card last; or the refusal."""
        if not certificates:
            self._welcome(asking, batch, state="refused", reason=JoinReason.AUTHORITY)
            return
        gate, link = self._state.gate, asking.link
        cards = self._cards_for(link.neighbour)
        pieces = [*certificates, *self._vouchers(cards)]
        self._welcome(asking, batch, state="ready", pieces=pieces)
        crls = [gate.make_crl(link.neighbour, der, batch.now) for der in gate.trust.crls()]
        for raw in (*crls, *(card.raw for card in cards)):
            _send(link, raw, batch)

    def _has_run(self, address: str) -> bool:
        """Say whether a machine has been this node before: then its keys have just ended.

        Its card may show them no more; that it has ever stated some still counts.
        """
        card = self._state.registry.card(address)
        return card is not None and card.keys_number > 0

    def _cards_for(self, address: str) -> list[KnownCard]:
        """Return the cards of a machine's ancestors from the root down, then its own."""
        registry = self._state.registry
        way = [registry.card(each) for each in registry.way_up(address)]
        return [card for card in reversed(way) if card is not None]

    def _vouchers(self, cards: list[KnownCard]) -> list[bytes]:
        """Return what vouches for the certificates, for the cards, and for the keys in them."""
        trust = self._state.gate.trust
        names = [self._state.gate.fingerprint]
        for card in cards:
            names.append(cut_object(card.raw).header.certificate)
            names += [card.keys.packet] if card.keys is not None else []
        ders = [der for name in names for der in trust.ders_for(name)]
        return list(dict.fromkeys([*trust.authorities(), *ders]))

    def _welcome(
        self,
        asking: _Asking,
        batch: Batch,
        *,
        state: Literal["taken", "refused", "ready"],
        reason: str = "",
        pieces: list[bytes] | None = None,
    ) -> None:
        body = b"" if pieces is None else pack_pieces(pieces)
        header = Welcome(
            **self._state.gate.stamp(asking.link.neighbour, batch.now),  # type: ignore[arg-type]
            invitation=asking.invitation,
            request=asking.digest.hex(),
            state=state,
            reason=reason,
            body=body_of(body),
        )
        # Our own certificate may be younger than the invitation.
        own = self._state.gate.make_certificates(asking.link.neighbour, None, batch.now)
        for raw in (own, self._state.gate.sign(header, body)):
            _send(asking.link, raw, batch)

    def _raise(self, link: Link, detail: str, batch: Batch) -> None:
        effects = self._state.effects
        effects.raise_incident(JOIN_REFUSED, link.neighbour, printable(detail), batch)


async def uses_of(archive: Archive, invitation: str, batch: Batch) -> list[InvitationUse]:
    """Return what became of an invitation, this very batch included."""
    fresh = [use for use in batch.changes.invitation_uses if use.id == invitation]
    return [*await archive.invitation_uses(invitation), *fresh]


def over_by(uses: list[InvitationUse]) -> InvitationUse | None:
    """Return what ended an invitation, if anything has."""
    return next((use for use in uses if use.state != "refused"), None)


def _refusal_of_body(body: bytes, address: str) -> _Refusal | None:
    """Return why what a machine sends does not let it join; None where it does."""
    if body == JoinReason.FORGED.encode():
        return _Refusal(JoinReason.FORGED, "the machine was given a text that was changed")
    fault = _fault_of_requests(body, address)
    return None if fault is None else _Refusal(JoinReason.REQUEST, fault)


def _fault_of_requests(body: bytes, address: str) -> str | None:
    """Return what is wrong with a machine's certificate requests."""
    try:
        requests, end = unpack_pieces(body)
        if end != len(body) or not len(JOIN_PURPOSES) - 1 <= len(requests) <= len(JOIN_PURPOSES):
            return f"{len(requests)} certificate requests, expected 3 or 4"
        keys = [public_key_of_request(each) for each in requests]
        named = {address_of_request(each) for each in requests}
    except (FormatError, IssueError) as error:
        return str(error)
    if named != {address}:
        return f"certificate requests are not all for {address}"
    for purpose, key in zip(JOIN_PURPOSES, keys, strict=False):
        if not is_key_of(purpose, key):
            return f"the {purpose} key is of another kind"
    if any(one == other for at, one in enumerate(keys) for other in keys[:at]):
        return "two purposes share a key"
    return None


def _send(link: Link, raw: bytes, batch: Batch) -> None:
    batch.after_commit(lambda: link.send_object(raw))
