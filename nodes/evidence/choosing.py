"""Which time-stamps, and so which checkpoints, a folder needs (protocol clauses 20.7 and 21.4).

As few as prove most: for each frame the first time-stamp after it, one over all of them, and the
ones that keep these alive after their authority or an algorithm has ended.
"""

from collections.abc import Iterable, Sequence

import msgspec

from schemas.moments import Instant
from signing.algorithms import AlgorithmPolicy
from signing.timestamps import TokenFacts

ENDLESS = 2**63 - 1


class Known(msgspec.Struct, frozen=True):
    """A time-stamp of the record, over `size` leaves of the journal."""

    sha256: bytes
    size: int
    gen_time: Instant
    ends: Instant
    """When its chain or its first algorithm ends; `ENDLESS` for never."""
    leaf: int | None
    """Index of its own leaf, by which a later one renews it."""
    second_log: bool = False
    """It is over the second log: a renewal of the hash."""


def end_of(facts: TokenFacts, policy: AlgorithmPolicy) -> Instant:
    """Return when the first thing that a token rests on ends."""
    ends = [facts.ends, policy.first_end((*facts.algorithms, facts.digest))]
    return min((end for end in ends if end is not None), default=ENDLESS)


def choose(
    firsts: Sequence[int], stamps: Sequence[Known], now: Instant, hash_ends: Instant | None
) -> list[Known]:
    """Return the time-stamps that a folder needs, oldest first.

    `firsts` has the first leaf of each frame, and the last leaf of all; `hash_ends` is when the
    hash of the journal's tree is no longer allowed, if that is set.
    """
    ordinary = [each for each in stamps if not each.second_log]
    found = [_first_over(leaf, ordinary) for leaf in firsts]
    second = [each for each in stamps if each.second_log]
    if hash_ends is not None:
        in_time = [each for each in second if each.gen_time < hash_ends]
        found += [_first_over(leaf, in_time) for leaf in firsts]
    wanted = {each.sha256: each for each in found if each is not None}
    for each in list(wanted.values()):
        wanted |= {later.sha256: later for later in _renewing(each, stamps, now)}
    return sorted(wanted.values(), key=lambda each: (each.gen_time, each.sha256))


def beside(chosen: Iterable[Known], stamps: Sequence[Known], now: Instant) -> list[Known]:
    """Return the other time-stamps over the same checkpoints that need no renewal."""
    sizes = {each.size for each in chosen if not each.second_log}
    return [
        each for each in stamps if each.size in sizes and each.ends > now and not each.second_log
    ]


def _first_over(leaf: int, stamps: Iterable[Known]) -> Known | None:
    over = [each for each in stamps if each.size > leaf]
    return min(over, key=lambda each: each.gen_time, default=None)


def _renewing(stamp: Known, stamps: Sequence[Known], now: Instant) -> Iterable[Known]:
    """Yield the time-stamps that keep one alive until now, each renewing the one before.

    Each step takes the one that lasts longest of those made while the one before was good.
    """
    while stamp.ends <= now and stamp.leaf is not None:
        leaf, until = stamp.leaf, stamp.ends
        later = [each for each in stamps if each.size > leaf and each.gen_time < until]
        best = max(later, key=lambda each: (each.ends, -each.gen_time), default=None)
        if best is None or best.ends <= until:
            return  # nothing renewed it in time: the verdict says so
        yield best
        stamp = best
