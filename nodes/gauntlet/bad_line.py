"""The bad line: bundles that are lost, repeated, out of order, damaged; connections that break.

Each case ends with every good packet answered by exactly one receipt (clauses 7.3, 7.5, 8.5).
"""

from functools import partial

from nodes.errors import JudgementFailed
from nodes.gauntlet.field import Field, came
from nodes.gauntlet.party import Party
from nodes.gauntlet.speaker import LANES
from schemas.objects import Lane

PACKETS = 12
LOST_EACH = 3
TIMES = 3
FLIPS = 40
FLOOD = 500
FLOOD_BUNDLE = 50


async def lose(field: Field) -> int:
    """Lose every third bundle: nothing behind the gap may count as taken, and all come again."""
    party, frames = field.party, field.pings(PACKETS)
    first = party.sent["bulk"].number + 1
    bundles = [party.next_bundle(frame) for frame in frames]
    for number, bundle in enumerate(bundles, 1):
        if number % LOST_EACH:
            await party.publish(bundle)
    seen = first + PACKETS - 2
    await field.until(lambda: party.noted["bulk"].seen >= seen, f"no note has seen entry {seen}")
    if party.noted["bulk"].up_to != first + LOST_EACH - 2:
        raise JudgementFailed(
            f"entries up to {party.noted['bulk'].up_to} are noted, and {first + LOST_EACH - 1} "
            "never came"
        )
    await field.send_on(frames, first)
    await field.answered(frames)
    return PACKETS


async def repeat(field: Field) -> int:
    """Bring each bundle three times: each packet is processed once."""
    party, frames = field.party, field.pings(PACKETS)
    for frame in frames:
        bundle = party.next_bundle(frame)
        for _ in range(TIMES):
            await party.publish(bundle)
    await field.answered(frames)
    await field.noted(party.sent["bulk"].number)
    return PACKETS * TIMES


async def reorder(field: Field) -> int:
    """Bring bundles the last one first; what came too early comes again."""
    party, frames = field.party, field.pings(PACKETS)
    first = party.sent["bulk"].number + 1
    bundles = [party.next_bundle(frame) for frame in frames]
    for bundle in reversed(bundles):
        await party.publish(bundle)
    await field.noted(first)
    await field.quiet()
    await field.send_on(frames, first)
    await field.answered(frames)
    return PACKETS


async def damage(field: Field) -> int:
    """Turn single bits of a bundle: none of it is taken, and the good one is afterwards."""
    party, frames = field.party, field.pings(1)
    before = party.noted["bulk"].up_to
    good = party.next_bundle(*frames)
    for _ in range(FLIPS):
        bad = bytearray(good)
        bit = field.chance.below(8 * len(bad))
        bad[bit // 8] ^= 1 << bit % 8
        await party.publish(bytes(bad))
    await field.quiet()
    if party.noted["bulk"].up_to != before:
        raise JudgementFailed("a bundle with one bit turned was taken")
    await party.publish(good)
    await field.answered(frames)
    return FLIPS


async def withhold(field: Field) -> int:
    """Give no custody notes for a while: the same bytes come again, under the same numbers."""
    party, frames = field.party, field.pings(4)
    await field.quiet()
    party.forget()
    party.takes = False
    try:
        await party.send(*frames)
        await field.until(lambda: came(party.messages).repeats, "nothing was sent again")
    finally:
        party.takes = True
    await field.answered(frames)
    came(party.messages)
    return len(frames)


async def hang_up(field: Field) -> int:
    """Hang up in the middle, without having settled: both streams go on where they were."""
    party, frames = field.party, field.pings(PACKETS)
    first = party.sent["bulk"].number + 1
    for frame in frames:
        await party.send(frame)
    tail = party.sent["bulk"]
    await party.begin()
    party.sent["bulk"] = tail
    await field.send_on(frames, first)
    await field.answered(frames)
    return 1


async def restore(field: Field) -> int:
    """Come back from an old copy that has taken nothing: all comes again, byte for byte."""
    party = field.party
    frames = field.pings(2)
    await party.send(*frames)
    await field.answered(frames)
    before, taken = came(party.messages), dict(party.taken)
    party.unlearn()
    await party.begin()
    for lane in LANES:
        has_come = partial(_has_taken, party, lane, taken[lane].up_to)
        await field.until(has_come, f"{lane}: what was noted before did not come again")
    came(party.messages, before)
    return 1


def _has_taken(party: Party, lane: Lane, number: int) -> bool:
    return party.taken[lane].up_to >= number


async def flood(field: Field) -> int:
    """Bring many packets at once, faster than they are answered."""
    party, frames = field.party, field.pings(FLOOD)
    for at in range(0, FLOOD, FLOOD_BUNDLE):
        await party.send(*frames[at : at + FLOOD_BUNDLE])
    await field.answered(frames)
    return FLOOD
