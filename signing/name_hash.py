"""The short hash of an X.509 name, by which OpenSSL and Erlang find files: X509_NAME_hash.

The name is first brought to OpenSSL's canonical form: text as UTF-8 with ASCII letters in lower
case, white space trimmed and runs of it one space; the outer SEQUENCE header is left out.
"""

import hashlib
import re
from collections.abc import Iterator

from cryptography import x509

_SEQUENCE, _SET, _UTF8 = 0x30, 0x31, 0x0C
_CHARSETS = {
    _UTF8: "utf-8",
    0x13: "latin-1",  # PrintableString
    0x14: "latin-1",  # T61String
    0x16: "latin-1",  # IA5String
    0x1A: "latin-1",  # VisibleString
    0x1C: "utf-32-be",  # UniversalString
    0x1E: "utf-16-be",  # BMPString
}
_LONG_FORM = 0x80
_SPACES = re.compile(rb"[ \t\n\v\f\r]+")


def name_hash(name: x509.Name) -> str:
    """Return the hash as `openssl x509 -subject_hash` prints it: 8 hexadecimal digits."""
    [(_, rdns)] = _elements(name.public_bytes())
    canonical = b"".join(_canonical_rdn(rdn) for _, rdn in _elements(rdns))
    digest = hashlib.sha1(canonical, usedforsecurity=False).digest()
    return f"{int.from_bytes(digest[:4], 'little'):08x}"


def _canonical_rdn(rdn: bytes) -> bytes:
    pairs = [_canonical_pair(pair) for _, pair in _elements(rdn)]
    return _encode(_SET, b"".join(sorted(pairs)))


def _canonical_pair(pair: bytes) -> bytes:
    (oid_tag, oid), (tag, value) = _elements(pair)
    if tag in _CHARSETS:
        text = value.decode(_CHARSETS[tag]).encode()
        tag, value = _UTF8, _SPACES.sub(b" ", text.strip(b" \t\n\v\f\r")).lower()
    return _encode(_SEQUENCE, _encode(oid_tag, oid) + _encode(tag, value))


def _elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of each element; `der` is what `cryptography` has encoded."""
    at = 0
    while at < len(der):
        size, begin = der[at + 1], at + 2
        if size >= _LONG_FORM:
            begin += size - _LONG_FORM
            size = int.from_bytes(der[at + 2 : begin])
        yield der[at], der[begin : begin + size]
        at = begin + size


def _encode(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < _LONG_FORM:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag, _LONG_FORM + len(octets)]) + octets + content
