"""One link to a neighbour: greets, sends what the record has for it, brings what it says.

A link holds no duty of its own: its streams stand in the record, and after any fault it goes on
from the cursor. Losing a session loses nothing but time.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import suppress
from functools import partial
from typing import Protocol

import msgspec

from exchange.batch import Offer, stream_to
from exchange.core.handshake import Handshake, hear
from exchange.core.streams import Incoming
from exchange.errors import BrokerFull
from exchange.gate import Gate, Opened
from exchange.identity import new_nonce
from exchange.lanes import LANES, STALL_S, Lanes
from exchange.ports import Archive, Clock
from exchange.sessions import Delivery, Session
from exchange.shown import Shown
from schemas.errors import BbajError
from schemas.limits import Limits
from schemas.moments import Instant, format_instant
from schemas.objects import CustodyNote, Hello, Lane, StreamPosition

OBJECTS_MAX = 8192
"""So many single objects wait for a session; beyond that the oldest go, and are asked for again."""
BUNDLES_IN_FLIGHT = 8
OPENED_HERE_BYTES = 2048
"""Up to this size a message is one signature and little else."""
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

    def may_send(self) -> bool:
        """Say whether what is placed may go out: not once the record has lost its end."""

    def may_note(self, stream: str) -> bool:
        """Say whether to tell how far an incoming stream is taken: not while it comes back."""


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
        self._clock = clock
        self._executor = executor
        self._shown = Shown(neighbour, gate)
        self._lanes = Lanes(
            neighbour,
            gate=gate,
            archive=archive,
            clock=clock,
            limits=limits,
            shown=self._shown,
            cursors=cursors,
        )
        self._shake = Handshake(is_child=is_parent, nonce=new_nonce())
        self._wake = asyncio.Event()
        self._notes_due: set[Lane] = set()
        self._hello_due = False
        self._objects: deque[tuple[bytes, tuple[str, ...]]] = deque(maxlen=OBJECTS_MAX)
        self._sequencer: Sequencer | None = None
        self._hello_sent_at: Instant = 0
        self._full: Session | None = None
        """The session that found no room, while it waits to greet again."""

    def attach(self, sequencer: Sequencer) -> None:
        """Name the sequencer that takes this link's messages."""
        self._sequencer = sequencer
        self._lanes.tail = sequencer.tail

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
        if self.synchronised:
            self._lanes.keep_hot(lane, offers)
        self._wake.set()

    def owe_note(self, lane: Lane) -> None:
        """Tell the neighbour soon how far its stream is taken."""
        self._notes_due.add(lane)
        self._wake.set()

    def send_object(self, raw: bytes) -> None:
        """Send an unnumbered object once; it is repeated by whoever still needs it."""
        self._objects.append((raw, ()))
        self._wake.set()

    def send_statement(self, raw: bytes, *fingerprints: str) -> None:
        """Send a statement, after the certificates that it needs and the neighbour may lack."""
        self._objects.append((raw, fingerprints))
        self._wake.set()

    def take_position(self, position: StreamPosition) -> None:
        """Move a stream by what the neighbour has taken; the note has been judged and committed."""
        self._lanes.take_position(position)
        self._wake.set()

    def hear_hello(self, hello: Hello) -> bool:
        """Take a greeting; return whether its positions count although they may lower."""
        greeting = hear(self._shake, hello.nonce, hello.echo, new_nonce())
        self._shake = greeting.state
        if greeting.fresh:
            self._lanes.restart()
            self._shown.forget_others()
            self._notes_due.update(LANES)
        self._hello_due |= greeting.reply
        self._wake.set()
        return greeting.fresh

    def greet_anew(self) -> None:
        """Greet with a new nonce, to compare clocks; or again, where no greeting has come about."""
        if self.synchronised:
            self._shake = Handshake(
                is_child=self.is_parent,
                nonce=new_nonce(),
                heard=self._shake.heard,
                synchronised=True,
            )
        self._hello_due = self.up_since is not None
        self._wake.set()

    def is_latest_nonce(self, nonce: str | None) -> bool:
        """Say whether a note was made in this session."""
        return nonce == self._shake.nonce

    def knows_certificate(self, fingerprint: str) -> None:
        """Remember a certificate that the neighbour brought: no need to bring it back."""
        self._shown.knows(fingerprint)

    @property
    def round_trip(self) -> Instant:
        """Time since our last hello left, microseconds: a bound on a fresh hello's age."""
        return self._clock() - self._hello_sent_at

    # --- one session --------------------------------------------------------------------------

    async def handle(self, session: Session) -> None:
        """Run one life of the connection; returns only by an exception."""
        self._begin_session()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._receive(session))
                tasks.create_task(self._send(session, tasks))
        finally:
            self.up_since = None
            self._lanes.cool()

    def _begin_session(self) -> None:
        self._shake = Handshake(is_child=self.is_parent, nonce=new_nonce())
        self.up_since = self._clock()
        self._hello_due = True
        self._notes_due.clear()
        self._shown.begin()
        self._wake.set()

    async def _receive(self, session: Session) -> None:
        assert self._sequencer is not None, "attach comes first"
        while True:
            delivery = await session.receive()
            learned = self._gate.learn(delivery.body)
            opened = self._open(delivery.body)
            await self._sequencer.submit(LinkMessage(self, session, delivery, opened, learned))

    def _open(self, raw: bytes) -> "asyncio.Future[Opened]":
        """Authenticate a message: in a thread, unless to hand it over costs as much."""
        loop = asyncio.get_running_loop()
        open_message = partial(self._gate.open_message, raw, self.neighbour, self._clock())
        if len(raw) > OPENED_HERE_BYTES:
            return loop.run_in_executor(self._executor, open_message)
        opened: asyncio.Future[Opened] = loop.create_future()
        try:
            opened.set_result(open_message())
        except BbajError as error:
            opened.set_exception(error)
        return opened

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
        patience_s = STALL_S / 3 if self._lanes.awaits_note else None
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self._wake.wait()
        self._lanes.look_for_stall()

    def _greeting(self) -> list[bytes]:
        """Return our certificate and a hello where one is due."""
        if not self._hello_due:
            return []
        now = self._clock()
        self._hello_due = False
        self._hello_sent_at = now
        return [self._shown.introduce(now), self._make_hello(now)]

    def _owed(self) -> list[bytes]:
        """Return the notes that are due, and single objects."""
        now = self._clock()
        due, self._notes_due = {lane for lane in self._notes_due if self._may_note(lane)}, set()
        owed = self._shown.introduce_where_new(now) if due or self._objects else []
        owed += [self._make_note(lane, now) for lane in sorted(due, reverse=True)]
        while self._objects:
            raw, fingerprints = self._objects.popleft()
            owed += self._shown.objects_for(fingerprints, now)
            owed.append(raw)
        return owed

    async def _publish(self, session: Session, raw: bytes) -> None:
        """Publish something small; where there was no room, greet once more: that makes up for it.

        The neighbour's first hello may be what finds its own queue full: nobody else greets again.
        One greeting makes up for all that found no room in the meantime.
        """
        try:
            await session.publish(raw)
        except BrokerFull:
            if session is not self._full:
                self._full = session
                await asyncio.sleep(FULL_PAUSE_S)
                self._full = None
                self._hello_due = True
                self._wake.set()

    def _make_hello(self, now: Instant) -> bytes:
        assert self._sequencer is not None
        taken = [self._position(lane) for lane in LANES if self._may_note(lane)]
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

    def _may_note(self, lane: Lane) -> bool:
        assert self._sequencer is not None
        return self._sequencer.may_note(stream_to(self.neighbour, lane))

    def _position(self, lane: Lane) -> StreamPosition:
        assert self._sequencer is not None
        return self._sequencer.taken(stream_to(self.neighbour, lane)).position(lane)

    # --- bundles ------------------------------------------------------------------------------

    async def _send_bundle(
        self, lane: Lane, session: Session, tasks: asyncio.TaskGroup, room: asyncio.Semaphore
    ) -> bool:
        """Send one bundle of a lane; False where nothing may go now."""
        assert self._sequencer is not None
        if not self.synchronised or self.suspended or not self._sequencer.may_send():
            return False
        bundle = await self._lanes.bundle_of(lane)
        if bundle is None:
            return False
        await room.acquire()
        tasks.create_task(self._publish_bundle(session, bundle, room))
        return True

    async def _publish_bundle(self, session: Session, raw: bytes, room: asyncio.Semaphore) -> None:
        try:
            await session.publish(raw)
        except BrokerFull:
            await asyncio.sleep(FULL_PAUSE_S)  # the neighbour is away: its notes will tell
        finally:
            room.release()
