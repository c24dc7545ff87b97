"""What a node signs but packets: link objects, statements and cards.

`Gate` is what all others call; its methods take `now`, and nothing here waits or does I/O.
"""

import hashlib

from exchange.issuer_gate import IssuerGate
from schemas import wire
from schemas.cards import CardFacts, KeyFacts
from schemas.moments import Instant
from schemas.object_header import Body
from schemas.objects import (
    AnyObject,
    Bundle,
    CardList,
    Certificate,
    Crl,
    Lane,
    Void,
    pack_bundle_body,
    pack_pieces,
)
from schemas.statements import Card, Keys
from signing.certificates import life_of_der
from signing.chain import TrustStore
from signing.cosigner import Cosigner
from signing.encryption import EncryptionKeyring
from signing.keys import JournalSigner, Signer
from signing.notes import origin
from signing.seal import sign_object
from signing.second_log import SecondHead, sign_second_head

ENCRYPTION_KEYS_STATED = 4
"""So many keys stand in a card: the newest, which counts, and some of before."""


class SigningDesk:
    """The keys of one node, and what it signs with them as itself."""

    def __init__(  # noqa: PLR0913 - the keys of one node
        self,
        *,
        here: str,
        epoch: int,
        trust: TrustStore,
        signer: Signer,
        journal: JournalSigner,
        encryption: EncryptionKeyring,
        issuer: IssuerGate | None,
        cosigner: Cosigner | None,
    ) -> None:
        """Hold the keys; `trust` has the certificates that are handed out."""
        self.here = here
        self.epoch = epoch
        self.trust = trust
        self.issuer = issuer
        self.cosigner = cosigner
        """Where we are a witness; None without a witness key."""
        self._signer = signer
        self._life = life_of_der(signer.certificate)
        self._journal = journal
        self._encryption = encryption
        self._object_number = 0

    @property
    def fingerprint(self) -> str:
        """The fingerprint of our packet certificate."""
        return self._signer.fingerprint

    def has_ended(self, now: Instant) -> bool:
        """Say whether our packet certificate's life is over: nothing sealed with it counts."""
        return now > self._life.until

    def use_packet_key(self, signer: Signer, encryption: EncryptionKeyring) -> None:
        """Seal and sign with another key from now on; called where nothing is half signed."""
        self._signer, self._encryption = signer, encryption
        self._life = life_of_der(signer.certificate)

    def use_journal_key(self, journal: JournalSigner) -> None:
        """State another journal key from now on, and sign heads of the issued log with it."""
        self._journal = journal
        if self.issuer is not None:
            self.issuer.journal = journal

    def use_witness_key(self, witness: JournalSigner) -> None:
        """Cosign with another key from now on."""
        known = self.cosigner
        self.cosigner = Cosigner(self.here, witness) if known is None else known.with_key(witness)

    def key_facts(self) -> KeyFacts:
        """Return what we say of our own keys: both certificates, and what to encrypt to."""
        return KeyFacts(
            packet=self._signer.fingerprint,
            journal=self._journal.fingerprint,
            encryption=self._encryption.facts[:ENCRYPTION_KEYS_STATED],
        )

    def stamp(self, to: str, now: Instant) -> dict[str, object]:
        """Return the fields every link object begins with; its number always rises."""
        self._object_number = max(self._object_number + 1, now)
        return {
            "from_": self.here,
            "to": to,
            "epoch": self.epoch,
            "number": self._object_number,
            "certificate": self.fingerprint,
        }

    def sign_second_head(self, size: int, root: bytes) -> str:
        """Return the signed note of our journal's second log (clause 19.4)."""
        return sign_second_head(
            SecondHead(origin(self.here, self.epoch), size, root), self._journal
        )

    def sign(self, header: AnyObject, body: bytes = b"") -> bytes:
        """Return a link object's exact bytes."""
        return sign_object(header, self._signer, body)

    def sign_card(self, facts: CardFacts, after: int, now: Instant) -> bytes:
        """Return the next card of a child of ours, or our own; its number is beyond `after`."""
        stamp = self.stamp(facts.address, now)
        self._object_number = max(self._object_number, after + 1)
        body = wire.encode(facts)
        stamp["number"] = self._object_number
        return self.sign(Card(**stamp, body=body_of(body)), body)  # type: ignore[arg-type]

    def sign_keys(self, facts: KeyFacts, now: Instant) -> bytes:
        """Return our statement of our own keys."""
        body = wire.encode(facts)
        return self.sign(Keys(**self.stamp(self.here, now), body=body_of(body)), body)  # type: ignore[arg-type]

    def make_bundle(  # noqa: PLR0913, PLR0917 - each is one field of a bundle
        self,
        to: str,
        lane: str,
        first: int,
        chain: bytes,
        entries: list[bytes],
        certificates: list[bytes],
        now: Instant,
    ) -> bytes:
        """Return a signed bundle of consecutive entries from number `first` on."""
        body = pack_bundle_body(certificates, entries)
        header = Bundle(
            **self.stamp(to, now),  # type: ignore[arg-type]
            lane=lane,  # type: ignore[arg-type]
            first=first,
            last=first + len(entries) - 1,
            chain=chain.hex(),
            body=body_of(body),
        )
        return self.sign(header, body)

    def make_void(self, to: str, lane: Lane, number: int, sha256: bytes, now: Instant) -> bytes:
        """Return an object that fills the number of an entry whose payload was destroyed."""
        header = Void(
            **self.stamp(to, now),  # type: ignore[arg-type]
            lane=lane,
            entry=number,
            entry_sha256=sha256.hex(),
            detail="its payload was destroyed at the end of its term",
        )
        return self.sign(header)

    def make_certificates(self, to: str, answers: str | None, now: Instant) -> bytes:
        """Return an object with a certificate and its authority's; ours where none is named."""
        ders = self.trust.ders_for(answers or self.fingerprint)
        body = pack_pieces(ders)
        stamp = self.stamp(to, now)
        return self.sign(Certificate(**stamp, answers=answers, body=body_of(body)), body)  # type: ignore[arg-type]

    def make_card_list(self, to: str, lines: bytes, now: Instant) -> bytes:
        """Return an object that says which cards we hold."""
        return self.sign(CardList(**self.stamp(to, now), body=body_of(lines)), lines)  # type: ignore[arg-type]

    def make_crl(self, to: str, der: bytes, now: Instant) -> bytes:
        """Return an object with one CRL."""
        return self.sign(Crl(**self.stamp(to, now), body=body_of(der)), der)  # type: ignore[arg-type]


def body_of(body: bytes) -> Body:
    """Return digest and size of an object's body."""
    return Body(hashlib.sha256(body).hexdigest(), len(body))
