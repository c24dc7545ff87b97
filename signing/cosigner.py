"""A witness's keys: what it cosigns other journals' checkpoints with."""

from cryptography.hazmat.primitives.asymmetric import mldsa

from schemas.addresses import dns_name
from signing.keys import JournalSigner
from signing.notes import (
    KeyType,
    VerifierKey,
    cosignature_line,
    mldsa_cosignature_line,
)


class Cosigner:
    """The witness key of one node and, at oblast and republic, its ML-DSA-44 key beside it."""

    def __init__(
        self, address: str, signer: JournalSigner, mldsa_key: mldsa.MLDSA44PrivateKey | None = None
    ) -> None:
        """Cosign under the node's DNS name."""
        self._address = address
        self.name = dns_name(address)
        self.fingerprint = signer.fingerprint
        self._signer = signer
        self._mldsa = mldsa_key
        keys = [VerifierKey(self.name, KeyType.COSIGNATURE_V1, signer.public_bytes)]
        if mldsa_key is not None:
            public = mldsa_key.public_key().public_bytes_raw()
            keys.append(VerifierKey(self.name, KeyType.MLDSA44_COSIGNATURE, public))
        self.vkeys = tuple(key.text for key in keys)
        """The verifier keys of its lines, in their order."""

    @property
    def has_mldsa(self) -> bool:
        """Say whether it cosigns with ML-DSA-44, too."""
        return self._mldsa is not None

    def cosign(self, text: str, time_s: int) -> str:
        """Return the cosignature lines of a checkpoint's text; it has been found consistent."""
        lines = cosignature_line(text, self.name, time_s, self._signer)
        if self._mldsa is not None:
            lines += mldsa_cosignature_line(text, self.name, time_s, self._mldsa)
        return lines

    def certified_line(self, text: str, time_s: int) -> str:
        """Return the line by the key that has a certificate: anybody can check it by that."""
        return cosignature_line(text, self.name, time_s, self._signer)

    def with_key(self, signer: JournalSigner) -> "Cosigner":
        """Return the same witness with another Ed25519 key."""
        return Cosigner(self._address, signer, self._mldsa)
