"""Asks a time-stamp authority over HTTP: one request, one answer of bounded size and time.

Blocking, for a thread of its own. Nothing of a network's settings is taken from the environment.
"""

import http.client
import time
import urllib.error
import urllib.request
from typing import Protocol

import msgspec

from nodes.config import Timestamps
from schemas.errors import FormatError, Retryable
from schemas.reasons import Reason
from schemas.wire import printable
from signing.timestamps import (
    REPLY_TYPE,
    REQUEST_TYPE,
    TOKEN_BYTES_MAX,
    TokenFacts,
    build_request,
    load_roots,
    read_response,
    verify_token,
)

ANSWER_S = 10.0
_CHUNK_BYTES = 8 * 1024


class AuthorityDown(Retryable):
    """A time-stamp authority does not answer now, or its answer does not end."""


class Token(msgspec.Struct, frozen=True):
    """A TimeStampToken (DER) that holds, and what it says."""

    der: bytes
    facts: TokenFacts


class _Readable(Protocol):
    def read1(self, n: int, /) -> bytes:
        """Return up to so many bytes; none at the end."""


def stamp(place: Timestamps, data: bytes) -> Token:
    """Return an authority's time-stamp over `data`, verified under its root.

    Raises AuthorityDown; FormatError where what it answers does not count, OSError where its root
    cannot be read.
    """
    roots = load_roots(place.root.read_bytes())
    request = build_request(data)
    der = read_response(_post(place.url, request.der))
    facts = verify_token(der, data, roots, nonce=request.nonce)
    if not facts.supported and not place.opaque:
        raise FormatError(
            Reason.ALGORITHM_NOT_ALLOWED,
            "time-stamp: signed as nobody here can check: set opaque = true to keep it unverified",
        )
    return Token(der, facts)


def _post(url: str, body: bytes) -> bytes:
    headers = {"Content-Type": REQUEST_TYPE, "Accept": REPLY_TYPE}
    request = urllib.request.Request(url, data=body, headers=headers)  # noqa: S310 - http(s), as configured
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    until = time.monotonic() + ANSWER_S
    try:
        with opener.open(request, timeout=ANSWER_S) as answer:
            return _read(answer, until)
    except urllib.error.HTTPError as error:
        error.close()
        raise AuthorityDown(f"{url}: HTTP {error.code}") from error
    except (OSError, http.client.HTTPException) as error:
        raise AuthorityDown(f"{url}: {printable(str(error)) or type(error).__name__}") from error


def _read(answer: _Readable, until: float) -> bytes:
    """Read to the end, which must come in time and within the limit."""
    raw = b""
    while chunk := answer.read1(_CHUNK_BYTES):
        raw += chunk
        if len(raw) > TOKEN_BYTES_MAX:
            raise FormatError(Reason.TOO_LARGE, f"time-stamp: answer over {TOKEN_BYTES_MAX} bytes")
        if time.monotonic() > until:
            raise AuthorityDown(f"the answer is not whole after {ANSWER_S:.0f} s")
    return raw
