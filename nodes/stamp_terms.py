"""How long a time-stamp holds up by itself, and when it is time for what renews it (clause 19.3).

A later stamp over a checkpoint that has this one's leaf renews it, whoever made it. So what an
operator must see is an authority that ends with nobody in its place.
"""

import msgspec

from nodes.said import Said
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


class Due(msgspec.Struct, frozen=True):
    """What an operator must see of an authority, and do."""

    found: Said
    step: Said

    @property
    def said(self) -> Said:
        """Both in one line."""
        return Said("stamps.due", {"found": self.found, "step": self.step})


def what_ends(term: Term) -> str:
    """Return what ends with a term, in words: an algorithm has its name alone."""
    words = {"certificate": "stamps.certificate", "unreadable": "stamps.unreadable"}
    return Said(words[term.why]) if term.why in words else term.why


def what_is_due(term: Term, now: Instant) -> Due | None:
    """Return what there is to do about the authority of a newest token, if anything."""
    what = {"what": what_ends(term)}
    if term.ends is not None and now >= term.ends:
        return Due(Said("stamps.ended", what), Said("stamps.ended-step"))
    if term.ends is not None and term.why != "certificate":
        return Due(Said("stamps.policy-ends", what), Said("stamps.policy-ends-step"))
    if term.renew_from is not None and now >= term.renew_from:
        return Due(Said("stamps.aged"), Said("stamps.aged-step"))
    return None
