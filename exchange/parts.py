"""The parts of one node's service, put together; the sequencer asks them in turn."""

from exchange.batch import Batch
from exchange.dialogue import Dialogue
from exchange.directory import Directory
from exchange.drops import DropDesk
from exchange.enrolment import Enrolment
from exchange.instructions import Instructions
from exchange.intake import Intake
from exchange.inviting import Inviting
from exchange.issuing import Issuing
from exchange.judging import Judging
from exchange.ports import Observer
from exchange.renewal import KeyShelf, Renewal
from exchange.requests import Requests
from exchange.revoking import Revoking
from exchange.standing import Children
from exchange.state import NodeState
from exchange.sweep import Sweep


class Parts:
    """What does the work of a service, all of it over one state."""

    def __init__(self, state: NodeState, keys: KeyShelf | None, observer: Observer) -> None:
        """Put them together; without `keys` none is renewed."""
        self.directory = Directory(state)
        self.requests = Requests(state)
        self.issuing = Issuing(state, self.requests)
        self.renewal: Renewal | None = None
        inviting = Inviting(state, self.requests, self.directory)
        handlers = {
            **Children(state, self.directory).handlers(),
            "revoke": Revoking(state, self.requests).revoke,
            "invite": inviting.invite,
            "uninvite": inviting.uninvite,
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
        )
        self.judging = Judging(state)
        self.intake = Intake(state, self.dialogue, self.judging)
        self.desk = DropDesk(
            effects=state.effects,
            archive=state.archive,
            rules=state.rules,
            gate=state.gate,
            cards=self.directory,
        )
        self._sweep = Sweep(effects=state.effects, archive=state.archive, rules=state.rules)

    async def open(self) -> None:
        """Take over what the record holds; its certificates and lists are at hand."""
        await self.directory.open()
        await self.requests.open()
        if self.renewal is not None:
            self.renewal.open()
        await self.issuing.open()

    async def sweep(self, batch: Batch) -> None:
        """Look at what is open, and what commands have handed over."""
        await self.instructions.sweep(batch)
        if self.renewal is not None:
            await self.renewal.sweep(batch)
        await self.requests.sweep(batch)
        await self.issuing.sweep(batch)
        await self.directory.sweep(batch)
        await self.desk.find_cards(batch)
        await self._sweep.run(batch)
