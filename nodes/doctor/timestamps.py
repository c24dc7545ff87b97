"""Time-stamps: the policy table, each authority, and the one from outside that a republic needs."""

from collections.abc import AsyncIterator

from exchange.vouching import read_card
from nodes.cli.seen import Seen, fail, ok, warn
from nodes.clock import now
from nodes.config import Config, Timestamps
from nodes.policies import open_algorithms
from nodes.said import Said
from nodes.stamp_terms import term_of, what_is_due
from nodes.stamping import LATE_INTERVALS, interval_us, lacks_outside
from nodes.wiring import database_url
from schemas.codes import Tier
from schemas.errors import FormatError
from schemas.moments import Instant, format_instant
from schemas.records import TimestampRow
from signing.algorithms import DEFAULT, AlgorithmPolicy
from signing.timestamps import load_roots
from store.reading import Reading


async def examine(config: Config) -> AsyncIterator[Seen]:
    """Look at the table, at what each authority has stamped, and at what policy asks for."""
    policy, name = DEFAULT, Said("doctor.algorithms")
    try:
        policy = open_algorithms(config)
        yield ok(name, Said("doctor.found.algorithms", {"count": len(policy.ends)}))
    except (OSError, FormatError) as error:
        yield fail(name, str(error), Said("doctor.advice.correct-policies"))
    async with Reading(database_url(config)) as desk:
        tier = await _tier(config, desk)
        newest = await desk.newest_timestamps()
        for place in config.timestamps:
            row = newest.get(place.name)
            waiting = await desk.checkpoint_from(1 if row is None else row.size + 1)
            yield _authority(place, row, policy, _late_since(place, row, waiting, tier))
    yield _outside(config, tier)


async def _tier(config: Config, desk: Reading) -> Tier | None:
    """Return our tier by our newest card, else as configured."""
    cards = [read_card(row.object) for row in await desk.cards_of([config.address])]
    newest = max(cards, key=lambda card: card.number, default=None)
    return config.tier if newest is None else newest.facts.tier


def _late_since(
    place: Timestamps,
    row: TimestampRow | None,
    waiting: tuple[int, Instant, str] | None,
    tier: Tier | None,
) -> Instant | None:
    """Return since when a checkpoint waits for an authority that is late; None: it is not."""
    if waiting is None:
        return None
    since = max(waiting[1], 0 if row is None else row.at)
    return since if now() - since >= LATE_INTERVALS * interval_us(place, tier) else None


def _authority(
    place: Timestamps, row: TimestampRow | None, policy: AlgorithmPolicy, late: Instant | None
) -> Seen:
    name = Said("doctor.time-stamps", {"authority": place.name})
    try:
        load_roots(place.root.read_bytes())
    except (OSError, FormatError) as error:
        return fail(name, str(error), Said("doctor.advice.fetch-root", {"file": place.root}))
    if late is not None:
        found = Said("doctor.found.checkpoints-wait", {"since": format_instant(late)})
        return warn(name, found, Said("doctor.advice.see-it-answers", {"url": place.url}))
    if row is None:
        return ok(name, Said("doctor.found.no-time-stamp"))
    due = what_is_due(term_of(row, policy), now())
    if due is not None:
        return warn(name, due.found, due.step)
    facts = {"leaves": row.size, "at": format_instant(row.gen_time)}
    return ok(name, Said("doctor.found.time-stamp", facts))


def _outside(config: Config, tier: Tier | None) -> Seen:
    name = Said("doctor.outside")
    if lacks_outside(config, tier):
        return warn(name, Said("doctor.found.no-outside"), Said("doctor.advice.name-outside"))
    return ok(name, Said("doctor.found.as-policy-asks"))
