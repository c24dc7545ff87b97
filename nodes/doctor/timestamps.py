"""Time-stamps: the policy table, each authority, and the one from outside that a republic needs."""

from collections.abc import AsyncIterator

from exchange.vouching import read_card
from nodes.cli.registry_shapes import Finding
from nodes.clock import now
from nodes.config import Config, Timestamps
from nodes.doctor.findings import fail, ok, warn
from nodes.policies import open_algorithms
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


async def examine(config: Config) -> AsyncIterator[Finding]:
    """Look at the table, at what each authority has stamped, and at what policy asks for."""
    policy = DEFAULT
    try:
        policy = open_algorithms(config)
        yield ok("algorithms", f"{len(policy.ends)} are allowed")
    except (OSError, FormatError) as error:
        yield fail("algorithms", str(error), "correct the file that [policies] names")
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
) -> Finding:
    name = f"time-stamps of {place.name}"
    try:
        load_roots(place.root.read_bytes())
    except (OSError, FormatError) as error:
        return fail(name, str(error), f"fetch its root anew into {place.root}")
    if late is not None:
        what = f"see that {place.url} answers, then `bbaj journal stamp`"
        return warn(name, f"checkpoints wait since {format_instant(late)}", what)
    if row is None:
        return ok(name, "none yet, and nothing is late")
    due = what_is_due(term_of(row, policy), now())
    if due is not None:
        found, _, what = due.partition(": ")
        return warn(name, found, what)
    return ok(name, f"{row.size} leaves at {format_instant(row.gen_time)}")


def _outside(config: Config, tier: Tier | None) -> Finding:
    if lacks_outside(config, tier):
        what = "name one with `outside = true` in [[timestamps]]"
        return warn("time from outside", "no authority but our own vouches for time", what)
    return ok("time from outside", "as policy asks")
