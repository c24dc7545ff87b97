"""What a day showed: waits by tier, load by node, bytes by link, and the storage of a year."""

import statistics
from collections.abc import Iterable, Sequence

import msgspec

from nodes.simulate.country import Country
from nodes.simulate.groups import CORES
from nodes.simulate.storage import Storage
from nodes.simulate.traffic import Day
from nodes.simulate.world import World
from schemas.codes import Tier
from schemas.moments import MINUTE, SECOND

_MINUTE_S = 60
_MINUTES_A_DAY = 24 * 60


class Wait(msgspec.Struct, frozen=True):
    """Seconds from the drop."""

    count: int
    median_s: float
    p99_s: float
    longest_s: float


class TierFigures(msgspec.Struct, frozen=True):
    """The nodes of one tier; "busiest" and "deepest" are of any one node."""

    tier: Tier
    nodes: int
    custody: Wait | None
    """Until such a node had committed a packet that came from below."""
    frames_busiest_day: int
    frames_a_second_busiest_minute: float
    processor_share_busiest_minute: float
    """Of the two cores that the model gives every machine, what it does when idle included."""
    processor_share_day: float
    """The same over the day, of the node that works most."""
    queue_deepest: int
    """Frames that stood in its outgoing streams and were not taken."""
    queue_deepest_at: str
    queue_deepest_where: str
    stored_gb_a_year: float
    """In its database, of the node that stores most."""
    stored_gb_a_year_median: float
    stored_gb_in_10_years: float
    """Less the payloads whose term is over by then, where terms are approved."""


class LinkFigures(msgspec.Struct, frozen=True):
    """The links between two tiers, bytes with TLS, AMQP and notes."""

    child: Tier
    parent: Tier
    links: int
    up_mb: float
    down_mb: float
    busiest_mb: float
    """Of one link over the day, both ways."""
    busiest_kilobits_a_second: float
    """In one direction of one link in its busiest minute."""


class DayFigures(msgspec.Struct, frozen=True):
    """What `bbaj simulate --country --json` prints."""

    day: Day
    seed: int
    governing: int
    organisations: int
    packets: int
    closed: int
    open_most: int
    frames: int
    """Committed at all nodes together."""
    delivered: Wait | None
    closed_at: str
    """When the last exchange was closed, in local time; a day and its time where it is later."""
    resent: int
    bundles_lost: int
    greetings: int
    tiers: list[TierFigures]
    links: list[LinkFigures]
    events: int
    measured_on: str


def figures_of(
    world: World, storage: Storage, *, day: Day, seed: int, governing: int, measured_on: str
) -> DayFigures:
    """Return the figures of a day that has been run."""
    exchanges = world.exchanges
    closed = [each.closed for each in exchanges if each.closed >= 0]
    return DayFigures(
        day=day,
        seed=seed,
        governing=governing,
        organisations=len(world.country.members) - governing,
        packets=len(exchanges),
        closed=len(closed),
        open_most=world.most_open,
        frames=sum(node.frames.total() for node in world.nodes),
        delivered=_wait(each.delivered - each.dropped for each in exchanges if each.delivered >= 0),
        closed_at=moment(max(closed, default=0)),
        resent=world.resent,
        bundles_lost=world.lost_bundles,
        greetings=world.greetings,
        tiers=[_tier(world, storage, tier) for tier in _tiers(world.country)],
        links=_links(world),
        events=world.events,
        measured_on=measured_on,
    )


def moment(at: int) -> str:
    """Return a moment since midnight as `HH:MM:SS`, with the days after it."""
    seconds = at // SECOND
    days, rest = divmod(seconds, 86_400)
    clock = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{clock} +{days}" if days else clock


def _tiers(country: Country) -> list[Tier]:
    there = {member.tier for member in country.members}
    return [tier for tier in Tier if tier in there]


def _wait(waits_us: Iterable[int]) -> Wait | None:
    seconds = sorted(each / SECOND for each in waits_us)
    if not seconds:
        return None
    return Wait(
        count=len(seconds),
        median_s=round(statistics.median(seconds), 3),
        p99_s=round(seconds[int(0.99 * (len(seconds) - 1))], 3),
        longest_s=round(seconds[-1], 3),
    )


def _tier(world: World, storage: Storage, tier: Tier) -> TierFigures:
    places = [at for at, member in enumerate(world.country.members) if member.tier is tier]
    nodes = [world.nodes[place] for place in places]
    chosen = frozenset(places)
    deepest = max(
        (line for line in world.lines.values() if line.sender in chosen),
        key=lambda line: line.most_waiting,
    )
    stored = [storage.a_year[place] for place in places]
    minute_us = CORES * MINUTE
    idle_us = world.idle_us_per_s(tier) * _MINUTE_S
    return TierFigures(
        tier=tier,
        nodes=len(places),
        custody=_wait(_custody(world, chosen)),
        frames_busiest_day=max(node.frames.total() for node in nodes),
        frames_a_second_busiest_minute=round(
            max(_most(node.frames.values()) for node in nodes) / _MINUTE_S, 1
        ),
        processor_share_busiest_minute=round(
            (idle_us + max(_most(node.used_us.values()) for node in nodes)) / minute_us, 4
        ),
        processor_share_day=round(
            idle_us / minute_us
            + max(node.used_us.total() for node in nodes) / (_MINUTES_A_DAY * minute_us),
            5,
        ),
        queue_deepest=deepest.most_waiting,
        queue_deepest_at=moment(deepest.most_waiting_at),
        queue_deepest_where=world.country.members[deepest.sender].address,
        stored_gb_a_year=_gigabytes(max(stored)),
        stored_gb_a_year_median=_gigabytes(statistics.median(stored)),
        stored_gb_in_10_years=_gigabytes(max(storage.in_10_years[place] for place in places)),
    )


def _custody(world: World, chosen: frozenset[int]) -> Iterable[int]:
    """Yield how long packets took to reach these nodes from below."""
    for exchange in world.exchanges:
        for place, (here, at) in enumerate(zip(exchange.path, exchange.custody, strict=False)):
            if place and here in chosen and world.country.parents[exchange.path[place - 1]] == here:
                yield at - exchange.dropped


def _links(world: World) -> list[LinkFigures]:
    country = world.country
    groups: dict[tuple[Tier, Tier], list[int]] = {}
    for child, parent in enumerate(country.parents):
        if child != parent:
            groups.setdefault((country.tier_of(child), country.tier_of(parent)), []).append(child)
    return [
        _link(world, tiers, children)
        for tiers, children in sorted(
            groups.items(), key=lambda each: (each[0][1].rank, each[0][0].rank)
        )
    ]


def _link(world: World, tiers: tuple[Tier, Tier], children: Sequence[int]) -> LinkFigures:
    parents = world.country.parents
    up = [world.lines[child, parents[child]].carried for child in children]
    down = [world.lines[parents[child], child].carried for child in children]
    both = [one.total() + other.total() for one, other in zip(up, down, strict=True)]
    most = max(_most(carried.values()) for carried in (*up, *down))
    return LinkFigures(
        child=tiers[0],
        parent=tiers[1],
        links=len(children),
        up_mb=_megabytes(sum(each.total() for each in up)),
        down_mb=_megabytes(sum(each.total() for each in down)),
        busiest_mb=_megabytes(max(both)),
        busiest_kilobits_a_second=round(most * 8 / 1000 / _MINUTE_S, 1),
    )


def _most(values: Iterable[int]) -> int:
    return max(values, default=0)


def _megabytes(count: float) -> float:
    return round(count / 1e6, 3)


def _gigabytes(count: float) -> float:
    return round(count / 1e9, 4)
