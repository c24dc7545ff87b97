"""What of the record one verification looks at: all of it, or the new part and a share of the old.

Pure. An incremental run begins where a witness vouches for the journal, looks at all that is newer,
and at one of PARTS equal shares of what is older, by the day: what no run has to remember, nobody
can make it forget.
"""

from collections.abc import Iterable, Sequence

import msgspec

from store.merkle import TILE_WIDTH, Span

LEAVES_AT_ONCE = 16 * TILE_WIDTH
"""Leaves are read so many at a time; every span of them begins at a multiple."""
FRAMES_AT_ONCE = 1000
PARTS = 28
"""Nightly runs have looked at every row after so many days."""
ALL_PARTS = tuple(range(PARTS))


class Scope(msgspec.Struct, frozen=True):
    """What is to be looked at; ends are not included."""

    leaves: tuple[Span, ...]
    frames: tuple[Span, ...]
    parts: tuple[int, ...]
    """Of the streams' entries, of certificates and of revocation lists."""
    new_frames: int
    """Entries are new from the first on that carries this frame or a later one."""


class Order(msgspec.Struct, frozen=True):
    """All that is newer than a journal of `size` leaves, and some parts of the rest."""

    size: int
    parts: tuple[int, ...]
    left: Scope | None = None
    """What an interrupted run had left: looked at besides."""


WHOLE = Order(0, ALL_PARTS)


def scope_of(order: Order, leaves: int, old_frames: int, frames: int) -> Scope:
    """Return what an order means for a record of `leaves` leaves and of frames up to `frames`.

    `old_frames` is the last frame that has all its first leaves below `order.size`.
    """
    old_leaves = min(order.size, leaves)
    old_leaves -= old_leaves % LEAVES_AT_ONCE
    shares = shares_of(order.parts, old_leaves // LEAVES_AT_ONCE)
    leaf_spans = [Span(first * LEAVES_AT_ONCE, end * LEAVES_AT_ONCE) for first, end in shares]
    frame_spans = [Span(first + 1, end + 1) for first, end in shares_of(order.parts, old_frames)]
    left = order.left or Scope((), (), (), old_frames + 1)
    return Scope(
        joined([*leaf_spans, *left.leaves, Span(old_leaves, leaves)]),
        joined([*frame_spans, *left.frames, Span(old_frames + 1, frames + 1)]),
        tuple(sorted({*order.parts, *left.parts})),
        min(left.new_frames, old_frames + 1),
    )


def parts_due(last_day: int | None, day: int) -> tuple[int, ...]:
    """Return the parts whose turn came after the last whole run, today's always among them.

    Days count from 1970; None: there was no run.
    """
    missed = PARTS if last_day is None else min(max(day - last_day, 1), PARTS)
    return tuple(sorted({(day - back) % PARTS for back in range(missed)}))


def shares_of(parts: Iterable[int], count: int) -> list[Span]:
    """Return what some of PARTS equal shares of `count` things are."""
    return [Span(count * part // PARTS, count * (part + 1) // PARTS) for part in parts]


def joined(spans: Sequence[Span]) -> tuple[Span, ...]:
    """Return spans in order, those that touch as one, without empty ones."""
    found: list[Span] = []
    for span in sorted(span for span in spans if span.first < span.end):
        if found and span.first <= found[-1].end:
            found[-1] = Span(found[-1].first, max(found[-1].end, span.end))
        else:
            found.append(span)
    return tuple(found)


def behind(spans: Iterable[Span], reached: int) -> tuple[Span, ...]:
    """Return what of spans lies from `reached` on."""
    return tuple(Span(max(first, reached), end) for first, end in spans if end > reached)


def width(spans: Iterable[Span]) -> int:
    """Return how many things spans have together."""
    return sum(end - first for first, end in spans)
