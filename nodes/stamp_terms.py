"""How long a time-stamp holds up by itself, and when it is time for what renews it (clause 19.3).

A later stamp over a checkpoint that has this one's leaf renews it, whoever made it. So what an
operator must see is an authority that ends with nobody in its place.
"""

import msgspec

from schemas.errors import FormatError
from schemas.moments import Instant
from schemas.records import RenewalRow, TimestampRow
from signing.algorithms import AlgorithmPolicy
from signing.timestamps import read_token


class Term(msgspec.Struct, frozen=True):
    """The life of one token by its own means."""

    ends: Instant | None
    """When its first certificate or algorithm ends; None where neither says."""
    why: str
    """What ends then: `certificate`, or the name of an algorithm."""
    renew_from: Instant | None
    """When two thirds of its authority's certificate have passed."""


def term_of(row: TimestampRow | RenewalRow, policy: AlgorithmPolicy) -> Term:
    """Return how long a kept token holds up; one that cannot be read has no term."""
    try:
        facts = read_token(row.token)
    except FormatError:
        return Term(None, "unreadable", None)
    ends = {name: end for name in facts.algorithms if (end := policy.end_of(name)) is not None}
    if facts.ends is not None:
        ends["certificate"] = facts.ends
    why = min(ends, key=lambda name: ends[name], default="")
    renew_from = None
    if facts.ends is not None and facts.begins is not None:
        renew_from = facts.begins + (facts.ends - facts.begins) * 2 // 3
    return Term(ends.get(why), why, renew_from)


def what_is_due(term: Term, now: Instant) -> str | None:
    """Return what an operator must do about the authority of a newest token, if anything."""
    if term.ends is not None and now >= term.ends:
        return f"its {term.why} has ended: name another authority now"
    if term.ends is not None and term.why != "certificate":
        return f"the policy ends {term.why}: name an authority that does without it"
    if term.renew_from is not None and now >= term.renew_from:
        return "two thirds of its certificate's life have passed: ask for its new one, or another"
    return None
