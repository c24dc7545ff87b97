"""What every certificate of the network looks like (docs/protocol.md, on trust).

    root       P-384, 25 years, off line                       issues authorities and their CRL
    authority  P-256, 10 years, pathLen 0, critical permitted  issues nodes of one subtree and
               DNS subtree                                     their CRL
    node       packet P-256, journal and witness Ed25519: 400 days; link P-256: 3 years
    enrolment  P-256, 1 day, named below the inviting parent   lets one machine ask to join

A certificate names its node by exactly one alternative name, the address reversed as a DNS name,
and its purpose by extended key usages of an arc of our own (2.25 and a fixed UUID, X.667).
"""

from collections.abc import Iterable
from enum import StrEnum

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID

from schemas.moments import DAY, MINUTE, Instant

ARC = "2.25.28651248387173686311191581188344927570"
"""UUID 158e079b-d08f-46ac-9546-fa52d52e5552 as a number."""


class Purpose(StrEnum):
    """What a node's certificate is for; one key serves one purpose."""

    PACKET = "packet"
    JOURNAL = "journal"
    WITNESS = "witness"
    LINK = "link"
    ENROLMENT = "enrolment"


KEY_USAGES: dict[Purpose, frozenset[x509.ObjectIdentifier]] = {
    Purpose.PACKET: frozenset({x509.ObjectIdentifier(f"{ARC}.1")}),
    Purpose.JOURNAL: frozenset({x509.ObjectIdentifier(f"{ARC}.2")}),
    Purpose.WITNESS: frozenset({x509.ObjectIdentifier(f"{ARC}.3")}),
    Purpose.LINK: frozenset(
        {
            x509.ObjectIdentifier(f"{ARC}.4"),
            ExtendedKeyUsageOID.CLIENT_AUTH,
            ExtendedKeyUsageOID.SERVER_AUTH,
        },
    ),
    Purpose.ENROLMENT: frozenset(
        {x509.ObjectIdentifier(f"{ARC}.5"), ExtendedKeyUsageOID.CLIENT_AUTH},
    ),
}
"""The extended key usages of each purpose: all of them, and no other."""

KEY_TYPES: dict[Purpose, type[ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey]] = {
    Purpose.PACKET: ec.EllipticCurvePublicKey,
    Purpose.JOURNAL: ed25519.Ed25519PublicKey,
    Purpose.WITNESS: ed25519.Ed25519PublicKey,
    Purpose.LINK: ec.EllipticCurvePublicKey,
    Purpose.ENROLMENT: ec.EllipticCurvePublicKey,
}

_YEAR = 365 * DAY + DAY // 4

ROOT_LIFE_US = 25 * _YEAR
AUTHORITY_LIFE_US = 10 * _YEAR
NODE_LIFE_US: dict[Purpose, int] = {
    Purpose.PACKET: 400 * DAY,
    Purpose.JOURNAL: 400 * DAY,
    Purpose.WITNESS: 400 * DAY,
    Purpose.LINK: 3 * _YEAR,
    Purpose.ENROLMENT: 1 * DAY,
}
RENEW_LEFT_US = 200 * DAY
"""With so much left, at most, a packet, journal or witness certificate is renewed."""
NOT_BEFORE_SLACK_US = 5 * MINUTE
"""A certificate or CRL begins this long before it was made: clocks of its first readers differ."""
CRL_LIFE_US = 1 * DAY
ROOT_CRL_LIFE_US = 400 * DAY
"""The root is off line: its list of revoked authorities is made by hand, once a year or at need."""

CERTIFICATE_BYTES_MAX = 4096
CRL_BYTES_MAX = 4 * 1024 * 1024
"""About 100,000 entries of 39 bytes."""


def purpose_of_usages(usages: Iterable[x509.ObjectIdentifier]) -> Purpose | None:
    """Return the purpose that has exactly these extended key usages, or None."""
    found = frozenset(usages)
    return next((purpose for purpose, own in KEY_USAGES.items() if own == found), None)


def is_key_of(purpose: Purpose, key: object) -> bool:
    """Say whether a public key is of the one kind that the purpose takes."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        return KEY_TYPES[purpose] is ec.EllipticCurvePublicKey and is_p256(key)
    return isinstance(key, KEY_TYPES[purpose])


def is_p256(key: object) -> bool:
    """Say whether a public key is on the curve P-256."""
    return isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)


def renews_at(purpose: Purpose, since: Instant, until: Instant, spread: float) -> Instant:
    """Return when a node asks for the certificate after this one; `spread` in [0, 1) parts nodes.

    With 200 days left; with half of its life left where that is less, and for `link`: it lets in
    whoever was away for long. The spread is a tenth of what is left then.
    """
    half = (until - since - NOT_BEFORE_SLACK_US) // 2
    left = half if purpose is Purpose.LINK else min(RENEW_LEFT_US, half)
    return until - left + int(spread * left / 10)
