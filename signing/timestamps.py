"""RFC 3161 time-stamps over whole notes: asked for, read, verified (docs/protocol.md clause 19).

Built on `rfc3161-client`, whose OpenSSL checks the signature and the chain at genTime. Where this
module adds to it, and why:

- It reads answers only. A token by itself is read as the answer "granted" that it came in.
- It takes a certificate that may do more than time-stamping; here the critical extended key usage
  is timeStamping and nothing else (RFC 3161, 2.3), as `openssl ts -verify` has it.
- It trusts every self-signed certificate given as an intermediate; here those are left out.
- It does not look which hash the imprint is of, nor for a second signer where the token bears no
  certificates; both are looked at here.
- It does not read the signing-certificate attribute. `openssl ts -verify` does, in `VERIFY.md`.
- It is strict about DER: certificates out of SET order, which `openssl ts -reply -chain` of 3.0
  writes, are refused. Such an authority must leave the chain out; it is handed over beside.

What an authority's country signs with may be unknown to OpenSSL (GOST). Such a token is read, its
imprint and nonce are compared, and its facts say that the signature is `unsupported`.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from schemas.errors import FormatError
from schemas.moments import Instant, from_datetime
from schemas.reasons import Reason
from schemas.wire import describe, printable
from signing.algorithms import algorithms_of, digest_name
from signing.errors import MALFORMED
from signing.stamp_chain import chain_to_root, check_usage, is_supported, untrusted

TOKEN_BYTES_MAX = 64 * 1024
"""Of a token, and of the answer that brings it."""
REQUEST_TYPE = "application/timestamp-query"
REPLY_TYPE = "application/timestamp-reply"

_HASHES = {
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}
_STATUS = ("granted", "granted-with-mods", "rejection", "waiting", "revocation-warning", "revoked")
_GRANTED = bytes.fromhex("3003020100")
"""PKIStatusInfo { status granted }."""
_VERIFY_ERROR = re.compile(r"Verify error: ?([^\"]+)")


class StampRequest(msgspec.Struct, frozen=True):
    """A request (TimeStampReq, DER) and the nonce in it."""

    der: bytes
    nonce: int


class TokenFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a token says; verified, unless `supported` is False."""

    gen_time: Instant
    serial: int
    digest: str
    """The hash of the imprint, as the policy table names it."""
    imprint: bytes
    nonce: int | None
    policy: str
    """Its OID, dotted."""
    tsa: str
    """The subject of the authority's certificate (RFC 4514), printable ASCII."""
    certificates: tuple[bytes, ...]
    """DER, the authority's own first, without the root."""
    root: bytes | None
    begins: Instant | None
    """When the authority's own certificate begins."""
    ends: Instant | None
    """When the first certificate of the chain ends."""
    algorithms: tuple[str, ...]
    """Names of all that it relies on, as the policy table has them; none where unsupported."""
    supported: bool = True


def build_request(data: bytes) -> StampRequest:
    """Return a request for a time-stamp over `data`: SHA-512, a fresh nonce, certificates asked."""
    builder = TimestampRequestBuilder().data(data).hash_algorithm(HashAlgorithm.SHA512)
    request = builder.nonce(nonce=True).cert_request(cert_request=True).build()
    assert request.nonce is not None, "the request has no nonce"
    return StampRequest(request.as_bytes(), request.nonce)


def read_response(raw: bytes) -> bytes:
    """Return the token (DER) of an authority's answer. Raises FormatError where it granted none."""
    response = _read(raw, "answer")
    if response.status != 0:
        status = dict(enumerate(_STATUS)).get(response.status, str(response.status))
        said = printable("; ".join(response.status_string or []))
        detail = f"time-stamp: the authority answered {status}{': ' if said else ''}{said}"
        raise FormatError(Reason.FORMAT_INVALID, detail)
    with _damage("the answer"):
        if token := response.time_stamp_token():
            return token
    raise _fault("the answer says granted and has no token")


def read_token(token: bytes) -> TokenFacts:
    """Return what a token says, nothing of it verified. Raises FormatError."""
    with _damage("the token"):
        return _facts(_parse(token), (), supported=False)


def verify_token(
    token: bytes,
    data: bytes,
    roots: Sequence[x509.Certificate],
    *,
    intermediates: Iterable[x509.Certificate] = (),
    nonce: int | None = None,
    policy: str | None = None,
) -> TokenFacts:
    """Return the facts of a token that holds over `data` at its own genTime.

    Raises FormatError: digest-mismatch (another imprint), sig-invalid, certificate-untrusted (no
    chain to one of the roots at genTime, or no certificate for time-stamping), format-invalid.
    """
    with _damage("the token"):
        response = _parse(token)
        _check_imprint(response, data)
        _check_asked(response, nonce, policy)
        leaf = _signer(response, intermediates)
        if not is_supported(leaf):
            return _facts(response, (), supported=False)
        check_usage(leaf)
        helpers = [each for each in intermediates if each.issuer != each.subject]
        _check_chain(response, leaf, roots, helpers)
        chain = chain_to_root(leaf, [*_embedded(response), *helpers], roots)
        return _facts(response, chain, supported=True)


def load_roots(pem: bytes) -> list[x509.Certificate]:
    """Return the roots in PEM text. Raises FormatError where there is none."""
    try:
        roots = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise _fault(f"root: {describe(error)}") from error
    if any(each.issuer != each.subject for each in roots):
        raise _fault("root: a certificate there is not self-signed")
    return roots


# ----------------------------------------------------------------------------- reading


def _parse(token: bytes) -> TimeStampResponse:
    """Read a token as the answer it came in: status granted, then the token."""
    body = _GRANTED + token
    return _read(b"\x30" + _der_length(len(body)) + body, "token")


def _read(raw: bytes, what: str) -> TimeStampResponse:
    if len(raw) > TOKEN_BYTES_MAX + 16:
        raise _fault(f"{what} of {len(raw)} bytes, limit {TOKEN_BYTES_MAX}")
    with _damage(f"the {what}"):
        return decode_timestamp_response(raw)


@contextmanager
def _damage(what: str) -> Iterator[None]:
    """Turn what the parsers of DER raise, some of it only once a field is read, into ours."""
    try:
        yield
    except UnsupportedAlgorithm as error:
        raise _fault(f"{what} has an algorithm that is not known: {describe(error)}") from error
    except (*MALFORMED, OverflowError, KeyError) as error:
        raise _fault(f"{what} is no DER of RFC 3161: {describe(error)}") from error


def _der_length(length: int) -> bytes:
    if length < 0x80:
        return bytes([length])
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes([0x80 | len(octets)]) + octets


def _embedded(response: TimeStampResponse) -> list[x509.Certificate]:
    return [
        x509.load_der_x509_certificate(der) for der in sorted(response.signed_data.certificates)
    ]


def _hash_name(response: TimeStampResponse) -> str:
    oid = response.tst_info.message_imprint.hash_algorithm.dotted_string
    if oid not in _HASHES:
        raise FormatError(
            Reason.ALGORITHM_NOT_ALLOWED, f"time-stamp: imprint by {oid}, SHA-2 is asked for"
        )
    return _HASHES[oid]


def _policy(response: TimeStampResponse) -> str:
    """Return the policy's OID; None is what the parser makes of one that it cannot read."""
    policy: x509.ObjectIdentifier | None = response.tst_info.policy
    if policy is None:
        raise _fault("it names no policy")
    return policy.dotted_string


def _facts(
    response: TimeStampResponse, chain: Sequence[x509.Certificate], *, supported: bool
) -> TokenFacts:
    info = response.tst_info
    embedded = chain or _signer_first(response)
    return TokenFacts(
        gen_time=from_datetime(info.gen_time),
        serial=info.serial_number,
        digest=digest_name(_hash_name(response)),
        imprint=info.message_imprint.message,
        nonce=info.nonce,
        policy=_policy(response),
        tsa=printable(embedded[0].subject.rfc4514_string()) if embedded else "",
        certificates=tuple(
            each.public_bytes(Encoding.DER) for each in (chain[:-1] if chain else embedded)
        ),
        root=chain[-1].public_bytes(Encoding.DER) if chain else None,
        begins=from_datetime(embedded[0].not_valid_before_utc) if embedded else None,
        ends=min((from_datetime(each.not_valid_after_utc) for each in embedded), default=None),
        algorithms=_algorithms(response, embedded),
        supported=supported,
    )


def _signer_first(response: TimeStampResponse) -> list[x509.Certificate]:
    """Return the token's own certificates, the signer's first where it is among them."""
    name = _signer_name(response)
    return sorted(_embedded(response), key=lambda each: (each.issuer, each.serial_number) != name)


def _algorithms(response: TimeStampResponse, chain: Sequence[x509.Certificate]) -> tuple[str, ...]:
    """Name what the token relies on: its imprint, its signature, the signatures of its chain.

    The root counts as given: nobody relies on its signature.
    """
    if not chain or not all(is_supported(each) for each in chain):
        return ()
    digests = {oid.dotted_string for oid in response.signed_data.digest_algorithms}
    used = [algorithms_of(chain[0].public_key(), _HASHES.get(oid, oid)) for oid in sorted(digests)]
    for subject, issuer in pairwise(chain):
        hash_ = subject.signature_hash_algorithm
        used.append(algorithms_of(issuer.public_key(), hash_.name if hash_ else None))
    names = [digest_name(_hash_name(response)), *(name for each in used for name in each)]
    return tuple(dict.fromkeys(names))


# ----------------------------------------------------------------------------- checking


def _check_imprint(response: TimeStampResponse, data: bytes) -> None:
    if (
        response.tst_info.message_imprint.message
        != hashlib.new(_hash_name(response), data).digest()
    ):
        raise FormatError(Reason.DIGEST_MISMATCH, "time-stamp: its imprint is of other bytes")


def _check_asked(response: TimeStampResponse, nonce: int | None, policy: str | None) -> None:
    info = response.tst_info
    if nonce is not None and info.nonce != nonce:
        raise _fault("another nonce than was asked with: an old answer, or somebody else's")
    if policy is not None and _policy(response) != policy:
        raise _fault(f"policy {_policy(response)}, {policy} is wanted")


def _signer_name(response: TimeStampResponse) -> tuple[x509.Name, int]:
    signers = response.signed_data.signer_infos
    if len(signers) != 1:
        raise _fault(f"{len(signers)} signers, one is allowed")
    signer = next(iter(signers))
    return signer.issuer, signer.serial_number


def _signer(
    response: TimeStampResponse, intermediates: Iterable[x509.Certificate]
) -> x509.Certificate:
    """Return the certificate that the token names as its signer's."""
    name = _signer_name(response)
    for each in (*_embedded(response), *intermediates):
        if (each.issuer, each.serial_number) == name:
            return each
    raise untrusted("the certificate of its signer is neither in it nor at hand")


def _check_chain(
    response: TimeStampResponse,
    leaf: x509.Certificate,
    roots: Sequence[x509.Certificate],
    intermediates: Sequence[x509.Certificate],
) -> None:
    """Let OpenSSL check signature and chain at genTime."""
    if not roots:
        raise untrusted("no root of the authority is at hand")
    verifier = VerifierBuilder(
        roots=list(roots),
        intermediates=list(intermediates),
        tsa_certificate=leaf,
    ).build()
    try:
        verifier.verify(response, response.tst_info.message_imprint.message)
    except (VerificationError, ValueError) as error:
        raise _explained(str(error)) from error


def _explained(text: str) -> FormatError:
    """Return OpenSSL's complaint as ours."""
    found = _VERIFY_ERROR.search(text)
    if found is not None:
        return untrusted(f"no chain to its root at its time: {printable(found[1])}")
    if "signature" in text or "digest" in text:
        return FormatError(Reason.SIG_INVALID, "time-stamp: its signature does not hold")
    return untrusted(printable(text))


def _fault(detail: str) -> FormatError:
    return FormatError(Reason.FORMAT_INVALID, f"time-stamp: {detail}")
