"""Authenticating frames and link objects: what needs their bytes, certificates and `now` alone.

The order for frames is that of docs/protocol.md clause 9, and the first failure decides. Replay,
time window, standing and expiry need the node's state: the core does them. Pure, and safe to call
from several threads at once; the cryptography frees the interpreter lock.
"""

import hashlib
from typing import Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from schemas.errors import FormatError
from schemas.frame import Frame, cut
from schemas.header import Header
from schemas.limits import Limits
from schemas.moments import Instant
from schemas.objects import Bundle, Certificate, Crl, CutObject, cut_object
from schemas.reasons import Reason
from schemas.routes import route_allows
from signing.chain import Missing, TrustStore, Untrusted
from signing.profiles import Purpose
from signing.seal import check_signature, is_one_encoding, is_signed_by


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """Everything about the frame has held. Digests are raw bytes."""

    frame: Frame
    head_sha256: bytes
    head_sha512: bytes
    frame_sha256: bytes
    crl: int
    """Number of the issuer's CRL that the certificate was not on."""


class Refused(msgspec.Struct, frozen=True, gc=False):
    """A check has failed. `proven`: the signature has held, so the header's facts are its own."""

    reason: Reason
    detail: str
    raw: bytes
    frame_sha256: bytes
    header: Header | None
    proven: bool


class Held(msgspec.Struct, frozen=True, gc=False):
    """It cannot be said yet: something is missing for the frame's certificate (hex SHA-256).

    `class`: its retention class is on no list of the caller's, which alone finds that out.
    """

    missing: Literal["certificate", "crl", "class"]
    detail: str
    certificate: str
    raw: bytes
    frame_sha256: bytes
    header: Header


class _Fault(msgspec.Struct, frozen=True, gc=False):
    reason: Reason
    detail: str
    proven: bool = False


def authenticate(  # noqa: PLR0911 - one return for each verdict, in the order of the clause
    raw: bytes,
    *,
    trust: TrustStore,
    here: str,
    neighbour: str,
    now: Instant,
    limits: Limits,
) -> Accepted | Refused | Held:
    """Judge a frame that `neighbour` brought to `here`."""
    try:
        frame = cut(raw)
    except FormatError as error:
        return Refused(error.reason, error.detail, raw, _sha256(raw), None, proven=False)
    header = frame.header
    fault = _check_before_trust(frame, here, neighbour)
    if fault is not None:
        return _refuse(frame, fault)
    standing = trust.judge(
        header.certificate,
        header.from_,
        Purpose.PACKET,
        header.sent_at,
        now,
        limits,
    )
    if isinstance(standing, Missing):
        digest = _sha256(raw)
        return Held(standing.what, standing.detail, header.certificate, raw, digest, header)
    if isinstance(standing, Untrusted):
        return _refuse(frame, _Fault(standing.reason, standing.detail))
    assert isinstance(standing.public_key, ec.EllipticCurvePublicKey), "packet keys are P-256"
    if not is_signed_by(standing.public_key, frame.signature, frame.signed):
        return _refuse(frame, _Fault(Reason.SIG_INVALID, "signature does not hold"))
    payload = memoryview(raw)[frame.head_bytes :]
    fault = _check_payload(header, payload)
    if fault is not None:
        return _refuse(frame, fault)
    return _accept(frame, payload, standing.crl_number)


def check_object(
    raw: bytes,
    *,
    trust: TrustStore,
    here: str,
    neighbour: str,
    now: Instant,
    limits: Limits,
) -> CutObject:
    """Return the neighbour's link object once signature, ends and body have held.

    A neighbour's objects are taken although the CRLs at hand are stale: it is the neighbour who
    brings the new ones. Raises FormatError with the reason of the first failure; `sender-unknown`
    where the neighbour's certificate has not come yet: ask for it.
    """
    found = cut_object(raw)
    header = found.header
    if (header.from_, header.to) != (neighbour, here):
        detail = f"object of {header.from_} to {header.to} on the link from {neighbour}"
        raise FormatError(Reason.ROUTE_FORBIDDEN, detail)
    key = _neighbours_key(trust, header.certificate, neighbour, now, limits)
    reason = check_signature(key, found.signature, found.signed)
    if reason is not None:
        raise FormatError(reason, "object: signature does not hold, or is not in its one encoding")
    _check_body(found)
    return found


def _check_before_trust(frame: Frame, here: str, neighbour: str) -> _Fault | None:
    if not is_one_encoding(frame.signature):
        return _Fault(Reason.FORMAT_INVALID, "signature is not strict DER with a low S")
    header = frame.header
    if not route_allows(here, neighbour, from_=header.from_, to=header.to):
        detail = f"link from {neighbour} may not bring {header.from_} to {header.to}"
        return _Fault(Reason.ROUTE_FORBIDDEN, detail)
    return None


def _check_payload(header: Header, payload: memoryview) -> _Fault | None:
    facts = header.payload
    if len(payload) != facts.size:
        wrong = f"payload of {len(payload)} bytes, the header names {facts.size}"
    elif hashlib.sha256(payload).hexdigest() != facts.sha256:
        wrong = "payload differs from the SHA-256 that the header names"
    elif hashlib.sha512(payload).hexdigest() != facts.sha512:
        wrong = "payload differs from the SHA-512 that the header names"
    else:
        return None
    return _Fault(Reason.DIGEST_MISMATCH, wrong, proven=True)


def _accept(frame: Frame, payload: memoryview, crl_number: int) -> Accepted:
    head = frame.head
    digest = hashlib.sha256(head)
    head_sha256 = digest.digest()
    digest.update(payload)
    return Accepted(
        frame,
        head_sha256,
        hashlib.sha512(head).digest(),
        digest.digest(),
        crl_number,
    )


def _refuse(frame: Frame, fault: _Fault) -> Refused:
    return Refused(
        fault.reason,
        fault.detail,
        frame.raw,
        _sha256(frame.raw),
        frame.header,
        proven=fault.proven,
    )


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _neighbours_key(
    trust: TrustStore,
    fingerprint: str,
    neighbour: str,
    now: Instant,
    limits: Limits,
) -> ec.EllipticCurvePublicKey:
    standing = trust.judge_neighbour(fingerprint, neighbour, Purpose.PACKET, now, limits)
    if isinstance(standing, Missing):
        raise FormatError(Reason.SENDER_UNKNOWN, standing.detail)
    if isinstance(standing, Untrusted):
        raise FormatError(standing.reason, standing.detail)
    assert isinstance(standing.public_key, ec.EllipticCurvePublicKey), "packet keys are P-256"
    return standing.public_key


def _check_body(found: CutObject) -> None:
    header = found.header
    if not isinstance(header, Bundle | Certificate | Crl):
        if found.body:
            raise FormatError(Reason.FORMAT_INVALID, f"{len(found.body)} bytes behind the object")
        return
    if len(found.body) != header.body.size:
        detail = f"body of {len(found.body)} bytes, the header names {header.body.size}"
        raise FormatError(Reason.DIGEST_MISMATCH, detail)
    if hashlib.sha256(found.body).hexdigest() != header.body.sha256:
        detail = "body differs from the SHA-256 that the header names"
        raise FormatError(Reason.DIGEST_MISMATCH, detail)
