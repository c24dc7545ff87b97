r"""The genesis file: which certificates a network began with, signed by the root (clause 14.8).

    bbaj-genesis/1
    root 5f1c…
    authority kz 92a0…
    node kz packet 1d77…
    crl 3

Each line ends in a newline; digests are SHA-256 of DER. The signature lies beside it, ECDSA P-384
with SHA-384 in DER, so that a stranger checks it with the root's key and stock tools:

    openssl dgst -sha384 -verify root.pub -signature genesis.sig genesis.txt
"""

import re
from collections.abc import Iterable

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from schemas.errors import FormatError
from schemas.reasons import Reason
from signing.keys import fingerprint

FIRST_LINE = "bbaj-genesis/1"
GENESIS_BYTES_MAX = 64 * 1024

_SHA256 = "[0-9a-f]{64}"
_LINE = re.compile(rf"(?:authority|node) \S{{1,200}}(?: [a-z]{{1,16}})? ({_SHA256})", re.ASCII)
_SIGNED_WITH = ec.ECDSA(hashes.SHA384())


class Genesis(msgspec.Struct, frozen=True, gc=False):
    """What a network began with."""

    root: str
    """SHA-256 of the root's certificate, hex."""
    first: frozenset[bytes]
    """SHA-256 of the certificates of the authorities and of the republic's node."""
    crl: int
    """Number of the root's CRL."""


def make_genesis(
    root: bytes,
    authorities: Iterable[tuple[str, bytes]],
    node: Iterable[tuple[str, str, bytes]],
    crl: int,
) -> bytes:
    """Return the text: certificates (DER) by address, those of the node also by purpose."""
    lines = [FIRST_LINE, f"root {fingerprint(root)}"]
    lines += sorted(f"authority {address} {fingerprint(der)}" for address, der in authorities)
    lines += sorted(
        f"node {address} {purpose} {fingerprint(der)}" for address, purpose, der in node
    )
    return "\n".join([*lines, f"crl {crl}", ""]).encode("ascii")


def sign_genesis(text: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the root's signature over the text, DER."""
    return key.sign(text, ec.ECDSA(hashes.SHA384(), deterministic_signing=True))


def read_genesis(text: bytes, signature: bytes, root: bytes) -> Genesis:
    """Return what a genesis file says, if `root` (DER) signed it. Raises FormatError."""
    key = x509.load_der_x509_certificate(root).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey), "a root's key is on P-384"
    try:
        key.verify(signature, text, _SIGNED_WITH)
    except InvalidSignature as error:
        raise FormatError(
            Reason.SIG_INVALID, "genesis: the root's signature does not hold"
        ) from error
    if len(text) > GENESIS_BYTES_MAX or not text.endswith(b"\n"):
        raise _fault("it is too long, or cut off")
    lines = text.decode("ascii", "replace")[:-1].split("\n")
    if len(lines) < 3 or lines[0] != FIRST_LINE or lines[1] != f"root {fingerprint(root)}":
        raise _fault("it is not of this root")
    found = [_LINE.fullmatch(line) for line in lines[2:-1]]
    last = re.fullmatch("crl ([0-9]{1,18})", lines[-1], re.ASCII)
    if last is None or not all(found):
        raise _fault("a line is none of those that it has")
    first = frozenset(bytes.fromhex(match[1]) for match in found if match is not None)
    return Genesis(fingerprint(root), first, int(last[1]))


def _fault(detail: str) -> FormatError:
    return FormatError(Reason.FORMAT_INVALID, f"genesis: {detail}")
