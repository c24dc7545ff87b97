"""What a process has worked out once and need not again: it depends on its arguments alone.

Every run has the same certificates and lists, and each node reads them at each start; a message is
checked by its receiver right after its sender has signed it. Such answers are kept, under all that
they depend on. What was altered on its way, or forged, is checked as ever.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from signing import certificates, crl, paths, seal
from signing.keys import PacketSigner

KEPT = 4096
"""So many answers of each kind are kept."""

_read_crl = crl.read_crl


@lru_cache(KEPT)
def _read_der(der: bytes, issuer: x509.Certificate) -> crl.Crl:
    return _read_crl(crl.parse_crl(der), issuer, der)


def _read(_parsed: Any, issuer: x509.Certificate, der: bytes) -> crl.Crl:
    return _read_der(der, issuer)


ANSWERS: list[tuple[Any, str, Callable[..., Any]]] = [
    (certificates, "parse_certificate", lru_cache(KEPT)(certificates.parse_certificate)),
    (certificates, "is_issued_by", lru_cache(KEPT)(certificates.is_issued_by)),
    (paths, "verify_chain", lru_cache(KEPT)(paths.verify_chain)),
    (crl, "parse_crl", lru_cache(KEPT)(crl.parse_crl)),
    (crl, "read_crl", _read),
]
"""Where a function stands, its name, and what stands there during a run."""


def _signatures() -> list[tuple[Any, str, Callable[..., Any]]]:
    """Return what signs with packet keys and what checks it: what was signed here holds."""
    made: dict[tuple[bytes, bytes], ec.EllipticCurvePublicKey] = {}
    keys: dict[str, ec.EllipticCurvePublicKey] = {}
    signs, checks = PacketSigner.sign, seal.is_signed_by

    def sign(signer: PacketSigner, data: bytes) -> bytes:
        if signer.fingerprint not in keys:
            found = x509.load_der_x509_certificate(signer.certificate).public_key()
            assert isinstance(found, ec.EllipticCurvePublicKey), "packet keys are P-256"
            keys[signer.fingerprint] = found
        signature = signs(signer, data)
        made[signature, data] = keys[signer.fingerprint]
        return signature

    def is_signed_by(key: ec.EllipticCurvePublicKey, signature: bytes, signed: bytes) -> bool:
        return made.get((signature, signed)) == key or checks(key, signature, signed)

    return [(PacketSigner, "sign", sign), (seal, "is_signed_by", is_signed_by)]


@contextmanager
def remembering() -> Iterator[None]:
    """Keep answers for the time of a run; those about certificates for the process."""
    places = [*ANSWERS, *_signatures()]
    before = [(place, name, getattr(place, name)) for place, name, _ in places]
    for place, name, answer in places:
        setattr(place, name, answer)
    try:
        yield
    finally:
        for place, name, answer in before:
            setattr(place, name, answer)
