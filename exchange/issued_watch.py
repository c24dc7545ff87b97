"""Looks for what an authority should not have issued, or should have said (clause 14.5).

In our own name: a certificate in a log, for a key that we have not made. In anybody's: a
certificate met on the network that stands in no log past the hold limit, though its authority's
log is kept here. Both open an incident, and alarm everybody above.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial

import msgspec
from cryptography import x509

from exchange.alarms import Alarms
from exchange.batch import Batch
from exchange.gate import sha256_of
from exchange.requests import is_own_name
from exchange.state import NodeState
from schemas.issued import is_certificate
from schemas.moments import Instant
from schemas.records import CertificateRow, OwnKey
from signing.authority import authority_address
from signing.certificates import life_of_der, named_address, parse_certificate, purpose_of
from signing.chain import Untrusted
from signing.keys import key_digest
from signing.paths import PublicKey
from signing.profiles import Purpose

WATCHED_MAX = 100_000
LOOKED_UP_MAX = 1000
"""So many certificates are looked for in the logs at one sweep."""


class OwnCertificate(msgspec.Struct, frozen=True):
    """A certificate in our own name, for a key of ours, that a log has brought."""

    address: str
    purpose: Purpose
    der: bytes


OnOwn = Callable[[OwnCertificate, Batch], Awaitable[None]]


class _Watched(msgspec.Struct, frozen=True):
    authority: str
    der: bytes
    via: str
    since: Instant


class IssuedWatch:
    """The watch over certificates, in our own name and others'."""

    def __init__(self, state: NodeState, alarms: Alarms) -> None:
        """Share the node's state; `on_own` takes what is issued for keys of ours."""
        self._state = state
        self._alarms = alarms
        self.on_own: OnOwn = _ignore
        self._first: frozenset[bytes] = frozenset()
        self._listed = False
        self._authorities: dict[bytes, str | None] = {}
        self._watched: dict[bytes, _Watched] = {}

    async def open(self) -> None:
        """Go on watching what the record holds and no log does."""
        rows = await self._state.archive.certificates()
        logged = await self._state.archive.in_issued([row.sha256 for row in rows])
        for row in rows:
            if row.sha256 not in logged:
                self._watch(row, "record")

    # --- what the configuration brings --------------------------------------------------------

    def introduce_keys(self, keys: Iterable[OwnKey], batch: Batch) -> None:
        """Register the public keys of our key folder."""
        batch.changes.own_keys += keys

    def introduce_genesis(self, first: frozenset[bytes], batch: Batch) -> None:
        """Take over the first certificates (SHA-256), which stand in no log."""
        self._first, self._listed = first, True
        for der in self._state.gate.trust.authorities():
            self._look_at_authority(der, batch)

    def _look_at_authority(self, der: bytes, batch: Batch) -> None:
        """Raise an authority that the root has certified and the genesis file does not list."""
        if not self._listed or sha256_of(der) in self._first:
            return
        self._first |= {sha256_of(der)}
        parsed = parse_certificate(der)
        address = None if parsed is None else authority_address(parsed)
        detail = (
            f"authority of {address} {sha256_of(der).hex()} is not in the genesis file: ask the "
            "republic for the newest one"
        )
        self._state.effects.raise_incident("authority_unlisted", address or "", detail, batch)

    # --- in our own name ----------------------------------------------------------------------

    async def look_through(self, authority: str, entries: Sequence[bytes], batch: Batch) -> None:
        """Look through new entries of a log for our own name, and for what waits to be there."""
        for entry in entries:
            if not is_certificate(entry):
                continue
            batch.after_commit(partial(self._watched.pop, sha256_of(entry), None))
            address = named_address(entry)
            if address is not None and is_own_name(address, self._state.rules.here):
                await self._look_at_own(authority, address, entry, batch)

    async def _look_at_own(self, authority: str, address: str, der: bytes, batch: Batch) -> None:
        parsed = parse_certificate(der)
        purpose = None if parsed is None else purpose_of(parsed)
        if parsed is None or purpose is None or not self._counts(der, address, purpose, batch):
            return
        key = parsed.public_key()
        assert isinstance(key, PublicKey), "what counts has such a key"
        if sha256_of(der) in self._first or await self._is_ours(key_digest(key), batch):
            await self.on_own(OwnCertificate(address, purpose, der), batch)
            return
        detail = (
            f"{authority} has issued {purpose} certificate {sha256_of(der).hex()} in the name "
            f"{address} for a key that is not ours: have it revoked, ask who asked for it"
        )
        self._alarms.alarm("certificate-unasked", authority, detail, der, authority, batch)

    def _counts(self, der: bytes, address: str, purpose: Purpose, batch: Batch) -> bool:
        """Say whether a certificate can do harm, or will: it is neither revoked nor over."""
        if purpose is Purpose.ENROLMENT and life_of_der(der).until < batch.now:
            return False  # of a machine that was here before, perhaps
        trust = self._state.gate.trust
        trust.add_certificates([der])
        limits = self._state.rules.limits
        name = sha256_of(der).hex()
        standing = trust.judge_neighbour(name, address, purpose, batch.now, limits)
        return not isinstance(standing, Untrusted)

    async def _is_ours(self, key: bytes, batch: Batch) -> bool:
        if any(row.sha256 == key for row in batch.changes.own_keys):
            return True
        return any(row.sha256 == key for row in await self._state.archive.own_keys())

    # --- met, and not said --------------------------------------------------------------------

    def met(self, der: bytes, via: str, batch: Batch) -> None:
        """Watch a certificate that was met, until it stands in its authority's log."""
        if der in self._state.gate.trust.authorities():
            self._look_at_authority(der, batch)
        self._watch(CertificateRow(sha256_of(der), der, batch.now), via)

    def _watch(self, row: CertificateRow, via: str) -> None:
        if row.sha256 in self._first or len(self._watched) >= WATCHED_MAX:
            return
        authority = self._authority_of(row.der)
        if authority is not None:
            self._watched[row.sha256] = _Watched(authority, row.der, via, row.learned)

    def _authority_of(self, der: bytes) -> str | None:
        """Return the address of the authority that issued a node's certificate."""
        found = self._state.gate.trust.ders_for(sha256_of(der).hex())
        if len(found) != 2:
            return None
        if found[1] not in self._authorities:
            parsed = x509.load_der_x509_certificate(found[1])
            self._authorities[found[1]] = authority_address(parsed)
        return self._authorities[found[1]]

    async def sweep(self, is_followed: Callable[[str], bool], batch: Batch) -> None:
        """Raise what has stood in no log for too long, of authorities whose log is kept here."""
        due = [
            digest
            for digest, each in self._watched.items()
            if is_followed(each.authority) and self._is_late(each, batch.now)
        ][:LOOKED_UP_MAX]
        if not due:
            return
        logged = await self._state.archive.in_issued(due)
        for digest in due:
            watched = self._watched.pop(digest)
            if digest not in logged and digest not in self._first:
                self._raise_unlogged(watched, batch)

    def _is_late(self, watched: _Watched, now: Instant) -> bool:
        """Say whether the hold limit has passed while the link that brings the log was up."""
        since = watched.since
        hop = self._state.registry.next_hop(watched.authority)
        if watched.authority != self._state.rules.here:
            link = None if hop is None else self._state.links.get(hop)
            if link is None or link.up_since is None:
                return False
            since = max(since, link.up_since)
        return now - since > self._state.rules.limits.hold_limit_us

    def _raise_unlogged(self, watched: _Watched, batch: Batch) -> None:
        name = named_address(watched.der) or "no node"
        detail = (
            f"certificate {sha256_of(watched.der).hex()} of {name}, met on the way of "
            f"{watched.via}, stands in no log of {watched.authority}"
        )
        evidence = watched.der
        self._alarms.alarm(
            "certificate-unlogged", watched.authority, detail, evidence, watched.authority, batch
        )


async def _ignore(_own: OwnCertificate, _batch: Batch) -> None:
    """Before anybody wants to know."""
