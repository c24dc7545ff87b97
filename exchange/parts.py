"""The parts of one node's service, put together; the sequencer asks them in turn."""

from exchange.acts import Acts
from exchange.batch import Batch
from exchange.counting import KIND as COUNT
from exchange.counting import Counting
from exchange.destroying import Destroying
from exchange.dialogue import Dialogue
from exchange.directory import Directory
from exchange.drops import DropDesk
from exchange.enrolment import Enrolment
from exchange.instructions import Instructions
from exchange.intake import Intake
from exchange.inviting import Inviting
from exchange.issuing import Issuing
from exchange.judging import Judging
from exchange.legal_holds import LegalHolds
from exchange.own_clock import OwnClock
from exchange.part_asks import PartAsks
from exchange.part_sending import PartSender
from exchange.ports import Observer
from exchange.rebuilding import Rebuilding
from exchange.reclaiming import Reclaiming
from exchange.reconciling import Reconciler
from exchange.recovery import Recovery
from exchange.renewal import KeyShelf, Renewal
from exchange.requests import Requests
from exchange.revoking import Revoking
from exchange.stamping import Stamps
from exchange.standing import Children
from exchange.state import NodeState
from exchange.strangers import Strangers
from exchange.sweep import Sweep
from exchange.tracking import Tracker
from exchange.upkeep import Tending
from exchange.witnessing import Witnessing


class Parts:
    """What does the work of a service, all of it over one state."""

    def __init__(self, state: NodeState, keys: KeyShelf | None, observer: Observer) -> None:
        """Put them together; without `keys` none is renewed."""
        self._state = state
        self.own_clock = OwnClock(state)
        self.directory = Directory(state)
        self.requests = Requests(state)
        self.issuing = Issuing(state, self.requests)
        self.witnessing = Witnessing(state, self.issuing.alarms)
        self.renewal: Renewal | None = None
        self.judging = Judging(state)
        self.recovery = Recovery(state, self.directory, self.judging)
        self.witnessing.showing.on_ahead = self.recovery.losses.notice_note
        inviting = Inviting(state, self.requests, self.directory)
        self.stamps = Stamps(state)
        tracker = Tracker(state)
        self._part_asks = PartAsks(state)
        state.effects.on_parts_lacking = self._part_asks.ask
        reconciler = Reconciler(state)
        self.rebuilding = Rebuilding(state, self.recovery.returning, self.judging, observer)
        self.acts = Acts(state)
        handlers = {
            **Destroying(state, self.acts).handlers(),
            **LegalHolds(state).handlers(),
            **self.stamps.handlers(),
            **Children(state, self.directory).handlers(),
            "revoke": Revoking(state, self.requests).revoke,
            "invite": inviting.invite,
            "uninvite": inviting.uninvite,
            "recover": self.recovery.losses.recover,
            "approve": self.recovery.recoveries.approve,
            "note": self.recovery.recoveries.note,
            "track": tracker.track,
            "reconcile": reconciler.reconcile,
            "rebuild": self.rebuilding.rebuild,
            COUNT: Counting(state).send,
        }
        if keys is not None:
            self.renewal = Renewal(state, self.requests, keys, observer)
            self.issuing.watch.on_own = self.renewal.take_anew
            handlers["renew"] = self.renewal.renew_now
        self.instructions = Instructions(state, handlers)
        self.dialogue = Dialogue(
            state,
            directory=self.directory,
            requests=self.requests,
            issuing=self.issuing,
            enrolment=Enrolment(state, self.requests),
            witnessing=self.witnessing,
            recovery=self.recovery,
            tracker=tracker,
            part_asks=self._part_asks,
            reconciler=reconciler,
            rebuilding=self.rebuilding,
        )
        hear = self.witnessing.sampling.hear
        self.intake = Intake(state, self.dialogue, self.judging, hear)
        self.desk = DropDesk(
            effects=state.effects,
            archive=state.archive,
            rules=state.rules,
            gate=state.gate,
            cards=self.directory,
            reclaiming=Reclaiming(state, self.recovery.returning),
        )
        self.part_sender = PartSender(
            answering=state.effects.answering,
            cursors=state.effects.cursors,
            archive=state.archive,
            rules=state.rules,
            gate=state.gate,
            cards=self.directory,
        )
        self.desk.on_parts = self.part_sender.begin
        self.strangers = Strangers(state.rules.here)
        self.tending = Tending(state)
        self._sweep = Sweep(
            effects=state.effects,
            archive=state.archive,
            rules=state.rules,
            on_overdue=tracker.ask_about,
        )

    async def open(self) -> None:
        """Take over what the record holds; its certificates and lists are at hand."""
        await self.directory.open()
        await self.requests.open()
        if self.renewal is not None:
            self.renewal.open()
        await self.issuing.open()
        await self.witnessing.open()
        await self.recovery.open()
        await self.rebuilding.open()
        await self.acts.open()
        await self.part_sender.open()

    async def send_parts(self, batch: Batch) -> None:
        """Let parts of files follow: those that were lost, then those that have not left yet."""
        if self._part_asks.is_busy:
            await self._part_asks.go_on(batch)
        if self.part_sender.is_busy:
            await self.part_sender.go_on(batch)

    async def sweep(self, batch: Batch) -> None:
        """Look at what is open, and what commands have handed over."""
        await self.instructions.sweep(batch)
        if self.renewal is not None:
            await self.renewal.sweep(batch)
        await self.requests.sweep(batch)
        await self.issuing.sweep(batch)
        await self.witnessing.sweep(batch)
        await self.directory.sweep(batch)
        await self.desk.find_ready(batch)
        self.strangers.sweep(batch)
        if self._state.loss is None and not self.rebuilding.is_active:
            await self._sweep.run(batch)
        await self.recovery.sweep(batch)
        await self.acts.sweep(batch)
