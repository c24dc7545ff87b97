"""Lists of a large record: first pages in time, and plans that do not follow its age."""

import operator
import statistics
import time
from itertools import islice

import pytest

from nodes.bench.archive_rows import HERE as TOP
from nodes.bench.archive_rows import Country, documents, fill
from schemas.documents.registry import ADMIN_ORDER, ATTENDANCE_DAILY, DOCUMENT_FILE
from store.reading import Filters, Reading
from store.standing import State

pytestmark = pytest.mark.slow

PACKETS = 200_000
COUNTRY = Country()
ROUNDS = 15
LOOSELY = 3
"""The machine may have other work."""
MEDIAN_MS, WORST_MS = 50 * LOOSELY, 200 * LOOSELY


@pytest.fixture(scope="module")
async def large(module_record):
    await fill(module_record.owner, COUNTRY, PACKETS)
    return module_record


@pytest.fixture
async def reading(large):
    async with Reading(large.daemon) as opened:
        await opened.list_packets(Filters(), limit=1)
        yield opened


def spread(values):
    return [values[(7919 * number) % len(values)] for number in range(ROUNDS)]


SCHOOLS = spread(COUNTRY.addresses())
OFFICES = spread(COUNTRY.offices())
OBLASTS = [office.rpartition(".")[0] for office in OFFICES]
DAYS = spread(sorted({each.period for each in islice(documents(COUNTRY), 60_000) if each.period}))

QUERIES = {
    "a school": [Filters(sender_under=each, documents=True) for each in SCHOOLS],
    "to a district": [Filters(recipient_under=each, documents=True) for each in OFFICES],
    "a district": [Filters(under=each, documents=True) for each in OFFICES],
    "an oblast": [Filters(sender_under=each, documents=True) for each in OBLASTS],
    "an oblast and a rare type": [
        Filters(sender_under=each, type_=DOCUMENT_FILE) for each in OBLASTS
    ],
    "an oblast and a type that it never sends": [
        Filters(sender_under=each, type_=ADMIN_ORDER) for each in OBLASTS
    ],
    "a type": [Filters(type_=ADMIN_ORDER)] * ROUNDS,
    "a period": [Filters(period=each, documents=True) for each in DAYS],
    "organisation, type and period": [
        Filters(sender_under=school, type_=ATTENDANCE_DAILY, period=day)
        for school, day in zip(SCHOOLS, DAYS, strict=True)
    ],
    "subtree, type and period": [
        Filters(sender_under=oblast, type_=ATTENDANCE_DAILY, period=day)
        for oblast, day in zip(OBLASTS, DAYS, strict=True)
    ],
    "the top, type and period": [
        Filters(recipient_under=TOP, type_=ATTENDANCE_DAILY, period=day) for day in DAYS
    ],
    "a reason": [Filters(reason="type-not-allowed", documents=True)] * ROUNDS,
    "an open state": [Filters(state=State.IN_CUSTODY, documents=True)] * ROUNDS,
}


@pytest.mark.parametrize("name", QUERIES)
async def test_first_pages_come_in_time(reading, name):
    """The first page of a list comes in time, whatever of the record it is narrowed to."""
    took_ms = []
    for filters in QUERIES[name]:
        begun = time.perf_counter()
        await reading.list_packets(filters, limit=50)
        took_ms.append((time.perf_counter() - begun) * 1000)
    assert statistics.median(took_ms) < MEDIAN_MS
    assert max(took_ms) < WORST_MS


@pytest.mark.parametrize("name", QUERIES)
async def test_no_list_reads_the_whole_table(reading, name):
    """A page reads rows by index alone, and far fewer than there are."""
    before = await read_so_far(reading)
    await reading.list_packets(QUERIES[name][0], limit=50)
    scans, rows = map(operator.sub, await read_so_far(reading), before)
    assert scans == 0
    assert rows < PACKETS // 5


async def read_so_far(reading):
    """Return how often the table was read whole, and how many rows were read by index."""
    await reading._rows("SELECT pg_stat_force_next_flush()")
    await reading._rows("SELECT pg_stat_clear_snapshot()")
    return tuple(
        await reading._row(
            "SELECT seq_scan, idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'packet'"
        )
    )
