"""Time-stamps of the journal: made now, listed, renewed, and what is due of each authority."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType

from exchange.stamping import StampWish
from nodes.cli.drawing import new_table
from nodes.cli.instructing import tell
from nodes.cli.moments import utc_and_local, utc_over_local
from nodes.cli.opening import reading
from nodes.cli.shapes import Shape
from nodes.cli.speaking import say
from nodes.clock import now
from nodes.config import Config
from nodes.errors import ConfigurationFault
from nodes.policies import open_algorithms
from nodes.said import spoken
from nodes.stamp_terms import Due, Term, term_of, what_ends, what_is_due
from schemas.errors import FormatError
from schemas.moments import Instant, format_instant
from schemas.records import RenewalRow, TimestampRow
from signing.algorithms import AlgorithmPolicy


class Made(Shape, frozen=True, kw_only=True):
    """One time-stamp that was made now."""

    authority: str
    size: int
    """It covers so many leaves."""
    gen_time: str
    hash: str
    """`sha-256`: of the journal's checkpoint; `sha-512`: of the second log's head."""


class StampsDone(Shape, frozen=True, kw_only=True):
    """What `journal stamp` and `journal renew` have made."""

    stamps: list[Made]
    failed: dict[str, str]
    """Authorities that have made none, and why."""
    due: dict[str, str]
    """Authorities that somebody must do something about."""
    at: str
    instruction: str


class StampLine(Shape, frozen=True, kw_only=True):
    """One time-stamp in the record."""

    authority: str
    size: int
    hash: str
    gen_time: str
    ends: str | None
    """When its certificate or an algorithm of it ends; null where neither says."""
    ends_by: str
    """What ends then."""
    renewed_by: str | None
    """The authority of the next stamp that covers it; null while none does."""
    due: str | None
    """What to do about its authority, of whose stamps this is the newest."""
    sha256: str
    """Of the token."""


def make(config: Config, authority: str | None, wait_s: float) -> StampsDone:
    """Have the newest checkpoint stamped now."""
    return _tell(config, "stamp", StampWish(authority), wait_s)


def renew(config: Config, authority: str | None, wait_s: float, *, anew: bool) -> StampsDone:
    """Have everything renewed now: with `anew`, the journal's hash whatever the policy says."""
    return _tell(config, "renew-journal", StampWish(authority, anew), wait_s)


def _tell(config: Config, what: str, wish: StampWish, wait_s: float) -> StampsDone:
    told = tell(config, what, wish, wait_s=wait_s)
    return StampsDone(
        stamps=[Made(**each) for each in told.content["stamps"]],
        failed=told.content["failed"],
        due=told.content["due"],
        at=told.at,
        instruction=told.id,
    )


async def list_stamps(config: Config, limit: int) -> list[StampLine]:
    """Return the newest time-stamps, newest first. Raises ConfigurationFault, StoreUnavailable."""
    try:
        policy = open_algorithms(config)
    except (OSError, FormatError) as error:
        raise ConfigurationFault([f"policies.algorithms: {error}"]) from error
    async with reading(config) as desk:
        rows: list[TimestampRow | RenewalRow] = [
            *await desk.last_timestamps(limit),
            *await desk.last_renewals(limit),
        ]
        rows.sort(key=lambda row: (row.gen_time, row.at, row.size), reverse=True)
        signed = {row.sha256: await desk.checkpoint_from(row.size) for row in rows[:limit]}
    ages = {sha256: found[1] for sha256, found in signed.items() if found is not None}
    return list(_lines(rows[:limit], ages, policy, now()))


def _lines(
    rows: Sequence[TimestampRow | RenewalRow],
    signed: dict[bytes, Instant],
    policy: AlgorithmPolicy,
    at: Instant,
) -> Iterator[StampLine]:
    """Describe each row, of which the first is the newest; `signed`: when its checkpoint was."""
    seen: set[str] = set()
    for place, row in enumerate(rows):
        # What was signed after it was kept has its leaf.
        later = [each for each in rows[:place] if signed.get(each.sha256, 0) > row.at]
        term = term_of(row, policy)
        is_newest = row.authority not in seen
        seen.add(row.authority)
        yield _line(row, term, later, what_is_due(term, at) if is_newest else None)


def _line(
    row: TimestampRow | RenewalRow,
    term: Term,
    later: Sequence[TimestampRow | RenewalRow],
    due: Due | None,
) -> StampLine:
    return StampLine(
        authority=row.authority,
        size=row.size,
        hash="sha-512" if isinstance(row, RenewalRow) else "sha-256",
        gen_time=format_instant(row.gen_time),
        ends=None if term.ends is None else format_instant(term.ends),
        ends_by=what_ends(term),
        renewed_by=later[-1].authority if later else None,
        due=None if due is None else due.said,
        sha256=row.sha256.hex(),
    )


def stamps_table(lines: Sequence[StampLine]) -> Iterator[RenderableType]:
    """Draw `journal stamps`."""
    if not lines:
        yield say("stamps.none")
        return
    names = ("authority", "leaves", "hash", "time", "ends", "renewed-by")
    table = new_table(*(say(f"stamps.{name}") for name in names))
    for line in lines:
        ends = "-" if line.ends is None else f"{utc_over_local(line.ends)}\n{spoken(line.ends_by)}"
        table.add_row(
            line.authority,
            str(line.size),
            line.hash,
            utc_over_local(line.gen_time),
            ends,
            line.renewed_by or "-",
        )
    yield table
    for line in lines:
        if line.due:
            yield f"{line.authority}: {spoken(line.due)}"


def made(done: StampsDone) -> Iterator[RenderableType]:
    """Draw `journal stamp` and `journal renew`; what the daemon says of authorities is English."""
    for stamp in done.stamps:
        key = "stamps.made" if stamp.hash == "sha-256" else "stamps.made-second"
        at = utc_and_local(stamp.gen_time)
        yield say(key, authority=stamp.authority, at=at, size=stamp.size)
    for name, why in done.failed.items():
        yield say("stamps.failed", authority=name, why=why)
    for name, what in done.due.items():
        yield f"{name}: {what}"
