"""Who was not let in at our broker, as its own log tells it (docs/protocol.md clause 16.7).

TLS and logins are refused before any message of ours: only the broker hears of it. The first
attempt of an address opens an incident, what follows within the hour is counted into one more, so
that whoever knocks all day long fills neither the record nor the operator's list.
"""

import ipaddress
import re
from functools import partial
from typing import Literal

import msgspec

from exchange.batch import Batch
from schemas.addresses import DNS_SUFFIX
from schemas.moments import HOUR, Instant
from schemas.records import IncidentRow
from schemas.wire import printable

INCIDENT = "stranger_refused"
APART_MAX = 256
"""So many addresses are told apart within an hour; those beyond are counted as one."""
ELSEWHERE = "further addresses"
UNNAMED = "an address that the broker's log does not name"

What = Literal[
    "certificate-unknown",
    "certificate-expired",
    "certificate-revoked",
    "certificate-missing",
    "certificate-bad",
    "login-refused",
]
_ALERTS: dict[str, What] = {
    "Unknown CA": "certificate-unknown",
    "Certificate Expired": "certificate-expired",
    "Certificate Revoked": "certificate-revoked",
    "Certificate required": "certificate-missing",
}
_ALERT = re.compile(
    r"TLS server: In state (?:certify|wait_cert\w*) .{0,200}?"
    r"generated SERVER ALERT: Fatal - ([A-Za-z][A-Za-z ]{1,40})"
)
_NO_CERTIFICATE = "no_client_certificate_provided"
_LOGIN = re.compile(r"\b[A-Z-]{1,32} login refused: user '([^']{0,255})'")
_PEER = re.compile(r"(?:\(| peer )\[?([0-9A-Fa-f:.]{2,45})\]?:\d{1,5}\b")


class Stranger(msgspec.Struct, frozen=True, gc=False):
    """One attempt: why it was refused, from where, and under which certified name."""

    what: What
    ip: str | None
    """None where the log does not say; RabbitMQ before 3.13 does not for TLS."""
    name: str = ""


def read_log_entry(entry: bytes) -> Stranger | None:
    """Return the attempt that an entry of RabbitMQ's log tells of, text or JSON; else None."""
    text = entry.decode(errors="replace")
    alert, login = _ALERT.search(text), _LOGIN.search(text)
    if login is not None:
        user = login[1]
        is_certified = user.endswith(f".{DNS_SUFFIX}")
        return Stranger("login-refused", _address_in(text), printable(user) if is_certified else "")
    if alert is None:
        return None
    lacks = _NO_CERTIFICATE in text
    what = "certificate-missing" if lacks else _ALERTS.get(alert[1].strip(), "certificate-bad")
    return Stranger(what, _address_in(text))


def _address_in(text: str) -> str | None:
    found = _PEER.search(text)
    try:
        return None if found is None else str(ipaddress.ip_address(found[1]))
    except ValueError:
        return None


class _Seen(msgspec.Struct):
    since: Instant
    more: int = 0


class Strangers:
    """The attempts of the last hour, counted in memory: a restart only forgets the count."""

    def __init__(self, here: str) -> None:
        """Open incidents about the broker of `here`."""
        self._here = here
        self._seen: dict[tuple[str, str], _Seen] = {}

    def take(self, stranger: Stranger, batch: Batch) -> None:
        """Open an incident at the first attempt of an address within the hour; count the rest."""
        key = (stranger.what, stranger.ip or UNNAMED)
        if key not in self._seen and len(self._seen) >= APART_MAX:
            key = (stranger.what, ELSEWHERE)
        seen = self._seen.get(key)
        if seen is not None:
            seen.more += 1
            return
        named = f" as {stranger.name}" if stranger.name else ""
        self._raise(f"{stranger.what}: from {key[1]}{named}", batch)
        batch.after_commit(partial(self._seen.setdefault, key, _Seen(batch.now)))

    def sweep(self, batch: Batch) -> None:
        """Tell how many more there were of those whose hour is over."""
        for key, seen in list(self._seen.items()):
            if 0 <= batch.now - seen.since < HOUR:
                continue
            if seen.more:
                self._raise(f"{key[0]}: {seen.more} more from {key[1]} within an hour", batch)
            batch.after_commit(partial(self._seen.pop, key, None))

    def _raise(self, detail: str, batch: Batch) -> None:
        """Open an incident, once in a batch."""
        if all(row.detail != detail for row in batch.changes.incidents):
            batch.changes.incidents.append(
                IncidentRow(batch.now, INCIDENT, self._here, detail, None)
            )
