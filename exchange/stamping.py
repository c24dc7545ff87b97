"""Time-stamps in the record: kept with their leaves in one commit, asked for by operators (19.2).

Whoever asks the authorities does so beside the sequencer (`nodes/stamping.py`), and hands over what
came of it. An operator's wish is a row of the record: it outlives a restart, and is answered once
its time-stamp is committed.
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from typing import Annotated, Literal, assert_never

import msgspec

from exchange.batch import Batch
from exchange.drops import Outcome
from exchange.instructions import Declined, Done, Handler
from exchange.state import NodeState
from schemas.leaves import LeafKind
from schemas.moments import format_instant
from schemas.records import InstructionRow, RenewalRow, RenewedTile, TimestampRow
from schemas.wire import printable

AuthorityName = Annotated[str, msgspec.Meta(max_length=64)]


class StampWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Content of `stamp` and `renew-journal`: by which authority; None: by each, or by any."""

    authority: AuthorityName | None = None
    second_log: bool = False
    """Hash the journal anew as well, whatever the policy says of its hash."""


class Stamped(msgspec.Struct, frozen=True):
    """An authority has stamped a note of ours, and the token holds."""

    row: TimestampRow


class Renewed(msgspec.Struct, frozen=True):
    """An authority has stamped the head of the second log, whose root this is."""

    row: RenewalRow
    root: bytes


class Grown(msgspec.Struct, frozen=True):
    """Tiles of the second log are filled."""

    tiles: list[RenewedTile]


class StampTrouble(msgspec.Struct, frozen=True):
    """An authority is late, or has answered what does not count."""

    kind: Literal["timestamp_late", "timestamp_refused"]
    authority: str
    detail: str


Stamping = Stamped | Renewed | Grown | StampTrouble


class Evidenced(msgspec.Struct, frozen=True):
    """The job: something to keep; `done` is settled once it is committed."""

    what: Stamping
    done: "asyncio.Future[list[Outcome]]"


class Stamps:
    """Keeps time-stamps, and what operators wish of them."""

    def __init__(self, state: NodeState) -> None:
        """Share the node's state."""
        self._state = state
        self.authorities: tuple[str, ...] = ()
        """Names in the configuration; none: nobody is asked."""
        self.wishes: dict[str, tuple[str, StampWish]] = {}
        """What operators wait for, by instruction: its kind and content."""
        self.on_wish: Callable[[], None] = lambda: None
        """Told of a new wish: it must neither wait nor fail."""
        self._answers: dict[str, Done | Declined] = {}

    def handlers(self) -> Mapping[str, Handler]:
        """Return who does what."""
        return {"stamp": self._wish, "renew-journal": self._wish}

    async def _wish(self, row: InstructionRow, batch: Batch) -> Done | Declined | None:
        """Let a wish stand until it is answered."""
        wish = msgspec.json.decode(row.content, type=StampWish)
        if row.id in self._answers:
            batch.after_commit(lambda: self._forget(row.id))
            return self._answers[row.id]
        if not self.authorities:
            return Declined("no authority is configured: name one in [[timestamps]]")
        if wish.authority is not None and wish.authority not in self.authorities:
            known = ", ".join(self.authorities)
            return Declined(f"no authority {printable(wish.authority)}: {known} are configured")
        if row.id not in self.wishes:
            self.wishes[row.id] = (row.what, wish)
            self.on_wish()
        return None

    def is_answered(self, id_: str) -> bool:
        """Say whether a wish is fulfilled, and only its instruction is not answered yet."""
        return id_ in self._answers

    def answer(self, id_: str, answer: Done | Declined) -> None:
        """Say what became of a wish; its instruction is answered at the next sweep."""
        self._answers[id_] = answer
        self._state.wake()

    def _forget(self, id_: str) -> None:
        del self.wishes[id_], self._answers[id_]

    def take(self, what: Stamping, batch: Batch) -> None:
        """Keep what the authorities' side has brought."""
        match what:
            case Stamped():
                batch.changes.timestamps.append(what.row)
                batch.append_leaf(LeafKind.TIMESTAMP, None, **_facts(what.row))
            case Renewed():
                batch.changes.renewals.append(what.row)
                facts = _facts(what.row)
                batch.append_leaf(LeafKind.RENEWAL, None, root=what.root.hex(), **facts)
            case Grown():
                batch.changes.renewed_tiles += what.tiles
            case StampTrouble():
                self._state.effects.raise_incident(
                    what.kind, what.authority, printable(what.detail), batch
                )
            case _:
                assert_never(what)


def _facts(row: TimestampRow | RenewalRow) -> dict[str, str]:
    """Return what a leaf says of a token."""
    return {
        "sha256": row.sha256.hex(),
        "sha512": hashlib.sha512(row.token).hexdigest(),
        "authority": row.authority,
        "size": str(row.size),
        "gen_time": format_instant(row.gen_time),
    }
