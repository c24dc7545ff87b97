"""Judging a certificate at a past moment, by the revocation lists of then and since (clause 21.2).

The rules for a certificate are those of arrival (clause 11); what differs is time: a key that was
revoked, or has ended, after something was proven to exist does not harm what it had signed. Every
question is answered by name, whatever the one before it gave; nothing here raises for what a
stranger's folder holds.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Literal

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from schemas.errors import FormatError
from schemas.limits import Limits
from schemas.moments import DAY, Instant, format_instant, from_datetime
from schemas.reasons import Reason
from signing import certificates, paths
from signing.algorithms import AlgorithmPolicy, algorithms_of
from signing.certificates import Life
from signing.errors import CertificateError
from signing.past_lists import Listed, Lists
from signing.profiles import Purpose

Question = Literal[
    "issuers", "path", "shape", "life", "algorithm", "crl", "crl-after", "revocation"
]

_COMPROMISE = (
    x509.ReasonFlags.key_compromise,
    x509.ReasonFlags.ca_compromise,
    x509.ReasonFlags.aa_compromise,
)
"""Reasons for which a list may say since when the key may have been in strange hands."""


class Claim(msgspec.Struct, frozen=True):
    """This address used the certificate for this purpose, proven to have been at `moment`.

    `signed` is when the signer says that it signed; it may be long before. `relied_at` is when the
    algorithms must have been good: `moment` where that is proven, else now.
    """

    address: str
    purpose: Purpose
    moment: Instant
    signed: Instant
    relied_at: Instant


class Papers(msgspec.Struct, frozen=True):
    """What a certificate is judged by, in DER: `crls` of then, `after` the first ones since.

    `elsewhere` are lists that happen to be at hand: what they revoke counts, that one of them is
    damaged does not.
    """

    certificate: bytes
    authority: bytes
    root: bytes
    crls: Sequence[bytes]
    after: Sequence[bytes] = ()
    elsewhere: Sequence[bytes] = ()


class Answer(msgspec.Struct, frozen=True):
    """One question about the certificate, answered."""

    question: Question
    holds: bool
    detail: str


class _Parsed(msgspec.Struct, frozen=True):
    certificate: x509.Certificate
    authority: x509.Certificate
    root: x509.Certificate

    @property
    def whole(self) -> Life:
        """When all three are alive."""
        own, above = certificates.life_of(self.certificate), certificates.life_of(self.authority)
        return own.overlap(above).overlap(certificates.life_of(self.root))


def judge_past(
    claim: Claim,
    papers: Papers,
    policy: AlgorithmPolicy,
    limits: Limits,
    lists: Lists | None = None,
) -> list[Answer]:
    """Return every answer about a certificate at a past moment, in the order of clause 21.3.

    `lists` is shared by whoever judges many certificates by the same revocation lists.
    """
    lists = Lists() if lists is None else lists
    parsed = _parse(papers)
    if isinstance(parsed, str):
        return [Answer("path", holds=False, detail=parsed)]
    answers = [
        _ask("issuers", lambda: _check_issuers(parsed)),
        _ask("path", lambda: _check_path(parsed)),
        _ask("shape", lambda: _check_shape(parsed.certificate, claim)),
        _ask("life", lambda: _check_life(parsed, claim, limits)),
        _ask("algorithm", lambda: _check_algorithms(parsed, claim, policy)),
    ]
    for subject, issuer, whose in (
        (parsed.authority, parsed.root, "the root"),
        (parsed.certificate, parsed.authority, "the authority"),
    ):
        read = partial(_read_lists, lists, issuer)
        answers += _judge_lists(subject, read, whose, papers, claim, limits)
    strange = "a CRL is of neither the root nor the authority"
    if any(_is_strange(lists, der, parsed) for der in papers.crls):
        answers.append(Answer("crl", holds=False, detail=strange))
    if any(_is_strange(lists, der, parsed) for der in papers.after):
        answers.append(Answer("crl-after", holds=False, detail=strange))
    return answers


def _parse(papers: Papers) -> _Parsed | str:
    """Return the three certificates, or which of them cannot be read."""
    found = []
    for name in ("certificate", "authority", "root"):
        parsed = certificates.parse_certificate(getattr(papers, name))
        if parsed is None:
            return f"the {name} is not the DER of a certificate"
        found.append(parsed)
    return _Parsed(*found)


def _ask(question: Question, check: Callable[[], str]) -> Answer:
    try:
        return Answer(question, holds=True, detail=check())
    except FormatError as fault:
        return Answer(question, holds=False, detail=fault.detail)


def _check_issuers(parsed: _Parsed) -> str:
    certificates.check_root(parsed.root)
    certificates.check_authority(parsed.authority, parsed.root)
    return ""


def _check_path(parsed: _Parsed) -> str:
    whole = parsed.whole
    if whole.since > whole.until:
        raise _untrusted("certificate, authority and root are never valid together")
    paths.verify_chain(parsed.certificate, parsed.authority, parsed.root, whole.until)
    return ""


def _check_shape(certificate: x509.Certificate, claim: Claim) -> str:
    address = certificates.check_node(certificate, claim.purpose)
    if address != claim.address:
        raise _untrusted(f"certificate names {address}, not {claim.address}")
    return ""


def _check_life(parsed: _Parsed, claim: Claim, limits: Limits) -> str:
    """Judge as on arrival (11.5): signed within the common life, seen at most the late limit on."""
    whole, own = parsed.whole, certificates.life_of(parsed.certificate)
    lives = f"valid {format_instant(own.since)} to {format_instant(own.until)}"
    for moment, what in ((claim.signed, "signed"), (claim.moment, "seen")):
        if moment < own.since:
            raise _expired(f"{lives}, {what} before, at {format_instant(moment)}")
    if claim.signed > own.until:
        raise _expired(f"{lives}, signed after, at {format_instant(claim.signed)}")
    if not whole.since <= claim.signed <= whole.until:
        raise _untrusted(f"authority or root was not valid at {format_instant(claim.signed)}")
    if claim.moment > own.until + limits.late_limit_us:
        late = limits.late_limit_us // DAY
        raise _expired(f"{lives}, proven only at {format_instant(claim.moment)}, over {late} days")
    if claim.moment > own.until:
        return f"{lives}; proven at {format_instant(claim.moment)}, within the late limit"
    return ""


def _check_algorithms(parsed: _Parsed, claim: Claim, policy: AlgorithmPolicy) -> str:
    for certificate, issuer in (
        (parsed.certificate, parsed.authority),
        (parsed.authority, parsed.root),
    ):
        used = _algorithms_of_signature(certificate, issuer)
        for name in used:
            if not policy.allowed(name, claim.relied_at):
                detail = f"{name} was not allowed at {format_instant(claim.relied_at)}"
                raise CertificateError(Reason.ALGORITHM_NOT_ALLOWED, detail)
    return ""


def _algorithms_of_signature(
    certificate: x509.Certificate, issuer: x509.Certificate
) -> tuple[str, ...]:
    try:
        digest = certificate.signature_hash_algorithm
        return algorithms_of(issuer.public_key(), None if digest is None else digest.name)
    except (UnsupportedAlgorithm, ValueError, TypeError) as error:
        raise _untrusted("certificate is signed by an algorithm that is unknown here") from error


def _judge_lists(  # noqa: PLR0917 - who is judged, by whom, and what there is to judge by
    subject: x509.Certificate,
    read: Callable[[Iterable[bytes]], tuple[list[Listed], list[str]]],
    whose: str,
    papers: Papers,
    claim: Claim,
    limits: Limits,
) -> Iterator[Answer]:
    """Answer whether a list was in force then, and what all lists say of the subject."""
    then, faults = read(papers.crls)
    after, more_faults = read(papers.after)
    elsewhere, _ = read(papers.elsewhere)
    yield from (Answer("crl", holds=False, detail=fault) for fault in faults)
    yield from (Answer("crl-after", holds=False, detail=fault) for fault in more_faults)
    yield _ask("crl", lambda: _check_in_force(then, whose, claim.moment, limits))
    entries = list(_entries(subject, (*then, *after, *elsewhere)))
    if not entries:
        yield Answer("revocation", holds=True, detail="")
    for entry, listed in entries:
        yield _judge_entry(entry, listed, whose, claim.moment)


def _is_strange(lists: Lists, der: bytes, parsed: _Parsed) -> bool:
    """Say whether a list belongs to neither issuer; one that cannot be read is named elsewhere."""
    try:
        return all(lists.read(der, each) is None for each in (parsed.root, parsed.authority))
    except FormatError:
        return False


def _read_lists(
    lists: Lists, issuer: x509.Certificate, ders: Iterable[bytes]
) -> tuple[list[Listed], list[str]]:
    """Return the lists of an issuer, and what is wrong with those that bear its name."""
    found: list[Listed] = []
    faults: list[str] = []
    for der in ders:
        try:
            each = lists.read(der, issuer)
        except FormatError as fault:
            faults.append(fault.detail)
            continue
        if each is not None:
            found.append(each)
    return found, faults


def _check_in_force(lists: list[Listed], whose: str, moment: Instant, limits: Limits) -> str:
    """Return which list was in force, as on arrival: it may be overdue by the grace (11.5)."""
    if not lists:
        raise _unlisted(f"no CRL of {whose} is there")
    latest = moment + limits.time_window_ahead_us
    current = [each for each in lists if each.read.this_update <= latest]
    if not current:
        first = min(each.read.this_update for each in lists)
        raise _unlisted(
            f"the CRL of {whose} is from {format_instant(first)}, after {format_instant(moment)}"
        )
    newest = max(current, key=lambda each: each.read.number).read
    if newest.next_update + limits.crl_grace_us < moment:
        due = format_instant(newest.next_update)
        raise _unlisted(f"CRL {newest.number} of {whose} is stale: the next was due {due}")
    return f"CRL {newest.number} of {whose}"


def _entries(
    subject: x509.Certificate, lists: Iterable[Listed]
) -> Iterator[tuple[x509.RevokedCertificate, Listed]]:
    for each in lists:
        if subject.serial_number in each.read.revoked:
            entry = each.parsed.get_revoked_certificate_by_serial_number(subject.serial_number)
            if entry is not None:
                yield entry, each


def _judge_entry(
    entry: x509.RevokedCertificate, listed: Listed, whose: str, moment: Instant
) -> Answer:
    """Say whether a revocation came too late to matter: it is listed since, and dated later."""
    reason = _reason_of(entry)
    at = _revoked_at(entry, reason)
    why = f" ({reason.value})" if reason is not None else ""
    detail = f"revoked {format_instant(at)}{why} by CRL {listed.read.number} of {whose}"
    is_later = at > moment
    relation = "after" if is_later else "not after"
    return Answer("revocation", is_later, f"{detail}, {relation} {format_instant(moment)}")


def _reason_of(entry: x509.RevokedCertificate) -> x509.ReasonFlags | None:
    try:
        return entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    except x509.ExtensionNotFound:
        return None


def _revoked_at(entry: x509.RevokedCertificate, reason: x509.ReasonFlags | None) -> Instant:
    """Return since when the key counts as revoked: of a compromised one, since it may have been."""
    if reason in _COMPROMISE:
        try:
            found = entry.extensions.get_extension_for_class(x509.InvalidityDate)
            return from_datetime(found.value.invalidity_date_utc)
        except x509.ExtensionNotFound:
            pass
    return from_datetime(entry.revocation_date_utc)


def _untrusted(detail: str) -> CertificateError:
    return CertificateError(Reason.CERTIFICATE_UNTRUSTED, detail)


def _expired(detail: str) -> CertificateError:
    return CertificateError(Reason.KEY_EXPIRED, detail)


def _unlisted(detail: str) -> CertificateError:
    return CertificateError(Reason.KEY_REVOKED, detail)
