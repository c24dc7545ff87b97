"""Joining, at the machine: from an invitation to a folder that `bbaj node run` starts from.

    keys made here --> one-time login --> Join --> Welcome taken ... Welcome ready,
    CRLs, cards --> all of it checked up to the root --> written, node.toml last

Repeating it after any failure asks for the same again, and is answered the same.
"""

import asyncio
import contextlib
import hashlib
import tempfile
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Literal

import msgspec
from cryptography import x509

from exchange.amqp import Backoff, ClientTls, LinkState, ParentEndpoint, Session
from exchange.enrolment import JOIN_PURPOSES
from exchange.errors import BrokerFull, Unroutable
from exchange.signing_desk import body_of
from nodes.clock import now
from nodes.errors import NotAdmitted, ServiceDown
from nodes.invitations import LIMITS, ReceivedInvitation
from nodes.join_folder import JoinFolder, Received, Settings
from schemas.addresses import dns_name
from schemas.errors import FormatError
from schemas.invitations import JoinReason
from schemas.objects import Certificate, Crl, CutObject, cut_object, unpack_pieces
from schemas.reasons import Reason
from schemas.statements import Card, Join, Welcome
from signing.authenticate import check_signer
from signing.authority import public_key_of_request
from signing.chain import CrlKnown, CrlLearned, Trusted, TrustStore
from signing.keys import fingerprint
from signing.profiles import Purpose
from signing.seal import sign_object

ASK_AGAIN_S = 5.0
"""So long without what is still missing, and the request goes again."""
WARNING_S = 10.0
"""So long the parent is called to be told of a text that was changed."""
EPOCH = 1


class Step(StrEnum):
    """How far a machine has come."""

    KEYS = "keys"
    CALLING = "calling"
    ASKED = "asked"
    TAKEN = "taken"
    GRANTED = "granted"
    READY = "ready"


OnStep = Callable[[Step], None]
"""Told each step as it is reached."""


class Joined(msgspec.Struct, frozen=True):
    """What a machine has become."""

    state: Literal["joined", "known"]
    """`known`: it had joined before."""
    replaces: bool
    """The address had a machine before this one, whose keys end."""


async def join(
    invitation: ReceivedInvitation,
    folder: JoinFolder,
    settings: Settings,
    on_step: OnStep,
    wait_s: float,
) -> Joined:
    """Make this machine the node that it is invited to be.

    Raises NotAdmitted with the parent's reason, ServiceDown where `wait_s` ends before the answer,
    and what reading and writing key files does.
    """
    if folder.is_ready:
        folder.check_joined(invitation.address)
        return Joined("known", replaces=False)
    requests = await asyncio.to_thread(folder.prepare, invitation.address, invitation.facts.tier)
    on_step(Step.KEYS)
    talk = _Talk(invitation, requests, on_step)
    tls = await asyncio.to_thread(folder.lay_out_login, invitation)
    endpoint = _endpoint(invitation, tls)
    try:
        async with asyncio.timeout(wait_s):
            await _until_done(endpoint, talk)
    except TimeoutError as error:
        raise ServiceDown(talk.why_not()) from error
    await asyncio.to_thread(folder.complete, invitation, talk.received, settings)
    on_step(Step.READY)
    return Joined("joined", replaces=invitation.facts.replaces)


async def warn(invitation: ReceivedInvitation) -> bool:
    """Tell the parent that the text of its invitation was changed on the way; say whether it took.

    Only a broker that proves to be the parent's, by a root known another way, is spoken to.
    """
    told = asyncio.Event()

    async def tell(session: Session) -> None:
        await session.publish(make_join(invitation, JoinReason.FORGED.encode()))
        told.set()
        await asyncio.Event().wait()  # whoever waits for the end hangs up

    with tempfile.TemporaryDirectory(prefix="bbaj-join-") as name:
        endpoint = _endpoint(invitation, JoinFolder(Path(name), None).lay_out_login(invitation))
        async with asyncio.TaskGroup() as tasks:
            calling = tasks.create_task(endpoint.run(tell, lambda _: None))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WARNING_S):
                    await told.wait()
            calling.cancel()
    return told.is_set()


def make_join(invitation: ReceivedInvitation, body: bytes) -> bytes:
    """Return a request to join, signed with the one-time key."""
    header = Join(
        from_=invitation.address,
        to=invitation.parent,
        epoch=EPOCH,
        number=now(),
        certificate=invitation.signer.fingerprint,
        invitation=invitation.header.invitation,
        body=body_of(body),
    )
    return sign_object(header, invitation.signer, body)


def _endpoint(invitation: ReceivedInvitation, tls: ClientTls) -> ParentEndpoint:
    return ParentEndpoint(
        address=invitation.address,
        urls=invitation.facts.urls,
        tls=tls,
        vhost=invitation.facts.vhost,
        user=dns_name(invitation.enrolment),
        backoff=Backoff(most_s=ASK_AGAIN_S),
    )


async def _until_done(endpoint: ParentEndpoint, talk: "_Talk") -> None:
    """Talk over as many sessions as it takes."""
    async with asyncio.TaskGroup() as tasks:
        calling = tasks.create_task(endpoint.run(talk.handle, talk.on_state))
        await talk.done.wait()
        calling.cancel()
    if talk.refused is not None:
        raise talk.refused


class _Talk:
    """What is said with the parent, over as many sessions as it takes."""

    def __init__(self, invitation: ReceivedInvitation, requests: bytes, on_step: OnStep) -> None:
        self.received = Received()
        self.done = asyncio.Event()
        self.refused: NotAdmitted | None = None
        self._invitation = invitation
        self._requests = requests
        self._digest = hashlib.sha256(requests).hexdigest()
        self._trust = TrustStore(invitation.root)
        self._trust.add_certificates(invitation.certificates[:-1])
        self._on_step = on_step
        self._step: Step | None = None
        self._line = ""
        self._card_numbers: dict[str, int] = {}

    def on_state(self, state: LinkState) -> None:
        """Note how the connection fares."""
        self._line = state.detail if state.state == "down" else ""
        if state.state == "connecting":
            self._reach(Step.CALLING)

    def why_not(self) -> str:
        """Return what has kept the answer, and what to do."""
        again = "the same command may be repeated"
        match self._step:
            case Step.CALLING if self._line:
                return f"no login at {self._invitation.parent}: {self._line}: {again}"
            case Step.TAKEN:
                return f"{self._invitation.parent} waits for its authority's answer: {again}"
            case Step.GRANTED:
                return f"{self._invitation.parent} has not sent all lists and cards yet: {again}"
            case _:
                return f"{self._invitation.parent} does not answer: is its node running? {again}"

    async def handle(self, session: Session) -> None:
        """Ask, and take what comes, until all is there."""
        while not self.done.is_set():
            with contextlib.suppress(BrokerFull, Unroutable):
                await session.publish(make_join(self._invitation, self._requests))
                self._reach(Step.ASKED)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ASK_AGAIN_S):
                    await self._listen(session)
        await asyncio.Event().wait()  # whoever waits for the end hangs up

    async def _listen(self, session: Session) -> None:
        while not self.done.is_set():
            delivery = await session.receive()
            with contextlib.suppress(FormatError):  # what proves nothing is passed over
                self._take(delivery.body)
            await session.settle_through(delivery)

    # --- what comes ----------------------------------------------------------------------------

    def _take(self, raw: bytes) -> None:
        """Take one message of the parent. Raises FormatError where it does not hold."""
        found = cut_object(raw)
        match found.header:
            case Certificate():
                self._trust.add_certificates(unpack_pieces(found.body)[0])
            case Welcome() as welcome:
                self._check(found, self._invitation.parent)
                self._take_welcome(welcome, found.body)
            case Crl():
                self._check(found, self._invitation.parent)
                self._take_crl(found.body)
            case Card() as card:
                self._check(found, card.from_)
                self._take_card(card, raw)
            case _:
                pass  # greetings are for the daemon
        self._look_whether_done()

    def _check(self, found: CutObject, signer: str) -> None:
        check_signer(found, signer, Purpose.PACKET, trust=self._trust, now=now(), limits=LIMITS)

    def _take_welcome(self, welcome: Welcome, body: bytes) -> None:
        ours = (self._invitation.header.invitation, self._digest)
        if (welcome.invitation, welcome.request) != ours:
            return
        match welcome.state:
            case "taken":
                self._reach(Step.TAKEN)
            case "refused":
                reason = _reason_of(welcome.reason)
                what = f"{self._invitation.parent} refuses this machine as {welcome.to}"
                self.refused = NotAdmitted(reason, what)
                self.done.set()
            case "ready":
                self._take_certificates(unpack_pieces(body)[0])

    def _take_certificates(self, pieces: list[bytes]) -> None:
        """Take our certificates, once each is for its key and chains to the root."""
        requests = unpack_pieces(self._requests)[0]
        own, vouchers = pieces[: len(requests)], pieces[len(requests) :]
        self._trust.add_certificates(vouchers)
        self._trust.add_certificates(own)
        for purpose, request, der in zip(JOIN_PURPOSES, requests, own, strict=False):
            name = fingerprint(der)
            address = self._invitation.address
            standing = self._trust.judge_neighbour(name, address, purpose, now(), LIMITS)
            key = x509.load_der_x509_certificate(der).public_key()
            if not isinstance(standing, Trusted) or key != public_key_of_request(request):
                what = f"the {purpose} certificate that came is not for the key made here"
                raise NotAdmitted(JoinReason.FORGED, what)
            self.received.certificates[purpose] = self._trust.ders_for(name)
        self.received.vouchers = vouchers
        self._reach(Step.GRANTED)

    def _take_crl(self, der: bytes) -> None:
        match self._trust.add_crl(der):
            case CrlLearned(issuer=issuer):
                self.received.crls[issuer] = der
            case CrlKnown():
                pass
            case refused:
                raise FormatError(Reason.FORMAT_INVALID, refused.detail)

    def _take_card(self, card: Card, raw: bytes) -> None:
        """Keep the newest card of each address."""
        if card.number > self._card_numbers.get(card.to, 0):
            self._card_numbers[card.to] = card.number
            self.received.cards[card.to] = raw

    def _look_whether_done(self) -> None:
        """All is there once our own certificate counts by current lists, and our card has come."""
        chain = self.received.certificates.get(Purpose.PACKET)
        if chain is None or self._invitation.address not in self.received.cards:
            return
        moment = now()
        standing = self._trust.judge(
            fingerprint(chain[0]), self._invitation.address, Purpose.PACKET, moment, moment, LIMITS
        )
        if isinstance(standing, Trusted):
            self.done.set()

    def _reach(self, step: Step) -> None:
        """Tell a step once; one that is behind us is no news."""
        order = list(Step)
        if self._step is None or order.index(step) > order.index(self._step):
            self._step = step
            self._on_step(step)


def _reason_of(text: str) -> JoinReason:
    """Return a reason of the list; what a newer parent says is an unknown one."""
    try:
        return JoinReason(text)
    except ValueError:
        return JoinReason.UNKNOWN
