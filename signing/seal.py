"""Sealing frames and link objects, and the check of one signature (docs/protocol.md clause 3)."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from schemas.frame import join_head, signed_bytes
from schemas.header import Header
from schemas.objects import AnyObject, join_object, object_signed_bytes
from schemas.reasons import Reason
from signing.keys import P256_HALF_ORDER, P256_ORDER, Signer

_ECDSA = ec.ECDSA(hashes.SHA256())


def seal(header: Header, payload: bytes, signer: Signer) -> bytes:
    """Return the frame of a header and the payload whose facts it names.

    Raises FormatError where the header is over its limit.
    """
    assert header.certificate == signer.fingerprint, "header names another certificate"
    assert header.payload.size == len(payload), "header names another payload"
    signed = signed_bytes(header)
    return join_head(signed, signer.sign(signed)) + payload


def sign_object(header: AnyObject, signer: Signer, body: bytes = b"") -> bytes:
    """Return a link object's exact bytes. Raises FormatError where the header is over its limit."""
    assert header.certificate == signer.fingerprint, "header names another certificate"
    signed = object_signed_bytes(header)
    return join_object(signed, signer.sign(signed), body)


def is_one_encoding(signature: bytes) -> bool:
    """Say whether a signature is strict DER with both numbers in range and a low S."""
    try:
        r, s = decode_dss_signature(signature)
    except ValueError:
        return False
    return 0 < r < P256_ORDER and 0 < s <= P256_HALF_ORDER


def is_signed_by(public_key: ec.EllipticCurvePublicKey, signature: bytes, signed: bytes) -> bool:
    """Say whether the key made the signature over `signed`."""
    try:
        public_key.verify(signature, signed, _ECDSA)
    except InvalidSignature:
        return False
    return True


def check_signature(
    public_key: ec.EllipticCurvePublicKey,
    signature: bytes,
    signed: bytes,
) -> Reason | None:
    """Return None, `format-invalid` (lax DER or a high S), or `sig-invalid`."""
    if not is_one_encoding(signature):
        return Reason.FORMAT_INVALID
    if not is_signed_by(public_key, signature, signed):
        return Reason.SIG_INVALID
    return None
