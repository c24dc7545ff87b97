"""Which frames a link may bring: the rule behind `route-forbidden` (docs/protocol.md clause 9)."""

from schemas.addresses import is_within


def route_allows(here: str, neighbour: str, from_: str, to: str) -> bool:
    """Say whether the link from `neighbour` to `here` may bring a frame of these two ends.

    A child's link brings only frames from its own subtree and not to it; the parent's link only
    frames to our subtree and not from it; nobody else has a link.
    """
    if neighbour != here and is_within(neighbour, here):
        return is_within(from_, neighbour) and not is_within(to, neighbour)
    if neighbour != here and is_within(here, neighbour):
        return is_within(to, here) and not is_within(from_, here)
    return False
