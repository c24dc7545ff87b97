"""Where chance comes from in a run: one seed, a stream for each use, and the system's own too.

`os.urandom` is the system call that salts, nonces and packet ids come from. For the time of a run
it is drawn from the seed, so that a run gives the same bytes each time.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from random import Random

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from harness.pki import KeyMaker
from signing.encryption import HybridKey


def stream(seed: int, use: str) -> Random:
    """Return the stream of a seed for one use: drawing from it moves no other."""
    return Random(sha256(f"{use} {seed}".encode()).digest())


@contextmanager
def drawn_from(chance: Random) -> Iterator[None]:
    """Have the system's random bytes come from a stream."""
    system = os.urandom
    os.urandom = chance.randbytes
    try:
        yield
    finally:
        os.urandom = system


class SeededKeys(KeyMaker):
    """Makes the same keys each time."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance

    def p256(self) -> ec.EllipticCurvePrivateKey:
        return ec.derive_private_key(self._chance.getrandbits(255) | 1, ec.SECP256R1())

    def p384(self) -> ec.EllipticCurvePrivateKey:
        return ec.derive_private_key(self._chance.getrandbits(383) | 1, ec.SECP384R1())

    def ed25519(self) -> ed25519.Ed25519PrivateKey:
        return ed25519.Ed25519PrivateKey.from_private_bytes(self._chance.randbytes(32))

    def hybrid(self) -> HybridKey:
        mlkem = MLKEM768PrivateKey.from_seed_bytes(self._chance.randbytes(64))
        return HybridKey(mlkem, X25519PrivateKey.from_private_bytes(self._chance.randbytes(32)))
