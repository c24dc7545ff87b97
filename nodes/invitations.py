"""An invitation at the machine that got it: its text is read, and believed only as far as it holds.

What anybody could have changed on the way is found here, before anything is sent. Who made it is
known by the network's root alone: give it, or its SHA-256, wherever another way to it exists.
"""

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from nodes.errors import NotAdmitted
from schemas.addresses import parent_of
from schemas.cards import enrolment_address
from schemas.errors import FormatError
from schemas.invitations import (
    InvitationFacts,
    JoinReason,
    read_text,
    unpack_invitation,
    write_text,
)
from schemas.limits import Limits
from schemas.moments import Instant, parse_instant
from schemas.objects import CutObject, cut_object
from schemas.statements import Invitation
from signing.authenticate import check_signer
from signing.chain import TrustStore
from signing.errors import KeyFileError
from signing.keys import PacketSigner, fingerprint
from signing.profiles import Purpose

LIMITS = Limits()


class ReceivedInvitation(msgspec.Struct, frozen=True):
    """An invitation that holds, as far as this machine can tell."""

    header: Invitation
    facts: InvitationFacts
    certificates: list[bytes]
    """DER: the enrolment certificate first, the root last."""
    signer: PacketSigner
    """Signs the request to join, with the enrolment key."""
    key: ec.EllipticCurvePrivateKey

    @property
    def address(self) -> str:
        """The node that a machine becomes by it."""
        return self.header.to

    @property
    def parent(self) -> str:
        """The node that gives it."""
        return self.header.from_

    @property
    def enrolment(self) -> str:
        """The name of its certificate, and of its user at the parent's broker."""
        return enrolment_address(self.parent, self.header.invitation)

    @property
    def root(self) -> bytes:
        """The network's root, DER."""
        return self.certificates[-1]


def make_text(invitation: bytes, key: ec.EllipticCurvePrivateKey) -> str:
    """Return the text of an invitation that its parent has signed."""
    der = key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return write_text(invitation, der)


def read_invitation(text: str, now: Instant, root_sha256: str | None = None) -> ReceivedInvitation:
    """Return what a text invites to, once all in it has held. Raises NotAdmitted.

    `root_sha256` is the fingerprint of the root that the network is known to have, in hex.
    """
    found, header, facts, certificates, private = _cut(text)
    if root_sha256 is not None and fingerprint(certificates[-1]) != root_sha256:
        what = f"its root is {fingerprint(certificates[-1])}, not {root_sha256}"
        raise NotAdmitted(JoinReason.FORGED, what)
    try:
        signer = _check(found, certificates, private, now)
    except (FormatError, KeyFileError) as error:
        raise NotAdmitted(JoinReason.FORGED, str(error)) from error
    if parse_instant(header.ends) <= now:
        what = f"it ended at {header.ends} by this machine's clock"
        raise NotAdmitted(JoinReason.EXPIRED, what)
    return ReceivedInvitation(header, facts, certificates, signer, private)


def read_changed(text: str, now: Instant, root_sha256: str) -> ReceivedInvitation | None:
    """Return a forged text's invitation where its one-time login is genuine all the same; or None.

    It may serve to tell the parent, and nothing else. By the root, known another way, and the
    certificate's own name the machine finds out whether it is the parent that it has called.
    """
    _, header, facts, certificates, private = _cut(text)
    try:
        if fingerprint(certificates[-1]) != root_sha256 or parent_of(header.to) != header.from_:
            return None
        signer = _check_login(header, certificates, private, now)
    except (FormatError, KeyFileError, NotAdmitted):
        return None
    return ReceivedInvitation(header, facts, certificates, signer, private)


def _cut(
    text: str,
) -> tuple[CutObject, Invitation, InvitationFacts, list[bytes], ec.EllipticCurvePrivateKey]:
    """Return what a whole text holds, nothing of it checked. Raises NotAdmitted."""
    try:
        raw, key = read_text(text)
        found = cut_object(raw)
        if not isinstance(found.header, Invitation):
            raise NotAdmitted(JoinReason.DAMAGED, "it holds something else than an invitation")
        facts, certificates = unpack_invitation(found.body)
        return found, found.header, facts, certificates, _load_key(key)
    except FormatError as error:
        raise NotAdmitted(JoinReason.DAMAGED, error.detail) from error


def _check(
    found: CutObject, certificates: list[bytes], key: ec.EllipticCurvePrivateKey, now: Instant
) -> PacketSigner:
    """Return the signer once the parent's signature and the one-time certificate have held."""
    header = found.header
    assert isinstance(header, Invitation), "looked at before"
    if parent_of(header.to) != header.from_:
        raise NotAdmitted(JoinReason.FORGED, f"{header.from_} may not invite {header.to}")
    trust = TrustStore(certificates[-1])
    trust.add_certificates(certificates[:-1])
    check_signer(found, header.from_, Purpose.PACKET, trust=trust, now=now, limits=LIMITS)
    return _check_login(header, certificates, key, now)


def _check_login(
    header: Invitation, certificates: list[bytes], key: ec.EllipticCurvePrivateKey, now: Instant
) -> PacketSigner:
    """Return the signer once the one-time certificate has held, for this key and invitation."""
    trust = TrustStore(certificates[-1])
    trust.add_certificates(certificates[:-1])
    signer = PacketSigner(key, certificates[0])
    named = enrolment_address(header.from_, header.invitation)
    standing = trust.judge_neighbour(signer.fingerprint, named, Purpose.ENROLMENT, now, LIMITS)
    if not hasattr(standing, "public_key"):
        raise NotAdmitted(JoinReason.FORGED, f"its one-time certificate: {standing.detail}")
    return signer


def _load_key(der: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_der_private_key(der, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise NotAdmitted(JoinReason.DAMAGED, "it holds no private key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise NotAdmitted(JoinReason.DAMAGED, "its private key is of another kind")
    return key
