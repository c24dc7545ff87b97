"""What a request asks an authority for, and whether its issuer may (docs/protocol.md clause 14.2).

Pure: bytes in, a decision out. What the authority has given before, it looks up itself.
"""

import msgspec

from schemas import wire
from schemas.addresses import Address, is_within, label_of, parent_of
from schemas.cards import ENROLMENT_LABEL
from schemas.errors import FormatError
from schemas.objects import unpack_pieces
from schemas.statements import Request, Revocation
from schemas.wire import printable
from signing.authority import REASONS, public_key_of_request, purpose_of_request
from signing.errors import IssueError
from signing.keys import key_digest
from signing.paths import PublicKey
from signing.profiles import Purpose, is_key_of

NODE_PURPOSES = (Purpose.PACKET, Purpose.JOURNAL, Purpose.LINK, Purpose.WITNESS)
"""In this order a request has them that does not name them; a leaf leaves the last one out."""

_revocations = msgspec.json.Decoder(Revocation)


class Asked(msgspec.Struct, frozen=True):
    """One certificate that is asked for."""

    purpose: Purpose
    key: PublicKey
    digest: bytes
    """SHA-256 of the key."""


class Refusal(msgspec.Struct, frozen=True):
    """Why a request is refused; printable ASCII."""

    detail: str
    incident: str = "request_refused"


def fault_of_issuer(header: Request, here: Address, subtree: Address) -> str | None:
    """Return why the issuer of a request may not make it here; None where it may."""
    issuer, subject = header.from_, header.subject
    if not is_within(subject, subtree):
        return f"{subject} is outside the subtree of {subtree}"
    may_ask = {
        "join": parent_of(subject) == issuer and label_of(subject) != ENROLMENT_LABEL,
        "enrol": _invited_by(subject) == issuer,
        "renew": subject == issuer,
        "revoke": issuer in {subject, parent_of(subject), _invited_by(subject), here},
    }
    return None if may_ask[header.what] else f"{issuer} may not ask to {header.what} {subject}"


def _invited_by(subject: Address) -> Address | None:
    """Return whose invitation a name is of, or None."""
    above = parent_of(subject)
    if above is None or label_of(above) != ENROLMENT_LABEL:
        return None
    return parent_of(above)


def read_asked(header: Request, body: bytes) -> list[Asked] | Refusal:
    """Return the certificates that are asked for, each with the key that its request proves."""
    try:
        pieces, end = unpack_pieces(body)
        if end != len(body) or not pieces or len(pieces) > len(NODE_PURPOSES):
            return Refusal(f"{len(pieces)} certificate requests, or more than those")
        asked = [_read_one(header, place, each) for place, each in enumerate(pieces)]
    except (FormatError, IssueError) as error:
        return Refusal(printable(str(error)))
    fault = _fault_of(header, asked)
    return asked if fault is None else Refusal(fault)


def _read_one(header: Request, place: int, request: bytes) -> Asked:
    key = public_key_of_request(request)
    by_order = Purpose.ENROLMENT if header.what == "enrol" else NODE_PURPOSES[place]
    return Asked(purpose_of_request(request) or by_order, key, key_digest(key))


def _fault_of(header: Request, asked: list[Asked]) -> str | None:
    purposes = [each.purpose for each in asked]
    if len(set(purposes)) < len(purposes):
        return "two requests are for one purpose"
    if len({each.digest for each in asked}) < len(asked):
        return "two purposes share a key"
    for each in asked:
        if not is_key_of(each.purpose, each.key):
            return f"the {each.purpose} key is of another kind"
    if (Purpose.ENROLMENT in purposes) != (header.what == "enrol"):
        return f"no certificate for {purposes[0]} is given to {header.what}"
    missing = [each for each in NODE_PURPOSES[:3] if each not in purposes]
    if header.what == "join" and missing:
        return f"the request for the {missing[0]} key is missing"
    return None


def read_revocation(body: bytes) -> Revocation | Refusal:
    """Return what is to be revoked, and why."""
    try:
        found = wire.decode(body, _revocations)
    except FormatError as error:
        return Refusal(error.detail)
    if found.reason not in REASONS:
        return Refusal(f"reason {printable(found.reason)} is unknown")
    return found
