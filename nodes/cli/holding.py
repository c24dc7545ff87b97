"""Legal holds: told to the daemon, and listed from the record."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec

from exchange.legal_holds import LIFT, SET, LiftHold, SetHold, find_fault
from nodes.cli.errors import UsageFault
from nodes.cli.instructing import Instructed, instruct
from nodes.cli.opening import find, reading
from nodes.cli.retaining_shapes import HoldLine, HoldsDone
from nodes.config import Config
from schemas.moments import format_instant
from schemas.records import KnownHold

W = TypeVar("W", bound=msgspec.Struct)


def wish(kind: type[W], words: Mapping[str, object]) -> W:
    """Return what the words of a command wish for. Raises UsageFault."""
    try:
        return msgspec.convert(words, kind)
    except msgspec.ValidationError as error:
        raise UsageFault(str(error)) from error


async def set_hold(config: Config, wish: SetHold, wait_s: float) -> HoldsDone:
    """Hold packets from now on. Raises UsageFault, and NotFound for a packet that is not here."""
    if (why := find_fault(wish)) is not None:
        raise UsageFault(why)
    async with reading(config) as desk:
        for packet in wish.packets:
            if not (await desk.timeline(packet)).moments:
                await find(desk, packet)
    return _done(await instruct(config, SET, wish, wait_s=wait_s))


async def lift_hold(config: Config, wish: LiftHold, wait_s: float) -> HoldsDone:
    """End a hold, or all of a dispute. Raises UsageFault."""
    if (wish.number is None) == (wish.dispute is None):
        raise UsageFault("name the number of one hold, or --dispute for all that it has")
    return _done(await instruct(config, LIFT, wish, wait_s=wait_s))


async def list_holds(config: Config, *, every: bool, packet: str | None) -> list[HoldLine]:
    """Return the holds that bind, or all there ever were; or those that bind one packet."""
    async with reading(config) as desk:
        known: Sequence[KnownHold] = await desk.legal_holds()
        if packet is not None:
            frame = (await find(desk, packet)).packet.frame
            binding = (await desk.holds_on([frame])).get(frame, [])
            known = [each for each in known if each.hold.number in binding]
    return [_line(each) for each in known if every or each.lifted is None]


def _done(told: Instructed) -> HoldsDone:
    return HoldsDone(at=told.at, numbers=told.content["numbers"])


def _line(known: KnownHold) -> HoldLine:
    hold, lifted = known.hold, known.lifted
    return HoldLine(
        number=hold.number,
        since=format_instant(hold.at),
        who=hold.who,
        packet=hold.packet,
        organisation=hold.organisation,
        below=hold.below,
        period=hold.period,
        dispute=hold.dispute,
        lifted=None if lifted is None else format_instant(lifted.at),
        lifted_by=None if lifted is None else lifted.who,
    )
