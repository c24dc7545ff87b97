"""The limit that one signature a packet sets: what one thread verifies with P-256, and no more."""

import os
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

SIGNATURES = 5000
HEAD_BYTES = 600
"""About what a packet's signature covers."""
ALGORITHM = ec.ECDSA(hashes.SHA256())


def verified_per_second() -> float:
    """Return the signatures that one thread verifies in a second, under a key at hand."""
    key = ec.generate_private_key(ec.SECP256R1())
    heads = [os.urandom(HEAD_BYTES) for _ in range(SIGNATURES)]
    signed = [(key.sign(head, ALGORITHM), head) for head in heads]
    public = key.public_key()
    began = time.perf_counter()
    for signature, head in signed:
        public.verify(signature, head, ALGORITHM)
    return SIGNATURES / (time.perf_counter() - began)
