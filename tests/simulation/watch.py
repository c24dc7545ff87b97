"""Everything that is seen of a run from outside, told to observers and kept as its history."""

import asyncio
from collections import Counter
from hashlib import sha256
from typing import Any

import msgspec

from exchange.sessions import Delivery
from schemas.moments import Instant, parse_instant
from schemas.records import Changes, Committed
from simulation.network import Line
from simulation.parcels import Parcel, open_parcel

BEGIN = parse_instant("2026-11-23T03:32:06.000000Z")
KEPT = 200
"""So many parcels are kept opened: a message is seen at both ends of its line."""


class FailureError(Exception):
    """An observer has seen what must not be."""


class Watch:
    """Sees everything, and keeps what happened when.

    Observers are told what they have methods for: `published` and `delivered` (by whom, to whom,
    which parcel), `accepted` (where, which drop), `released` (where, bytes, headers), `told`
    (where, which event), `restored` (where, since when all is lost) and `revoked` (who). They
    raise FailureError.
    """

    def __init__(self, observers: list[Any], forbidden: frozenset[str]) -> None:
        self.observers = observers
        self.history: list[str] = []
        self.lasted_s = 0.0
        """When the last line of history was written."""
        self.incidents: Counter[str] = Counter()
        self.forbidden = forbidden
        """Incidents that no fault of this run explains."""
        self._digest = sha256()
        self._parcels: dict[bytes, Parcel | None] = {}
        self.failure: FailureError | None = None

    def now(self) -> Instant:
        """Return the true time."""
        return BEGIN + round(asyncio.get_running_loop().time() * 1e6)

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the history so far."""
        return self._digest.hexdigest()

    def note(self, where: str, what: str, detail: object = "") -> None:
        """Keep one line of history."""
        self.lasted_s = asyncio.get_running_loop().time()
        line = f"{self.lasted_s:14.6f} {where:28} {what:14} {detail}"
        self.history.append(line)
        self._digest.update(line.encode())

    def fail(self, what: str) -> None:
        """Take note of a failure; the run ends at its next look."""
        if self.failure is None:
            self.note("observer", "FAILURE", what)
            self.failure = FailureError(what)

    # --- what ports tell ------------------------------------------------------------------------

    def published(self, by: str, line: Line, body: bytes) -> None:
        self._tell("published", by, line, body)

    def delivered(self, by: str, line: Line, body: bytes) -> None:
        self._tell("delivered", by, line, body)

    def accepted(self, at: str, delivery: Delivery) -> None:
        drop_id = str(delivery.headers["drop-id"])
        self.note(at, "accepted", drop_id)
        self._ask("accepted", at, drop_id)

    def released(self, at: str, body: bytes, headers: dict[str, Any]) -> None:
        self.note(at, "released", f"{headers['packet-id']} {headers.get('repeat', False)}")
        self._ask("released", at, body, headers)

    def told(self, at: str, body: bytes) -> None:
        event = msgspec.json.decode(body)
        self.note(at, "told", f"{event['drop_id']} {event['state']} {event.get('reason', '')}")
        self._ask("told", at, event)

    def restored(self, at: str, since_s: float) -> None:
        self.note(at, "restored", f"as it was at {since_s:.0f}")
        self._ask("restored", at, since_s)

    def revoked(self, at: str) -> None:
        self.note(at, "revoked")
        self._ask("revoked", at)

    def stored(self, at: str, changes: Changes, journal: Committed) -> None:
        self.note(at, "commit", f"{journal.leaves} {journal.root.hex()[:16]}")
        for row in changes.incidents:
            self.incidents[row.kind] += 1
            self.note(at, "incident", f"{row.kind} {row.neighbour} {row.detail}")
            if row.kind in self.forbidden:
                self.fail(f"{at} opens the incident {row.kind} about {row.neighbour}: {row.detail}")

    def noticed(self, at: str, event: str, facts: dict[str, object]) -> None:
        self.note(at, event, facts)
        if event == "own_fault":
            self.fail(f"{at} fails by itself: {facts}")

    # --- to the observers -----------------------------------------------------------------------

    def _tell(self, what: str, by: str, line: Line, body: bytes) -> None:
        to = line.parent if by == line.child else line.child
        parcel = self._open(body)
        kind = "damaged" if parcel is None else type(parcel.header).__name__
        digest = sha256(body).hexdigest()[:12]
        self.note(by, what, f"{to} {kind} {digest}")
        if parcel is not None:
            self._ask(what, by, to, parcel)

    def _open(self, body: bytes) -> Parcel | None:
        if body not in self._parcels:
            if len(self._parcels) >= KEPT:
                self._parcels.pop(next(iter(self._parcels)))
            self._parcels[body] = open_parcel(body)
        return self._parcels[body]

    def _ask(self, what: str, *about: Any) -> None:
        for observer in self.observers:
            hear = getattr(observer, what, None)
            if hear is None:
                continue
            try:
                hear(*about)
            except FailureError as failure:
                self.fail(f"{type(observer).__name__}: {failure}")
