"""The sequencer: takes what came, lets the core decide, commits it whole, and only then settles.

    bundles --> gate (threads) --> plan --> load --> decide --> number, seal --> COMMIT --> settle
                                                                                   |--> offer, notes

One sequencer a node. *A broker delivery is settled only when everything it caused is committed*
(ARCHITECTURE.md, the ordering contract). A group that fails leaves no trace but the time.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import assert_never

import msgspec

from exchange.batch import Batch, Tails
from exchange.checkpoints import grown
from exchange.core.rules import Rules
from exchange.core.streams import Incoming
from exchange.dropped import Drop
from exchange.drops import Outcome
from exchange.effects import Effects
from exchange.gate import Gate
from exchange.jobs import (
    Confirmed,
    DeadLetter,
    Dropped,
    Introduced,
    Job,
    Knocked,
    Signed,
    Swept,
    frames_in,
    is_ready,
    is_unhurried,
    lane_of,
)
from exchange.judging import START
from exchange.links import Link, LinkMessage
from exchange.local import LocalBox
from exchange.losses import EpochBegun
from exchange.own_fault import blamed, split_message
from exchange.parts import Parts
from exchange.passing_on import pass_on, settle
from exchange.ports import Archive, Clock, Observer
from exchange.renewal import KeyShelf
from exchange.signed_size import SignedSize
from exchange.stamping import Evidenced, Stamping
from exchange.state import NodeState
from exchange.strangers import Stranger
from exchange.upkeep import Alarm, StateTold, Tended
from schemas.errors import BbajError
from schemas.moments import HOUR, MINUTE, Instant
from schemas.records import Committed, NoteRow

QUEUE_MESSAGES_MAX = 64
GROUP_FRAMES_MAX = 1024
"""One commit carries at most about so many frames."""
POLL_S = 0.02


class Service:
    """One node's protocol, over any archive and any links."""

    def __init__(
        self,
        *,
        gate: Gate,
        archive: Archive,
        rules: Rules,
        clock: Clock,
        observer: Observer,
        keys: KeyShelf | None = None,
    ) -> None:
        """Hold the parts; `open` takes over the record. Without `keys` none is renewed."""
        effects = Effects(gate=gate, archive=archive, rules=rules)
        self.state = NodeState(gate, archive, rules, effects)
        self.clock = clock
        self.boxes: dict[str, LocalBox] = {}
        self.journal: Committed | None = None
        """The journal as of the last commit of this life."""
        self._observer = observer
        self.on_children: Callable[[set[str], set[str]], None] = _nobody_waits
        """Told, after each commit that changes them, which children came and which went."""
        self.parts = Parts(self.state, keys, observer)
        self.directory = self.parts.directory
        self.renewal = self.parts.renewal
        self._queue: asyncio.Queue[Job] = asyncio.Queue(QUEUE_MESSAGES_MAX)
        self._next: Job | None = None
        self._waiting_jobs: list[Job] = []
        self._idle = asyncio.Event()
        self._compared_at = clock()

    # --- life ---------------------------------------------------------------------------------

    async def open(self, *, wait: bool = False) -> dict[str, int]:
        """Take over the record; return the cursors of our streams. Raises what the archive does."""
        state = self.state
        position = await state.archive.open(wait=wait)
        state.tails = Tails(position)
        state.gate.epoch = position.epoch
        state.arrived.add(START)
        self.parts.own_clock.open(position.last_leaf_at)
        state.effects.cursors.update(position.cursors)
        known = await state.archive.certificates()
        state.recorded.update(row.sha256 for row in known)
        state.gate.trust.add_certificates([row.der for row in known])
        for row in await state.archive.crls():
            state.gate.trust.add_crl(row.der)
        await self.parts.open()
        return dict(position.cursors)

    async def attach(self, links: Sequence[Link], boxes: Sequence[LocalBox]) -> None:
        """Name the links and local boxes that this service serves."""
        self.boxes = {box.stream: box for box in boxes}
        for link in links:
            self.attach_link(link)
        await self._obey_link_marks(Batch(self.state.require_tails(), self.clock()))

    def attach_link(self, link: Link) -> None:
        """Serve one more link; marks of the record count from the next sweep on."""
        self.state.links[link.neighbour] = link
        link.attach(self)

    def detach_link(self, neighbour: str) -> None:
        """Serve a link no longer; what waits for the neighbour stays in the record."""
        self.state.links.pop(neighbour, None)

    async def run(self) -> None:
        """Sequence jobs for ever; ends only by an exception of the archive."""
        while True:
            self._idle.set()
            jobs = await self._gather()
            self._idle.clear()
            await self._process(jobs)
            if self.may_seal() and any(isinstance(job, Swept) for job in jobs):
                await self._seal_pending()

    async def drain(self) -> None:
        """Return once nothing is queued or under way; links have been stopped before."""
        while self.has_work:  # noqa: ASYNC110 - it must stay empty, not become so
            await asyncio.sleep(POLL_S)
        await self._idle.wait()

    @property
    def has_work(self) -> bool:
        """Say whether jobs wait."""
        return not self._queue.empty() or self._next is not None or bool(self._waiting_jobs)

    # --- what links, local systems and the daemon ask -----------------------------------------

    async def submit(self, message: Job) -> None:
        """Queue a job; waits while the queue is full."""
        await self._queue.put(message)

    async def drop(self, drops: list[Drop]) -> list[Outcome]:
        """Seal documents; return once they, or their faults, are committed."""
        done: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
        await self.submit(Dropped(drops, done))
        return await done

    async def confirm(self, stream: str, up_to: int) -> None:
        """Move a local stream's cursor: its broker has taken entries up to a number."""
        await self.submit(Confirmed(stream, up_to))

    async def park(self, drop: Drop) -> None:
        """Keep a document until the node may seal; it is in the record on return."""
        await self.parts.desk.park(drop)

    def may_seal(self) -> bool:
        """Say whether the node may seal: it was greeted, neither clock nor key are in doubt."""
        return self.state.may_seal(self.clock())

    def may_sign(self) -> bool:
        """Say whether checkpoints may be signed: a witness holds none that the record has lost.

        Else a node on an older copy could sign a size a second time, over other leaves: a fork.
        """
        return self.state.loss is None and self.parts.witnessing.showing.is_whole

    async def keep_dead_letter(self, body: bytes, detail: str) -> None:
        """Keep what our broker gave up on as an incident; it is committed on return."""
        done: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
        await self.submit(DeadLetter(body, detail, done))
        await done

    async def keep_stranger(self, stranger: Stranger) -> None:
        """Note that somebody was not let in at our broker; it is committed on return."""
        done: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
        await self.submit(Knocked(stranger, done))
        await done

    async def keep_evidence(self, what: Stamping) -> None:
        """Keep what a time-stamp authority has brought; it is committed on return."""
        done: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
        await self.submit(Evidenced(what, done))
        await done

    async def keep_tended(self, what: Alarm | StateTold) -> None:
        """Keep what looking after the archive has found; it is committed on return."""
        done: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
        await self.submit(Tended(what, done))
        await done

    def taken(self, stream: str) -> Incoming:
        """Return how far an incoming stream is committed."""
        return self.state.require_tails().incoming.get(stream, Incoming())

    def tail(self, stream: str) -> tuple[int, bytes]:
        """Return the last number and chain committed in an outgoing stream."""
        return self.state.tail(stream)

    def may_send(self) -> bool:
        """Say whether what is placed may go out: not once the record has lost its end."""
        return self.state.loss is None

    def may_note(self, stream: str) -> bool:
        """Say whether to tell how far an incoming stream is taken: not while it comes back."""
        return not self.state.rebuilding(stream)

    def lack(self, signed: SignedSize) -> None:
        """Take it that the journal is smaller than was signed: its end is lost."""
        why = f"{signed.size} leaves of epoch {signed.epoch} were signed, {self.leaves} are here"
        self.parts.recovery.losses.notice(why, signed.epoch)

    def waiting(self) -> dict[str, int]:
        """Return the entries beyond the cursor, by outgoing stream."""
        cursors = self.state.effects.cursors
        streams = self.state.require_tails().streams
        return {name: tail.number - cursors.get(name, 0) for name, tail in streams.items()}

    @property
    def leaves(self) -> int:
        """How many leaves the journal has."""
        return self.state.require_tails().leaf

    # --- one group ----------------------------------------------------------------------------

    async def _gather(self) -> list[Job]:
        """Return one group: the next job and those that are ready behind it."""
        jobs = await self._first_jobs()
        frames = sum([await frames_in(job) for job in jobs])
        while not self._queue.empty() and frames < GROUP_FRAMES_MAX:
            job = self._queue.get_nowait()
            if not is_ready(job):
                self._next = job
                break
            frames += await frames_in(job)
            jobs.append(job)
        return jobs

    async def _first_jobs(self) -> list[Job]:
        """Return the next job; one in no hurry waits a moment for others to share its commit.

        The first job that is in a hurry ends the wait: nothing is delayed by it.
        """
        first, self._next = self._next or await self._queue.get(), None
        jobs = self._waiting_jobs = [first]
        wait_s = self.state.rules.limits.checkpoint_wait_us / 1e6
        deadline = asyncio.get_running_loop().time() + wait_s
        await frames_in(first)
        while is_unhurried(jobs[-1]):
            try:
                async with asyncio.timeout_at(deadline):
                    jobs.append(await self._queue.get())
            except TimeoutError:
                break
            await frames_in(jobs[-1])
        self._waiting_jobs = []
        return jobs

    async def _process(self, jobs: Sequence[Job]) -> None:
        """Take one group; a fault of ours in it is confined to the entry that shows it."""
        try:
            await self._take(jobs)
        except BbajError:
            raise
        except Exception as error:  # noqa: BLE001 - nothing that a neighbour sends may stop us
            self._observer.noticed("own_fault", level="error", error=repr(error)[:300])
            for job in jobs:
                await self._take_alone(job)

    async def _seal_pending(self) -> None:
        """Seal what commands have handed over, and what came while the node might not seal."""
        drops = await self.parts.desk.pending()
        if drops:
            done: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
            await self._process([Dropped(drops, done)])

    async def _drop_alone(self, drop: Drop) -> list[Outcome]:
        """Seal one document by itself; one that we fail at becomes a fault."""
        done: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
        try:
            await self._take([Dropped([drop], done)])
        except BbajError:
            raise
        except Exception:  # noqa: BLE001 - it was noticed above; the drop becomes a fault
            await self._take([Dropped([msgspec.structs.replace(drop, own_fault=True)], done)])
        return done.result()

    async def _take_alone(self, job: Job) -> None:
        if isinstance(job, Dropped):
            outcomes = [await self._drop_alone(drop) for drop in job.drops]
            if not job.done.done():
                job.done.set_result([each for one in outcomes for each in one])
            return
        if not isinstance(job, LinkMessage):
            await self._take([job])
            return
        stream = f"{job.link.neighbour}/{lane_of(job)}"
        for part in split_message(job, self.taken(stream)):
            try:
                await self._take([part])
            except BbajError:
                raise
            except Exception:  # noqa: BLE001 - it was noticed above; the entry is held
                await self._take([blamed(part)])

    async def _take(self, jobs: Sequence[Job]) -> None:
        """Decide, commit, settle: one group, whole or not at all."""
        cursors = dict(self.state.effects.cursors)
        suspended = [(link, link.suspended) for link in self.state.links.values()]
        try:
            await self._take_whole(jobs)
        except BaseException:
            self.state.effects.cursors.clear()
            self.state.effects.cursors.update(cursors)
            for link, was_suspended in suspended:
                link.suspended = was_suspended  # what asked for it is taken once more
            raise

    async def _take_whole(self, jobs: Sequence[Job]) -> None:
        began = self.clock()
        batch = Batch(self.state.require_tails(), began)
        self.parts.own_clock.look(batch)
        plans = [self.parts.intake.plan(job, batch) for job in jobs if isinstance(job, LinkMessage)]
        await self.parts.intake.load(plans, batch)
        for plan in plans:
            await self.parts.intake.carry_out(plan, batch)
        reports = [(job, await self._do(job, batch)) for job in jobs]
        if self.state.arrived:
            await self.parts.judging.judge_held(batch)
        if self.state.may_seal(batch.now):
            await self.parts.send_parts(batch)
        for neighbour in self.state.effects.flooded() & self.state.links.keys():
            self.state.suspend(self.state.links[neighbour], "quota of refused frames", batch)
        if not batch.is_empty():
            committed = await self.state.archive.commit(batch.changes)
            self.journal = grown(self.journal, committed, batch.changes)
        batch.adopt()
        self._follow_up(batch)
        await settle(plans, self._observer)
        pass_on(plans, batch, self.state.links, self.boxes)
        for job, outcomes in reports:
            if (
                isinstance(job, Dropped | DeadLetter | Knocked | Evidenced | Tended)
                and not job.done.done()
            ):
                job.done.set_result(outcomes)
        self._observer.committed(batch.changes, self.clock() - began)
        if batch.changes.epochs:
            raise EpochBegun(f"epoch {batch.changes.epochs[-1].epoch} begins: all is read anew")

    async def _do(self, job: Job, batch: Batch) -> list[Outcome]:
        """Do what does not come over a link; return outcomes of drops."""
        match job:
            case Dropped():
                return await self._seal(job.drops, batch)
            case Confirmed():
                self.state.effects.cursors[job.stream] = job.up_to
                note = NoteRow(job.stream, batch.epoch, job.up_to, batch.now, None)
                batch.changes.notes.append(note)
            case Introduced():
                self.parts.dialogue.introduce(job.certificates, job.crls, job.cards, batch)
                await self.parts.issuing.introduce(job.own_keys, job.first, batch)
            case DeadLetter() | Knocked() | Evidenced() | Tended():
                await self._keep(job, batch)
            case Signed():
                await self.parts.witnessing.signed(batch)
            case Swept():
                await self._sweep_all(batch)
            case LinkMessage():
                pass
            case _:
                assert_never(job)
        return []

    async def _keep(self, job: DeadLetter | Knocked | Evidenced | Tended, batch: Batch) -> None:
        """Keep what somebody waits for to be committed."""
        match job:
            case DeadLetter():
                self.parts.dialogue.keep_dead_letter(job.body, job.detail, batch)
            case Knocked():
                self.parts.strangers.take(job.stranger, batch)
            case Evidenced():
                self.parts.stamps.take(job.what, batch)
            case Tended():
                await self.parts.tending.take(job.what, batch)
            case _:
                assert_never(job)

    async def _seal(self, drops: list[Drop], batch: Batch) -> list[Outcome]:
        """Seal documents; they wait where a doubt has come up since they were queued."""
        if self.state.doubt(batch.now) is None:
            return await self.parts.desk.seal_all(drops, batch)
        for drop in drops:
            await self.park(drop)
        return [Outcome(drop.drop_id, "waiting") for drop in drops]

    async def _sweep_all(self, batch: Batch) -> None:
        """Look at what is open, what is held, and what commands have handed over."""
        await self.parts.sweep(batch)
        await self._obey_link_marks(batch)
        self._compare_clocks_again(batch.now)
        await self.parts.judging.judge_held(batch)

    def _compare_clocks_again(self, now: Instant) -> None:
        """Greet the parent anew: once a minute while our clock is in doubt, else hourly."""
        every = HOUR if self.state.clock_agrees.is_set() else MINUTE
        if now - self._compared_at >= every or now < self._compared_at:
            self._compared_at = now
            for link in self.state.links.values():
                if link.is_parent:
                    link.greet_anew()

    async def _obey_link_marks(self, batch: Batch) -> None:
        """Take up links that an operator has lifted, and leave those that one has suspended.

        What this very batch has suspended stays so: its mark is newer than any in the record.
        """
        fresh = {mark.neighbour for mark in batch.changes.link_marks}
        for neighbour, mark in (await self.state.archive.link_marks()).items():
            if neighbour in self.state.links and neighbour not in fresh:
                self.state.links[neighbour].obey(mark.action)

    # --- after the commit ---------------------------------------------------------------------

    def _follow_up(self, batch: Batch) -> None:
        """Do what waited for the commit; say which children came and went by it."""
        before = set(self.state.registry.children)
        stood = "card" in self.state.arrived  # while our clock is in doubt nothing takes it away
        batch.follow_up()
        came = not stood and "card" in self.state.arrived
        if came and self.parts.desk.awaits_cards and not self._queue.full():
            self._queue.put_nowait(Swept())  # documents may wait for just this one
        now = set(self.state.registry.children)
        if now != before:
            self.on_children(now - before, before - now)


def _nobody_waits(_added: set[str], _removed: set[str]) -> None:
    """Before the daemon has asked to be told."""
