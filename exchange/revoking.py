"""Revoking at the wish of an operator: asks the authority, and waits for its answer.

Nothing is kept but the request itself: after a restart it is found again by its subject and text.
"""

import re
from typing import Annotated, Literal

import msgspec

from exchange.batch import Batch
from exchange.gate import sha256_of
from exchange.instructions import Declined, Done
from exchange.requests import Requests
from exchange.state import NodeState
from schemas import wire
from schemas.objects import cut_object
from schemas.patterns import whole
from schemas.records import InstructionRow, RequestRow
from schemas.statements import Grant, Revocation
from signing.certificates import named_address

Reason = Literal[
    "unspecified",
    "keyCompromise",
    "cACompromise",
    "affiliationChanged",
    "superseded",
    "cessationOfOperation",
    "privilegeWithdrawn",
    "aACompromise",
]
"""As RFC 5280 names them."""


class Revoke(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Content of `revoke`: all certificates of an address, or one by its SHA-256."""

    what: Annotated[str, msgspec.Meta(pattern=whole(r"[0-9a-z.-]{1,200}"))]
    reason: Reason


class Revoked(msgspec.Struct, frozen=True):
    """The authority has revoked."""

    address: str
    request: str
    """SHA-256."""
    detail: str


class Revoking:
    """The instruction `revoke`."""

    def __init__(self, state: NodeState, requests: Requests) -> None:
        """Share the node's state."""
        self._state = state
        self._requests = requests

    async def revoke(self, row: InstructionRow, batch: Batch) -> Done | Declined | None:
        """Ask the authority to revoke, once; done when it has answered."""
        wanted = msgspec.json.decode(row.content, type=Revoke)
        subject, sha256 = self._subject(wanted.what)
        if subject is None:
            return Declined(f"no certificate {wanted.what} has been met here: name its address")
        here = self._state.rules.here
        if subject != here and not self._state.registry.is_responsible_for(subject):
            return Declined(f"{subject} is neither {here} nor a child of it: ask its parent")
        text = wire.encode(Revocation(reason=wanted.reason, sha256=sha256))
        asked = await self._asked(subject, text, row)
        if asked is None:
            if not self._requests.is_pending(subject, "revoke"):
                self._requests.ask(subject, "revoke", text, batch)
            return None
        return await self._answer(subject, asked)

    def _subject(self, what: str) -> tuple[str | None, str | None]:
        """Return whose certificates are meant, and which one; None where nobody knows it."""
        if re.fullmatch(r"[0-9a-f]{64}", what) is None:
            return what, None
        found = [
            der for der in self._state.gate.trust.ders_for(what) if sha256_of(der).hex() == what
        ]
        return (named_address(found[0]) if found else None), what

    async def _asked(self, subject: str, text: bytes, row: InstructionRow) -> RequestRow | None:
        """Return the request that this instruction has made, or one like it since."""
        for request in await self._state.archive.requests_of(subject, row.given):
            is_ours = request.issuer == self._state.rules.here and request.what == "revoke"
            if is_ours and cut_object(request.object).body == text:
                return request
        return None

    async def _answer(self, subject: str, asked: RequestRow) -> Done | Declined | None:
        granted = await self._state.archive.grant(asked.sha256)
        if granted is None:
            return None
        header = cut_object(granted.object).header
        detail = header.detail if isinstance(header, Grant) else ""
        if granted.outcome != "granted":
            return Declined(f"the authority refused: {detail}")
        return Done(Revoked(subject, asked.sha256.hex(), detail), detail=subject)
