"""Renewal: a node asks for its next certificates in time, and takes them into use while it runs.

    due --> next keys made --> request under the packet key in use --> grant --> kept --> in use

Old and new overlap: what was signed or encrypted before goes on counting, and old keys are kept. A
node whose packet key has ended meanwhile seals and judges nothing, but still asks (protocol
clause 11.8).
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Annotated, Protocol

import msgspec

from exchange.batch import Batch
from exchange.instructions import Declined, Done
from exchange.issued_watch import OwnCertificate
from exchange.ports import Observer
from exchange.requests import Granted, Requests
from exchange.state import NodeState
from exchange.supervisor import fraction
from schemas.moments import DAY, HOUR, Instant, format_instant
from schemas.records import InstructionRow
from schemas.wire import printable
from signing.certificates import life_of_der
from signing.chain import Trusted
from signing.encryption import EncryptionKeyring
from signing.errors import KeyFolderUnwritable, TokenLost
from signing.keys import JournalSigner, Signer, fingerprint
from signing.profiles import Purpose, renews_at

RENEW = "renew"
REFUSED, HINDERED = "renewal_refused", "renewal_hindered"
"""Incidents that put a renewal off."""
REFUSED_FOR_US = DAY
HINDERED_FOR_US = HOUR
"""After a refusal, and where the next keys cannot be written, so long nothing is asked."""


TOGETHER_US = 20 * DAY
"""What is due so soon is asked for at once."""


class KeyShelf(Protocol):
    """A node's keys: those in use, those asked for, those of before.

    Whatever changes them is durable on return, and raises KeyFolderUnwritable or TokenLost where
    that cannot be now: then it is tried again later.
    """

    def certificates(self) -> dict[Purpose, bytes]:
        """Return the certificates in use, DER."""

    def prepare(self, purposes: Iterable[Purpose]) -> dict[Purpose, bytes]:
        """Make the next keys, or take those that are made; return their requests, DER."""

    def owner_of(self, certificate: bytes) -> Purpose | None:
        """Return which of the keys asked for a certificate is for; None: none of them."""

    def grant(self, purpose: Purpose, chain: list[bytes]) -> None:
        """Keep a certificate, its authority's behind it, for the next key."""

    def granted(self) -> dict[Purpose, bytes]:
        """Return the certificates that wait to be taken into use, DER."""

    def switch(self, purpose: Purpose) -> None:
        """Take the next key into use; the one of before is kept."""

    def recertify(self, purpose: Purpose, chain: list[bytes]) -> bool:
        """Put a newer certificate of the key in use in the place of that in use; say whether."""

    def renew_encryption(self) -> None:
        """Make the next encryption key; those of before stay."""

    def packet_signer(self) -> Signer:
        """Return the packet key in use."""

    def journal_signer(self) -> JournalSigner:
        """Return the journal key in use."""

    def witness_signer(self) -> JournalSigner:
        """Return the witness key in use, where there is one."""

    def encryption(self) -> EncryptionKeyring:
        """Return the encryption keys, old ones too."""


class RenewNow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of the instruction `renew`."""

    purposes: Annotated[tuple[Purpose, ...], msgspec.Meta(max_length=len(Purpose))] = ()
    """None: every key in use."""


class Renewal:
    """The life of a running node's keys."""

    def __init__(
        self, state: NodeState, requests: Requests, keys: KeyShelf, observer: Observer
    ) -> None:
        """Share the node's state, and take the grants of what is asked for here."""
        self._state = state
        self._requests = requests
        self._keys = keys
        self._observer = observer
        self._due: dict[Purpose, Instant] = {}
        self._not_before: Instant = 0
        self._told_ended = False
        self.on_journal_key: Callable[[JournalSigner], None] = _nobody_signs
        """Told which key signs the journal from now on."""
        requests.on_grant[RENEW] = self._take_grant

    def open(self) -> None:
        """Look at the keys in use. Raises KeyFileError."""
        here = self._state.rules.here
        certificates = self._keys.certificates()
        self._due = {each: when_due(here, each, der) for each, der in certificates.items()}

    async def sweep(self, batch: Batch) -> None:
        """Take into use what was granted, and ask for what is due."""
        doubt = self._state.doubt(batch.now)
        if doubt == "clock":
            return  # what is due is not known
        if doubt == "own-key":
            self._tell_ended(batch)
        if self._not_before > batch.now + REFUSED_FOR_US:
            self._not_before = 0  # the clock was set back
        if self._not_before > batch.now:
            return
        try:
            self._take_into_use(batch)
            granted = self._keys.granted()
            due = [key for key, at in self._due.items() if at <= batch.now and key not in granted]
            if due and not self._requests.is_pending(self._state.rules.here, RENEW):
                soon = batch.now + TOGETHER_US
                self._ask([key for key, at in self._due.items() if at <= soon], batch)
        except (KeyFolderUnwritable, TokenLost) as error:
            self._put_off(HINDERED, str(error), batch)

    async def renew_now(self, instruction: InstructionRow, batch: Batch) -> Done | Declined:
        """Ask for the next certificates on an operator's word. Raises msgspec.ValidationError."""
        wanted = msgspec.json.decode(instruction.content, type=RenewNow).purposes
        doubt = self._state.doubt(batch.now)
        if doubt == "clock":
            return Declined("our clock is in doubt: set it first")
        if self._requests.is_pending(self._state.rules.here, RENEW) or self._keys.granted():
            return Declined("a renewal is under way: `bbaj keys list` shows how far it is")
        missing = [each for each in wanted if each not in self._due]
        if missing:
            return Declined(f"this node has no {missing[0]} key")
        purposes = wanted or tuple(self._due)
        try:
            request = self._ask(purposes, batch)
        except (KeyFolderUnwritable, TokenLost) as error:
            return Declined(str(error))
        names = list(dict.fromkeys((Purpose.PACKET.value, *purposes)))
        return Done({"request": request.hex(), "purposes": names}, ", ".join(names))

    def _ask(self, purposes: Iterable[Purpose], batch: Batch) -> bytes:
        """Ask for the packet key's next certificate, and for those of other keys with it.

        An authority gives each certificate once under the one that asks: so none asks twice.
        """
        requests = self._keys.prepare(dict.fromkeys((Purpose.PACKET, *purposes)))
        here = self._state.rules.here
        names = [purpose.value for purpose in requests]
        batch.after_commit(partial(self._observer.noticed, "renewal_asked", purposes=names))
        return self._requests.ask(here, RENEW, list(requests.values()), batch)

    async def _take_grant(self, granted: Granted, batch: Batch) -> None:
        """Keep the certificates that an authority gave, each for the key it is for."""
        if not granted.certificates:
            self._put_off(REFUSED, granted.detail, batch)
            return
        try:
            for der in granted.certificates:
                self._keep(der, batch)
            self._take_into_use(batch)
        except (KeyFolderUnwritable, TokenLost) as error:
            self._put_off(HINDERED, str(error), batch)

    def _keep(self, der: bytes, batch: Batch) -> None:
        purpose = self._keys.owner_of(der)
        if purpose is None:
            return  # an answer that comes again: its key is in use by now
        fault = self._fault_of(der, purpose, batch.now)
        if fault is not None:
            self._put_off(REFUSED, f"{purpose} certificate: {fault}", batch)
            return
        self._keys.grant(purpose, self._state.gate.trust.ders_for(fingerprint(der)))

    def _fault_of(self, der: bytes, purpose: Purpose, now: Instant) -> str | None:
        """Return why a certificate of ours would not count with others."""
        trust, here = self._state.gate.trust, self._state.rules.here
        sent = max(now, life_of_der(der).since)
        limits = self._state.rules.limits
        standing = trust.judge(fingerprint(der), here, purpose, sent, sent, limits)
        if isinstance(standing, Trusted) or getattr(standing, "what", "") == "crl":
            return None
        return standing.detail

    def _take_into_use(self, batch: Batch) -> None:
        """Switch to every key whose certificate has begun to count by our clock."""
        for purpose, der in self._keys.granted().items():
            if life_of_der(der).since > batch.now:
                continue
            if purpose is Purpose.PACKET:
                self._keys.renew_encryption()
            self._keys.switch(purpose)
            self._use(purpose)
            self.open()
            self._observer.noticed(
                "key_in_use",
                purpose=purpose.value,
                certificate=fingerprint(der),
                until=format_instant(life_of_der(der).until),
            )

    async def take_anew(self, own: OwnCertificate, batch: Batch) -> None:
        """Take a new certificate for a key that we have: its authority was replaced (clause 14.7).

        Only one that is newer than that in use: logs bring the older ones too.
        """
        if own.address != self._state.rules.here:
            return
        chain = self._state.gate.trust.ders_for(fingerprint(own.der))
        try:
            if not self._keys.recertify(own.purpose, chain or [own.der]):
                return
        except (KeyFolderUnwritable, TokenLost) as error:
            self._put_off(HINDERED, str(error), batch)
            return
        self._use(own.purpose)
        self.open()
        facts = {"purpose": own.purpose.value, "certificate": fingerprint(own.der)}
        batch.after_commit(partial(self._observer.noticed, "key_certified_anew", **facts))

    def _use(self, purpose: Purpose) -> None:
        """Let the running node use a key; link keys are read anew at each connect."""
        gate = self._state.gate
        if purpose is Purpose.PACKET:
            gate.use_packet_key(self._keys.packet_signer(), self._keys.encryption())
            self._told_ended = False
            self._state.arrived.add("own-key")
        elif purpose is Purpose.JOURNAL:
            signer = self._keys.journal_signer()
            gate.use_journal_key(signer)
            self.on_journal_key(signer)
        elif purpose is Purpose.WITNESS:
            gate.use_witness_key(self._keys.witness_signer())

    def _tell_ended(self, batch: Batch) -> None:
        if not self._told_ended:
            self._told_ended = True
            here = self._state.rules.here
            detail = "our packet key has ended: nothing is sealed or judged until it is renewed"
            self._state.effects.raise_incident("own_key_ended", here, detail, batch)

    def _put_off(self, incident: str, detail: str, batch: Batch) -> None:
        refused = incident == REFUSED
        self._not_before = batch.now + (REFUSED_FOR_US if refused else HINDERED_FOR_US)
        here = self._state.rules.here
        self._state.effects.raise_incident(incident, here, printable(detail), batch)


def when_due(address: str, purpose: Purpose, certificate: bytes) -> Instant:
    """Return when the certificate after this one is asked for; each node has its own day."""
    life = life_of_der(certificate)
    spread = fraction(address.encode() + bytes.fromhex(fingerprint(certificate)), 0)
    return renews_at(purpose, life.since, life.until, spread)


def _nobody_signs(_signer: JournalSigner) -> None:
    """Before the daemon has asked to be told."""
