"""After the replacement of an authority's key: certifies anew what it had given (clause 14.7).

The root has revoked the authority's old certificate, and with it all that it gave. Only keys that
its own record shows to have been asked for get new certificates: what a thief of the old key made
stands there nowhere. Nodes take the new certificates for the keys they have, without asking.
"""

from exchange.authority import Authority
from exchange.batch import Batch
from exchange.issuer_gate import IssuerGate
from exchange.state import NodeState
from schemas.moments import Instant, from_datetime
from schemas.records import Certified
from signing.authority import authority_address
from signing.certificates import parse_certificate
from signing.paths import PublicKey
from signing.profiles import Purpose

AT_ONCE = 200
"""So many certificates are given anew in one commit."""


class Replacing:
    """What an authority's new key has still to certify."""

    def __init__(self, state: NodeState, issuer: IssuerGate, authority: Authority) -> None:
        """Share the node's state."""
        self._state = state
        self._issuer = issuer
        self._authority = authority
        self._left: list[Certified] | None = None

    async def sweep(self, batch: Batch) -> None:
        """Certify anew what is left, our own keys first."""
        if not self._authority.may_issue():
            return
        if self._left is None:
            self._left = await self._find(batch.now)
        now, self._left = self._left[:AT_ONCE], self._left[AT_ONCE:]
        if not now:
            return
        made = [self._certify(row, batch) for row in now]
        await self._authority.publish(made, batch)
        detail = f"{len(now)} certificates of an earlier key given anew, {len(self._left)} left"
        here = self._state.rules.here
        self._state.effects.raise_incident("authority_replaced", here, detail, batch)

    async def _find(self, now: Instant) -> list[Certified]:
        """Return what an earlier key has given, is in force, and has no successor."""
        rows = await self._state.archive.certified()
        revoked = {row.sha256 for row in await self._state.archive.revoked()}
        followed = {(row.asked_under, row.purpose) for row in rows}
        found = [
            row
            for row in rows
            if (row.sha256, row.purpose) not in followed
            and row.sha256 not in revoked
            and row.purpose != Purpose.ENROLMENT
            and self._is_left(row, now)
        ]
        here = self._state.rules.here
        return sorted(found, key=lambda row: (row.address != here, row.at))

    def _is_left(self, row: Certified, now: Instant) -> bool:
        """Say whether an earlier key of this authority gave it, and it lives, not revoked."""
        ders = self._state.gate.trust.ders_for(row.sha256.hex())
        if len(ders) != 2 or self._issuer.has_issued(ders[0]):
            return False
        parsed, earlier = parse_certificate(ders[0]), parse_certificate(ders[1])
        if parsed is None or earlier is None or authority_address(earlier) != self._issuer.subtree:
            return False
        crl = self._state.gate.trust.crl_of(earlier)
        is_revoked = crl is not None and parsed.serial_number in crl.revoked
        return not is_revoked and from_datetime(parsed.not_valid_after_utc) > now

    def _certify(self, row: Certified, batch: Batch) -> bytes:
        parsed = parse_certificate(self._state.gate.trust.ders_for(row.sha256.hex())[0])
        key = None if parsed is None else parsed.public_key()
        assert isinstance(key, PublicKey), "looked at before"
        return self._authority.certify_anew(row, key, batch)
