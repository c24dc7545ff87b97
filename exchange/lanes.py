"""The lanes of a link: what goes out next, in bundles, and what waits for the neighbour's note.

Each lane is one outgoing stream. It stands in the record; here is only how far it is sent, and its
newest entries while they are in memory.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence

import msgspec

from exchange.batch import Offer, stream_to
from exchange.core.streams import Outgoing
from exchange.gate import Gate
from exchange.pace import SAMPLE_BYTES, Pace
from exchange.ports import Archive, Clock
from exchange.shown import Shown
from schemas.header import decode_header
from schemas.limits import BUNDLE_BYTES_MAX, BUNDLE_FRAMES_MAX, Limits
from schemas.objects import Lane, StreamPosition
from schemas.records import EntryRow, StoredEntry

LANES: tuple[Lane, ...] = ("fast", "bulk")
HOT_ENTRIES_MAX = 8192
HOT_BYTES_MAX = 48 * 1024 * 1024
SLOW_BUNDLE_BYTES = 16 * 1024
BULK_AHEAD_S = 4.0
"""So much of the line's time `bulk` has out: what `fast` finds before it takes no longer."""
STALL_S = 15.0
"""After so long without any note while entries are out, they are sent again, one by one."""
SLOWEST_BYTES_PER_S = 2000.0
"""A neighbour that was away for long is not taken for a slower line: a stall would go unseen."""


class LaneState(msgspec.Struct):
    """One outgoing stream while the daemon runs: where it stands, and its newest entries."""

    stream: str
    at: Outgoing
    hot: "OrderedDict[int, Offer]"
    hot_bytes: int = 0
    out: "deque[tuple[int, int]]" = msgspec.field(default_factory=deque)
    """Number and size (bytes) of what was sent and is not taken yet."""
    out_bytes: int = 0
    moved_at: float = 0.0


class Lanes:
    """The outgoing streams to one neighbour while the daemon runs."""

    def __init__(  # noqa: PLR0913 - the parts they stand on
        self,
        neighbour: str,
        *,
        gate: Gate,
        archive: Archive,
        clock: Clock,
        limits: Limits,
        shown: Shown,
        cursors: dict[str, int],
    ) -> None:
        """Begin at the cursors."""
        self.tail: Callable[[str], tuple[int, bytes]] | None = None
        """Returns the last number and chain placed in an outgoing stream."""
        self._neighbour = neighbour
        self._gate = gate
        self._archive = archive
        self._clock = clock
        self._limits = limits
        self._shown = shown
        self._pace = Pace()
        """Of what was sent, as notes come for it: queues between hide nothing from it."""
        self._lanes = {lane: self._open_lane(lane, cursors) for lane in LANES}

    def _open_lane(self, lane: Lane, cursors: dict[str, int]) -> LaneState:
        stream = stream_to(self._neighbour, lane)
        cursor = cursors.get(stream, 0)
        return LaneState(stream, Outgoing(cursor=cursor, sent=cursor), OrderedDict())

    def keep_hot(self, lane: Lane, offers: Sequence[Offer]) -> None:
        """Keep committed entries while they are hot; what does not fit is read again later."""
        state = self._lanes[lane]
        for offer in offers:
            full = len(state.hot) >= HOT_ENTRIES_MAX or state.hot_bytes >= HOT_BYTES_MAX
            if offer.raw is not None and not full:
                state.hot[offer.row.number] = offer
                state.hot_bytes += offer.row.size

    def cool(self) -> None:
        """Let go of the entries in memory: the session is over."""
        for state in self._lanes.values():
            state.hot.clear()
            state.hot_bytes = 0

    def restart(self) -> None:
        """Go back to the cursors: the neighbour has begun anew."""
        for state in self._lanes.values():
            state.at = state.at.restarted()
            self._forget_out(state)

    def take_position(self, position: StreamPosition) -> None:
        """Move a lane by what the neighbour has taken."""
        state = self._lanes[position.lane]
        state.at = state.at.after_note(position.up_to, position.seen)
        state.moved_at = _now()
        self._forget_taken(state)

    @property
    def awaits_note(self) -> bool:
        """Say whether anything was sent that no note has come for yet."""
        return any(state.out for state in self._lanes.values())

    def look_for_stall(self) -> None:
        """Send again, one by one, what no note has come for in a long time."""
        for state in self._lanes.values():
            rate = max(SLOWEST_BYTES_PER_S, self._pace.bytes_per_s)
            patience_s = STALL_S + 3 * state.out_bytes / rate
            if state.out and _now() - state.moved_at > patience_s:
                state.at = state.at.stalled()
                state.moved_at = _now()
                self._forget_out(state)

    async def bundle_of(self, lane: Lane) -> bytes | None:
        """Return the next bundle of a lane, which counts as sent; None where nothing may go."""
        state = self._lanes[lane]
        # `bulk` leaves room for what `fast` has out; `fast` never waits for `bulk`.
        counted = self._lanes.values() if lane == "bulk" else (state,)
        frames_out = sum(len(each.out) for each in counted)
        bytes_out = sum(each.out_bytes for each in counted)
        room_frames = min(BUNDLE_FRAMES_MAX, self._limits.link_window_frames - frames_out)
        has_room = room_frames > 0 and bytes_out < self._limits.link_window_bytes
        if lane == "bulk":
            has_room &= state.out_bytes < bulk_bytes_max(self._pace.bytes_per_s)
        if not has_room or not self._has_more(state):
            return None
        count = 1 if state.at.single else room_frames
        entries = await self._entries_after(state, count)
        if not entries:
            return None
        first = entries[0].row.number
        last = entries[-1].row
        raw = self._gate.make_bundle(
            self._neighbour,
            lane,
            first,
            last.chain,
            [offer.raw for offer in entries if offer.raw is not None],
            self._shown.ders_for(entries),
            self._clock(),
        )
        for offer in entries:
            state.out.append((offer.row.number, offer.row.size))
            state.out_bytes += offer.row.size
            self._pace.place(offer.row.size, _now())
        if not state.moved_at or len(state.out) == len(entries):
            state.moved_at = _now()
        state.at = state.at.after_sending(last.number)
        return raw

    def _has_more(self, state: LaneState) -> bool:
        assert self.tail is not None, "attach comes first"
        return state.at.sent < self.tail(state.stream)[0]

    async def _entries_after(self, state: LaneState, count: int) -> list[Offer]:
        """Return entries behind what was sent: from memory where hot, else one range read."""
        entries: list[Offer] = []
        size = 0
        bytes_max = bundle_bytes_max(self._pace.bytes_per_s)
        number = state.at.sent + 1
        while len(entries) < count and (offer := state.hot.get(number)) is not None:
            size += offer.row.size + 4
            if entries and size > bytes_max:
                break
            entries.append(offer)
            number += 1
        if entries:
            return entries
        before = state.at
        stored = await self._archive.entries(
            state.stream, self._gate.epoch, before.sent, count, bytes_max
        )
        if state.at is not before:
            return []  # a note moved the stream meanwhile: begin again from there
        return [self._reread(state.stream, entry) for entry in stored]

    def _reread(self, stream: str, entry: StoredEntry) -> Offer:
        row = EntryRow(
            stream,
            self._gate.epoch,
            entry.number,
            entry.frame,
            entry.object,
            entry.sha256,
            entry.chain,
            entry.size,
            0,
        )
        if entry.object is not None:
            return Offer(row, entry.object, "")
        assert entry.head is not None
        if entry.bucket is None or entry.sealed is None:
            return Offer(row, self._void_for(stream, entry), "")
        payload = self._gate.open_rest(entry.bucket, entry.sha256, entry.sealed)
        size = int.from_bytes(entry.head[6:8])
        header = decode_header(entry.head[8 : 8 + size])
        return Offer(row, entry.head + payload, header.certificate)

    def _void_for(self, stream: str, entry: StoredEntry) -> bytes:
        """Return what fills the number of a frame whose payload was destroyed (clause 23.5)."""
        lane: Lane = "fast" if stream.endswith("/fast") else "bulk"
        return self._gate.make_void(
            self._neighbour, lane, entry.number, entry.sha256, self._clock()
        )

    def _forget_taken(self, state: LaneState) -> None:
        """Drop what the neighbour has taken from memory, and from `out` what goes again."""
        taken = again = 0
        while state.out and state.out[0][0] <= state.at.cursor:
            taken += state.out.popleft()[1]
        while state.out and state.out[-1][0] > state.at.sent:
            again += state.out.pop()[1]
        while state.hot and next(iter(state.hot)) <= state.at.cursor:
            _, offer = state.hot.popitem(last=False)
            state.hot_bytes -= offer.row.size
        state.out_bytes -= taken + again
        self._pace.drop(again)
        if taken:
            self._pace.confirm(taken, _now())

    def _forget_out(self, state: LaneState) -> None:
        self._pace.drop(state.out_bytes)
        state.out.clear()
        state.out_bytes = 0


def bulk_bytes_max(line_bytes_per_s: float) -> float:
    """Return how much `bulk` may have out: some seconds of the line, and enough to measure it."""
    return max(SAMPLE_BYTES, BULK_AHEAD_S * line_bytes_per_s)


def bundle_bytes_max(line_bytes_per_s: float) -> int:
    """Return what a bundle may hold: about two seconds of the line."""
    return int(max(SLOW_BUNDLE_BYTES, min(BUNDLE_BYTES_MAX, 2 * line_bytes_per_s)))


def _now() -> float:
    """Return the time that the loop's own timers go by, in seconds."""
    return asyncio.get_running_loop().time()
