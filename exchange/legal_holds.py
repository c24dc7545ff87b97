"""Legal holds: set and lifted by operators, journaled, honoured by destruction (clause 22.6)."""

from collections.abc import Mapping
from typing import Annotated

import msgspec

from exchange.batch import Batch
from exchange.instructions import Declined, Done, Handler
from exchange.state import NodeState
from schemas.addresses import Address
from schemas.documents.periods import parse_period
from schemas.header import Count, PacketId, PeriodText
from schemas.leaves import LeafKind
from schemas.patterns import whole
from schemas.records import HoldLifted, InstructionRow, LegalHold

SET, LIFT = "set-hold", "lift-hold"
PACKETS_AT_ONCE = 1000

Dispute = Annotated[str, msgspec.Meta(pattern=whole(r"[!-~](?:[ -~]{0,62}[!-~])?"))]


class SetHold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Content of `set-hold`: one hold, or one for each packet that is named."""

    packets: Annotated[tuple[PacketId, ...], msgspec.Meta(max_length=PACKETS_AT_ONCE)] = ()
    organisation: Address | None = None
    below: bool = False
    period: PeriodText | None = None
    dispute: Dispute | None = None


class LiftHold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Content of `lift-hold`: one hold, or all that a dispute has left."""

    number: Count | None = None
    dispute: Dispute | None = None


class Holds(msgspec.Struct, frozen=True):
    """Answer to both: the numbers of the holds that now stand, or no longer do."""

    numbers: list[int]


class LegalHolds:
    """The instructions about legal holds."""

    def __init__(self, state: NodeState) -> None:
        """Share the node's state."""
        self._state = state

    def handlers(self) -> Mapping[str, Handler]:
        """Return who does what."""
        return {SET: self.set, LIFT: self.lift}

    async def set(self, row: InstructionRow, batch: Batch) -> Done | Declined:
        """Hold packets from now on; a hold that stands already is not set twice."""
        wish = msgspec.json.decode(row.content, type=SetHold)
        if (why := find_fault(wish)) is not None:
            return Declined(why)
        known = await self._known(batch)
        standing = {_meaning(hold): hold.number for hold in known.values() if hold is not None}
        last = max(known, default=0)
        numbers = []
        for packet in wish.packets or (None,):
            hold = LegalHold(
                number=last + 1,
                at=batch.now,
                who=row.who,
                packet=packet,
                organisation=wish.organisation,
                below=wish.below,
                period=wish.period,
                dispute=wish.dispute,
            )
            number = standing.setdefault(_meaning(hold), hold.number)
            numbers.append(number)
            if number == hold.number:
                last = number
                batch.changes.legal_holds.append(hold)
                _journal(hold, row.who, "set", batch)
        return Done(Holds(numbers), detail=_listed(numbers))

    async def lift(self, row: InstructionRow, batch: Batch) -> Done | Declined:
        """End a hold, or all of a dispute; what was due meanwhile may then be destroyed."""
        wish = msgspec.json.decode(row.content, type=LiftHold)
        if (wish.number is None) == (wish.dispute is None):
            return Declined("name one hold, or one dispute")
        known = await self._known(batch)
        if wish.number is not None and wish.number not in known:
            return Declined(
                f"there is no hold {wish.number}: `bbaj hold list` shows those there are"
            )
        lifted = [hold for hold in known.values() if hold is not None and _is_meant(hold, wish)]
        if not lifted:
            what = f"hold {wish.number}" if wish.dispute is None else f"dispute {wish.dispute}"
            return Declined(f"{what} holds nothing any more: see `bbaj hold list --all`")
        for hold in lifted:
            batch.changes.lifted_holds.append(HoldLifted(hold.number, batch.now, row.who))
            _journal(hold, row.who, "lifted", batch)
        numbers = [hold.number for hold in lifted]
        return Done(Holds(numbers), detail=_listed(numbers))

    async def _known(self, batch: Batch) -> dict[int, LegalHold | None]:
        """Return all holds by number, this batch's included; None for a lifted one."""
        rows = await self._state.archive.legal_holds()
        known = {row.hold.number: None if row.lifted else row.hold for row in rows}
        known |= {hold.number: hold for hold in batch.changes.legal_holds}
        return known | {row.number: None for row in batch.changes.lifted_holds}


def find_fault(wish: SetHold) -> str | None:
    """Return why a hold cannot be set so, and what to do; None where it can."""
    if not (wish.packets or wish.organisation or wish.period):
        return "name what to hold: packets, an organisation or a period; a dispute is its number"
    if wish.below and wish.organisation is None:
        return "those below are those below an organisation: name it"
    if wish.period is not None and parse_period(wish.period) is None:
        return f"{wish.period} is no period that exists"
    return None


def _is_meant(hold: LegalHold, wish: LiftHold) -> bool:
    return hold.number == wish.number if wish.dispute is None else hold.dispute == wish.dispute


def _meaning(hold: LegalHold) -> tuple[object, ...]:
    return hold.packet, hold.organisation, hold.below, hold.period, hold.dispute


def _listed(numbers: list[int]) -> str:
    shown = " ".join(map(str, numbers[:20]))
    return shown if len(numbers) <= 20 else f"{shown} and {len(numbers) - 20} more"


def _journal(hold: LegalHold, who: str, verdict: str, batch: Batch) -> None:
    batch.append_leaf(
        LeafKind.LEGAL_HOLD,
        None,
        number=str(hold.number),
        verdict=verdict,
        id=hold.packet or "",
        organisation=hold.organisation or "",
        below="yes" if hold.below else "",
        period=hold.period or "",
        dispute=hold.dispute or "",
        who=who,
    )
