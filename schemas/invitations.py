"""Invitations: what one says, and the text that carries it with its one-time key (clause 15).

    body = pieces: facts as UTF-8 JSON, then certificates as DER: the enrolment certificate's
           first, then those of authorities and of the parent, the root's last
    text = "bbaj1:" || base64url without padding (zlib (pieces: Invitation object, private key))

The text is a secret until it is used: who holds it can become the node that it names.
"""

import base64
import binascii
import re
import zlib
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import msgspec

from schemas import wire
from schemas.codes import Tier
from schemas.errors import FormatError
from schemas.objects import pack_pieces, unpack_pieces
from schemas.patterns import whole
from schemas.reasons import Reason

PREFIX = "bbaj1:"
INVITATION_BYTES_MAX = 16 * 1024
"""Of the text's content; a QR code holds about 2,900 characters."""
CERTIFICATES_MIN, CERTIFICATES_MAX = 3, 8

Url = Annotated[str, msgspec.Meta(pattern=whole(r"amqps://[!#-\[\]-~]+"), max_length=300)]
Vhost = Annotated[str, msgspec.Meta(pattern=whole(r"[!#-\[\]-~]+"), max_length=200)]

_not_of_text = re.compile(r"[^A-Za-z0-9_-]")


class JoinReason(StrEnum):
    """Why a machine may not join; each is the `reason` of a `Welcome` but the first."""

    DAMAGED = "invitation-damaged"
    """Found by the machine itself: the text is not whole."""
    FORGED = "invitation-forged"
    """Found by the machine itself: a signature or certificate in it does not hold. Where it can,
    it tells the parent, by a `Join` whose body is this word."""
    UNKNOWN = "invitation-unknown"
    USED = "invitation-used"
    WITHDRAWN = "invitation-withdrawn"
    EXPIRED = "invitation-expired"
    ADDRESS = "invitation-address"
    REQUEST = "request-invalid"
    AUTHORITY = "authority-refused"


JOIN_NEXT_STEP: dict[JoinReason, str] = {
    JoinReason.DAMAGED: "copy the whole text again, or scan its code again",
    JoinReason.FORGED: "use nothing of it, and tell the parent's operator",
    JoinReason.UNKNOWN: "ask the parent's operator for a new invitation",
    JoinReason.USED: "was it this machine's? If not, tell the parent's operator at once",
    JoinReason.WITHDRAWN: "ask the parent's operator why, and for a new invitation",
    JoinReason.EXPIRED: "set this machine's clock, or ask for a new invitation",
    JoinReason.ADDRESS: "use the invitation that was made for this address",
    JoinReason.REQUEST: "run the command again with the same version of bbaj as the parent",
    JoinReason.AUTHORITY: "ask the parent's operator: its incidents say why",
}
"""What the operator of the machine does next, in a few words; one line for every reason."""


class InvitationFacts(
    msgspec.Struct,
    frozen=True,
    gc=False,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """What a machine needs to become a node, but for certificates and the enrolment key."""

    urls: tuple[Url, ...]
    """Of the parent's broker, `amqps://host:port`; the next one is tried where one fails."""
    vhost: Vhost
    tier: Tier
    replaces: bool = False
    """The address has had a machine before, whose keys end when another joins."""


_facts = msgspec.json.Decoder(InvitationFacts)


def pack_invitation(facts: InvitationFacts, certificates: Sequence[bytes]) -> bytes:
    """Return an invitation's body."""
    assert CERTIFICATES_MIN <= len(certificates) <= CERTIFICATES_MAX, f"{len(certificates)}"
    return pack_pieces([wire.encode(facts), *certificates])


def unpack_invitation(body: bytes) -> tuple[InvitationFacts, list[bytes]]:
    """Return facts and certificates (DER). Raises FormatError(format-invalid)."""
    pieces, end = unpack_pieces(body)
    if not CERTIFICATES_MIN < len(pieces) <= 1 + CERTIFICATES_MAX or end != len(body):
        raise _invalid(f"body of {len(pieces)} pieces")
    facts = wire.decode_text(pieces[0], _facts, INVITATION_BYTES_MAX)
    if not facts.urls:
        raise _invalid("no url of the parent's broker")
    return facts, pieces[1:]


def write_text(invitation: bytes, key: bytes) -> str:
    """Return the text of a signed `Invitation` object and its private key (PKCS#8, DER)."""
    packed = zlib.compress(pack_pieces([invitation, key]), 9)
    return PREFIX + base64.urlsafe_b64encode(packed).decode("ascii").rstrip("=")


def read_text(text: str) -> tuple[bytes, bytes]:
    """Return the object and the key of a text, however its lines were broken on the way.

    Raises FormatError(format-invalid), saying what is damaged; nothing is authenticated yet.
    """
    whole_text = "".join(text.split())
    if not whole_text.startswith(PREFIX):
        raise _invalid(f"does not begin with {PREFIX}")
    encoded = whole_text[len(PREFIX) :]
    stranger = _not_of_text.search(encoded)
    if stranger is not None:
        at = len(PREFIX) + stranger.start() + 1
        raise _invalid(f"character {at} does not belong to it: copy the text again")
    packed = _inflate(_decode(encoded))
    pieces, end = unpack_pieces(packed)
    if len(pieces) != 2 or end != len(packed):
        raise _invalid(f"{len(pieces)} pieces, expected 2")
    return pieces[0], pieces[1]


def _decode(encoded: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    except binascii.Error as error:
        raise _invalid("cut short: copy the text again") from error


def _inflate(packed: bytes) -> bytes:
    inflating = zlib.decompressobj()
    try:
        content = inflating.decompress(packed, INVITATION_BYTES_MAX)
    except zlib.error as error:
        raise _invalid("a character of it has changed: copy the text again") from error
    if inflating.unconsumed_tail:
        raise _invalid(f"more than {INVITATION_BYTES_MAX} bytes")
    if not inflating.eof:
        raise _invalid("cut short: copy the text again")
    if inflating.unused_data:
        raise _invalid("something stands behind its end: copy the text again")
    return content


def _invalid(detail: str) -> FormatError:
    return FormatError(Reason.FORMAT_INVALID, f"invitation: {detail}")
