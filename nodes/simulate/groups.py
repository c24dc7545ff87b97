"""What a node takes at once, as `exchange.service` does, and what it costs by the measurement."""

from collections import Counter, deque
from collections.abc import Sequence

import msgspec

from exchange.service import GROUP_FRAMES_MAX, QUEUE_MESSAGES_MAX
from nodes.simulate.costs import Costs
from nodes.simulate.lines import Bundle, Exchange, Frame
from nodes.simulate.measured import Place, Processor

CORES = 2
"""Of every machine: what the measurements were made on."""
NOTHING = Processor(0, 0, 0)


class Greeting(msgspec.Struct, frozen=True):
    """A child connects."""

    child: int


Message = Bundle | Exchange | Greeting
"""What a node takes from its queues: a bundle, a drop, or a hello."""


class NodeState(msgspec.Struct):
    """One node while the day runs."""

    place: int
    queue: "deque[Message]" = msgspec.field(default_factory=deque)
    group: list[Message] = msgspec.field(default_factory=list)
    """What is being committed now."""
    dark: list[Exchange] = msgspec.field(default_factory=list)
    """Documents that wait for the power."""
    is_up: bool = True
    life: int = 0
    used_us: "Counter[int]" = msgspec.field(default_factory=Counter)
    """Processor time of its three programs by minute."""
    frames: "Counter[int]" = msgspec.field(default_factory=Counter)
    """Frames committed by minute."""

    def take_group(self, costs: Costs) -> tuple[int, Processor]:
        """Move the next group out of the queue; return its frames and what they cost."""
        pieces: list[Place] = []
        greetings = NOTHING
        while (
            self.queue and len(pieces) < GROUP_FRAMES_MAX and len(self.group) < QUEUE_MESSAGES_MAX
        ):
            message = self.queue.popleft()
            self.group.append(message)
            if isinstance(message, Greeting):
                greetings += costs.greeting_us
            else:
                pieces += _pieces(message)
        return len(pieces), greetings + _committing(pieces, costs)


def wall_us(used: Processor) -> int:
    """Return how long a group takes: the daemon is one process, the rest has the other core."""
    return max(1, round(max(used.daemon, used.total / CORES)))


def _committing(pieces: Sequence[Place], costs: Costs) -> Processor:
    """Return the cost of all pieces, and once that of a commit, by the dearest of them."""
    if not pieces:
        return NOTHING
    dearest = max(set(pieces), key=lambda place: (costs.commit_us[place].total, place))
    return sum((costs.piece_us[place] for place in pieces), costs.commit_us[dearest])


def _pieces(message: Bundle | Exchange) -> list[Place]:
    """Return what a message is made of, by the place of the node on each frame's way."""
    if isinstance(message, Exchange):
        return ["sender"]
    return [_place_of(frame) for frame in message.frames]


def _place_of(frame: Frame) -> Place:
    if frame.at + 1 < len(frame.way) - 1:
        return "relay"
    return "sender" if frame.step == 1 else "recipient"
