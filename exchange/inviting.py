"""Inviting: instructions that give and withdraw invitations (docs/protocol.md clause 15).

The child's card is made and its link admitted as soon as an invitation is asked for; the
invitation itself is signed once the authority has certified its one-time key. What is under way
is kept in memory alone: after a restart the certificate is asked for once more.
"""

import base64

import msgspec

from exchange.batch import Batch
from exchange.directory import Directory
from exchange.enrolment import over_by, uses_of
from exchange.gate import sha256_of
from exchange.instructions import Declined, Done
from exchange.requests import Granted, Requests
from exchange.signing_desk import body_of
from exchange.state import NodeState
from schemas import wire
from schemas.addresses import Address, Label, label_of, parent_of
from schemas.cards import (
    ENROLMENT_LABEL,
    Base64Text,
    CardFacts,
    KatoCode,
    decode_card,
    enrolment_address,
)
from schemas.codes import Names, Tier
from schemas.header import TypeName
from schemas.identifiers import Bin
from schemas.invitations import InvitationFacts, JoinReason, Url, Vhost, pack_invitation
from schemas.moments import DAY, HOUR, Instant, InstantText, format_instant, parse_instant
from schemas.records import InstructionRow, InvitationRow, InvitationUse
from schemas.statements import Invitation

LONGEST_US = DAY - HOUR // 6
"""An invitation ends ten minutes before its certificate: its last user still gets an answer."""


class InviteOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the instruction `invite` says; answered by the signed `Invitation`, in Base64."""

    invitation: Label
    address: Address
    tier: Tier | None = None
    """Where the address has no card yet; with the rest it becomes its first one."""
    names: Names | None = None
    kato: KatoCode | None = None
    bin: Bin | None = None
    types: tuple[TypeName, ...] = ()
    urls: tuple[Url, ...]
    vhost: Vhost
    ends: InstantText
    request: Base64Text
    """The enrolment key's certificate request, DER."""


class UninviteOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the instruction `uninvite` says."""

    invitation: Label


class Invited(msgspec.Struct, frozen=True):
    """The answer to `invite`."""

    address: str
    invitation: str
    ends: str
    object: str
    """The signed `Invitation`, Base64."""


class Inviting:
    """The instructions `invite` and `uninvite`."""

    def __init__(self, state: NodeState, requests: Requests, directory: Directory) -> None:
        """Share the node's state; take the authority's answers for one-time keys."""
        self._state = state
        self._requests = requests
        self._directory = directory
        self._granted: dict[str, Granted] = {}
        requests.on_grant["enrol"] = self._take_enrolment

    async def invite(self, instruction: InstructionRow, batch: Batch) -> Done | Declined | None:
        """Give an invitation: certificate asked for, card made, link admitted."""
        order = msgspec.json.decode(instruction.content, type=InviteOrder)
        fault = self._fault_of(order, batch.now)
        if fault is not None:
            return Declined(fault)
        subject = enrolment_address(self._state.rules.here, order.invitation)
        granted = self._granted.get(subject)
        if granted is None:
            if not self._requests.is_pending(subject, "enrol"):
                self._publish_card(order, batch)
                self._requests.ask(subject, "enrol", [base64.b64decode(order.request)], batch)
            return None
        batch.after_commit(lambda: self._granted.pop(subject, None))
        if not granted.certificates:
            return Declined(f"the authority refuses the certificate: {granted.detail}")
        return self._give(order, granted.certificates[0], batch)

    async def uninvite(self, instruction: InstructionRow, batch: Batch) -> Done | Declined | None:
        """Withdraw an invitation that nobody has used."""
        order = msgspec.json.decode(instruction.content, type=UninviteOrder)
        row = await self._state.archive.invitation(order.invitation)
        if row is None:
            return Declined(f"{order.invitation} is no invitation of ours")
        over = over_by(await uses_of(self._state.archive, order.invitation, batch))
        if over is not None:
            return Declined(f"{order.invitation} is over since {format_instant(over.at)}")
        use = InvitationUse(order.invitation, b"", batch.now, "withdrawn", JoinReason.WITHDRAWN)
        batch.changes.invitation_uses.append(use)
        return Done({"invitation": order.invitation, "address": row.address}, row.address)

    def _fault_of(self, order: InviteOrder, now: Instant) -> str | None:
        """Return why an invitation may not be given."""
        here, address = self._state.rules.here, order.address
        if parent_of(address) != here or label_of(address) == ENROLMENT_LABEL:
            return f"{address} is no address that {here} may give: name a child of it"
        ends = parse_instant(order.ends)
        if not now < ends <= now + LONGEST_US:
            return f"ends {order.ends}: an invitation lives at most 23 h 50 min"
        card = self._state.registry.card(address)
        if card is None:
            return self._fault_of_first(order)
        if card.facts.standing != "active":
            return f"{address} is {card.facts.standing}: only a node in active standing may join"
        if order.tier not in {None, card.facts.tier}:
            return f"{address} is of tier {card.facts.tier}, not {order.tier}"
        return None

    def _fault_of_first(self, order: InviteOrder) -> str | None:
        own = self._state.registry.card(self._state.rules.here)
        if order.tier is None:
            return f"{order.address} has no card yet: name its tier"
        if own is not None and not own.facts.tier.is_above(order.tier):
            return f"tier {order.tier} is not below {own.facts.tier}, ours"
        return None

    def _publish_card(self, order: InviteOrder, batch: Batch) -> None:
        if self._state.registry.card(order.address) is not None:
            return
        assert order.tier is not None, "asked for before"
        facts = CardFacts(
            address=order.address,
            tier=order.tier,
            standing="active",
            since=batch.at,
            names=order.names,
            kato=order.kato,
            bin=order.bin,
            types=order.types,
        )
        decode_card(wire.encode(facts))  # numbers that are none are declined
        self._directory.publish(facts, batch)

    def _give(self, order: InviteOrder, certificate: bytes, batch: Batch) -> Done:
        """Sign the invitation and reserve it."""
        gate = self._state.gate
        digest = sha256_of(certificate).hex()
        card = self._state.registry.card(order.address)
        facts = InvitationFacts(
            urls=order.urls,
            vhost=order.vhost,
            tier=order.tier or self._tier_of(order.address),
            replaces=card is not None and card.keys_number > 0,
        )
        certificates = [certificate, *gate.trust.ders_for(digest)[1:]]
        certificates += [*gate.trust.ders_for(gate.fingerprint), gate.trust.root]
        body = pack_invitation(facts, list(dict.fromkeys(certificates)))
        header = Invitation(
            **gate.stamp(order.address, batch.now),  # type: ignore[arg-type]
            invitation=order.invitation,
            ends=order.ends,
            body=body_of(body),
        )
        ends = parse_instant(order.ends)
        row = InvitationRow(order.invitation, order.address, batch.now, ends, digest)
        batch.changes.invitations.append(row)
        object_ = base64.b64encode(gate.sign(header, body)).decode("ascii")
        answer = Invited(order.address, order.invitation, order.ends, object_)
        return Done(answer, f"{order.address} {order.invitation}")

    def _tier_of(self, address: str) -> Tier:
        card = self._state.registry.card(address)
        assert card is not None, "published when the certificate was asked for"
        return card.facts.tier

    async def _take_enrolment(self, granted: Granted, batch: Batch) -> None:
        """Keep the answer for the instruction, which asks after it at the next sweep."""

        def keep() -> None:
            self._granted[granted.subject] = granted
            self._state.wake()

        batch.after_commit(keep)
