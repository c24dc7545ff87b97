"""Revocation lists: taken once each, journaled, passed on; what does not count is raised.

All that ever counted are kept. A list that comes again is no news: neighbours send theirs at each
greeting.
"""

from functools import partial

from exchange.batch import Batch
from exchange.gate import sha256_of
from exchange.links import Link
from exchange.state import CONFIGURATION, NodeState
from schemas.leaves import LeafKind
from schemas.records import CrlRow
from schemas.wire import printable
from signing.chain import CrlKnown, CrlLearned, CrlRefused, Missing

SEEN_MAX = 100_000


class Revocations:
    """The revocation lists of a node that runs."""

    def __init__(self, state: NodeState) -> None:
        """Share the node's state."""
        self._state = state
        self._seen: set[bytes] = set()

    async def open(self) -> None:
        """Remember which lists came before."""
        self._seen = await self._state.archive.crl_digests()
        self._seen |= {sha256_of(der) for der in self._state.gate.trust.crls()}

    def take(self, der: bytes, link: Link | None, batch: Batch) -> None:
        """Keep a newer list, journal it, and pass it on to the other neighbours."""
        via = CONFIGURATION if link is None else link.neighbour
        found = self._state.gate.trust.add_crl(der)
        if isinstance(found, CrlLearned):
            self._keep(der, found, via, batch)
            self._spread(der, link, batch)
        elif sha256_of(der) not in self._seen:
            self._seen.add(sha256_of(der))
            self._raise(der, found, via, batch)
        if len(self._seen) > SEEN_MAX:
            self._seen.clear()

    def _keep(self, der: bytes, learned: CrlLearned, via: str, batch: Batch) -> None:
        """Record a list; frames held for want of it are judged again."""
        digest = sha256_of(der)
        self._seen.add(digest)
        row = CrlRow(digest, learned.issuer, learned.number, der, batch.now)
        batch.changes.crls.append(row)
        batch.append_leaf(
            LeafKind.CRL,
            None,
            sha256=digest.hex(),
            issuer=learned.issuer,
            number=str(learned.number),
            via=via,
        )
        self._state.arrived.add("crl")
        batch.after_commit(self._state.wake)
        if learned.dropped:
            detail = f"CRL {learned.number} drops {learned.dropped} entries: they stay revoked"
            self._state.effects.raise_incident("crl_entries_dropped", via, detail, batch)

    def _raise(
        self, der: bytes, found: CrlKnown | CrlRefused | Missing, via: str, batch: Batch
    ) -> None:
        """Open an incident about a list that does not count, by what is wrong with it."""
        if isinstance(found, CrlRefused):
            kind, detail = "crl_refused", found.detail
        elif isinstance(found, Missing):
            kind, detail = "crl_issuer_unknown", found.detail
        elif found.number == found.current:
            kind, detail = "crl_forked", f"another list under the number {found.number}"
        else:
            kind, detail = "crl_older", f"list {found.number} came after list {found.current}"
        self._state.effects.raise_incident(
            kind, via, printable(f"{sha256_of(der).hex()}: {detail}"), batch
        )

    # --- passing on ---------------------------------------------------------------------------

    def send_all(self, link: Link, batch: Batch) -> None:
        """Send a neighbour every list that counts, each after its issuer's certificate."""
        for issuer, der in self._state.gate.trust.crls_with_issuers():
            self._send(issuer, der, link, batch)

    def _spread(self, der: bytes, brought_by: Link | None, batch: Batch) -> None:
        issuers = [name for name, each in self._state.gate.trust.crls_with_issuers() if each == der]
        for link in self._state.links.values():
            if link is not brought_by:
                self._send(issuers[0], der, link, batch)

    def _send(self, issuer: str, der: bytes, link: Link, batch: Batch) -> None:
        raw = self._state.gate.make_crl(link.neighbour, der, batch.now)
        has_certificate = bool(self._state.gate.trust.ders_for(issuer))
        fingerprints = (issuer,) if has_certificate else ()  # the root's is everybody's
        batch.after_commit(partial(link.send_statement, raw, *fingerprints))
