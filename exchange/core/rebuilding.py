"""What a frame causes that comes back to a node which had taken it before (clause 25.4).

All that went out for it went out then: what is left is to keep it, and what it says of others.
"""

from exchange.core.confirmation import take_closing, take_receipt
from exchange.core.custody import Arrival, Known
from exchange.core.rules import Rules
from exchange.core.steps import Finish, Keep, Mark, Quarantine, Step
from schemas.answers import Closing, Receipt
from schemas.leaves import LeafKind
from schemas.moments import Instant

RETURNED = "returned"
"""What the first leaf of such a packet says."""


def take_back(arrival: Arrival, known: Known, moment: Instant, rules: Rules) -> Step:
    """Keep a packet as taken at `moment`; nothing is sent, placed, released or reported for it."""
    header, content = arrival.header, arrival.content
    if header.to != rules.here:
        return (Keep(LeafKind.RELAYED, moment, RETURNED),)
    step: Step = ()
    if isinstance(content, Receipt):
        step = take_receipt(header, content, known.about, rules)
    elif isinstance(content, Closing):
        step = take_closing(header, content, known.about, known.answered, rules)
    kept = Keep(LeafKind.RECEIVED, moment, RETURNED)
    if any(isinstance(effect, Quarantine) for effect in step):
        return (kept,)  # what it is about has not come back
    return (kept, *(effect for effect in step if isinstance(effect, Mark | Finish)))
