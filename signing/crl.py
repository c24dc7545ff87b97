"""Reading one full CRL: everything that `cryptography` leaves to its caller.

A list counts only if it is full (no delta, no issuing distribution point), comes from the issuer
whose key signed it, has a number and both dates, and has no critical extension unknown to us.
"""

from collections.abc import Iterator

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from schemas.errors import FormatError
from schemas.moments import Instant, from_datetime
from schemas.reasons import Reason
from signing.errors import MALFORMED
from signing.profiles import CRL_BYTES_MAX

_REFUSED = (
    x509.IssuingDistributionPoint,
    x509.DeltaCRLIndicator,
)
_KNOWN = (x509.AuthorityKeyIdentifier, x509.CRLNumber)
_KNOWN_IN_ENTRIES = (x509.CRLReason, x509.InvalidityDate)
_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_SEQUENCE, _TIMES, _LONG_FORM = 0x30, (0x17, 0x18), 0x80


class Crl(msgspec.Struct, frozen=True, gc=False):
    """What one CRL says: these serial numbers are revoked, and the next list comes by then."""

    der: bytes
    number: int
    this_update: Instant
    next_update: Instant
    revoked: frozenset[int]


def parse_crl(der: bytes) -> x509.CertificateRevocationList:
    """Parse a CRL, checking nothing. Raises FormatError."""
    if len(der) > CRL_BYTES_MAX:
        raise _fault(f"{len(der)} bytes, limit {CRL_BYTES_MAX}")
    try:
        parsed = x509.load_der_x509_crl(der)
        _ = parsed.issuer, parsed.last_update_utc, parsed.next_update_utc  # read here or never
    except MALFORMED as error:
        raise _fault("not the DER of a CRL") from error
    return parsed


def issuer_key_id(parsed: x509.CertificateRevocationList) -> bytes | None:
    """Return the key identifier of who says it signed. Raises FormatError."""
    for extension in _extensions(parsed):
        if isinstance(extension.value, x509.AuthorityKeyIdentifier):
            return extension.value.key_identifier
    return None


def read_crl(
    parsed: x509.CertificateRevocationList, issuer: x509.Certificate, der: bytes | None = None
) -> Crl:
    """Return what the CRL says, if `issuer` signed it. Raises FormatError naming the fault.

    `der` is what was parsed, where it is at hand: to make it again takes a long list its time.
    """
    number = _check_extensions(parsed)
    if parsed.issuer != issuer.subject:
        raise _fault("its issuer bears another name")
    if not isinstance(_hash_of(parsed), _HASHES):
        raise _fault("its signature uses a hash that is not allowed")
    if not _is_signed_by(parsed, issuer):
        raise _fault("its signature does not hold")
    if parsed.next_update_utc is None or parsed.next_update_utc < parsed.last_update_utc:
        raise _fault("it does not say when the next one comes")
    der = parsed.public_bytes(Encoding.DER) if der is None else der
    return Crl(
        der=der,
        number=number,
        this_update=from_datetime(parsed.last_update_utc),
        next_update=from_datetime(parsed.next_update_utc),
        revoked=_revoked(parsed, der),
    )


def _hash_of(parsed: x509.CertificateRevocationList) -> hashes.HashAlgorithm | None:
    """Return the hash that a CRL's signature uses; None where it is of no kind known here."""
    try:
        return parsed.signature_hash_algorithm
    except MALFORMED:
        return None


def _is_signed_by(parsed: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    try:
        return parsed.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]
    except MALFORMED:
        return False


def _check_extensions(parsed: x509.CertificateRevocationList) -> int:
    """Return the CRL number. Raises FormatError for an extension that changes the meaning."""
    number: int | None = None
    for extension in _extensions(parsed):
        value = extension.value
        if isinstance(value, _REFUSED):
            raise _fault(f"extension {extension.oid.dotted_string} makes it a partial list")
        if extension.critical and not isinstance(value, _KNOWN):
            raise _fault(f"unknown critical extension {extension.oid.dotted_string}")
        if isinstance(value, x509.CRLNumber):
            number = value.crl_number
    if number is None:
        raise _fault("it has no number")
    return number


def _revoked(parsed: x509.CertificateRevocationList, der: bytes) -> frozenset[int]:
    """Return the serial numbers. Raises FormatError for an entry that means something else.

    Entries differ in little but their numbers: extensions that are byte for byte the same are
    looked at once, which is what lets a list of thousands load in milliseconds.
    """
    serials = set()
    seen: set[bytes] = set()
    try:
        entries = list(_entries(der))
    except IndexError as error:
        raise _fault("its entries cannot be read") from error
    if len(entries) != len(parsed):
        raise _fault(f"{len(entries)} entries were found of {len(parsed)}")
    for number, (serial, extensions) in enumerate(entries):
        serials.add(serial)
        if extensions not in seen:
            seen.add(extensions)
            _check_entry(parsed[number])
    return frozenset(serials)


def _check_entry(entry: x509.RevokedCertificate) -> None:
    for extension in _extensions(entry):
        if isinstance(extension.value, _KNOWN_IN_ENTRIES):
            continue
        if extension.critical or isinstance(extension.value, x509.CertificateIssuer):
            raise _fault(f"an entry has extension {extension.oid.dotted_string}")


def _entries(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield serial number and extensions (DER, may be empty) of each entry.

    `der` is a list of version 2 that `cryptography` has parsed: within it the TBSCertList of
    RFC 5280, section 5.1, has version, algorithm, issuer, one or two times, and then, where there
    are any, the entries. Raises IndexError where it is not so.
    """
    at, end = _step_in(der, _step_in(der, 0)[0])
    for _ in range(3):
        at = _step_in(der, at)[1]
    while at < end and der[at] in _TIMES:
        at = _step_in(der, at)[1]
    if at == end or der[at] != _SEQUENCE:
        return
    at, end = _step_in(der, at)
    while at < end:
        size = der[at + 1]  # here as in `_step_in`: calls are what a long list spends its time on
        at, entry_end = (at + 2, at + 2 + size) if size < _LONG_FORM else _step_in(der, at)
        serial_end = at + 2 + der[at + 1]
        time_end = serial_end + 2 + der[serial_end + 1]
        yield int.from_bytes(der[at + 2 : serial_end], signed=True), der[time_end:entry_end]
        at = entry_end


def _step_in(der: bytes, at: int) -> tuple[int, int]:
    """Return where the content of the element at `at` begins and ends."""
    size = der[at + 1]
    if size < _LONG_FORM:
        return at + 2, at + 2 + size
    begin = at + 2 + size - _LONG_FORM
    return begin, begin + int.from_bytes(der[at + 2 : begin])


def _extensions(
    parsed: x509.CertificateRevocationList | x509.RevokedCertificate,
) -> list[x509.Extension[x509.ExtensionType]]:
    try:
        return list(parsed.extensions)
    except MALFORMED as error:
        raise _fault("its extensions cannot be read") from error


def _fault(detail: str) -> FormatError:
    return FormatError(Reason.FORMAT_INVALID, f"crl: {detail}")
