"""Issuing in public: an authority on line where there is one, and the watch over all of them.

A node that holds an authority's key answers requests of its subtree, revokes, and signs its CRL
daily (`authority`). Whatever is issued stands in a log that every node below it, and above it,
downloads, recomputes whole (`issued_logs`), and searches for certificates in its own name
(`issued_watch`); its heads are cosigned (`cosigned_heads`); what is found wrong is told to
everybody above (`alarms`). Protocol clause 14.
"""

from collections.abc import Iterable

from exchange.alarms import Alarms
from exchange.authority import Authority
from exchange.batch import Batch
from exchange.cosigned_heads import CosignedHeads
from exchange.gate import OpenedObject
from exchange.issued_logs import IssuedLogs
from exchange.issued_watch import IssuedWatch
from exchange.links import Link
from exchange.replacing import Replacing
from exchange.requests import Requests
from exchange.revocations import Revocations
from exchange.state import CONFIGURATION, NodeState
from schemas.objects import Ask, Issued, pack_pieces
from schemas.records import OwnKey
from schemas.witnessing import Cosigned


class Issuing:
    """The authority's part of a node, and the follower's part of every node."""

    def __init__(self, state: NodeState, requests: Requests) -> None:
        """Share the node's state."""
        self._state = state
        self.alarms = Alarms(state)
        self.watch = IssuedWatch(state, self.alarms)
        self.logs = IssuedLogs(state, self.watch.look_through, self._raise_fork)
        self.cosigned = CosignedHeads(state, self.logs)
        self.revocations = Revocations(state)
        self.authority: Authority | None = None
        self._replacing: Replacing | None = None
        self._damaged: dict[str, str] = {}
        """How logs do not hold, by authority, until it is said."""
        self._brought: list[bytes] = []
        self._has_begun = False
        issuer = state.gate.issuer
        if issuer is not None:
            self.authority = Authority(
                state,
                issuer,
                requests=requests,
                logs=self.logs,
                revocations=self.revocations,
            )
            self._replacing = Replacing(state, issuer, self.authority)

    async def open(self) -> None:
        """Take over what the record has of logs and of our own authority."""
        await self.alarms.open()
        await self.revocations.open()
        self._damaged = await self.logs.open()
        await self.cosigned.open()
        await self.watch.open()

    # --- what the configuration brings --------------------------------------------------------

    async def introduce(
        self, own_keys: Iterable[OwnKey], first: frozenset[bytes] | None, batch: Batch
    ) -> None:
        """Take over the keys of our folder and, of the genesis file, the first certificates.

        Certificates of our authority that the configuration has just brought enter its log: they
        were given while it was off line. So do all that are known, when the log begins.
        """
        self.watch.introduce_keys(own_keys, batch)
        if first is not None:
            self.watch.introduce_genesis(first, batch)
        brought, self._brought = self._brought, []
        await self._log(brought, batch)

    async def _log(self, ders: list[bytes], batch: Batch) -> None:
        if self.authority is not None and ders:
            await self.authority.log_first(ders, batch)

    # --- what neighbours bring ----------------------------------------------------------------

    async def take(self, opened: OpenedObject, link: Link, batch: Batch) -> None:
        """Take what a neighbour brings: of a log, a witness's line under ours, or an alarm."""
        match opened.header:
            case Issued() as header:
                head = await self.logs.take(header, opened.body, link, batch)
                if head is not None:
                    self.cosigned.take(header, head, link, batch)
            case Cosigned():
                await self.cosigned.take_answer(opened, link, batch)
            case _:
                await self.alarms.take(opened, link, batch)

    async def answer_ask(self, ask: Ask, link: Link, batch: Batch) -> None:
        """Send the entries of a log that a neighbour lacks; with the last of them who vouches."""
        if await self.logs.answer_ask(ask, link, batch):
            self.cosigned.send(ask.address or "", link, batch)

    async def greet(self, link: Link, batch: Batch) -> None:
        """Ask a neighbour that has just greeted us for what the logs have gained."""
        self.logs.greet(link, batch)
        self.cosigned.greet(link, batch)
        await self.alarms.greet(link, batch)

    def met(self, der: bytes, via: str, batch: Batch) -> None:
        """Watch a certificate that was met until it stands in its authority's log."""
        if via == CONFIGURATION:
            self._brought.append(der)
        self.watch.met(der, via, batch)

    def _raise_fork(self, authority: str, ours: str, other: str, batch: Batch) -> None:
        """Keep two heads of a log that do not fit each other, and alarm everybody above."""
        detail = f"a head of the log of {authority} does not fit what it has signed before"
        body = pack_pieces([ours.encode(), other.encode()])
        self.alarms.alarm("log-forked", authority, detail, body, authority, batch)

    # --- time ---------------------------------------------------------------------------------

    async def sweep(self, batch: Batch) -> None:
        """Answer what waits, sign the CRL when it is due, raise what is missing too long."""
        self._say_damaged(batch)
        issuer = self._state.gate.issuer
        if issuer is not None and self.authority is not None and self._replacing is not None:
            if not self._has_begun and self.logs.size(issuer.subtree) == 0:
                await self._log(self._known(), batch)
            self._has_begun = True
            await self._replacing.sweep(batch)
            await self.authority.sweep(batch)
        await self.cosigned.sweep(batch)
        await self.watch.sweep(self.logs.is_followed, batch)

    def _say_damaged(self, batch: Batch) -> None:
        """Name each log that the record does not hold as its head was signed, once in a life."""
        issuer = self._state.gate.issuer
        for authority, damage in self._damaged.items():
            is_own = issuer is not None and authority == issuer.subtree
            stands = "no certificate and no CRL is given" if is_own else "nothing of it is taken"
            detail = f"the log of {authority} here: {damage}; {stands} until the record is restored"
            self._state.effects.raise_incident("log_damaged", authority, detail, batch)
        self._damaged = {}

    def _known(self) -> list[bytes]:
        trust = self._state.gate.trust
        return [trust.ders_for(name)[0] for name in trust.fingerprints()]
