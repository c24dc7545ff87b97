"""Judges frames and carries the core's decisions out, one entry of a stream after the other.

What the gate found (accepted, refused, held) and what the record knows go into the pure core;
what it decides becomes rows of the batch.
"""

from collections.abc import Collection, Sequence
from functools import partial

import msgspec

from exchange.batch import Batch
from exchange.core.confirmation import RefusedEntry, take_refusal_entry
from exchange.core.custody import Arrival, Known, decide_arrival, decide_refusal
from exchange.core.custody import Refusal as RefusedFrame
from exchange.core.rules import Finding
from exchange.core.steps import Hold, RefuseOnLink, Step
from exchange.core.wholes import MANIFEST
from exchange.gate import JudgedEntry, sha256_of
from exchange.judged import as_refused, header_of, names_answered
from exchange.keeping import Origin
from exchange.links import Link
from exchange.ports import Name, Number
from exchange.state import NodeState
from exchange.wholes import Wholes, part_name
from schemas.header import Header
from schemas.limits import MESSAGE_BYTES_MAX
from schemas.manifest import is_manifest
from schemas.moments import SECOND, Instant, parse_instant
from schemas.objects import Ask, Bundle, CutObject, Lane, Refusal, Void
from schemas.reasons import Reason
from schemas.records import HeldRow, StoredEntry, Trail
from schemas.wire import printable
from signing.authenticate import Accepted, Held, Refused

HELD_A_GROUP = 200
"""So many held frames are judged again in one batch."""
ASKED_MAX = 10_000
COUNT_EVERY_US = 5 * SECOND
START = "start"
OWN_FAULT = "own-fault"
"""Held because of a fault of our own: an operator and a new version of us must look."""


Verdict = Accepted | Refused | Held | CutObject

PAST_HOLD_LIMIT = {
    "certificate": Reason.SENDER_UNKNOWN,
    "crl": Reason.STANDING_UNKNOWN,
    "card": Reason.ROUTE_FORBIDDEN,
    "class": Reason.TYPE_NOT_ALLOWED,
    "epoch": Reason.STANDING_UNKNOWN,
}
"""What a frame is refused for when the missing piece has not come in time."""


class Judging:
    """Decides about entries: fresh ones, and held ones again."""

    def __init__(self, state: NodeState) -> None:
        """Share the node's state."""
        self._state = state
        self._wholes = Wholes(state)
        self._asked: dict[tuple[str, str], Instant] = {}
        self._held: dict[str, tuple[Instant, int]] = {}

    async def load(self, entries: Collection[JudgedEntry], batch: Batch) -> None:
        """Fetch what the record knows about entries, and the batch does not know yet."""
        names: set[Name] = set()
        numbers: set[Number] = set()
        digests: set[bytes] = set()
        answered: set[Name] = set()
        for entry in entries:
            if isinstance(entry.verdict, Accepted):
                header = entry.verdict.frame.header
                names.add((header.from_, header.epoch, header.id))
                if header.seq is not None:
                    numbers.add((header.from_, header.to, header.epoch, header.seq))
                answered.update(names_answered(entry.content))
            if isinstance(entry.verdict, Accepted | Refused):
                digests.add(entry.sha256)
        names = (names | answered) - batch.trails.keys()
        numbers -= batch.numbers.keys()
        if names:
            batch.trails.update(await self._state.archive.known(list(names)))
        if numbers:
            batch.numbers.update(await self._state.archive.numbers_known(list(numbers)))
        await self._wholes.load(entries, batch)
        if digests:
            batch.refused.update(await self._state.archive.refused_before(list(digests)))
        about = [batch.trails[name].packet for name in answered & batch.trails.keys()]
        await self._state.effects.load_drops(about, batch)

    async def take_entry(
        self, entry: JudgedEntry, number: int, bundle: Bundle, link: Link, batch: Batch
    ) -> None:
        """Take one new entry of a stream: a frame, a refusal or a void."""
        header = header_of(entry)
        origin = Origin(entry, header, link.neighbour, bundle.lane, bundle.epoch, number)
        if isinstance(entry.verdict, CutObject):
            await self._take_entry_object(entry.verdict, origin, batch)
            return
        await self._judge(origin, batch)

    async def take_anew(self, origin: Origin, batch: Batch) -> None:
        """Judge a frame that we had taken, and had not answered as far as anybody knows."""
        await self._judge(origin, batch)

    def hold_for_own_fault(
        self, entry: JudgedEntry, number: int, bundle: Bundle, link: Link, batch: Batch
    ) -> None:
        """Take an entry that we fail to judge into custody, so that nothing waits for it."""
        origin = Origin(entry, None, link.neighbour, bundle.lane, bundle.epoch, number)
        self._state.effects.hold(Hold(OWN_FAULT, ""), origin, batch)
        self._state.effects.raise_incident("own_fault", link.neighbour, f"{number}", batch)

    async def _judge(self, origin: Origin, batch: Batch, *, final: bool = False) -> None:
        """Decide about one frame and carry the decision out; `final`: it has waited enough."""
        verdict = origin.entry.verdict
        match verdict:
            case _ if (doubt := self._state.doubt(batch.now)) is not None:
                fingerprint = origin.header.certificate if origin.header else ""
                await self._state.effects.carry_out((Hold(doubt, fingerprint),), origin, batch)
            case Accepted():
                await self._judge_accepted(verdict, origin, batch, final=final)
            case Refused():
                finding = Finding(verdict.reason, printable(verdict.detail))
                seen = verdict.frame_sha256 in batch.refused
                refused = RefusedFrame(
                    verdict.header, finding, verdict.proven, origin.neighbour, seen
                )
                await self._state.effects.carry_out(decide_refusal(refused), origin, batch)
            case Held():
                await self._hold(verdict, origin, batch)
            case _:
                raise AssertionError(verdict)

    async def _hold(self, verdict: Held, origin: Origin, batch: Batch) -> None:
        """Hold a frame and ask for what it lacks; past the link's quota it comes again later."""
        limits = self._state.rules.limits
        step: Step = (Hold(verdict.missing, verdict.certificate),)
        if await self._held_bytes(origin, batch.now) > limits.held_bytes_per_link:
            detail = f"more than {limits.held_bytes_per_link} bytes held of this link"
            again_at = batch.now + limits.resend_first_us
            step = (RefuseOnLink(Reason.BUSY, detail, again_at),)
        await self._state.effects.carry_out(step, origin, batch)
        self._ask(verdict.missing, verdict.certificate, origin.neighbour, batch)

    async def _held_bytes(self, origin: Origin, now: Instant) -> int:
        """Return how much is held of a link, this frame included; counted anew now and then."""
        neighbour = origin.neighbour
        counted_at, size = self._held.get(neighbour, (0, 0))
        if now - counted_at >= COUNT_EVERY_US:
            counted_at, size = now, await self._state.archive.held_bytes(neighbour)
        size += len(origin.entry.raw)
        self._held[neighbour] = (counted_at, size)
        return size

    async def _judge_accepted(
        self, verdict: Accepted, origin: Origin, batch: Batch, *, final: bool
    ) -> None:
        header = verdict.frame.header
        content = origin.entry.content
        names = names_answered(content)
        before = batch.refused.get(verdict.frame_sha256)
        about, answered = ([batch.trails.get(name) for name in names] + [None, None])[:2]
        known = Known(
            trail=batch.trails.get((header.from_, header.epoch, header.id)),
            number_held_by=_holder_of(header, batch),
            whole=await self._wholes.find(origin.entry, batch, final=final),
            about=about,
            answered=answered,
            refused_for=None if before is None else Finding(Reason(before.reason), before.detail),
            may_come_back=not final and self._answers_lost(names, batch),
        )
        arrival = Arrival(
            header, verdict.head_sha256, verdict.frame_sha256, origin.neighbour, content
        )
        step = decide_arrival(arrival, known, batch.now, self._state.rules)
        await self._state.effects.carry_out(step, origin, batch)
        if header.to == self._state.rules.here and is_manifest(
            header.type, header.payload.media_type
        ):
            self._state.arrived.add(MANIFEST)

    async def _take_entry_object(self, cut_: CutObject, origin: Origin, batch: Batch) -> None:
        match cut_.header:
            case Refusal() as refusal:
                await self._take_refusal(refusal, origin, batch)
            case Void() as void:
                detail = f"{void.lane} {void.entry}: {void.detail}"
                self._state.effects.raise_incident("void_entry", origin.neighbour, detail, batch)
            case _:
                raise AssertionError(cut_.header)

    async def _take_refusal(self, refusal: Refusal, origin: Origin, batch: Batch) -> None:
        """Look at what a neighbour refused: authenticate our own copy again, then decide."""
        stream = f"{origin.neighbour}/{refusal.lane}"
        stored = await self._state.archive.entries(
            stream, refusal.of_epoch, refusal.entry - 1, 1, MESSAGE_BYTES_MAX
        )
        trail: Trail | None = None
        intact = False
        again_at = batch.now
        if refusal.again_at is not None:
            again_at = parse_instant(refusal.again_at)
        if stored and stored[0].number == refusal.entry and stored[0].frame is not None:
            trail = (await self._state.archive.trail_of_frame([stored[0].frame])).get(
                stored[0].frame
            )
            intact = self._is_intact(stored[0], refusal)
        finding = Finding(refusal.reason, refusal.detail)
        entry = RefusedEntry(origin.neighbour, intact, again_at)
        step = take_refusal_entry(trail, entry, finding, rules=self._state.rules)
        await self._state.effects.carry_out(step, origin, batch)

    def _is_intact(self, stored: StoredEntry, refusal: Refusal) -> bool:
        """Hash our own copy again: it authenticated when it came, so its digest decides."""
        if stored.head is None or stored.bucket is None or stored.sealed is None:
            return False
        payload = self._state.gate.open_rest(stored.bucket, stored.sha256, stored.sealed)
        return sha256_of(stored.head + payload).hex() == refusal.frame_sha256

    def _ask(self, missing: str, certificate: str, neighbour: str, batch: Batch) -> None:
        """Ask the neighbour for what a held frame lacks: each piece once in a while."""
        link = self._state.links.get(neighbour)
        if link is None or missing not in {"certificate", "crl", "card", "epoch"}:
            return
        piece = missing if missing == "crl" else certificate
        asked = self._asked.get((neighbour, piece), 0)
        if batch.now - asked < self._state.rules.limits.ask_every_us:
            return
        if len(self._asked) >= ASKED_MAX:
            self._asked.clear()
        self._asked[neighbour, piece] = batch.now
        stamp = self._state.gate.stamp(neighbour, batch.now)
        if missing == "certificate":
            ask = Ask(**stamp, what="certificate", sha256=certificate)  # type: ignore[arg-type]
        elif missing in {"card", "epoch"}:
            ask = Ask(**stamp, what="card", address=certificate)  # type: ignore[arg-type]
        else:
            ask = Ask(**stamp, what="crls")  # type: ignore[arg-type]
        batch.after_commit(partial(link.send_object, self._state.gate.sign(ask)))

    async def judge_held(self, batch: Batch) -> None:
        """Judge held frames for which something has come, and those past the hold limit.

        At most HELD_A_GROUP in one batch: the rest have their turn in the next. None before the
        first greeting: a verdict is answered, and until then nothing is sealed (clause 7.4).
        """
        if not self._state.may_seal(batch.now):
            return
        arrived, self._state.arrived = self._state.arrived, set()
        due = []
        for row in await self._state.archive.held_all():
            if row.frame in batch.changes.judged:
                continue
            if self._is_due(row, arrived, batch.now):
                due.append(row)
            else:
                self._ask(row.missing, row.certificate, row.neighbour, batch)
        if len(due) > HELD_A_GROUP:
            self._state.arrived |= arrived
        for row in due[:HELD_A_GROUP]:
            _, quarantined, bucket, sealed = await self._state.archive.stored_frame(row.frame)
            assert quarantined is not None, f"held frame {row.frame} is not quarantined"
            assert bucket is not None, f"held frame {row.frame} is not kept"
            assert sealed is not None, f"held frame {row.frame} is not kept"
            raw = self._state.gate.open_rest(bucket, quarantined.sha256, sealed)
            entry = self._state.gate.judge(raw, row.neighbour, batch.now)
            limit = self._past_hold_limit(row, batch.now)
            await self._judge_one_held(entry, row, batch, past_limit=limit)

    def _is_due(self, row: HeldRow, arrived: set[str], now: Instant) -> bool:
        """Say whether a held frame is to be judged again now."""
        if row.missing == OWN_FAULT:
            return False
        awaited = {"certificate": row.certificate, "epoch": "card"}.get(row.missing, row.missing)
        return (
            awaited in arrived
            or START in arrived
            or row.missing in {"clock", "own-key", "journal"}
            or self._past_hold_limit(row, now)
        )

    async def _judge_one_held(
        self, entry: JudgedEntry, row: HeldRow, batch: Batch, *, past_limit: bool
    ) -> None:
        verdict = entry.verdict
        header = header_of(entry)
        await self.load([entry], batch)
        missing = self._missing_for(entry, batch)
        if missing is not None and not past_limit:
            self._wait_on(*missing, row, batch)
            return
        if isinstance(verdict, Held):
            reason = PAST_HOLD_LIMIT[verdict.missing]
            entry = as_refused(entry, reason, verdict.detail, header, proven=False)
        elif missing is not None and missing[0] == "type":
            detail = "type is on no code list of ours"
            entry = as_refused(entry, Reason.TYPE_NOT_ALLOWED, detail, header, proven=True)
        batch.changes.judged.append(row.frame)
        lane: Lane = "fast" if row.lane == "fast" else "bulk"
        origin = Origin(entry, header, row.neighbour, lane, row.epoch, row.number)
        await self._judge(origin, batch, final=past_limit)

    def _missing_for(self, entry: JudgedEntry, batch: Batch) -> tuple[str, str] | None:
        """Return what a held frame waits for by now, and for whose certificate; None: nothing."""
        match entry.verdict:
            case Held(missing=missing, certificate=certificate):
                return missing, certificate
            case Accepted(frame=frame) if frame.header.to == self._state.rules.here:
                if frame.header.type not in self._state.rules.types:
                    return "type", frame.header.certificate
                if self._answers_lost(names_answered(entry.content), batch):
                    return "packet", frame.header.certificate
                if self._wholes.is_missing(frame.header, batch):
                    return MANIFEST, frame.header.certificate
            case _:
                pass
        return None

    def _answers_lost(self, names: Sequence[Name], batch: Batch) -> bool:
        """Say whether an answer names a packet or receipt of ours that our record has lost.

        That is what it does not know of an epoch that has ended (clause 18.5), or of the running
        one before a greeting has shown whether the record has lost its end (clause 18.4).
        """
        if not names:
            return False
        here, greeted = self._state.rules.here, self._state.greeted.is_set()
        return any(
            name not in batch.trails and name[0] == here and (name[1] < batch.epoch or not greeted)
            for name in names
        )

    def _wait_on(self, missing: str, certificate: str, row: HeldRow, batch: Batch) -> None:
        """Remember what a held frame waits for by now, and ask for it."""
        if missing != row.missing:
            later = msgspec.structs.replace(row, missing=missing, certificate=certificate)
            batch.changes.held.append(later)
        self._ask(missing, certificate, row.neighbour, batch)

    def _past_hold_limit(self, row: HeldRow, now: Instant) -> bool:
        """Say whether a frame waited too long; the clock runs only while its link is up."""
        link = self._state.links.get(row.neighbour)
        if link is None or link.up_since is None:
            return False
        return now - max(row.since, link.up_since) > self._state.rules.limits.hold_limit_us


def _holder_of(header: Header, batch: Batch) -> bytes | None:
    """Return the SHA-256 of the head that has a frame's number already."""
    if header.seq is None:
        return batch.parts.get(part_name(header))
    return batch.numbers.get((header.from_, header.to, header.epoch, header.seq))
