"""An issuing authority on line: answers requests, revokes, signs its CRL (clauses 14.1 to 14.3).

Everything that one answer causes, certificates, their leaves, log entries, CRL and the grant, is
committed whole before any of it is sent. A request is known by its SHA-256: the same one again
gets the same answer.
"""

from collections.abc import Iterable, Sequence
from functools import partial

from exchange.asked import Asked, Refusal, fault_of_issuer, read_asked, read_revocation
from exchange.batch import Batch
from exchange.gate import OpenedObject, sha256_of
from exchange.issued_logs import IssuedLogs
from exchange.issuer_gate import IssuerGate
from exchange.learning import learn_certificate
from exchange.quotas import HourlyQuota
from exchange.requests import Requests
from exchange.revocations import Revocations
from exchange.signing_desk import body_of
from exchange.state import NodeState
from schemas.addresses import Address
from schemas.issued import CrlEntry, is_certificate
from schemas.moments import HOUR, Instant, from_datetime
from schemas.objects import CutObject, cut_object, pack_pieces
from schemas.records import Certified, GrantRow, RequestRow, Revoked
from schemas.statements import Grant, Request
from schemas.wire import printable
from signing import authority as signing_authority
from signing.certificates import named_address, parse_certificate, purpose_of
from signing.errors import IssueError
from signing.keys import key_digest
from signing.paths import PublicKey
from signing.profiles import Purpose

CRL_LEFT_US = 1 * HOUR
"""With less than this left to its CRL, an authority signs the next one."""
REQUESTS_PER_HOUR = 2000
"""So many requests of one issuer are answered within an hour."""
SUPERSEDED = "superseded"


class Authority:
    """The authority whose key this node holds."""

    def __init__(
        self,
        state: NodeState,
        issuer: IssuerGate,
        *,
        requests: Requests,
        logs: IssuedLogs,
        revocations: Revocations,
    ) -> None:
        """Share the node's state; requests for this authority come here."""
        self._state = state
        self._issuer = issuer
        self._requests = requests
        self._logs = logs
        self._revocations = revocations
        self._quota = HourlyQuota(REQUESTS_PER_HOUR)
        requests.answer = self.answer
        logs.on_regained = self._regain

    def may_issue(self) -> bool:
        """Say whether certificates and lists may be given: our record is whole, our log in it too.

        A head over other entries than the last one covers would be a fork of ours (clause 14.4).
        """
        return self._state.loss is None and self._logs.is_whole(self._issuer.subtree)

    # --- answering ----------------------------------------------------------------------------

    async def answer(self, opened: OpenedObject, batch: Batch) -> None:
        """Answer a request, the same one with the same answer."""
        header = opened.header
        assert isinstance(header, Request), "the caller sorts them"
        if not self.may_issue():
            return  # who asked asks again; until then what was given before may be lost
        if header.from_ != self._state.rules.here and self._state.gate.has_ended(batch.now):
            return  # who asked asks again: an answer of an ended key may count with nobody
        digest = sha256_of(opened.raw)
        known = await self._known_answer(digest, batch)
        if known is not None:
            self._deliver(known, header.from_, batch)
            return
        if not self._has_room(header.from_, batch):
            return
        found = await self._carry_out(header, opened.body, batch)
        if isinstance(found, Refusal):
            detail = printable(f"{header.what} {header.subject}: {found.detail}")
            self._state.effects.raise_incident(found.incident, header.from_, detail, batch)
        raw = self._make_grant(header, digest, found, batch)
        if header.from_ == self._state.rules.here:
            found_grant = cut_object(raw)
            await self._requests.settle(_opened(found_grant, raw), batch)
            return
        row = RequestRow(digest, header.from_, header.subject, header.what, batch.now, opened.raw)
        batch.changes.requests.append(row)
        batch.changes.grants.append(GrantRow(digest, _outcome_of(found), batch.now, raw))
        self._deliver(raw, header.from_, batch)

    async def _known_answer(self, digest: bytes, batch: Batch) -> bytes | None:
        for row in batch.changes.grants:
            if row.request == digest:
                return row.object
        known = await self._state.archive.grant(digest)
        return None if known is None else known.object

    def _has_room(self, issuer: Address, batch: Batch) -> bool:
        count = self._quota.take(issuer, batch.now)
        if count == REQUESTS_PER_HOUR:
            detail = f"more than {REQUESTS_PER_HOUR} requests within an hour: the rest waits"
            self._state.effects.raise_incident("requests_limited", issuer, detail, batch)
        return count < REQUESTS_PER_HOUR

    def _make_grant(
        self, header: Request, digest: bytes, found: list[bytes] | Refusal, batch: Batch
    ) -> bytes:
        body = pack_pieces([] if isinstance(found, Refusal) else found)
        grant = Grant(
            **self._state.gate.stamp(header.from_, batch.now),  # type: ignore[arg-type]
            subject=header.subject,
            request=digest.hex(),
            outcome=_outcome_of(found),  # type: ignore[arg-type]
            detail=printable(found.detail) if isinstance(found, Refusal) else "",
            body=body_of(body),
        )
        return self._state.gate.sign(grant, body)

    def _deliver(self, raw: bytes, to: Address, batch: Batch) -> None:
        """Send a grant on its way once it is committed."""
        batch.after_commit(partial(self._send, raw, to))

    def _send(self, raw: bytes, to: Address) -> None:
        hop = self._state.registry.next_hop(to)
        link = None if hop is None else self._state.links.get(hop)
        if link is not None:
            link.send_statement(raw, cut_object(raw).header.certificate)

    # --- what is asked ------------------------------------------------------------------------

    async def _carry_out(self, header: Request, body: bytes, batch: Batch) -> list[bytes] | Refusal:
        """Do what a request asks; return the certificates."""
        fault = fault_of_issuer(header, self._state.rules.here, self._issuer.subtree)
        if fault is not None:
            return Refusal(fault)
        if header.what == "revoke":
            return await self._revoke_asked(header, body, batch)
        asked = read_asked(header, body)
        if isinstance(asked, Refusal):
            return asked
        if header.what == "renew":
            return await self._renew(header, asked, batch)
        before = await self._certified(header.subject, batch) if header.what == "join" else []
        issued = self._issue(header.subject, asked, None, batch)
        if isinstance(issued, Refusal):
            return issued
        replaced = self._in_force(before, batch)
        self._mark_revoked(replaced, SUPERSEDED, header.from_, batch)
        await self._publish(issued, replaced, batch)
        return issued

    async def _renew(
        self, header: Request, asked: list[Asked], batch: Batch
    ) -> list[bytes] | Refusal:
        """Give the next certificates, once for each key under the certificate that asks."""
        own = self._state.gate.trust.ders_for(header.certificate)
        if not own or not self._issuer.has_issued(own[0]):
            return Refusal(f"certificate {header.certificate} is not of this authority")
        under = bytes.fromhex(header.certificate)
        rows = await self._certified(header.subject, batch)
        given = {Purpose(row.purpose): row for row in rows if row.asked_under == under}
        again: dict[Purpose, bytes] = {}
        for each in asked:
            if each.purpose not in given:
                continue
            der = self._der_of(given[each.purpose].sha256)
            if der is None or _key_of(der) != each.digest:
                detail = f"{each.purpose} was renewed under {header.certificate} before"
                return Refusal(detail, "second_renewal")
            again[each.purpose] = der
        fresh = [each for each in asked if each.purpose not in again]
        issued = self._issue(header.subject, fresh, under, batch)
        if isinstance(issued, Refusal):
            return issued
        await self._publish(issued, [], batch)
        new = dict(zip((each.purpose for each in fresh), issued, strict=True))
        return [again.get(each.purpose) or new[each.purpose] for each in asked]

    async def _revoke_asked(
        self, header: Request, body: bytes, batch: Batch
    ) -> list[bytes] | Refusal:
        """Revoke one certificate or all of a subject, and what was renewed from them."""
        wanted = read_revocation(body)
        if isinstance(wanted, Refusal):
            return wanted
        rows = await self._certified(header.subject, batch)
        targets = rows
        if wanted.sha256 is not None:
            targets = [row for row in rows if row.sha256.hex() == wanted.sha256]
            if not targets:
                return Refusal(f"no certificate {wanted.sha256} of {header.subject}")
        reached = self._in_force(reached_by(targets, rows), batch)
        self._mark_revoked(reached, wanted.reason, header.from_, batch)
        await self._publish([], reached, batch)
        return []

    # --- issuing and revoking -----------------------------------------------------------------

    async def log_first(self, ders: Iterable[bytes], batch: Batch) -> None:
        """Enter certificates of this authority that it gave while it was off line."""
        if not self.may_issue():
            return  # the next life enters them
        own = [der for der in ders if self._issuer.has_issued(der)]
        logged = await self._state.archive.in_issued([sha256_of(der) for der in own])
        logged |= {row.certificate for row in batch.changes.issued if row.certificate is not None}
        new = [der for der in dict.fromkeys(own) if sha256_of(der) not in logged]
        for der in new:
            self._keep(der, None, batch)
        if new:
            await self._logs.append(new, batch)

    def _issue(
        self, subject: Address, asked: Sequence[Asked], under: bytes | None, batch: Batch
    ) -> list[bytes] | Refusal:
        """Make certificates; they are published by the caller."""
        try:
            made = [
                self._issuer.certify(subject, each.purpose, each.key, batch.now) for each in asked
            ]
        except IssueError as error:
            return Refusal(printable(str(error)))
        for der in made:
            self._keep(der, under, batch)
        return made

    def _keep(self, der: bytes, under: bytes | None, batch: Batch) -> None:
        """Journal a certificate and list it among what this authority has given."""
        learn_certificate(self._state, der, self._state.rules.here, batch)
        row = certified_row(der, under, batch.now)
        if row is not None:
            batch.changes.certified.append(row)

    def _regain(self, entries: Sequence[bytes], batch: Batch) -> None:
        """List what this authority has given again, after its record had lost it."""
        for entry in entries:
            if is_certificate(entry):
                self._keep(entry, None, batch)

    def certify_anew(self, row: Certified, key: PublicKey, batch: Batch) -> bytes:
        """Return a certificate like one of an earlier key; `publish` enters it into the log."""
        der = self._issuer.certify(row.address, Purpose(row.purpose), key, batch.now)
        self._keep(der, row.sha256, batch)
        return der

    async def publish(self, ders: Sequence[bytes], batch: Batch) -> None:
        """Enter certificates into the log."""
        await self._publish(ders, [], batch)

    async def _publish(
        self, ders: Sequence[bytes], revoked: Sequence[Certified], batch: Batch
    ) -> None:
        """Enter certificates and, where something was revoked, the next CRL into the log."""
        entries = list(ders)
        if revoked:
            entries.append(self._sign_crl(revoked, batch))
        if entries:
            await self._logs.append(entries, batch)

    async def _certified(self, address: Address, batch: Batch) -> list[Certified]:
        """Return what this authority has given to an address, this very batch included."""
        fresh = [row for row in batch.changes.certified if row.address == address]
        return [*await self._state.archive.certified(address), *fresh]

    def _in_force(self, rows: Iterable[Certified], batch: Batch) -> list[Certified]:
        """Return those on no CRL of this key that still count somewhere."""
        crl = self._state.gate.trust.crl_of(self._issuer.certificate)
        serials = crl.revoked if crl is not None else frozenset[int]()
        fresh = {row.sha256 for row in batch.changes.revoked}
        oldest = batch.now - self._state.rules.limits.late_limit_us
        return [
            row
            for row in rows
            if row.sha256 not in fresh
            and int(row.serial, 16) not in serials
            and self._ends(row) >= oldest
        ]

    def _ends(self, row: Certified) -> Instant:
        """Return when a certificate of this key ends; 0 for one of an earlier, dead key."""
        der = self._der_of(row.sha256)
        if der is None or not self._issuer.has_issued(der):
            return 0
        parsed = parse_certificate(der)
        return 0 if parsed is None else from_datetime(parsed.not_valid_after_utc)

    def _mark_revoked(
        self, rows: Iterable[Certified], reason: str, by: Address, batch: Batch
    ) -> None:
        batch.changes.revoked += [Revoked(row.sha256, reason, batch.now, by) for row in rows]

    def _sign_crl(self, revoked: Sequence[Certified], batch: Batch) -> bytes:
        """Sign the next CRL, let it spread, and return its log entry."""
        before = self._state.gate.trust.crl_of(self._issuer.certificate)
        reasons = {row.sha256: row.reason for row in batch.changes.revoked}
        entries = [
            signing_authority.Revoked(int(row.serial, 16), batch.now, reasons[row.sha256])
            for row in revoked
        ]
        number = 1 if before is None else before.number + 1
        der = self._issuer.sign_crl(
            entries, number, batch.now, None if before is None else before.der
        )
        self._revocations.take(der, None, batch)
        current = self._state.gate.trust.crl_of(self._issuer.certificate)
        assert current is not None, "it has just been taken"
        return CrlEntry(number, sha256_of(der), len(current.revoked)).text

    def _der_of(self, sha256: bytes) -> bytes | None:
        found = self._state.gate.trust.ders_for(sha256.hex())
        return found[0] if found else None

    # --- time ---------------------------------------------------------------------------------

    async def sweep(self, batch: Batch) -> None:
        """Sign the next CRL before the present one is due."""
        crl = self._state.gate.trust.crl_of(self._issuer.certificate)
        if crl is not None and crl.next_update - batch.now > CRL_LEFT_US:
            return
        if not self._state.greeted.is_set() or not self.may_issue():
            return  # a neighbour may know of a higher number than we do
        await self._logs.append([self._sign_crl([], batch)], batch)


def reached_by(targets: Sequence[Certified], rows: Sequence[Certified]) -> list[Certified]:
    """Return certificates and all that was renewed from them, however often."""
    reached = {row.sha256: row for row in targets}
    grown = True
    while grown:
        more = [row for row in rows if row.asked_under in reached and row.sha256 not in reached]
        reached |= {row.sha256: row for row in more}
        grown = bool(more)
    return list(reached.values())


def certified_row(der: bytes, under: bytes | None, now: Instant) -> Certified | None:
    """Return the row of a certificate given; None where it is no node's."""
    parsed, address = parse_certificate(der), named_address(der)
    purpose = None if parsed is None else purpose_of(parsed)
    if parsed is None or address is None or purpose is None:
        return None
    serial = f"{parsed.serial_number:x}"
    return Certified(sha256_of(der), serial, address, purpose.value, under, now)


def _key_of(der: bytes) -> bytes:
    parsed = parse_certificate(der)
    assert parsed is not None, "we have made it"
    key = parsed.public_key()
    assert isinstance(key, PublicKey), "we give no others"
    return key_digest(key)


def _outcome_of(found: list[bytes] | Refusal) -> str:
    return "refused" if isinstance(found, Refusal) else "granted"


def _opened(found: CutObject, raw: bytes) -> OpenedObject:
    return OpenedObject(found.header, raw, found.body)
