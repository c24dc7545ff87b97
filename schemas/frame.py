"""The frame: a packet's exact bytes, cut and joined without ever re-encoding (protocol clause 3).

frame  = head || payload
head   = signed || u16 signature_length || signature
signed = "BBAJ" || u8 version || u8 algorithm || u16 header_length || header
"""

import struct

import msgspec

from schemas.errors import FormatError
from schemas.header import Header, decode_header, encode_header
from schemas.limits import HEADER_BYTES_MAX, PAYLOAD_BYTES_MAX, SIGNATURE_BYTES_MAX
from schemas.reasons import Reason

MAGIC = b"BBAJ"
VERSION = 1
ECDSA_P256_SHA256 = 1
"""Algorithm 1; 2 is reserved for ML-DSA-65, 3 for both."""

_PREFIX = struct.Struct(">4sBBH")
_LENGTH = struct.Struct(">H")


class Frame(msgspec.Struct, frozen=True, gc=False):
    """A frame cut into its pieces; `raw` is never changed, the sizes are offsets into it."""

    raw: bytes
    header: Header
    signed_bytes: int
    head_bytes: int
    signature: bytes

    @property
    def signed(self) -> bytes:
        """What the signature covers."""
        return self.raw[: self.signed_bytes]

    @property
    def head(self) -> bytes:
        """The part that stays when the payload is destroyed."""
        return self.raw[: self.head_bytes]

    @property
    def payload(self) -> bytes:
        """The payload as it travels."""
        return self.raw[self.head_bytes :]


def signed_bytes(header: Header, algorithm: int = ECDSA_P256_SHA256) -> bytes:
    """Return what the signature covers. Raises FormatError where the header is over its limit."""
    encoded = encode_header(header)
    if len(encoded) > HEADER_BYTES_MAX:
        detail = f"header of {len(encoded)} bytes, limit {HEADER_BYTES_MAX}"
        raise FormatError(Reason.FORMAT_INVALID, detail)
    return _PREFIX.pack(MAGIC, VERSION, algorithm, len(encoded)) + encoded


def join_head(signed: bytes, signature: bytes) -> bytes:
    """Return the head of `signed` and its signature."""
    return signed + _LENGTH.pack(len(signature)) + signature


def cut(raw: bytes) -> Frame:
    """Cut a frame into its pieces.

    Raises FormatError: `format-invalid`, `format-version`, `algorithm-not-allowed` or `too-large`.
    """
    signed_size, algorithm = _cut_prefix(raw)
    if len(raw) < signed_size + _LENGTH.size:
        raise FormatError(Reason.FORMAT_INVALID, f"frame ends at byte {len(raw)}, within its head")
    (signature_size,) = _LENGTH.unpack_from(raw, signed_size)
    head_size = signed_size + _LENGTH.size + signature_size
    if not 0 < signature_size <= SIGNATURE_BYTES_MAX or len(raw) < head_size:
        raise FormatError(
            Reason.FORMAT_INVALID, f"signature of {signature_size} bytes does not fit"
        )
    header = decode_header(raw[_PREFIX.size : signed_size])
    if algorithm != ECDSA_P256_SHA256:
        raise FormatError(Reason.ALGORITHM_NOT_ALLOWED, f"algorithm {algorithm}, allowed: 1")
    payload_size = len(raw) - head_size
    if max(payload_size, header.payload.size) > PAYLOAD_BYTES_MAX:
        detail = f"payload of {payload_size} bytes, limit {PAYLOAD_BYTES_MAX}"
        raise FormatError(Reason.TOO_LARGE, detail)
    return Frame(raw, header, signed_size, head_size, raw[signed_size + _LENGTH.size : head_size])


def _cut_prefix(raw: bytes) -> tuple[int, int]:
    """Return the size of what is signed, and the algorithm."""
    if len(raw) < _PREFIX.size:
        raise FormatError(Reason.FORMAT_INVALID, f"frame of {len(raw)} bytes has no prefix")
    magic, version, algorithm, header_size = _PREFIX.unpack_from(raw)
    if magic != MAGIC:
        raise FormatError(Reason.FORMAT_INVALID, "frame does not begin with BBAJ")
    if version != VERSION:
        raise FormatError(Reason.FORMAT_VERSION, f"frame version {version}, spoken: {VERSION}")
    signed_size = _PREFIX.size + header_size
    if header_size > HEADER_BYTES_MAX or len(raw) < signed_size:
        raise FormatError(Reason.FORMAT_INVALID, f"header of {header_size} bytes does not fit")
    return signed_size, algorithm
