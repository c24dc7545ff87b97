"""The trust store: which certificates count, for whom, for what, and when.

It is fed bytes (root, certificates, CRLs) and answers `judge`; nothing here reads a clock or a
disk. Certificates are untrusted until judged; who brought them does not matter. Safe to use from
several threads: readers see whole values, writers take a lock.
"""

import threading
from collections.abc import Iterable
from typing import Literal

import msgspec
from cryptography import x509

from schemas.errors import FormatError
from schemas.limits import Limits
from schemas.moments import Instant, format_instant
from schemas.reasons import Reason
from signing import certificates, crl, paths
from signing.certificates import Life
from signing.crl import Crl
from signing.errors import CertificateError, KeyFileDamagedError
from signing.keys import fingerprint
from signing.paths import Authority, IssuingKey, Path, PublicKey
from signing.profiles import Purpose

CERTIFICATES_MAX = 500_000
"""Certificates kept that an authority of ours issued: 21,000 nodes, three keys, eight renewals."""
STRANGERS_MAX = 1024
"""Certificates kept of which no authority is known; the oldest go first."""
FOREIGN_TRIED_MAX = 4
"""Foreign issuers of one name whose signature is tried on a certificate."""


class Trusted(msgspec.Struct, frozen=True, gc=False):
    """The certificate counts; `crl_number` is the issuer's list that it is not on."""

    public_key: PublicKey
    crl_number: int


class Untrusted(msgspec.Struct, frozen=True, gc=False):
    """The certificate does not count, and never will for this claim."""

    reason: Reason
    detail: str


class Missing(msgspec.Struct, frozen=True, gc=False):
    """It cannot be said yet: a certificate, or a current CRL, has still to come."""

    what: Literal["certificate", "crl"]
    detail: str


class CrlLearned(msgspec.Struct, frozen=True, gc=False):
    """A newer list now counts. `issuer` is the fingerprint of its issuer's certificate."""

    issuer: str
    number: int
    next_update: Instant
    newly_revoked: int
    dropped: int
    """Entries of the older list that are not on this one: they stay revoked, and it is an alarm."""


class CrlKnown(msgspec.Struct, frozen=True, gc=False):
    """The list is not newer than the one that counts; it is ignored."""

    issuer: str
    number: int
    current: int
    """Number of the one that counts."""


class CrlRefused(msgspec.Struct, frozen=True, gc=False):
    """The list does not count."""

    detail: str


class TrustStore:
    """Holds the root, authorities, node certificates and current CRLs, and judges by them."""

    def __init__(self, root: bytes) -> None:
        """Begin with the root's DER. Raises KeyFileDamagedError where it is no root of ours."""
        parsed = certificates.parse_certificate(root)
        if parsed is None:
            raise KeyFileDamagedError("root certificate cannot be read: fetch it again")
        try:
            certificates.check_root(parsed)
        except CertificateError as error:
            raise KeyFileDamagedError(f"{error.detail}: fetch the root again") from error
        self.root = root
        self._root = paths.authority_of(parsed)
        self._authorities: dict[str, Authority] = {}
        self._issuing_keys: dict[bytes, IssuingKey] = {}
        self._known: dict[str, bytes] = {}
        self._strangers: dict[str, bytes] = {}
        self._foreign: dict[str, tuple[bytes, bytes | None]] = {}
        self._paths: dict[tuple[str, Purpose], Path] = {}
        self._failed: dict[tuple[str, Purpose], Untrusted | Missing] = {}
        self._lock = threading.Lock()

    # ------------------------------------------------------------------ judging

    def judge(  # noqa: PLR0917 - one claim, six facts; positional on the hot path
        self,
        fingerprint_: str,
        address: str,
        purpose: Purpose,
        sent: Instant,
        now: Instant,
        limits: Limits,
    ) -> Trusted | Untrusted | Missing:
        """Judge a certificate for a claim: this address used it for this purpose at `sent`."""
        path = self._paths.get((fingerprint_, purpose)) or self._follow(fingerprint_, purpose)
        if not isinstance(path, Path):
            return path
        if path.address != address:
            return _misnamed(path, address)
        if not path.whole.since <= sent <= path.whole.until:
            return _judge_outside(path, sent)
        if now > path.own.until + limits.late_limit_us:
            return _expired(path, f"and the late limit has passed at {format_instant(now)}")
        return self._judge_standing(path, now - limits.crl_grace_us)

    def judge_neighbour(
        self,
        fingerprint_: str,
        address: str,
        purpose: Purpose,
        now: Instant,
        limits: Limits,
    ) -> Trusted | Untrusted | Missing:
        """Judge a neighbour's certificate for what passes over the link and bears no time.

        As `judge` at some time of its life, but a CRL that is stale or has not come does not
        hinder: it is the neighbour who brings the next one. `crl_number` is 0 then.
        """
        path = self._paths.get((fingerprint_, purpose)) or self._follow(fingerprint_, purpose)
        if not isinstance(path, Path):
            return path
        sent = min(max(now, path.whole.since), path.whole.until)
        standing = self.judge(fingerprint_, address, purpose, sent, now, limits)
        if isinstance(standing, Missing) and standing.what == "crl":
            return Trusted(path.public_key, 0)
        return standing

    def _judge_standing(self, path: Path, oldest: Instant) -> Trusted | Untrusted | Missing:
        """Judge by the CRLs at hand; none may have been due before `oldest`."""
        own, root = path.issuing_key.crl, self._root.issuing_key.crl
        if own is not None and path.serial in own.revoked:
            return Untrusted(Reason.KEY_REVOKED, f"certificate is on CRL {own.number}")
        if root is not None and path.authority_serial in root.revoked:
            return Untrusted(
                Reason.KEY_REVOKED, f"its authority is on the root's CRL {root.number}"
            )
        if own is None or root is None:
            whose = "its authority" if own is None else "the root"
            return Missing("crl", f"no CRL of {whose} has come")
        if own.next_update < oldest or root.next_update < oldest:
            stale = own if own.next_update < oldest else root
            return Missing("crl", f"CRL due {format_instant(stale.next_update)} has not come")
        return Trusted(path.public_key, own.number)

    def _follow(self, fingerprint_: str, purpose: Purpose) -> Path | Untrusted | Missing:
        """Judge what does not depend on the packet, and keep the answer."""
        claim = (fingerprint_, purpose)
        failed = self._failed.get(claim)
        if failed is not None:
            return failed
        with self._lock:
            der = self._known.get(fingerprint_) or self._strangers.get(fingerprint_)
            if der is None:
                return Missing("certificate", f"certificate {fingerprint_} is not at hand")
            path = self._find_path(der, purpose)
            if isinstance(path, Path):
                self._paths[claim] = path
            else:
                self._failed[claim] = path
            return path

    def _find_path(self, der: bytes, purpose: Purpose) -> Path | Untrusted | Missing:
        certificate = certificates.parse_certificate(der)
        assert certificate is not None, "kept certificates can be parsed"
        authorities = self._authorities_of(certificate)
        if not authorities:
            return self._without_authority(certificate)
        try:
            return paths.follow(certificate, authorities[0], self._root, purpose)
        except CertificateError as fault:
            return Untrusted(fault.reason, fault.detail)

    def _without_authority(self, certificate: x509.Certificate) -> Untrusted | Missing:
        """Tell an issuer that does not count from an authority that may still come.

        A foreign issuer at hand ends the wait only if its key really signed the certificate: names
        and key identifiers are anybody's to copy.
        """
        issuer = certificate.issuer
        named = (issuer.public_bytes(), certificates.issuer_key_id(certificate))
        foreign = [self._strangers[name] for name, who in self._foreign.items() if who == named]
        at_hand = map(certificates.parse_certificate, foreign[:FOREIGN_TRIED_MAX])
        if issuer in {certificate.subject, self._root.certificate.subject} or any(
            each is not None and certificates.is_issued_by(certificate, each) for each in at_hand
        ):
            detail = "certificate does not chain to the root through one authority"
            return Untrusted(Reason.CERTIFICATE_UNTRUSTED, detail)
        return Missing("certificate", "the certificate's authority is not at hand")

    def key_of(self, fingerprint_: str, address: str, purpose: Purpose) -> PublicKey | None:
        """Return a key that was certified for an address, whatever became of it since.

        For what was signed in the past and is proven to be of then by other means; None where the
        certificate is not at hand, or is no such one.
        """
        path = self._paths.get((fingerprint_, purpose)) or self._follow(fingerprint_, purpose)
        return path.public_key if isinstance(path, Path) and path.address == address else None

    # ------------------------------------------------------------------ what is held

    def certificates_of(self, address: str) -> list[str]:
        """Return the certificates that name an address, by fingerprint; not judged here."""
        with self._lock:
            known = list(self._known.items())
        return [name for name, der in known if certificates.named_address(der) == address]

    def ders_for(self, fingerprint_: str) -> list[bytes]:
        """Return a certificate and its authority's, as a neighbour needs them; [] if unknown."""
        der = self._known.get(fingerprint_)
        if der is None:
            authority = self._authorities.get(fingerprint_)
            return [] if authority is None else [authority.der]
        parsed = certificates.parse_certificate(der)
        assert parsed is not None, "a known certificate can be parsed"
        return [der, *(authority.der for authority in self._authorities_of(parsed)[:1])]

    def crls(self) -> list[bytes]:
        """Return the current CRLs, the root's first."""
        with self._lock:
            keys = [self._root.issuing_key, *self._issuing_keys.values()]
        return [key.crl.der for key in keys if key.crl is not None]

    def crl_of(self, authority: x509.Certificate) -> Crl | None:
        """Return the current CRL of an authority's key, or None."""
        key = self._issuing_keys.get(paths.public_bytes(authority))
        return None if key is None else key.crl

    def crls_with_issuers(self) -> list[tuple[str, bytes]]:
        """Return the current CRLs, each after the fingerprint of its issuer's certificate."""
        with self._lock:
            keys = [self._root.issuing_key, *self._issuing_keys.values()]
        return [(key.fingerprint, key.crl.der) for key in keys if key.crl is not None]

    def authorities(self) -> list[bytes]:
        """Return the certificates of the authorities that count (DER)."""
        with self._lock:
            return [authority.der for authority in self._authorities.values()]

    def fingerprints(self) -> list[str]:
        """Return every certificate that counts as learned, authorities first."""
        with self._lock:
            return [*self._authorities, *self._known]

    def life_of(self, fingerprint_: str) -> Life | None:
        """Return a learned certificate's own validity, or None."""
        ders = self.ders_for(fingerprint_)
        parsed = certificates.parse_certificate(ders[0]) if ders else None
        return None if parsed is None else certificates.life_of(parsed)

    # ------------------------------------------------------------------ learning

    def add_certificates(self, ders: Iterable[bytes]) -> list[str]:
        """Take certificates, authorities before nodes; return the fingerprints newly learned.

        Learned are those that an authority of ours issued, and such authorities. Others wait in a
        small place of their own, and are learned when their authority comes.
        """
        learned: list[str] = []
        with self._lock:
            new = {fingerprint(der): der for der in ders}
            parsed = [
                (der, certificates.parse_certificate(der))
                for name, der in new.items()
                if not self._is_at_hand(name)
            ]
            found = [(der, certificate) for der, certificate in parsed if certificate is not None]
            for der, certificate in found:
                if certificates.is_authority(certificate):
                    self._add_authority(der, certificate, learned)
            for der, certificate in found:
                if not certificates.is_authority(certificate):
                    self._add_node(der, certificate, learned)
        return learned

    def add_crl(self, der: bytes) -> CrlLearned | CrlKnown | CrlRefused | Missing:
        """Take one CRL; it counts from now on if its issuer signed it and its number is higher.

        Missing where no issuer of that name and key is at hand yet.
        """
        with self._lock:
            try:
                parsed = crl.parse_crl(der)
                key_id = crl.issuer_key_id(parsed)
                for issuer in (self._root, *self._authorities.values()):
                    if issuer.may_have_issued(parsed.issuer, key_id):
                        fresh = crl.read_crl(parsed, issuer.certificate, der)
                        return _supersede(issuer.issuing_key, fresh)
            except FormatError as error:
                return CrlRefused(error.detail)
        return Missing("certificate", "the issuer of the CRL is not at hand")

    def _is_at_hand(self, name: str) -> bool:
        places = (self._known, self._authorities, self._strangers)
        return name == self._root.fingerprint or any(name in place for place in places)

    def _add_authority(self, der: bytes, certificate: x509.Certificate, learned: list[str]) -> None:
        try:
            certificates.check_authority(certificate, self._root.certificate)
        except CertificateError:
            self._add_stranger(der)
            subject = certificate.subject.public_bytes()
            self._foreign[fingerprint(der)] = (subject, certificates.subject_key_id(certificate))
            self._failed.clear()
            return
        key = paths.public_bytes(certificate)
        authority = paths.authority_of(certificate, self._issuing_keys.get(key))
        self._issuing_keys.setdefault(key, authority.issuing_key)
        self._authorities[authority.fingerprint] = authority
        learned.append(authority.fingerprint)
        self._failed.clear()  # what had no authority may have one now
        self._paths.clear()  # and what had one, a longer life
        for waiting, stranger in list(self._strangers.items()):
            parsed = certificates.parse_certificate(stranger)
            if parsed is not None and not certificates.is_authority(parsed):
                del self._strangers[waiting]
                self._add_node(stranger, parsed, learned)

    def _add_node(self, der: bytes, certificate: x509.Certificate, learned: list[str]) -> None:
        issued = any(
            certificates.is_issued_by(certificate, authority.certificate)
            for authority in self._authorities_of(certificate)
        )
        if not issued or len(self._known) >= CERTIFICATES_MAX:
            self._add_stranger(der)
            return
        self._known[fingerprint(der)] = der
        learned.append(fingerprint(der))

    def _add_stranger(self, der: bytes) -> None:
        if len(self._strangers) >= STRANGERS_MAX:
            oldest = next(iter(self._strangers))
            del self._strangers[oldest]
            self._foreign.pop(oldest, None)
            for purpose in Purpose:
                self._failed.pop((oldest, purpose), None)
                self._paths.pop((oldest, purpose), None)
        self._strangers[fingerprint(der)] = der

    def _authorities_of(self, certificate: x509.Certificate) -> list[Authority]:
        """Return the authorities that may have issued a certificate, longest common life first."""
        key_id = certificates.issuer_key_id(certificate)
        found = [
            authority
            for authority in list(self._authorities.values())
            if authority.may_have_issued(certificate.issuer, key_id)
        ]
        return sorted(found, key=lambda each: -paths.common_life_us(certificate, each))


def _supersede(key: IssuingKey, fresh: Crl) -> CrlLearned | CrlKnown:
    """Let a CRL count if its number is higher; what was revoked once stays so."""
    current = key.crl
    if current is not None and fresh.number <= current.number:
        return CrlKnown(key.fingerprint, fresh.number, current.number)
    before = current.revoked if current is not None else frozenset[int]()
    key.crl = msgspec.structs.replace(fresh, revoked=fresh.revoked | before)
    return CrlLearned(
        issuer=key.fingerprint,
        number=fresh.number,
        next_update=fresh.next_update,
        newly_revoked=len(fresh.revoked - before),
        dropped=len(before - fresh.revoked),
    )


def _misnamed(path: Path, address: str) -> Untrusted:
    detail = f"certificate names {path.address}, not {address}"
    return Untrusted(Reason.CERTIFICATE_UNTRUSTED, detail)


def _judge_outside(path: Path, sent: Instant) -> Untrusted:
    """Judge a claim at a moment at which not all of the path was alive."""
    if not path.own.since <= sent <= path.own.until:
        return _expired(path, f"sent {format_instant(sent)}")
    detail = f"authority was not valid at {format_instant(sent)}"
    return Untrusted(Reason.CERTIFICATE_UNTRUSTED, detail)


def _expired(path: Path, why: str) -> Untrusted:
    since, until = format_instant(path.own.since), format_instant(path.own.until)
    return Untrusted(Reason.KEY_EXPIRED, f"valid {since} to {until}, {why}")
