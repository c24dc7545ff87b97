"""One direction of one link: what waits in its two lanes, what is out, and how busy the line is.

The rules are those of `exchange.lanes`: `fast` first, a window over what no note has come for,
bundles by frames, bytes and the speed of the line. What is out when a connection ends waits again.
"""

from collections import Counter, deque

import msgspec

from exchange.lanes import bulk_bytes_max, bundle_bytes_max
from schemas.limits import BUNDLE_FRAMES_MAX, Limits
from schemas.moments import MINUTE, SECOND
from schemas.objects import Lane

LIMITS = Limits()
FRAME_PREFIX_BYTES = 4


class Exchange(msgspec.Struct, gc=False):
    """A packet with its receipt and its closing, from the drop on; times in microseconds."""

    number: int
    rule: int
    path: tuple[int, ...]
    dropped: int
    sizes: tuple[int, int, int]
    """Of packet, receipt and closing, in bytes."""
    lane: Lane
    custody: list[int]
    """When each node of the path had committed the packet."""
    answered: int = 0
    """Nodes, counted from the recipient, that have committed the receipt."""
    delivered: int = -1
    closed: int = -1
    attempts: int = 0


class Frame(msgspec.Struct, gc=False):
    """A frame under way; `at` is the place on its own way where it was committed last."""

    exchange: Exchange
    step: int
    """0 packet, 1 receipt, 2 closing."""
    way: tuple[int, ...]
    size: int
    lane: Lane
    at: int = 0
    again: bool = False
    """A copy that the sender placed once more."""


class LaneQueue(msgspec.Struct):
    """One lane: what is not sent, and what is sent without a note."""

    waiting: "deque[Frame]" = msgspec.field(default_factory=deque)
    out: "deque[Frame]" = msgspec.field(default_factory=deque)
    out_bytes: int = 0


class Bundle(msgspec.Struct, gc=False):
    """What arrives in one message."""

    line: "Line"
    lane: Lane
    frames: list[Frame]
    life: int
    """Of the connection that it was sent over."""


class Line(msgspec.Struct):
    """The way from one node to a neighbour."""

    sender: int
    receiver: int
    bytes_per_s: float
    delay_us: int
    """One way."""
    fast: LaneQueue = msgspec.field(default_factory=LaneQueue)
    bulk: LaneQueue = msgspec.field(default_factory=LaneQueue)
    is_up: bool = True
    life: int = 0
    free_at: int = 0
    """Until then the line is busy."""
    is_woken: bool = False
    """Somebody looks at it again when it is free."""
    most_waiting: int = 0
    most_waiting_at: int = 0
    carried: "Counter[int]" = msgspec.field(default_factory=Counter)
    """Bytes by minute."""

    def lane(self, lane: Lane) -> LaneQueue:
        """Return one of the two."""
        return self.fast if lane == "fast" else self.bulk

    def place(self, frame: Frame, now: int) -> None:
        """Put a committed frame at the end of its lane."""
        self.lane(frame.lane).waiting.append(frame)
        waiting = self.held
        if waiting > self.most_waiting:
            self.most_waiting, self.most_waiting_at = waiting, now

    @property
    def held(self) -> int:
        """How many frames the neighbour has not taken."""
        lanes = (self.fast, self.bulk)
        return sum(len(each.waiting) + len(each.out) for each in lanes)

    def next_bundle(self) -> Bundle | None:
        """Take what goes out next; None where nothing may."""
        for lane in ("fast", "bulk"):
            frames = self._take(lane)
            if frames:
                return Bundle(self, lane, frames, self.life)
        return None

    def _take(self, lane: Lane) -> list[Frame]:
        queue = self.lane(lane)
        if not queue.waiting:
            return []
        counted = (queue,) if lane == "fast" else (self.fast, self.bulk)
        room = LIMITS.link_window_frames - sum(len(each.out) for each in counted)
        has_room = LIMITS.link_window_bytes > sum(each.out_bytes for each in counted)
        if lane == "bulk":
            has_room &= queue.out_bytes < bulk_bytes_max(self.bytes_per_s)
        count = min(BUNDLE_FRAMES_MAX, room) if has_room else 0
        frames: list[Frame] = []
        size, size_max = 0, bundle_bytes_max(self.bytes_per_s)
        while queue.waiting and len(frames) < count:
            size += queue.waiting[0].size + FRAME_PREFIX_BYTES
            if frames and size > size_max:
                break
            frames.append(queue.waiting.popleft())
        queue.out.extend(frames)
        queue.out_bytes += sum(frame.size for frame in frames)
        return frames

    def carry(self, size: float, now: int) -> int:
        """Count bytes on the line, and return when the last of them is through."""
        begins = max(now, self.free_at)
        self.free_at = begins + int(size * SECOND / self.bytes_per_s)
        self.carried[begins // MINUTE] += int(size)
        return self.free_at

    def taken(self, lane: Lane, count: int) -> None:
        """Forget what the neighbour's note covers."""
        queue = self.lane(lane)
        for _ in range(count):
            queue.out_bytes -= queue.out.popleft().size

    def cut(self) -> None:
        """End the connection: nothing under way arrives."""
        self.is_up = False
        self.life += 1

    def restore(self, now: int) -> None:
        """Begin a connection; its hellos say what was taken, all else that was out waits again."""
        self.is_up = True
        self.free_at = now
        for queue in (self.fast, self.bulk):
            lost = [frame for frame in queue.out if frame.way[frame.at] == self.sender]
            queue.waiting.extendleft(reversed(lost))
            queue.out.clear()
            queue.out_bytes = 0
