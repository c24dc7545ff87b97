"""Authenticating frames and link objects: what needs their bytes, certificates and `now` alone.

The order for frames is that of docs/protocol.md clause 9, and the first failure decides. Replay,
time window, standing and expiry need the node's state: the core does them. Pure, and safe to call
from several threads at once; the cryptography frees the interpreter lock.
"""

import hashlib
from typing import Literal, Protocol

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from schemas.addresses import parent_of
from schemas.cards import enrolment_address
from schemas.errors import FormatError
from schemas.frame import Frame, cut
from schemas.header import Header
from schemas.limits import Limits
from schemas.moments import Instant
from schemas.objects import AnyObject, CutObject, WithBody, cut_object
from schemas.reasons import Reason
from schemas.statements import (
    Alarm,
    Card,
    Grant,
    Join,
    Keys,
    Lacking,
    NoCard,
    Request,
    Statement,
    Track,
    Tracked,
)
from schemas.witnessing import Recover
from signing.chain import Missing, TrustStore, Untrusted
from signing.profiles import NODE_LIFE_US, Purpose
from signing.seal import check_signature, is_one_encoding, is_signed_by


class Routes(Protocol):
    """Which frames a link may bring, by the cards at hand (docs/protocol.md clause 9.3)."""

    def allows(self, neighbour: str, from_: str, to: str, now: Instant, grace_us: int) -> bool:
        """Say whether the link from `neighbour` may bring a frame of these two ends."""

    def may_lag(self, neighbour: str, from_: str) -> bool:
        """Say whether a card still on its way might admit a frame that is not allowed."""


RETURN_LIMIT_US = NODE_LIFE_US[Purpose.LINK]
"""Past its certificate's end, a node may return for so long: its link certificate ends then."""


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

    `card`: all else holds, and only a newer card of the sender would admit it over this link;
    `certificate` has the sender's address then. `class`: its retention class is on no list of the
    caller's, and `epoch`: its epoch is on no card of the sender's that the caller holds; both the
    caller alone finds out. `certificate` has the sender's address with `epoch`, too.
    """

    missing: Literal["certificate", "crl", "card", "class", "epoch"]
    detail: str
    certificate: str
    raw: bytes
    frame_sha256: bytes
    header: Header


_BAD_ENCODING = "signature is not strict DER with a low S"


class _Fault(msgspec.Struct, frozen=True, gc=False):
    reason: Reason
    detail: str
    proven: bool = False


def authenticate(
    raw: bytes,
    *,
    trust: TrustStore,
    routes: Routes,
    neighbour: str,
    now: Instant,
    limits: Limits,
) -> Accepted | Refused | Held:
    """Judge a frame that `neighbour` brought; the old way counts for the hold limit too."""
    try:
        frame = cut(raw)
    except FormatError as error:
        return Refused(error.reason, error.detail, raw, _sha256(raw), None, proven=False)
    if not is_one_encoding(frame.signature):
        return _refuse(frame, _Fault(Reason.FORMAT_INVALID, _BAD_ENCODING))
    header = frame.header
    if routes.allows(neighbour, header.from_, header.to, now, limits.hold_limit_us):
        return _judge_seal(frame, trust, now, limits)
    detail = f"link from {neighbour} may not bring {header.from_} to {header.to}"
    if routes.may_lag(neighbour, header.from_):
        verdict = _judge_seal(frame, trust, now, limits)
        if isinstance(verdict, Held):
            return verdict
        if isinstance(verdict, Accepted):
            return Held("card", detail, header.from_, raw, verdict.frame_sha256, header)
    return _refuse(frame, _Fault(Reason.ROUTE_FORBIDDEN, detail))


def _judge_seal(
    frame: Frame, trust: TrustStore, now: Instant, limits: Limits
) -> Accepted | Refused | Held:
    """Judge certificate, signature and payload."""
    header = frame.header
    standing = trust.judge(
        header.certificate,
        header.from_,
        Purpose.PACKET,
        header.sent_at,
        now,
        limits,
    )
    if isinstance(standing, Missing):
        digest = _sha256(frame.raw)
        return Held(standing.what, standing.detail, header.certificate, frame.raw, digest, header)
    if isinstance(standing, Untrusted):
        return _refuse(frame, _Fault(standing.reason, standing.detail))
    assert isinstance(standing.public_key, ec.EllipticCurvePublicKey), "packet keys are P-256"
    if not is_signed_by(standing.public_key, frame.signature, frame.signed):
        return _refuse(frame, _Fault(Reason.SIG_INVALID, "signature does not hold"))
    payload = memoryview(frame.raw)[frame.head_bytes :]
    fault = _check_payload(header, payload)
    if fault is not None:
        return _refuse(frame, fault)
    return _accept(frame, payload, standing.crl_number)


def authenticate_own(raw: bytes, *, trust: TrustStore, here: str) -> Accepted:
    """Return a frame of ours that a neighbour brings back, once its seal has held.

    What became of our key since does not count: it was in force when the neighbour took the frame.
    Raises FormatError.
    """
    frame = cut(raw)
    header = frame.header
    if not is_one_encoding(frame.signature):
        raise FormatError(Reason.FORMAT_INVALID, _BAD_ENCODING)
    key = trust.key_of(header.certificate, here, Purpose.PACKET)
    if header.from_ != here or not isinstance(key, ec.EllipticCurvePublicKey):
        raise FormatError(Reason.ROUTE_FORBIDDEN, f"frame of {header.from_}, not of {here}")
    if not is_signed_by(key, frame.signature, frame.signed):
        raise FormatError(Reason.SIG_INVALID, "signature does not hold")
    payload = memoryview(frame.raw)[frame.head_bytes :]
    fault = _check_payload(header, payload)
    if fault is not None:
        raise FormatError(fault.reason, fault.detail)
    return _accept(frame, payload, 0)


def authenticate_past(
    raw: bytes, *, trust: TrustStore, moment: Instant, limits: Limits
) -> Accepted:
    """Return a frame that was taken at `moment`, as its taker's own signature proves.

    Its certificate must have been good for it then. Revocation does not count: whether the key was
    on a list then was judged when it came. Raises FormatError.
    """
    frame = cut(raw)
    header = frame.header
    if not is_one_encoding(frame.signature):
        raise FormatError(Reason.FORMAT_INVALID, _BAD_ENCODING)
    claim = (header.certificate, header.from_, Purpose.PACKET)
    standing = trust.judge(*claim, header.sent_at, moment, limits)
    if isinstance(standing, Untrusted) and standing.reason != Reason.KEY_REVOKED:
        raise FormatError(standing.reason, standing.detail)
    key = trust.key_of(*claim)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        detail = f"certificate {header.certificate} is not at hand"
        raise FormatError(Reason.SENDER_UNKNOWN, detail)
    if not is_signed_by(key, frame.signature, frame.signed):
        raise FormatError(Reason.SIG_INVALID, "signature does not hold")
    payload = memoryview(frame.raw)[frame.head_bytes :]
    fault = _check_payload(header, payload)
    if fault is not None:
        raise FormatError(fault.reason, fault.detail)
    return _accept(frame, payload, 0)


def check_own_object(raw: bytes, *, trust: TrustStore, here: str) -> AnyObject:
    """Return an object without a body that we had signed, whatever became of our key since.

    Raises FormatError.
    """
    found = cut_object(raw)
    key = trust.key_of(found.header.certificate, here, Purpose.PACKET)
    if found.header.from_ != here or not isinstance(key, ec.EllipticCurvePublicKey):
        raise FormatError(Reason.ROUTE_FORBIDDEN, f"object of {found.header.from_}, not of {here}")
    reason = check_signature(key, found.signature, found.signed)
    if reason is not None:
        raise FormatError(reason, "our object: signature does not hold")
    _check_body(found)
    return found.header


def check_object(
    raw: bytes,
    *,
    trust: TrustStore,
    here: str,
    neighbour: str,
    now: Instant,
    limits: Limits,
) -> CutObject:
    """Return what a neighbour brings, once signature, ends and body have held.

    Link objects must be the neighbour's own and for us; statements may be anybody's. Both are
    taken although the CRLs at hand are stale: it is the neighbour who brings the new ones. Raises
    FormatError with the reason of the first failure; `sender-unknown` where the issuer's
    certificate has not come yet: ask for it.
    """
    found = cut_object(raw)
    header = found.header
    _check_ends(header, here, neighbour)
    match header:
        case Join():
            named, purpose = enrolment_address(here, header.invitation), Purpose.ENROLMENT
        case _:
            named, purpose = header.from_, Purpose.PACKET
    if _may_come_late(header):
        limits = msgspec.structs.replace(limits, late_limit_us=RETURN_LIMIT_US)
    check_signer(found, named, purpose, trust=trust, now=now, limits=limits)
    return found


def _may_come_late(header: AnyObject) -> bool:
    """Say whether a node that was away for long may sign an object with its ended key.

    It must be able to greet, to say what it has taken, and to ask for its next certificate.
    """
    if isinstance(header, Request):
        return header.what == "renew"
    return not isinstance(header, Statement | Join)


def check_signer(
    found: CutObject,
    address: str,
    purpose: Purpose,
    *,
    trust: TrustStore,
    now: Instant,
    limits: Limits,
) -> None:
    """Raise FormatError unless `address` signed an object, and the body is the one it names.

    The certificate may be at most the late limit past its end: what it signs here is no packet,
    and a node whose key has ended must still be able to ask for another.
    """
    standing = trust.judge_neighbour(found.header.certificate, address, purpose, now, limits)
    if isinstance(standing, Missing):
        raise FormatError(Reason.SENDER_UNKNOWN, standing.detail)
    if isinstance(standing, Untrusted):
        raise FormatError(standing.reason, standing.detail)
    assert isinstance(standing.public_key, ec.EllipticCurvePublicKey), "such keys are P-256"
    reason = check_signature(standing.public_key, found.signature, found.signed)
    if reason is not None:
        raise FormatError(reason, "object: signature does not hold, or is not in its one encoding")
    _check_body(found)


def _check_ends(header: AnyObject, here: str, neighbour: str) -> None:
    """Raise FormatError where an object is not between those that its kind is between."""
    match header:
        case Card():
            fits = header.from_ == (parent_of(header.to) or header.to)
        case Keys():
            fits = header.from_ == header.to
        case NoCard() | Request() | Grant() | Alarm() | Track() | Tracked() | Lacking() | Recover():
            fits = True  # whether the issuer may say it, the node's state decides
        case _:
            fits = (header.from_, header.to) == (neighbour, here)
    if not fits:
        detail = f"object of {header.from_} to {header.to} on the link from {neighbour}"
        raise FormatError(Reason.ROUTE_FORBIDDEN, detail)


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


def _check_body(found: CutObject) -> None:
    header = found.header
    if not isinstance(header, WithBody):
        if found.body:
            raise FormatError(Reason.FORMAT_INVALID, f"{len(found.body)} bytes behind the object")
        return
    if len(found.body) != header.body.size:
        detail = f"body of {len(found.body)} bytes, the header names {header.body.size}"
        raise FormatError(Reason.DIGEST_MISMATCH, detail)
    if hashlib.sha256(found.body).hexdigest() != header.body.sha256:
        detail = "body differs from the SHA-256 that the header names"
        raise FormatError(Reason.DIGEST_MISMATCH, detail)
