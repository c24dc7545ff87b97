"""Which certificates a neighbour has been shown in this session of a link: each goes once."""

from collections.abc import Sequence

from exchange.batch import Offer
from exchange.gate import Gate
from schemas.moments import Instant


class Shown:
    """What one neighbour is known to hold, of our certificates and of others'."""

    def __init__(self, neighbour: str, gate: Gate) -> None:
        """Begin with nothing."""
        self._neighbour = neighbour
        self._gate = gate
        self._others: set[str] = set()
        self._own = ""
        """Fingerprint of the certificate of ours that we have shown."""

    def begin(self) -> None:
        """Forget all: a new session begins."""
        self._others.clear()
        self._own = ""

    def forget_others(self) -> None:
        """Show others' certificates again: the neighbour has begun anew."""
        self._others.clear()

    def knows(self, fingerprint: str) -> None:
        """Remember a certificate that the neighbour brought: no need to bring it back."""
        self._others.add(fingerprint)

    def introduce(self, now: Instant) -> bytes:
        """Return an object with our certificate."""
        self._own = self._gate.fingerprint
        return self._gate.make_certificates(self._neighbour, None, now)

    def introduce_where_new(self, now: Instant) -> list[bytes]:
        """Return our certificate where we sign with another key than when we greeted."""
        return [] if self._own == self._gate.fingerprint else [self.introduce(now)]

    def objects_for(self, fingerprints: Sequence[str], now: Instant) -> list[bytes]:
        """Return objects with the certificates that the neighbour is not known to hold."""
        missing = [each for each in fingerprints if each not in self._others]
        self._others.update(missing)
        return [self._gate.make_certificates(self._neighbour, each, now) for each in missing]

    def ders_for(self, entries: Sequence[Offer]) -> list[bytes]:
        """Return what a bundle of these must bring: signers' certificates, and ours where new."""
        ders: list[bytes] = []
        for offer in entries:
            if offer.certificate and offer.certificate not in self._others:
                self._others.add(offer.certificate)
                ders += self._gate.trust.ders_for(offer.certificate)
        found = list(dict.fromkeys(ders))
        if self._own != self._gate.fingerprint:
            self._own = self._gate.fingerprint
            found += self._gate.trust.ders_for(self._own)
        return found
