"""Certificates of time-stamp authorities: what they must be for, and the way to their root.

Whether signatures and lives along that way hold, OpenSSL says (`signing.timestamps`); here it is
only put in order, and no certificate is trusted but those that are handed in as roots.
"""

from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import ExtendedKeyUsageOID

from schemas.errors import FormatError
from schemas.reasons import Reason

CHAIN_MAX = 8


def is_supported(certificate: x509.Certificate) -> bool:
    """Say whether we know the algorithm of a certificate's key."""
    try:
        certificate.public_key()
    except (UnsupportedAlgorithm, ValueError):
        return False
    return True


def check_usage(leaf: x509.Certificate) -> None:
    """Raise FormatError unless a certificate is for time-stamping and nothing else (RFC 3161)."""
    try:
        usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except (x509.ExtensionNotFound, ValueError) as error:
        raise untrusted("its certificate has no extended key usage") from error
    if not usage.critical or set(usage.value) != {ExtendedKeyUsageOID.TIME_STAMPING}:
        raise untrusted("its certificate is not for time-stamping alone, marked critical")


def chain_to_root(
    leaf: x509.Certificate,
    others: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
) -> list[x509.Certificate]:
    """Return the way from the signer's certificate to its root, both included.

    Raises FormatError where there is none.
    """
    chain = [leaf]
    while len(chain) < CHAIN_MAX:
        root = _issuer_of(chain[-1], roots)
        if root is not None:
            return chain if root == chain[-1] else [*chain, root]
        above = _issuer_of(chain[-1], [each for each in others if each not in chain])
        if above is None:
            break
        chain.append(above)
    raise untrusted(f"no way of {CHAIN_MAX} certificates leads to its root")


def _issuer_of(
    certificate: x509.Certificate, candidates: Sequence[x509.Certificate]
) -> x509.Certificate | None:
    for each in candidates:
        if each.subject != certificate.issuer:
            continue
        try:
            certificate.verify_directly_issued_by(each)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            continue
        return each
    return None


def untrusted(detail: str) -> FormatError:
    """Return the error of a certificate that does not count."""
    return FormatError(Reason.CERTIFICATE_UNTRUSTED, f"time-stamp: {detail}")
