r"""Entries of the log in which an authority says what it has issued (docs/protocol.md clause 14).

An entry is a certificate's DER, or a short text that stands for a CRL:

    crl/1
    number 17
    sha256 5b1c…
    revoked 8

The first byte tells them apart: DER begins with 0x30, the text with `c`.
"""

import re

import msgspec

from schemas.addresses import dns_name
from schemas.errors import FormatError
from schemas.reasons import Reason

ENTRY_BYTES_MAX = 4096
"""As a certificate's (`signing.profiles.CERTIFICATE_BYTES_MAX`)."""
ORIGIN_END = "/issuing"

_DER_FIRST = 0x30
_NUMBER = r"(?:0|[1-9][0-9]{0,18})"
_CRL = re.compile(
    rf"crl/1\nnumber ({_NUMBER})\nsha256 ([0-9a-f]{{64}})\nrevoked ({_NUMBER})\n", re.ASCII
)


class CrlEntry(msgspec.Struct, frozen=True, gc=False):
    """A CRL that an authority has signed: its number, and how many certificates it revokes."""

    number: int
    sha256: bytes
    revoked: int

    @property
    def text(self) -> bytes:
        """The entry's exact bytes."""
        text = f"crl/1\nnumber {self.number}\nsha256 {self.sha256.hex()}\nrevoked {self.revoked}\n"
        return text.encode("ascii")


def is_certificate(entry: bytes) -> bool:
    """Say whether an entry is a certificate's DER, by its first byte."""
    return entry[:1] == bytes([_DER_FIRST])


def read_crl_entry(entry: bytes) -> CrlEntry:
    """Return the CRL that an entry stands for. Raises FormatError(format-invalid)."""
    found = _CRL.fullmatch(entry.decode("ascii", "replace"))
    if found is None:
        raise FormatError(Reason.FORMAT_INVALID, "log: entry is neither a certificate nor a CRL")
    number, sha256, revoked = found.groups()
    return CrlEntry(int(number), bytes.fromhex(sha256), int(revoked))


def check_entry(entry: bytes) -> None:
    """Raise FormatError(format-invalid) for what can be no entry."""
    if len(entry) > ENTRY_BYTES_MAX:
        detail = f"log: entry of {len(entry)} bytes, limit {ENTRY_BYTES_MAX}"
        raise FormatError(Reason.FORMAT_INVALID, detail)
    if not is_certificate(entry):
        read_crl_entry(entry)


def log_origin(authority: str) -> str:
    """Return the name under which the authority's node signs the heads of its log."""
    return dns_name(authority) + ORIGIN_END


def is_log_origin(origin: str) -> bool:
    """Say whether an origin is that of such a log, and not a journal's."""
    return origin.endswith(ORIGIN_END)
