"""Revocation lists of the past, read once for each issuer that may have signed them."""

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from schemas.errors import FormatError
from schemas.reasons import Reason
from signing import crl
from signing.crl import Crl


class Listed(msgspec.Struct, frozen=True):
    """A list whose issuer has signed it, as parsed, and what it says."""

    parsed: x509.CertificateRevocationList
    read: Crl


class Lists:
    """Revocation lists, each read once for each issuer: the long ones are at hand again and again.

    Not for several threads.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._read: dict[tuple[bytes, bytes], Listed | str | None] = {}

    def read(self, der: bytes, issuer: x509.Certificate) -> Listed | None:
        """Return a list, None where it bears another issuer's name. Raises FormatError."""
        key = (der, issuer.public_bytes(Encoding.DER))
        if key not in self._read:
            self._read[key] = _read_list(der, issuer)
        found = self._read[key]
        if isinstance(found, str):
            raise FormatError(Reason.FORMAT_INVALID, found)
        return found


def _read_list(der: bytes, issuer: x509.Certificate) -> Listed | str | None:
    """Return a list, None where it is another issuer's, or what is wrong with it."""
    try:
        parsed = crl.parse_crl(der)
        if parsed.issuer != issuer.subject:
            return None
        return Listed(parsed, crl.read_crl(parsed, issuer, der))
    except FormatError as fault:
        return fault.detail
