"""What people read of the demo: names, as its summary has them, in the language spoken here."""

import re

from nodes.cli.speaking import say
from nodes.config import spoken_language
from nodes.texts import catalogue
from schemas.codes import TIER_NAMES, Tier


def slug(name: str) -> str:
    """Return a name as part of a file's name, or of a key."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower())


def name_of(prefix: str, name: str) -> str:
    """Return what stands under a prefix for a name; the name itself where nothing does."""
    return catalogue(spoken_language()).get(f"{prefix}.{slug(name)}", name)


def step_of(name: str) -> str:
    """Return the name of a step between two tiers, or of the whole way."""
    ends = name.split(" to ")
    if set(ends) <= set(Tier):
        one, other = (_short(Tier(end)) for end in ends)
        return say("demo.steps.between", one=one, other=other)
    return name_of("demo.steps", name)


def _short(tier: Tier) -> str:
    """Return the first of a tier's names: a school's has others behind it."""
    return TIER_NAMES[tier].in_language(spoken_language()).partition(",")[0]
