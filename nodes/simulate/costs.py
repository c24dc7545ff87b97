"""What commits, messages and greetings take, out of the measurement.

A measured exchange is three frames at every node. The node begins two pieces of work for them at
the ends (sealing what is dropped and closing what is answered; receipt and closing at the
recipient), three where it relays. A commit that takes many pieces costs once what a lone piece
costs more than one of a burst.
"""

import msgspec

from nodes.simulate.measured import ANSWER_TYPES, Measured, Place, Processor
from schemas.codes import Tier

PLACE_OF_TIER: dict[Tier, Place] = {
    Tier.REPUBLIC: "recipient",
    Tier.OBLAST: "relay",
    Tier.CITY: "relay",
    Tier.DISTRICT: "relay",
    Tier.SCHOOL: "sender",
}
"""Where in the measured network the like of a tier stood; a sender has no broker."""
PIECES: dict[Place, int] = {"sender": 2, "relay": 3, "recipient": 2}
TWO_HOPS_MORE = 2
"""A second hop adds two commits and two messages, one of each for packet and receipt."""


class Costs(msgspec.Struct, frozen=True):
    """Microseconds and bytes."""

    piece_us: dict[Place, Processor]
    """Processor time for each piece of work."""
    commit_us: dict[Place, Processor]
    """Once for each commit, beside its pieces."""
    hop_us: int
    """By the clock, for a message and the commit that takes it, on a line without delay."""
    bundle_bytes: int
    """On the line for each bundle, beside its frames, with the note that answers it."""
    answer_bytes: tuple[int, int]
    """Of a receipt and of a closing."""
    greeting_us: Processor
    greeting_bytes: int
    frame_bytes: dict[str, int]
    idle_us_per_s: dict[Place, float]
    """Of all three programs."""


def costs_of(measured: Measured) -> Costs:
    """Return what the model reckons with."""
    piece_us, commit_us = {}, {}
    for place, count in PIECES.items():
        found = measured.places[place]
        piece_us[place] = found.burst_us / count
        commit_us[place] = (found.alone_us - found.burst_us) / count
    receipt, closing = (measured.frame_bytes[each] for each in ANSWER_TYPES)
    return Costs(
        piece_us=piece_us,
        commit_us=commit_us,
        hop_us=int(1000 * (measured.waits.two_hops_ms - measured.waits.one_hop_ms) / TWO_HOPS_MORE),
        bundle_bytes=int(measured.line.alone_bytes / PIECES["relay"]),
        answer_bytes=(receipt, closing),
        greeting_us=measured.greeting_us,
        greeting_bytes=int(measured.line.greeting_bytes),
        frame_bytes=measured.frame_bytes,
        idle_us_per_s={
            place: found.idle_us_per_s.total for place, found in measured.places.items()
        },
    )
