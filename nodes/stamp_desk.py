"""One time-stamp at a time: what is stamped, asked for, judged, kept (clauses 19.2 to 19.4)."""

import asyncio
import hashlib
from contextlib import suppress

import msgspec

from exchange.ports import Archive, Clock
from exchange.service import Service
from exchange.stamping import Grown, Renewed, Stamped
from nodes.config import Config, Timestamps
from nodes.policies import open_algorithms
from nodes.timestamp_client import AuthorityDown, Token, stamp
from schemas.errors import FormatError
from schemas.moments import HOUR, Instant, format_instant
from schemas.reasons import Reason
from schemas.records import RenewalRow, TimestampRow
from signing.algorithms import DEFAULT, TREE, AlgorithmPolicy
from signing.notes import check_order
from signing.timestamps import TokenFacts

CLOCKS_APART_US = 1 * HOUR
"""A token that says a time further from ours is wrong, or we are: somebody must look."""
FAILURES = (AuthorityDown, FormatError, OSError)
"""What asking may raise: it does not answer, its answer does not count, its root can't be read."""


class Cosigned(msgspec.Struct, frozen=True):
    """A checkpoint of ours as it is stamped: with every signature it has."""

    size: int
    note: str


class Turn(msgspec.Struct):
    """One authority: what it has stamped last, and when it is asked again after a failure."""

    place: Timestamps
    newest: TimestampRow | None
    failures: int = 0
    retry_at: Instant = 0
    refused: Reason | None = None
    """Why its last answer did not count; None since the last good one."""
    is_late: bool = False

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        return self.place.name

    def since(self) -> Instant:
        """Return when it has stamped last, by our clock."""
        return 0 if self.newest is None else self.newest.at

    def next_size(self) -> int:
        """Return the least size that it has not stamped."""
        return 1 if self.newest is None else self.newest.size + 1


class StampDesk:
    """Has single notes of ours stamped, and keeps what holds."""

    def __init__(self, config: Config, service: Service, clock: Clock) -> None:
        """Hold the parts; `open` reads what the authorities have stamped so far."""
        self._config = config
        self._service = service
        self._archive: Archive = service.state.archive
        self._clock = clock
        self._policy = DEFAULT
        self.renewed: RenewalRow | None = None
        """The newest stamped head of the second log."""

    async def open(self) -> list[Turn]:
        """Return the authorities, those from outside first."""
        self.renewed = next(iter(await self._archive.last_renewals(1)), None)
        newest = await self._archive.newest_timestamps()
        places = sorted(self._config.timestamps, key=lambda place: not place.outside)
        return [Turn(place, newest.get(place.name)) for place in places]

    async def newest_cosigned(self) -> int:
        """Return the size of our newest checkpoint that a witness vouches for; 0: none."""
        return await self._archive.newest_cosigned(self._epoch)

    async def newest(self, *, cosigned: bool) -> Cosigned | None:
        """Return our newest checkpoint, or the newest cosigned one where there is any."""
        size = await self.newest_cosigned() if cosigned else 0
        if size:
            found = await self._archive.checkpoint_from(size)
        else:
            found = await self._archive.last_checkpoint()
        if found is None:
            return None
        rows = await self._archive.cosignatures(self._epoch, found[0])
        return Cosigned(found[0], found[2] + "".join(row.lines for row in rows))

    async def stamp(self, turn: Turn, found: Cosigned) -> TimestampRow:
        """Have a checkpoint stamped, and keep it. Raises FAILURES."""
        token = await self._ask(turn, found.note)
        row = TimestampRow(
            sha256=hashlib.sha256(token.der).digest(),
            authority=turn.name,
            size=found.size,
            note=found.note,
            gen_time=token.facts.gen_time,
            at=self._clock(),
            token=token.der,
        )
        await self._service.keep_evidence(Stamped(row))
        if turn.newest is None or row.size >= turn.newest.size:
            turn.newest = row
        return row

    async def renew(self, turn: Turn) -> RenewalRow | None:
        """Hash all leaves of the newest checkpoint anew; have the root stamped, and keep it.

        None without any checkpoint. Raises FAILURES.
        """
        last = await self._archive.last_checkpoint()
        if last is None:
            return None
        size = last[0]
        async for tiles in self._archive.grow_second_log(size):
            await self._service.keep_evidence(Grown(tiles))
        root = await self._archive.renewed_root(size)
        note = self._service.state.gate.sign_second_head(size, root)
        token = await self._ask(turn, note)
        row = RenewalRow(
            sha256=hashlib.sha256(token.der).digest(),
            authority=turn.name,
            size=size,
            note=note,
            gen_time=token.facts.gen_time,
            at=self._clock(),
            token=token.der,
        )
        await self._service.keep_evidence(Renewed(row, root))
        self.renewed = row
        return row

    def policy(self) -> AlgorithmPolicy:
        """Return the table of algorithms; the last good one while its file cannot be used.

        Who announces policies tells of that.
        """
        with suppress(OSError, FormatError):
            self._policy = open_algorithms(self._config)
        return self._policy

    def hash_ends(self) -> bool:
        """Say whether the policy sets an end to the hash of the journal's tree."""
        return self.policy().end_of(TREE) is not None

    @property
    def _epoch(self) -> int:
        return self._service.state.gate.epoch

    async def _ask(self, turn: Turn, note: str) -> Token:
        token = await asyncio.to_thread(stamp, turn.place, note.encode())
        self._judge(token.facts, note)
        turn.failures, turn.retry_at, turn.refused = 0, 0, None
        return token

    def _judge(self, facts: TokenFacts, note: str) -> None:
        """Raise FormatError where a token holds and yet must not count."""
        now, policy = self._clock(), self.policy()
        if abs(facts.gen_time - now) > CLOCKS_APART_US:
            said = format_instant(facts.gen_time)
            raise FormatError(
                Reason.OUTSIDE_TIME_WINDOW,
                f"time-stamp: it says {said}, our clock {format_instant(now)}: compare both",
            )
        check_order(note, facts.gen_time, self._config.limits.time_window_ahead_us)
        ended = [name for name in facts.algorithms if not policy.allowed(name, facts.gen_time)]
        if ended:
            raise FormatError(
                Reason.ALGORITHM_NOT_ALLOWED,
                f"time-stamp: it relies on {', '.join(ended)}, which the policy does not allow",
            )
