"""One link to a neighbour: greets, sends what the record has for it, brings what it says.

A link holds no duty of its own: its streams stand in the record, and after any fault it goes on
from the cursor. Losing a session loses nothing but time.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import suppress
from typing import Protocol

import msgspec

from exchange.batch import Offer, stream_to
from exchange.core.handshake import Handshake, hear
from exchange.core.streams import Incoming, Outgoing
from exchange.errors import BrokerFull
from exchange.gate import Gate, Opened
from exchange.identity import new_nonce
from exchange.ports import Archive, Clock
from exchange.sessions import Delivery, Session
from schemas.header import decode_header
from schemas.limits import BUNDLE_BYTES_MAX, BUNDLE_FRAMES_MAX, Limits
from schemas.moments import Instant, format_instant
from schemas.objects import CustodyNote, Hello, Lane, StreamPosition
from schemas.records import EntryRow, StoredEntry

LANES: tuple[Lane, ...] = ("fast", "bulk")
HOT_ENTRIES_MAX = 8192
HOT_BYTES_MAX = 48 * 1024 * 1024
BUNDLES_IN_FLIGHT = 8
SLOW_BUNDLE_BYTES = 16 * 1024
STALL_S = 15.0
"""After so long without any note while entries are out, they are sent again, one by one."""

FULL_PAUSE_S = 1.0
"""So long a message waits for room in the neighbour's queue before it, or a hello, goes again."""


class LinkMessage(msgspec.Struct, frozen=True):
    """A message of a link on its way to the sequencer; `opened` is being authenticated."""

    link: "Link"
    session: Session
    delivery: Delivery
    opened: "asyncio.Future[Opened]"
    learned: list[bytes] = []
    """Certificates (DER) that it brought and that were new."""
    settles: bool = True
    """False for the first parts of a bundle that is taken entry by entry."""
    own_fault: bool = False
    """We failed to judge it: its entries are held."""


class Sequencer(Protocol):
    """What a link hands its messages to."""

    async def submit(self, message: LinkMessage) -> None:
        """Queue a message; waits while the queue is full, so that the broker holds the rest."""

    def taken(self, stream: str) -> Incoming:
        """Return how far an incoming stream is committed."""

    def tail(self, stream: str) -> tuple[int, bytes]:
        """Return the last number and chain placed in an outgoing stream."""


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


class Link:
    """The link to one neighbour, over as many sessions as it takes."""

    def __init__(  # noqa: PLR0913 - the parts it stands on
        self,
        neighbour: str,
        *,
        is_parent: bool,
        gate: Gate,
        archive: Archive,
        clock: Clock,
        limits: Limits,
        executor: Executor,
        cursors: dict[str, int],
    ) -> None:
        """Stand by; `handle` runs each session."""
        self.neighbour = neighbour
        self.is_parent = is_parent
        self.suspended = False
        self.up_since: Instant | None = None
        self._gate = gate
        self._archive = archive
        self._clock = clock
        self._limits = limits
        self._executor = executor
        self._lanes = {lane: self._open_lane(lane, cursors) for lane in LANES}
        self._shake = Handshake(is_child=is_parent, nonce=new_nonce())
        self._wake = asyncio.Event()
        self._notes_due: set[Lane] = set()
        self._hello_due = False
        self._objects: deque[bytes] = deque(maxlen=256)
        self._certificates_sent: set[str] = set()
        self._sequencer: Sequencer | None = None
        self._hello_sent_at: Instant = 0
        self._line: Session | None = None

    def _open_lane(self, lane: Lane, cursors: dict[str, int]) -> LaneState:
        stream = stream_to(self.neighbour, lane)
        cursor = cursors.get(stream, 0)
        return LaneState(stream, Outgoing(cursor=cursor, sent=cursor), OrderedDict())

    def attach(self, sequencer: Sequencer) -> None:
        """Name the sequencer that takes this link's messages."""
        self._sequencer = sequencer

    @property
    def synchronised(self) -> bool:
        """Both sides have greeted in this session."""
        return self._shake.synchronised and self.up_since is not None

    def obey(self, action: str) -> None:
        """Stand still once suspended; once lifted, greet again: no hello was heard meanwhile."""
        suspended = action == "suspended"
        if suspended != self.suspended:
            self.suspended = suspended
            self._hello_due = True
            self._wake.set()

    # --- what the service tells the link, always after a commit -------------------------------

    def offer(self, lane: Lane, offers: Sequence[Offer]) -> None:
        """Take committed entries while they are hot; what does not fit is read again later."""
        state = self._lanes[lane]
        for offer in offers if self.synchronised else ():
            full = len(state.hot) >= HOT_ENTRIES_MAX or state.hot_bytes >= HOT_BYTES_MAX
            if offer.raw is not None and not full:
                state.hot[offer.row.number] = offer
                state.hot_bytes += offer.row.size
        self._wake.set()

    def owe_note(self, lane: Lane) -> None:
        """Tell the neighbour soon how far its stream is taken."""
        self._notes_due.add(lane)
        self._wake.set()

    def send_object(self, raw: bytes) -> None:
        """Send an unnumbered object once; it is repeated by whoever still needs it."""
        self._objects.append(raw)
        self._wake.set()

    def take_position(self, position: StreamPosition, *, may_lower: bool) -> None:
        """Move a stream by what the neighbour has taken; the note has been judged and committed."""
        state = self._lanes[position.lane]
        state.at = state.at.after_note(position.up_to, position.seen, may_lower=may_lower)
        state.moved_at = time.monotonic()
        self._forget_taken(state)
        self._wake.set()

    def hear_hello(self, hello: Hello) -> bool:
        """Take a greeting; return whether its positions count although they may lower."""
        greeting = hear(self._shake, hello.nonce, hello.echo, new_nonce())
        self._shake = greeting.state
        if greeting.fresh:
            for state in self._lanes.values():
                state.at = state.at.restarted()
                self._restart(state)
            self._certificates_sent.clear()
            self._notes_due.update(LANES)
        self._hello_due |= greeting.reply
        self._wake.set()
        return greeting.fresh

    def greet_anew(self) -> None:
        """Begin the greeting again with a new nonce, to compare clocks once more."""
        if self.synchronised:
            self._shake = Handshake(
                is_child=self.is_parent,
                nonce=new_nonce(),
                heard=self._shake.heard,
                synchronised=True,
            )
            self._hello_due = True
            self._wake.set()

    def is_latest_nonce(self, nonce: str | None) -> bool:
        """Say whether a note was made in this session."""
        return nonce == self._shake.nonce

    def knows_certificate(self, fingerprint: str) -> None:
        """Remember a certificate that the neighbour brought: no need to bring it back."""
        self._certificates_sent.add(fingerprint)

    @property
    def round_trip(self) -> Instant:
        """Time since our last hello left, microseconds: a bound on a fresh hello's age."""
        return self._clock() - self._hello_sent_at

    # --- one session --------------------------------------------------------------------------

    async def handle(self, session: Session) -> None:
        """Run one life of the connection; returns only by an exception."""
        self._begin_session()
        self._line = session
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._receive(session))
                tasks.create_task(self._send(session, tasks))
        finally:
            self.up_since = None
            for state in self._lanes.values():
                state.hot.clear()
                state.hot_bytes = 0

    def _begin_session(self) -> None:
        self._shake = Handshake(is_child=self.is_parent, nonce=new_nonce())
        self.up_since = self._clock()
        self._hello_due = True
        self._notes_due.clear()
        self._certificates_sent.clear()
        self._wake.set()

    async def _receive(self, session: Session) -> None:
        loop = asyncio.get_running_loop()
        assert self._sequencer is not None, "attach comes first"
        while True:
            delivery = await session.receive()
            learned = self._gate.learn(delivery.body)
            opened = loop.run_in_executor(
                self._executor,
                self._gate.open_message,
                delivery.body,
                self.neighbour,
                self._clock(),
            )
            await self._sequencer.submit(LinkMessage(self, session, delivery, opened, learned))

    async def _send(self, session: Session, tasks: asyncio.TaskGroup) -> None:
        """Hand over whatever is due, the small and urgent first, without awaiting confirms."""
        room = asyncio.Semaphore(BUNDLES_IN_FLIGHT)
        while True:
            self._wake.clear()
            more = True
            while more:
                for raw in self._greeting():
                    tasks.create_task(self._publish(session, raw))
                more = await self._send_bundle("fast", session, tasks, room)
                for raw in self._owed():
                    tasks.create_task(self._publish(session, raw))
                more |= await self._send_bundle("bulk", session, tasks, room)
            await self._sleep()

    async def _sleep(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(STALL_S / 3):
                await self._wake.wait()
        self._look_for_stall()

    def _look_for_stall(self) -> None:
        for state in self._lanes.values():
            rate = self._line.bytes_per_s if self._line is not None else 1.0
            patience_s = STALL_S + 3 * state.out_bytes / max(1.0, rate)
            if state.out and time.monotonic() - state.moved_at > patience_s:
                state.at = state.at.stalled()
                state.moved_at = time.monotonic()
                self._restart(state)

    def _greeting(self) -> list[bytes]:
        """Return our certificate and a hello where one is due."""
        if not self._hello_due:
            return []
        now = self._clock()
        self._hello_due = False
        self._hello_sent_at = now
        return [self._gate.make_certificates(self.neighbour, None, now), self._make_hello(now)]

    def _owed(self) -> list[bytes]:
        """Return the notes that are due, and single objects."""
        now = self._clock()
        due, self._notes_due = self._notes_due, set()
        owed = [self._make_note(lane, now) for lane in sorted(due, reverse=True)]
        while self._objects:
            owed.append(self._objects.popleft())
        return owed

    async def _publish(self, session: Session, raw: bytes) -> None:
        """Publish something small; where there was no room, greet once more: that makes up for it.

        The neighbour's first hello may be what finds its own queue full: nobody else greets again.
        """
        try:
            await session.publish(raw)
        except BrokerFull:
            await asyncio.sleep(FULL_PAUSE_S)
            self._hello_due = True
            self._wake.set()

    def _make_hello(self, now: Instant) -> bytes:
        assert self._sequencer is not None
        taken = [self._position(lane) for lane in LANES]
        placed = []
        for lane in LANES:
            number, chain = self._sequencer.tail(stream_to(self.neighbour, lane))
            placed.append(StreamPosition(lane, self._gate.epoch, number, chain.hex(), number))
        hello = Hello(
            **self._gate.stamp(self.neighbour, now),  # type: ignore[arg-type]
            nonce=self._shake.nonce,
            echo=self._shake.heard,
            clock=format_instant(now),
            versions=[1],
            positions=taken,
            placed=placed,
        )
        return self._gate.sign(hello)

    def _make_note(self, lane: Lane, now: Instant) -> bytes:
        note = CustodyNote(
            **self._gate.stamp(self.neighbour, now),  # type: ignore[arg-type]
            position=self._position(lane),
            hello=self._shake.heard,
        )
        return self._gate.sign(note)

    def _position(self, lane: Lane) -> StreamPosition:
        assert self._sequencer is not None
        return self._sequencer.taken(stream_to(self.neighbour, lane)).position(lane, 1)

    # --- bundles ------------------------------------------------------------------------------

    async def _send_bundle(
        self, lane: Lane, session: Session, tasks: asyncio.TaskGroup, room: asyncio.Semaphore
    ) -> bool:
        """Send one bundle of a lane; False where nothing may go now."""
        if not self.synchronised or self.suspended:
            return False
        bundle = await self._bundle_of(lane)
        if bundle is None:
            return False
        await room.acquire()
        tasks.create_task(self._publish_bundle(session, bundle, room))
        return True

    async def _bundle_of(self, lane: Lane) -> bytes | None:
        state = self._lanes[lane]
        # `bulk` leaves room for what `fast` has out; `fast` never waits for `bulk`.
        counted = self._lanes.values() if lane == "bulk" else (state,)
        frames_out = sum(len(each.out) for each in counted)
        bytes_out = sum(each.out_bytes for each in counted)
        room_frames = min(BUNDLE_FRAMES_MAX, self._limits.link_window_frames - frames_out)
        room_bytes = self._limits.link_window_bytes - bytes_out
        if room_frames <= 0 or room_bytes <= 0 or not self._has_more(state):
            return None
        count = 1 if state.at.single else room_frames
        entries = await self._entries_after(state, count)
        if not entries:
            return None
        certificates = self._bring_certificates(entries)
        first = entries[0].row.number
        last = entries[-1].row
        raw = self._gate.make_bundle(
            self.neighbour,
            lane,
            first,
            last.chain,
            [offer.raw for offer in entries if offer.raw is not None],
            certificates,
            self._clock(),
        )
        for offer in entries:
            state.out.append((offer.row.number, offer.row.size))
            state.out_bytes += offer.row.size
        if not state.moved_at or len(state.out) == len(entries):
            state.moved_at = time.monotonic()
        state.at = state.at.after_sending(last.number)
        return raw

    @property
    def _bundle_bytes_max(self) -> int:
        """A bundle takes at most about two seconds of the line."""
        if self._line is None:
            return BUNDLE_BYTES_MAX
        return int(max(SLOW_BUNDLE_BYTES, min(BUNDLE_BYTES_MAX, 2 * self._line.bytes_per_s)))

    def _has_more(self, state: LaneState) -> bool:
        assert self._sequencer is not None
        return state.at.sent < self._sequencer.tail(state.stream)[0]

    async def _entries_after(self, state: LaneState, count: int) -> list[Offer]:
        """Return entries behind what was sent: from memory where hot, else one range read."""
        entries: list[Offer] = []
        size = 0
        bytes_max = self._bundle_bytes_max
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
        assert entry.bucket is not None
        assert entry.sealed is not None
        payload = self._gate.open_rest(entry.bucket, entry.sha256, entry.sealed)
        size = int.from_bytes(entry.head[6:8])
        header = decode_header(entry.head[8 : 8 + size])
        return Offer(row, entry.head + payload, header.certificate)

    def _bring_certificates(self, entries: Sequence[Offer]) -> list[bytes]:
        """Return certificates that the neighbour is not known to hold."""
        ders: list[bytes] = []
        for offer in entries:
            if offer.certificate and offer.certificate not in self._certificates_sent:
                self._certificates_sent.add(offer.certificate)
                ders += self._gate.trust.ders_for(offer.certificate)
        return list(dict.fromkeys(ders))

    async def _publish_bundle(self, session: Session, raw: bytes, room: asyncio.Semaphore) -> None:
        try:
            await session.publish(raw)
        except BrokerFull:
            await asyncio.sleep(FULL_PAUSE_S)  # the neighbour is away: its notes will tell
        finally:
            room.release()

    def _forget_taken(self, state: LaneState) -> None:
        """Drop what the neighbour has taken from memory, and what must be sent again from `out`."""
        while state.out and state.out[0][0] <= state.at.cursor:
            state.out_bytes -= state.out.popleft()[1]
        while state.out and state.out[-1][0] > state.at.sent:
            state.out_bytes -= state.out.pop()[1]
        while state.hot and next(iter(state.hot)) <= state.at.cursor:
            _, offer = state.hot.popitem(last=False)
            state.hot_bytes -= offer.row.size

    def _restart(self, state: LaneState) -> None:
        state.out.clear()
        state.out_bytes = 0
        self._wake.set()
