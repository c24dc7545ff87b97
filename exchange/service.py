"""The sequencer: takes what came, lets the core decide, commits it whole, and only then settles.

    bundles --> gate (threads) --> plan --> load --> decide --> number, seal --> COMMIT --> settle
                                                                                   |--> offer, notes

One sequencer a node. *A broker delivery is settled only when everything it caused is committed*
(ARCHITECTURE.md, the ordering contract). A group that fails leaves no trace but the time.
"""

import asyncio
from collections.abc import Sequence
from typing import assert_never

import msgspec

from exchange.batch import Batch, Tails
from exchange.core.confirmation import take_refusal_entry
from exchange.core.custody import Arrival, Known, decide_arrival, decide_refusal
from exchange.core.custody import Refusal as RefusedFrame
from exchange.core.rules import Finding, Rules
from exchange.core.steps import Hold
from exchange.core.streams import Broken, Incoming, NotTaken, Taken, take_bundle
from exchange.drops import Drop, DropDesk, Outcome
from exchange.effects import Effects, Origin, sha256_of
from exchange.errors import LinkLost
from exchange.gate import Gate, JudgedEntry, OpenedBundle, OpenedObject, Unreadable
from exchange.links import LANES, Link, LinkMessage
from exchange.local import LocalBox
from exchange.ports import Archive, Clock, Name, Number, Observer
from exchange.sweep import Sweep
from schemas.errors import FormatError
from schemas.header import Header
from schemas.leaves import LeafKind
from schemas.moments import MINUTE, Instant, parse_instant
from schemas.objects import (
    Ask,
    Bundle,
    Certificate,
    Crl,
    CustodyNote,
    CutObject,
    Hello,
    Refusal,
    StreamPosition,
    Void,
)
from schemas.reasons import Reason
from schemas.records import (
    CertificateRow,
    Committed,
    CrlRow,
    IntakeRow,
    LinkMark,
    NoteRow,
    Trail,
)
from schemas.wire import printable
from signing.authenticate import Accepted, Held, Refused
from signing.chain import CrlLearned

CONFIGURATION = "configuration"
"""Where certificates and CRLs come from that no neighbour brought."""
QUEUE_MESSAGES_MAX = 64
GROUP_FRAMES_MAX = 1024
"""One commit carries at most about so many frames."""


class Confirmed(msgspec.Struct, frozen=True):
    """A local broker has taken entries of a local stream up to a number."""

    stream: str
    up_to: int


class Dropped(msgspec.Struct, frozen=True):
    """Documents to seal; `done` is settled when they are committed."""

    drops: list[Drop]
    done: "asyncio.Future[list[Outcome]]"


class Introduced(msgspec.Struct, frozen=True):
    """Certificates and CRLs (DER) that the configuration brings."""

    certificates: list[bytes]
    crls: list[bytes]


class Swept(msgspec.Struct, frozen=True):
    """The time has come to look at what is open, held or pending."""


Job = LinkMessage | Confirmed | Dropped | Introduced | Swept


class Plan(msgspec.Struct):
    """One message of a link with what is to be judged of it."""

    message: LinkMessage
    opened: OpenedBundle | OpenedObject | Unreadable
    entries: list[tuple[int, JudgedEntry]] = []
    """Number in its stream, and the entry."""
    broken: Broken | None = None


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
    ) -> None:
        """Hold the parts; `open` takes over the record."""
        self.gate = gate
        self.rules = rules
        self.clock = clock
        self.links: dict[str, Link] = {}
        self.boxes: dict[str, LocalBox] = {}
        self.clock_doubted = False
        self.archive = archive
        self._observer = observer
        self._effects = Effects(gate=gate, archive=archive, rules=rules)
        self._desk = DropDesk(effects=self._effects, archive=archive, rules=rules, gate=gate)
        self._sweep = Sweep(effects=self._effects, archive=archive, rules=rules)
        self._queue: asyncio.Queue[Job] = asyncio.Queue(QUEUE_MESSAGES_MAX)
        self._greeted = asyncio.Event()
        self._tails: Tails | None = None
        self._rejudge = False
        self._next: Job | None = None
        self._recorded: set[bytes] = set()
        self._idle = asyncio.Event()
        self.journal: Committed | None = None
        """The journal as of the last commit of this life."""

    # --- life ---------------------------------------------------------------------------------

    async def open(self, *, wait: bool = False) -> dict[str, int]:
        """Take over the record; return the cursors of our streams. Raises what the archive does."""
        position = await self.archive.open(wait=wait)
        self._tails = Tails(position)
        self._effects.cursors.update(position.cursors)
        known = await self.archive.certificates()
        self._recorded = {row.sha256 for row in known}
        self.gate.trust.add_certificates([row.der for row in known])
        for row in await self.archive.crls():
            self.gate.trust.add_crl(row.der)
        return dict(position.cursors)

    def attach(self, links: Sequence[Link], boxes: Sequence[LocalBox]) -> None:
        """Name the links and local boxes that this service serves."""
        self.links = {link.neighbour: link for link in links}
        self.boxes = {box.stream: box for box in boxes}
        for link in links:
            link.attach(self)

    async def submit(self, message: Job) -> None:
        """Queue a job; waits while the queue is full."""
        await self._queue.put(message)

    def taken(self, stream: str) -> Incoming:
        """Return how far an incoming stream is committed."""
        return self._require_tails().incoming.get(stream, Incoming())

    def tail(self, stream: str) -> tuple[int, bytes]:
        """Return the last number and chain committed in an outgoing stream."""
        tail = self._require_tails().streams.get(stream)
        return (tail.number, tail.chain) if tail is not None else (0, bytes(32))

    def waiting(self) -> dict[str, int]:
        """Return the entries beyond the cursor, by outgoing stream."""
        cursors = self._effects.cursors
        streams = self._require_tails().streams
        return {name: tail.number - cursors.get(name, 0) for name, tail in streams.items()}

    @property
    def leaves(self) -> int:
        """How many leaves the journal has."""
        return self._require_tails().leaf

    def _require_tails(self) -> Tails:
        assert self._tails is not None, "open comes first"
        return self._tails

    @property
    def may_seal(self) -> bool:
        """A neighbour has greeted since the start, and our clock is not in doubt (clause 7.4)."""
        return self._greeted.is_set() and not self.clock_doubted

    async def may_seal_again(self) -> None:
        """Return once the node may seal."""
        await self._greeted.wait()
        while self.clock_doubted:
            await asyncio.sleep(1)

    async def drop(self, drops: list[Drop]) -> list[Outcome]:
        """Seal documents; return once they, or their faults, are committed."""
        done: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
        await self.submit(Dropped(drops, done))
        return await done

    async def confirm(self, stream: str, up_to: int) -> None:
        """Move a local stream's cursor: its broker has taken entries up to a number."""
        await self.submit(Confirmed(stream, up_to))

    async def run(self) -> None:
        """Sequence jobs for ever; ends only by an exception of the archive."""
        while True:
            self._idle.set()
            jobs = await self._gather()
            self._idle.clear()
            await self._process(jobs)

    async def drain(self) -> None:
        """Return once nothing is queued or under way; links have been stopped before."""
        while not (self._queue.empty() and self._next is None and self._idle.is_set()):
            await asyncio.sleep(0.02)

    async def _gather(self) -> list[Job]:
        """Return one group: the next job and those that are ready behind it."""
        first, self._next = self._next or await self._queue.get(), None
        jobs, frames = [first], await _frames_in(first)
        while not self._queue.empty() and frames < GROUP_FRAMES_MAX:
            job = self._queue.get_nowait()
            if not _is_ready(job):
                self._next = job
                break
            frames += await _frames_in(job)
            jobs.append(job)
        return jobs

    # --- one group ----------------------------------------------------------------------------

    async def _process(self, jobs: Sequence[Job]) -> None:
        began = self.clock()
        batch = Batch(self._require_tails(), began)
        plans = [self._plan(job, batch) for job in jobs if isinstance(job, LinkMessage)]
        await self._load(plans, batch)
        reports: list[tuple[Dropped, list[Outcome]]] = []
        for plan in plans:
            await self._carry_out(plan, batch)
        for job in jobs:
            match job:
                case Dropped():
                    reports.append((job, await self._desk.seal_all(job.drops, batch)))
                case Confirmed():
                    self._effects.cursors[job.stream] = job.up_to
                    batch.changes.notes.append(
                        NoteRow(job.stream, batch.epoch, job.up_to, batch.now, None)
                    )
                case Introduced():
                    self._introduce(job, batch)
                case Swept():
                    await self._sweep_now(batch)
                case LinkMessage():
                    pass
                case _:
                    assert_never(job)
        if self._rejudge:
            self._rejudge = False
            await self._judge_held(batch)
        if not is_empty(batch):
            self.journal = await self.archive.commit(batch.changes)
        batch.adopt()
        await self._after_commit(plans, batch)
        for dropped, outcomes in reports:
            if not dropped.done.done():
                dropped.done.set_result(outcomes)
        self._observer.committed(batch.changes, self.clock() - began)

    def _plan(self, job: LinkMessage, batch: Batch) -> Plan:
        """Find what of a message is new, by its place in its stream."""
        opened = job.opened.result()
        plan = Plan(job, opened)
        if not isinstance(opened, OpenedBundle) or job.link.suspended:
            return plan
        header = opened.header
        stream = f"{job.link.neighbour}/{header.lane}"
        known = batch.incoming.get(stream, Incoming())
        digests = [_entry_digest(entry) for entry in opened.entries]
        chain = bytes.fromhex(header.chain)
        match take_bundle(known, header.first, header.last, chain, digests):
            case Taken(skip=skip, after=after):
                batch.incoming[stream] = after
                first = header.first + skip
                batch.changes.intakes.append(
                    IntakeRow(stream, header.epoch, first, after.up_to, after.chain, batch.now)
                )
                plan.entries = list(enumerate(opened.entries[skip:], first))
            case NotTaken(after=after):
                batch.incoming[stream] = after
            case Broken() as broken:
                plan.broken = broken
        return plan

    async def _load(self, plans: Sequence[Plan], batch: Batch) -> None:
        """Fetch what the record knows about everything in the group, in three round trips."""
        names: set[Name] = set()
        numbers: set[Number] = set()
        for plan in plans:
            for _, entry in plan.entries:
                if isinstance(entry.verdict, Accepted):
                    header = entry.verdict.frame.header
                    names.add((header.from_, header.epoch, header.id))
                    if header.seq is not None:
                        numbers.add((header.from_, header.to, header.epoch, header.seq))
                    if entry.content is not None and not isinstance(entry.content, FormatError):
                        about = entry.content.packet
                        names.add((about.from_, about.epoch, about.id))
        if names:
            batch.trails.update(await self.archive.known(list(names)))
        if numbers:
            batch.numbers.update(await self.archive.numbers_known(list(numbers)))

    async def _carry_out(self, plan: Plan, batch: Batch) -> None:
        link = plan.message.link
        opened = plan.opened
        if link.suspended:
            return
        if isinstance(opened, Unreadable):
            self._keep_evidence(link, opened.raw, f"{opened.reason}: {opened.detail}", batch)
            return
        for der in opened.learned:
            self._learn_certificate(der, link.neighbour, batch)
        if plan.broken is not None:
            raw = plan.message.delivery.body
            self._keep_evidence(link, raw, plan.broken.detail, batch)
            if plan.broken.fork:
                self._suspend(link, plan.broken.detail, batch)
            return
        if isinstance(opened, OpenedBundle):
            for number, entry in plan.entries:
                await self._take_entry(entry, number, opened.header, link, batch)
        else:
            await self._take_object(opened, link, batch)

    # --- entries ------------------------------------------------------------------------------

    async def _take_entry(
        self, entry: JudgedEntry, number: int, bundle: Bundle, link: Link, batch: Batch
    ) -> None:
        header = _header_of(entry)
        origin = Origin(entry, header, link.neighbour, bundle.lane, bundle.epoch, number)
        if isinstance(entry.verdict, CutObject):
            await self._take_entry_object(entry.verdict, origin, batch)
            return
        await self._judge(origin, batch)

    async def _judge(self, origin: Origin, batch: Batch) -> None:
        """Decide about one frame and carry the decision out."""
        verdict = origin.entry.verdict
        match verdict:
            case _ if self.clock_doubted:
                fingerprint = origin.header.certificate if origin.header else ""
                await self._effects.carry_out((Hold("clock", fingerprint),), origin, batch)
            case Accepted():
                await self._judge_accepted(verdict, origin, batch)
            case Refused():
                seen = await self.archive.refused_before([verdict.frame_sha256])
                finding = Finding(verdict.reason, printable(verdict.detail))
                refused = RefusedFrame(
                    verdict.header, finding, verdict.proven, origin.neighbour, bool(seen)
                )
                await self._effects.carry_out(decide_refusal(refused), origin, batch)
            case Held():
                step = (Hold(verdict.missing, verdict.certificate),)
                await self._effects.carry_out(step, origin, batch)
                self._ask(verdict, origin.neighbour, batch)
            case _:
                raise AssertionError(verdict)

    async def _judge_accepted(self, verdict: Accepted, origin: Origin, batch: Batch) -> None:
        header = verdict.frame.header
        content = origin.entry.content
        about: Trail | None = None
        if content is not None and not isinstance(content, FormatError):
            named = content.packet
            about = batch.trails.get((named.from_, named.epoch, named.id))
        held_by = None
        if header.seq is not None:
            held_by = batch.numbers.get((header.from_, header.to, header.epoch, header.seq))
        known = Known(batch.trails.get((header.from_, header.epoch, header.id)), held_by, about)
        arrival = Arrival(
            header, verdict.head_sha256, verdict.frame_sha256, origin.neighbour, content
        )
        step = decide_arrival(arrival, known, batch.now, self.rules)
        await self._effects.carry_out(step, origin, batch)

    async def _take_entry_object(self, cut_: CutObject, origin: Origin, batch: Batch) -> None:
        match cut_.header:
            case Refusal() as refusal:
                await self._take_refusal(refusal, origin, batch)
            case Void() as void:
                detail = f"{void.lane} {void.entry}: {void.detail}"
                self._effects.raise_incident("void_entry", origin.neighbour, detail, batch)
            case _:
                raise AssertionError(cut_.header)

    async def _take_refusal(self, refusal: Refusal, origin: Origin, batch: Batch) -> None:
        """Look at what a neighbour refused: authenticate our own copy again, then decide."""
        stream = f"{origin.neighbour}/{refusal.lane}"
        stored = await self.archive.entries(
            stream, refusal.of_epoch, refusal.entry - 1, 1, 16 * 1024 * 1024
        )
        trail: Trail | None = None
        intact = False
        if stored and stored[0].number == refusal.entry and stored[0].frame is not None:
            trail = (await self.archive.trail_of_frame([stored[0].frame])).get(stored[0].frame)
            intact = stored[0].sha256.hex() == refusal.frame_sha256
        finding = Finding(refusal.reason, refusal.detail)
        step = take_refusal_entry(trail, origin.neighbour, finding, intact=intact, rules=self.rules)
        await self._effects.carry_out(step, origin, batch)

    # --- objects ------------------------------------------------------------------------------

    async def _take_object(self, opened: OpenedObject, link: Link, batch: Batch) -> None:
        match opened.header:
            case CustodyNote() as note:
                latest = link.is_latest_nonce(note.hello)
                raw = opened.raw
                await self._take_position(link, note.position, batch, raw, may_lower=latest)
            case Hello() as hello:
                await self._take_hello(hello, link, batch)
            case Ask() as ask:
                self._answer_ask(ask, link, batch)
            case Certificate():
                self._rejudge = True
            case Crl():
                self._take_crl(opened.body, link, batch)
            case _:
                kind = type(opened.header).__name__
                self._keep_evidence(link, opened.raw, f"{kind} outside a stream", batch)

    async def _take_hello(self, hello: Hello, link: Link, batch: Batch) -> None:
        fresh = link.hear_hello(hello)
        if not fresh:
            return
        if link.is_parent:
            self._compare_clocks(hello, link, batch)
        for position in hello.positions:
            await self._take_position(link, position, batch, None, may_lower=True)
        if not self._greeted.is_set() and (link.is_parent or self._is_root):
            self._greeted.set()
        for der in self.gate.trust.crls():
            link.send_object(self.gate.make_crl(link.neighbour, der, batch.now))
        self._rejudge = True

    @property
    def _is_root(self) -> bool:
        return "." not in self.rules.here

    def _compare_clocks(self, hello: Hello, link: Link, batch: Batch) -> None:
        """Doubt our clock when the parent's disagrees beyond the window (design section 8)."""
        if link.round_trip > self.rules.limits.hello_round_trip_us:
            return
        offset = batch.now - parse_instant(hello.clock)
        window = self.rules.limits.time_window_ahead_us
        doubted = abs(offset) > window
        if doubted and not self.clock_doubted:
            detail = f"{offset // MINUTE} minutes from {link.neighbour}: set this machine's clock"
            self._effects.raise_incident("clock_disagrees", link.neighbour, detail, batch)
        self.clock_doubted = doubted

    async def _take_position(
        self,
        link: Link,
        position: StreamPosition,
        batch: Batch,
        raw: bytes | None,
        *,
        may_lower: bool,
    ) -> None:
        """Move an outgoing stream's cursor by a custody note or a fresh hello."""
        stream = f"{link.neighbour}/{position.lane}"
        last, _ = self.tail(stream)
        cursor = self._effects.cursors.get(stream, 0)
        if position.up_to > last:
            detail = f"{stream}: note for {position.up_to}, last number {last}"
            self._suspend(link, detail, batch)
            return
        if position.up_to > cursor and not await self._chain_agrees(stream, position, batch):
            self._suspend(link, f"{stream}: note with another chain at {position.up_to}", batch)
            return
        if position.up_to < cursor and not may_lower:
            return
        if position.up_to < cursor:
            detail = f"{stream}: neighbour holds {position.up_to} of {cursor} taken before"
            self._effects.raise_incident("neighbour_lost_custody", link.neighbour, detail, batch)
        if position.up_to != cursor:
            self._effects.cursors[stream] = position.up_to
            batch.changes.notes.append(NoteRow(stream, batch.epoch, position.up_to, batch.now, raw))
            batch.append_leaf(
                LeafKind.CUSTODY,
                None,
                neighbour=link.neighbour,
                lane=position.lane,
                epoch=str(position.epoch),
                up_to=str(position.up_to),
                chain=position.chain,
                note_sha256="" if raw is None else sha256_of(raw).hex(),
            )
        link.take_position(position, may_lower=may_lower)

    async def _chain_agrees(self, stream: str, position: StreamPosition, batch: Batch) -> bool:
        last, chain = self.tail(stream)
        if position.up_to != last:
            known = await self.archive.chain_at(stream, batch.epoch, position.up_to)
            chain = known if known is not None else b""
        return chain.hex() == position.chain

    def _ask(self, held: Held, neighbour: str, batch: Batch) -> None:
        """Ask the neighbour for what a held frame lacks."""
        stamp = self.gate.stamp(neighbour, batch.now)
        if held.missing == "certificate":
            ask = Ask(**stamp, what="certificate", sha256=held.certificate)  # type: ignore[arg-type]
        else:
            ask = Ask(**stamp, what="crls")  # type: ignore[arg-type]
        self.links[neighbour].send_object(self.gate.sign(ask))

    def _answer_ask(self, ask: Ask, link: Link, batch: Batch) -> None:
        if ask.what == "certificate" and ask.sha256 is not None:
            link.send_object(self.gate.make_certificates(link.neighbour, ask.sha256, batch.now))
            return
        for der in self.gate.trust.crls():
            link.send_object(self.gate.make_crl(link.neighbour, der, batch.now))

    def _learn_certificate(self, der: bytes, via: str, batch: Batch) -> None:
        digest = sha256_of(der)
        batch.changes.certificates.append(CertificateRow(digest, der, batch.now))
        batch.append_leaf(LeafKind.CERTIFICATE, None, sha256=digest.hex(), via=via)
        link = self.links.get(via)
        if link is not None:
            link.knows_certificate(digest.hex())
        self._rejudge = True

    def _introduce(self, job: Introduced, batch: Batch) -> None:
        """Journal what the configuration brings and the record does not hold yet."""
        for der in job.certificates:
            if sha256_of(der) not in self._recorded:
                self._recorded.add(sha256_of(der))
                self._learn_certificate(der, CONFIGURATION, batch)
        for der in job.crls:
            self._take_crl(der, None, batch)

    def _take_crl(self, der: bytes, link: Link | None, batch: Batch) -> None:
        """Keep a newer CRL, journal it, and pass it on to the other neighbours."""
        learned = self.gate.trust.add_crl(der)
        if not isinstance(learned, CrlLearned):
            return
        via = CONFIGURATION if link is None else link.neighbour
        self._keep_crl(der, learned, via, batch)
        if learned.dropped:
            detail = f"CRL {learned.number} drops {learned.dropped} entries: they stay revoked"
            self._effects.raise_incident("crl_entries_dropped", via, detail, batch)
        for other in self.links.values():
            if other is not link:
                other.send_object(self.gate.make_crl(other.neighbour, der, batch.now))

    def _keep_crl(self, der: bytes, learned: CrlLearned, via: str, batch: Batch) -> None:
        """Record a CRL; frames held for want of it are judged again."""
        digest = sha256_of(der)
        row = CrlRow(digest, learned.issuer, learned.number, der, batch.now)
        batch.changes.crls.append(row)
        batch.append_leaf(
            LeafKind.CRL,
            None,
            sha256=digest.hex(),
            issuer=learned.issuer,
            number=str(learned.number),
            via=via,
        )
        self._rejudge = True

    # --- held, sweep, evidence ----------------------------------------------------------------

    async def _sweep_now(self, batch: Batch) -> None:
        await self._sweep.run(batch)
        await self._judge_held(batch)
        if self.may_seal:
            await self._desk.seal_pending(batch)

    async def _judge_held(self, batch: Batch) -> None:
        """Judge held frames again; what is still missing past the hold limit is refused."""
        if self.clock_doubted:
            return
        for row in await self.archive.held_all():
            link = self.links.get(row.neighbour)
            _, quarantined, bucket, sealed = await self.archive.stored_frame(row.frame)
            assert quarantined is not None, f"held frame {row.frame} is not quarantined"
            assert bucket is not None, f"held frame {row.frame} is not kept"
            assert sealed is not None, f"held frame {row.frame} is not kept"
            raw = self.gate.open_rest(bucket, quarantined.sha256, sealed)
            entry = self.gate.judge(raw, row.neighbour, batch.now)
            limit = self._past_hold_limit(row.since, link, batch.now)
            await self._judge_one_held(entry, row.frame, row.neighbour, batch, past_limit=limit)

    async def _judge_one_held(
        self, entry: JudgedEntry, frame: int, neighbour: str, batch: Batch, *, past_limit: bool
    ) -> None:
        verdict = entry.verdict
        header = _header_of(entry)
        waits = isinstance(verdict, Held) or (
            isinstance(verdict, Accepted)
            and verdict.frame.header.to == self.rules.here
            and verdict.frame.header.type not in self.rules.types
        )
        if waits and not past_limit:
            return
        if isinstance(verdict, Held):
            reason = Reason.SENDER_UNKNOWN
            if verdict.missing != "certificate":
                reason = Reason.STANDING_UNKNOWN
            entry = _refused(entry, reason, verdict.detail, header, proven=False)
        elif waits:
            detail = "type is on no code list of ours"
            entry = _refused(entry, Reason.TYPE_NOT_ALLOWED, detail, header, proven=True)
        batch.changes.judged.append(frame)
        origin = Origin(entry, header, neighbour, "fast", batch.epoch, 0)
        if isinstance(entry.verdict, Accepted):
            accepted = entry.verdict.frame.header
            name = (accepted.from_, accepted.epoch, accepted.id)
            batch.trails.update(await self.archive.known([name]))
        await self._judge(origin, batch)

    def _past_hold_limit(self, since: Instant, link: Link | None, now: Instant) -> bool:
        """The hold clock runs only while the link that must bring the piece is up."""
        if link is None or link.up_since is None:
            return False
        return now - max(since, link.up_since) > self.rules.limits.hold_limit_us

    def _keep_evidence(self, link: Link, raw: bytes, detail: str, batch: Batch) -> None:
        """Keep a message that proves nothing as an incident; the note goes out unchanged."""
        frame = self._effects.keep_raw(raw, link.neighbour, printable(detail), batch)
        self._effects.raise_incident(
            "message_unreadable", link.neighbour, printable(detail), batch, frame
        )

    def _suspend(self, link: Link, why: str, batch: Batch) -> None:
        """Stop using a link until an operator lifts it; its siblings do not feel it."""
        link.suspended = True
        batch.changes.link_marks.append(LinkMark(link.neighbour, batch.now, "suspended", why))
        self._effects.raise_incident("link_suspended", link.neighbour, why, batch)

    # --- after the commit ---------------------------------------------------------------------

    async def _after_commit(self, plans: Sequence[Plan], batch: Batch) -> None:
        """Settle, then let links and boxes carry on; nothing from here on can lose anything."""
        last: dict[int, LinkMessage] = {}
        for plan in plans:
            message = plan.message
            last[id(message.session)] = message
            if isinstance(plan.opened, OpenedBundle):
                message.link.owe_note(plan.opened.header.lane)
            elif isinstance(plan.opened, Unreadable):
                message.link.owe_note("fast")
                message.link.owe_note("bulk")
        for message in last.values():
            try:
                await message.session.settle_through(message.delivery)
            except LinkLost:
                self._observer.noticed("settle_after_loss", neighbour=message.link.neighbour)
        for stream, offers in batch.offers.items():
            neighbour, _, lane = stream.rpartition("/")
            if lane in LANES and neighbour in self.links:
                self.links[neighbour].offer("fast" if lane == "fast" else "bulk", offers)
            elif stream in self.boxes:
                self.boxes[stream].wake()


async def _frames_in(job: Job) -> int:
    """Wait until a job is ready; return how many frames it brings."""
    match job:
        case LinkMessage():
            opened = await job.opened
            return len(opened.entries) if isinstance(opened, OpenedBundle) else 1
        case Dropped():
            return len(job.drops)
        case _:
            return 1


def _is_ready(job: Job) -> bool:
    return not isinstance(job, LinkMessage) or job.opened.done()


def is_empty(batch: Batch) -> bool:
    """Say whether a batch has nothing to commit."""
    return not any(getattr(batch.changes, field) for field in batch.changes.__struct_fields__)


def _entry_digest(entry: JudgedEntry) -> bytes:
    """A void entry repeats the digest of what it stands for (clause 7.2)."""
    if isinstance(entry.verdict, CutObject) and isinstance(entry.verdict.header, Void):
        return bytes.fromhex(entry.verdict.header.entry_sha256)
    return entry.sha256


def _header_of(entry: JudgedEntry) -> Header | None:
    match entry.verdict:
        case Accepted() as accepted:
            return accepted.frame.header
        case Refused() as refused:
            return refused.header
        case Held() as held:
            return held.header
        case _:
            return None


def _refused(
    entry: JudgedEntry, reason: Reason, detail: str, header: Header | None, *, proven: bool
) -> JudgedEntry:
    verdict = Refused(reason, detail, entry.raw, entry.sha256, header, proven)
    return JudgedEntry(entry.raw, entry.sha256, verdict)
