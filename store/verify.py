"""`bbaj store verify`: re-hashes the record and names what does not fit.

Reads by key ranges up to bounds taken at the start, in flat memory and without a long
transaction: rows of the record never change, so what is committed meanwhile does not disturb.
The leaves vouch for the packets and for the second log, the stored checkpoints (and those a witness
has cosigned) for the leaves, the chains for the streams.
"""

from collections.abc import Callable, Mapping

import msgspec

from store.errors import StoreFault
from store.faults import Fault, Faults, OpenPayload, Progress, Reached
from store.postgres.position import load_tree
from store.postgres.session import Connection
from store.reading_ahead import open_reader
from store.scope import WHOLE, Order, Scope, behind, scope_of, width
from store.verify_frames import check_frames, frame_bounds
from store.verify_holds import check_holds
from store.verify_journal import check_ends, check_journal
from store.verify_named import check_named
from store.verify_payloads import PayloadCheck
from store.verify_rebuilt import check_rebuilt
from store.verify_streams import check_streams, entry_spans

Keep = Callable[[Scope], None]
"""Told what is left to be done, so that an interrupted run can go on there."""


class Verification(msgspec.Struct, frozen=True, gc=False):
    """What a verification saw."""

    faults_found: int
    faults: list[Fault]
    """The first ones; see faults.FAULTS_KEPT_MAX."""
    counts: dict[str, int]
    """Rows looked at, by table; `destroyed` counts payloads that are gone under an act."""
    leaves: int
    """Of the journal when the run began."""
    root: bytes
    """The journal's root over so many leaves; of nothing where its tiles do not give one."""

    @property
    def holds(self) -> bool:
        """Whether no fault was found."""
        return self.faults_found == 0


async def verify(  # noqa: PLR0913 - what a caller knows beside the record
    url: str,
    open_payload: OpenPayload,
    on_progress: Progress = lambda _stage, _done, _total: None,
    witnessed: Mapping[int, bytes] | None = None,
    *,
    order: Order = WHOLE,
    keep: Keep = lambda _scope: None,
    listed: Mapping[str, str] | None = None,
) -> Verification:
    """Check what the order says. `open_payload(bucket, aad, sealed)` decrypts what is at rest.

    `witnessed` are roots by size that others vouch for; `listed` are buckets that the key folder
    knows as destroyed, with their acts: a record that was restored may not know it yet. As long as
    no fault is found, `keep` is told what is left, for the order of a run that goes on there.
    Raises StoreUnavailable.
    """
    faults, vouched = Faults(), witnessed or {}
    async with open_reader(url, "bbaj verify") as reader:
        connection = reader.connection
        leaves = await check_ends(connection, faults, vouched)
        scope = scope_of(order, leaves, *await frame_bounds(connection, order.size))
        run = _Run(faults, scope, on_progress, keep)
        reached = run.stage("journal", "leaves", width(scope.leaves))
        await check_journal(reader, faults, vouched, scope.leaves, reached)
        reached = run.stage("frames", "frames", width(scope.frames))
        payloads = await PayloadCheck.begin(connection, faults, open_payload, listed or {})
        await check_frames(reader, faults, payloads, scope.frames, reached)
        spans = await entry_spans(connection, scope)
        reached = run.stage("streams", None, sum(map(width, spans.values())))
        await check_streams(connection, faults, spans, reached)
        await check_named(connection, faults, scope.parts)
        await check_holds(connection, faults)
        await check_rebuilt(connection, faults)
        root = await _root(connection, leaves)
    return Verification(faults.found, faults.kept, dict(faults.counts), leaves, root)


class _Run:
    """Tells how far a run is, and what is left of it."""

    def __init__(self, faults: Faults, scope: Scope, on_progress: Progress, keep: Keep) -> None:
        self._faults = faults
        self._left = scope
        self._on_progress = on_progress
        self._keep = keep

    def stage(self, name: str, field: str | None, total: int) -> Reached:
        """Begin a stage; return what is told of its steps. `field` of the scope shrinks with it."""
        done = 0

        def reached(count: int, upto: int) -> None:
            nonlocal done
            done += count
            self._on_progress(name, done, total)
            if field is not None:
                spans = behind(getattr(self._left, field), upto)
                self._left = msgspec.structs.replace(self._left, **{field: spans})
                if not self._faults.found:
                    self._keep(self._left)

        return reached


async def _root(connection: Connection, leaves: int) -> bytes:
    try:
        return (await load_tree(connection, leaves)).root()
    except StoreFault:
        return b""


__all__ = ["Fault", "Keep", "Verification", "verify"]
