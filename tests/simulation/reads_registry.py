"""What is read of cards, requests and issued logs; as store/postgres/registrar.py."""

from collections.abc import Sequence

from schemas.moments import Instant
from schemas.records import (
    AlarmRow,
    CardRow,
    Certified,
    GrantRow,
    IncidentRow,
    InvitationRow,
    InvitationUse,
    IssuedCosignature,
    IssuedHead,
    IssuedRow,
    OwnKey,
    QuarantineRow,
    RequestRow,
    Revoked,
)
from simulation.record import Record


class RegistryReads(Record):
    """Reads about the registry."""

    def cards(self) -> list[CardRow]:
        newest: dict[str, CardRow] = {}
        for row in sorted(self.tables[CardRow], key=lambda row: row.number):
            newest[row.address] = row
        return [newest[address] for address in sorted(newest)]

    def cards_of(self, addresses: Sequence[str]) -> list[CardRow]:
        return [row for row in self.tables[CardRow] if row.address in addresses]

    def refused_cards(self, limit: int) -> list[bytes]:
        kept = {
            row.frame: row.sha256 for row in self.tables[QuarantineRow] if row.state == "incident"
        }
        frames = [row.frame for row in self.tables[IncidentRow] if row.kind == "card_refused"]
        return [kept[frame] for frame in reversed(frames) if frame in kept][:limit]

    def invitations(self) -> list[InvitationRow]:
        return sorted(self.tables[InvitationRow], key=lambda row: (row.made, row.id))

    def invitation(self, id_: str) -> InvitationRow | None:
        return next((row for row in self.tables[InvitationRow] if row.id == id_), None)

    def invitation_uses(self, id_: str) -> list[InvitationUse]:
        return [row for row in self.tables[InvitationUse] if row.id == id_]

    def request(self, sha256: bytes) -> RequestRow | None:
        return next((row for row in self.tables[RequestRow] if row.sha256 == sha256), None)

    def requests_of(self, subject: str, since: Instant) -> list[RequestRow]:
        rows = [r for r in self.tables[RequestRow] if r.subject == subject and r.made >= since]
        return sorted(rows, key=lambda row: row.made)

    def open_requests(self) -> list[RequestRow]:
        answered = {row.request for row in self.tables[GrantRow]}
        rows = [row for row in self.tables[RequestRow] if row.sha256 not in answered]
        return sorted(rows, key=lambda row: row.made)

    def grant(self, request: bytes) -> GrantRow | None:
        return next((row for row in self.tables[GrantRow] if row.request == request), None)

    def issued(self, authority: str, after: int, limit: int) -> list[IssuedRow]:
        rows = [r for r in self.tables[IssuedRow] if r.authority == authority and r.index >= after]
        return sorted(rows, key=lambda row: row.index)[:limit]

    def issued_heads(self) -> dict[str, IssuedHead]:
        rows = sorted(self.tables[IssuedHead], key=lambda row: row.size)
        return {row.authority: row for row in rows}

    def issued_head_from(self, authority: str, size: int) -> IssuedHead | None:
        rows = [r for r in self.tables[IssuedHead] if r.authority == authority and r.size >= size]
        return min(rows, key=lambda row: row.size, default=None)

    def issued_cosigned(self) -> list[IssuedCosignature]:
        rows = sorted(self.tables[IssuedCosignature], key=lambda row: row.size)
        newest = {(row.authority, row.witness): row for row in rows}
        return [newest[key] for key in sorted(newest)]

    def in_issued(self, certificates: Sequence[bytes]) -> set[bytes]:
        kept = {row.certificate for row in self.tables[IssuedRow]}
        return {sha256 for sha256 in certificates if sha256 in kept}

    def alarms(self, since: Instant, limit: int) -> list[AlarmRow]:
        rows = [row for row in self.tables[AlarmRow] if row.at >= since]
        return sorted(rows, key=lambda row: (-row.at, row.sha256))[:limit]

    def alarms_of(self, issuer: str) -> list[AlarmRow]:
        rows = [row for row in self.tables[AlarmRow] if row.issuer == issuer]
        return sorted(rows, key=lambda row: row.at)

    def alarm(self, sha256: bytes) -> AlarmRow | None:
        return next((row for row in self.tables[AlarmRow] if row.sha256 == sha256), None)

    def certified(self, address: str | None = None) -> list[Certified]:
        rows = [row for row in self.tables[Certified] if address in {None, row.address}]
        return sorted(rows, key=lambda row: row.at)

    def revoked(self) -> list[Revoked]:
        return sorted(self.tables[Revoked], key=lambda row: (row.at, row.sha256))

    def own_keys(self) -> list[OwnKey]:
        return sorted(self.tables[OwnKey], key=lambda row: row.made)
