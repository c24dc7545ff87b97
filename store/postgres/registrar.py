"""The registry's side of the record: cards, instructions, invitations, requests, issued logs."""

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from schemas.moments import Instant
from schemas.records import (
    AccessRow,
    AlarmRow,
    CardRow,
    Certified,
    GrantRow,
    InstructionOutcome,
    InstructionRow,
    InvitationRow,
    InvitationUse,
    IssuedCosignature,
    IssuedHead,
    IssuedRow,
    OwnKey,
    RequestRow,
    Revoked,
)
from store.postgres.desk import DROP_CHANNEL, Desk
from store.postgres.rows import TABLES, columns, read_all

_CARDS = "SELECT DISTINCT ON (address) * FROM card ORDER BY address, number DESC"

_REFUSED_CARDS = """
SELECT q.sha256 FROM incident AS i JOIN quarantine AS q ON q.frame = i.frame
WHERE i.kind = 'card_refused' AND q.state = 'incident' ORDER BY i.place DESC LIMIT $1
"""

_PENDING_INSTRUCTIONS = """
SELECT i.* FROM instruction AS i LEFT JOIN instruction_outcome AS o ON o.id = i.id
WHERE o.id IS NULL ORDER BY i.id LIMIT $1
"""

_INSTRUCTIONS = """
SELECT i.id, i.given, i.who, i.what, i.content, o.id, o.at, o.state, o.content
FROM instruction AS i LEFT JOIN instruction_outcome AS o ON o.id = i.id
ORDER BY i.id DESC LIMIT $1
"""

_INSTRUCT = "INSERT INTO instruction VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING"

_OPEN_REQUESTS = """
SELECT r.* FROM request AS r LEFT JOIN request_grant AS g ON g.request = r.sha256
WHERE g.request IS NULL ORDER BY r.made
"""

_REFUSED_JOINS = """
SELECT id, count(*) FROM invitation_use WHERE state = 'refused' GROUP BY id
"""

_HEADS = "SELECT DISTINCT ON (authority) * FROM issued_head ORDER BY authority, size DESC"

_HEAD_FROM = "authority = $1 AND size >= $2 ORDER BY size LIMIT 1"

_COSIGNED_HEADS = """
SELECT DISTINCT ON (authority, witness) * FROM issued_cosignature
ORDER BY authority, witness, size DESC
"""

_ISSUED = """
SELECT * FROM issued WHERE authority = $1 AND index >= $2 ORDER BY index LIMIT $3
"""

_ISSUED_CERTIFICATES = """
SELECT certificate FROM issued WHERE certificate = ANY ($1::bytea[])
"""

_WAKE = f"SELECT pg_notify('{DROP_CHANNEL}', '')"

Row = TypeVar("Row", bound=msgspec.Struct)


class Registrar(Desk):
    """Reads of the registry, each by index, and the two writes that commands do."""

    async def cards(self) -> list[CardRow]:
        """Return the newest card of each address."""
        return read_all(CardRow, await self._rows(_CARDS))

    async def card_history(self, address: str) -> list[CardRow]:
        """Return all cards of an address, oldest first."""
        return await self._where(CardRow, "address = $1 ORDER BY number", address)

    async def cards_of(self, addresses: Sequence[str]) -> list[CardRow]:
        """Return every card ever kept of these addresses."""
        return await self._where(CardRow, "address = ANY ($1::text[])", list(addresses))

    async def refused_cards(self, limit: int) -> list[bytes]:
        """Return the SHA-256 of the newest cards and key statements refused, newest first."""
        return [row["sha256"] for row in await self._rows(_REFUSED_CARDS, limit)]

    async def instruct(self, instruction: InstructionRow) -> None:
        """Tell the daemon to do something, and wake it; the same one again is harmless."""
        async with self._reading() as connection:
            await connection.execute(_INSTRUCT, *msgspec.structs.astuple(instruction))
            await connection.execute(_WAKE)

    async def pending_instructions(self, limit: int) -> list[InstructionRow]:
        """Return instructions without an outcome, oldest first."""
        return read_all(InstructionRow, await self._rows(_PENDING_INSTRUCTIONS, limit))

    async def instructions(
        self, limit: int
    ) -> list[tuple[InstructionRow, InstructionOutcome | None]]:
        """Return the newest instructions with what became of them, newest first."""
        found = await self._rows(_INSTRUCTIONS, limit)
        width = len(InstructionRow.__struct_fields__)
        return [
            (
                InstructionRow(*row[:width]),
                InstructionOutcome(*row[width:]) if row[width] is not None else None,
            )
            for row in found
        ]

    async def last_instruction(self, what: str) -> InstructionRow | None:
        """Return the newest instruction of a kind; None where there was none."""
        found = await self._where(InstructionRow, "what = $1 ORDER BY id DESC LIMIT 1", what)
        return found[0] if found else None

    async def instructions_of(self, what: str) -> list[InstructionRow]:
        """Return every instruction of a kind, oldest first."""
        return await self._where(InstructionRow, "what = $1 ORDER BY id", what)

    async def instruction_outcome(self, id_: str) -> InstructionOutcome | None:
        """Return what became of an instruction; None while it waits."""
        found = await self._where(InstructionOutcome, "id = $1", id_)
        return found[0] if found else None

    async def invitations(self) -> list[InvitationRow]:
        """Return every invitation given, oldest first."""
        return await self._where(InvitationRow, "true ORDER BY made, id")

    async def invitation(self, id_: str) -> InvitationRow | None:
        """Return an invitation; None where none has this id."""
        found = await self._where(InvitationRow, "id = $1", id_)
        return found[0] if found else None

    async def invitation_uses(self, id_: str) -> list[InvitationUse]:
        """Return the attempts to use an invitation, oldest first."""
        return await self._where(InvitationUse, "id = $1 ORDER BY place", id_)

    async def invitation_endings(self) -> dict[str, InvitationUse]:
        """Return what used up or withdrew each invitation that is over."""
        found = await self._where(InvitationUse, "state <> 'refused'")
        return {use.id: use for use in found}

    async def refused_joins(self) -> dict[str, int]:
        """Return how often each invitation was tried in vain."""
        return {row["id"]: row["count"] for row in await self._rows(_REFUSED_JOINS)}

    async def request(self, sha256: bytes) -> RequestRow | None:
        """Return a request; None where it is not known."""
        found = await self._where(RequestRow, "sha256 = $1", sha256)
        return found[0] if found else None

    async def requests_of(self, subject: str, since: int) -> list[RequestRow]:
        """Return the requests about an address that were made at `since` or later, oldest first."""
        condition = "subject = $1 AND made >= $2 ORDER BY made"
        return await self._where(RequestRow, condition, subject, since)

    async def open_requests(self) -> list[RequestRow]:
        """Return the requests that have no answer yet, oldest first."""
        return read_all(RequestRow, await self._rows(_OPEN_REQUESTS))

    async def grant(self, request: bytes) -> GrantRow | None:
        """Return the answer to a request; None where there is none."""
        found = await self._where(GrantRow, "request = $1", request)
        return found[0] if found else None

    async def issued(self, authority: str, after: int, limit: int) -> list[IssuedRow]:
        """Return entries of an authority's log from index `after` on."""
        return read_all(IssuedRow, await self._rows(_ISSUED, authority, after, limit))

    async def issued_heads(self) -> dict[str, IssuedHead]:
        """Return the newest head of each log that is kept here."""
        return {row["authority"]: IssuedHead(*row) for row in await self._rows(_HEADS)}

    async def issued_head_from(self, authority: str, size: int) -> IssuedHead | None:
        """Return the first head kept of a log with at least `size` entries; None where none is."""
        found = await self._where(IssuedHead, _HEAD_FROM, authority, size)
        return found[0] if found else None

    async def issued_cosigned(self) -> list[IssuedCosignature]:
        """Return the newest head of each log that each of its witnesses has cosigned."""
        return read_all(IssuedCosignature, await self._rows(_COSIGNED_HEADS))

    async def in_issued(self, certificates: Sequence[bytes]) -> set[bytes]:
        """Return which certificates (SHA-256) stand in a log that is kept here."""
        found = await self._rows(_ISSUED_CERTIFICATES, list(certificates))
        return {row["certificate"] for row in found}

    async def alarms(self, since: Instant, limit: int) -> list[AlarmRow]:
        """Return the newest alarms raised here or below at `since` or later, newest first."""
        condition = "at >= $1 ORDER BY at DESC, sha256 LIMIT $2"
        return await self._where(AlarmRow, condition, since, limit)

    async def alarms_of(self, issuer: str) -> list[AlarmRow]:
        """Return the alarms that a node has raised, oldest first."""
        return await self._where(AlarmRow, "issuer = $1 ORDER BY at", issuer)

    async def alarm(self, sha256: bytes) -> AlarmRow | None:
        """Return an alarm by the SHA-256 of its object; None where it is not known."""
        found = await self._where(AlarmRow, "sha256 = $1", sha256)
        return found[0] if found else None

    async def crl_digests(self) -> set[bytes]:
        """Return the SHA-256 of every revocation list ever kept here."""
        return {row["sha256"] for row in await self._rows("SELECT sha256 FROM crl")}

    async def certified(self, address: str | None = None) -> list[Certified]:
        """Return what our authority has certified, of one address or of all, oldest first."""
        return await self._where(Certified, "$1::text IS NULL OR address = $1 ORDER BY at", address)

    async def revoked(self) -> list[Revoked]:
        """Return what our authority has revoked, oldest first."""
        return await self._where(Revoked, "true ORDER BY at, sha256")

    async def own_keys(self) -> list[OwnKey]:
        """Return the public keys that this node has made."""
        return await self._where(OwnKey, "true ORDER BY made")

    async def add_access(self, access: AccessRow) -> None:
        """Record one use of a command."""
        names = ", ".join(columns(AccessRow))
        query = f"INSERT INTO access ({names}) VALUES ($1, $2, $3, $4)"  # noqa: S608 - constants
        async with self._reading() as connection:
            await connection.execute(query, *msgspec.structs.astuple(access))

    async def accesses(self, limit: int) -> list[AccessRow]:
        """Return the newest uses of commands, newest first."""
        return await self._where(AccessRow, "true ORDER BY place DESC LIMIT $1", limit)

    async def _where(self, row_type: type[Row], condition: str, *values: object) -> list[Row]:
        query = f"SELECT * FROM {TABLES[row_type]} WHERE {condition}"  # noqa: S608 - constants
        return read_all(row_type, await self._rows(query, *values))
