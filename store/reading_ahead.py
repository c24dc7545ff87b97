"""Reading ahead: while one lot of rows is looked at, the database gathers the next."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import msgspec

from store.merkle import Span
from store.postgres.session import Connection, session

Rows = TypeVar("Rows")


class Reader(msgspec.Struct, frozen=True, gc=False):
    """Two connections of one run: one for what is asked in between, one that reads ahead."""

    connection: Connection
    ahead: Connection


@asynccontextmanager
async def open_reader(url: str, name: str) -> AsyncIterator[Reader]:
    """Open both for as long as the body runs; as `store.postgres.session.session`."""
    settings = {"jit": "off"}
    async with session(url, name, settings) as connection, session(url, name, settings) as ahead:
        yield Reader(connection, ahead)


async def in_lots(
    spans: Sequence[Span], at_once: int, fetch: Callable[[int, int], Awaitable[Rows]]
) -> AsyncGenerator[tuple[int, int, Rows], None]:
    """Yield first, end and rows of each lot of the spans, in order, the next one under way.

    `fetch` has its connection for itself. Close the iterator where it is left before its end.
    """
    lots = _lots(spans, at_once)
    under_way = _begin(fetch, lots)
    try:
        while under_way is not None:
            (first, end), fetching = under_way
            rows = await fetching
            under_way = _begin(fetch, lots)
            await asyncio.sleep(0)  # so that it is asked for before the rows are looked at
            yield first, end, rows
    finally:
        if under_way is not None:
            under_way[1].cancel()


def _lots(spans: Sequence[Span], at_once: int) -> Iterator[Span]:
    for span in spans:
        for first in range(span.first, span.end, at_once):
            yield Span(first, min(first + at_once, span.end))


def _begin(
    fetch: Callable[[int, int], Awaitable[Rows]], lots: Iterator[Span]
) -> tuple[Span, asyncio.Future[Rows]] | None:
    lot = next(lots, None)
    if lot is None:
        return None
    return lot, asyncio.ensure_future(fetch(*lot))  # noqa: TID251 - `in_lots` owns it
