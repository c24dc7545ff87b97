"""Where two ends of a stream part: found by halving, however the taker's intakes lie."""

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from exchange.core.reconciling import Search, point_at
from exchange.core.streams import CHAIN_START, chain_after
from schemas.records import IntakeRow

ROUNDS_MAX = 20


def chains(digests):
    """Return the chain after each number, that of nothing first."""
    values = [CHAIN_START]
    for number, digest in enumerate(digests, 1):
        values.append(chain_after(values[-1], number, digest))
    return values


def intakes(digests, cuts, *, kept=True):
    """Return the rows of a stream that was taken in lots that end at `cuts`."""
    values, rows, first = chains(digests), [], 1
    for last in sorted({*(cut for cut in cuts if cut <= len(digests)), len(digests)} - {0}):
        lot = b"".join(digests[first - 1 : last]) if kept else None
        rows.append(IntakeRow("n/bulk", 1, first, last, values[last], 0, lot))
        first = last + 1
    return rows


def about(rows, number):
    """Return what the record gives for a number."""
    before = [row for row in rows if row.last <= number][-1:]
    return before + [row for row in rows if row.first <= number < row.last]


def compare(writer, rows):
    """Let a writer with all chains ask a taker; return the end of the search."""
    values, search, asked = chains(writer), Search(), len(writer)
    for _ in range(ROUNDS_MAX):
        point = point_at(about(rows, asked), asked)
        search = search.heard(asked, point.number, same=values[point.number] == point.chain)
        if (asked := search.probe) is None:
            return search
    raise AssertionError("the search does not end")


def entries(seed, count):
    return [sha256(f"{seed} {number}".encode()).digest() for number in range(count)]


def test_equal_streams_are_equal_at_once():
    """One question proves ten thousand entries, in lots without digests too."""
    ours = entries("a", 10_000)
    search = compare(ours, intakes(ours, range(0, 10_000, 512), kept=False))
    assert (search.agreed, search.differs, search.probe) == (10_000, None, None)


def test_a_taker_behind_is_agreed_with_as_far_as_it_is():
    """What was not taken yet is no difference."""
    ours = entries("a", 100)
    assert compare(ours, intakes(ours[:40], [7, 21])) == Search(40, None, 40)


@given(
    count=st.integers(1, 300),
    changed=st.integers(0, 299),
    cuts=st.lists(st.integers(1, 300), max_size=30),
)
def test_the_first_entry_that_differs_is_found_exactly(count, changed, cuts):
    """With digests kept the search ends at the very number, in logarithmic steps."""
    changed %= count
    ours, theirs = entries("a", count), entries("a", count)
    theirs[changed] = bytes(32)
    search = compare(ours, intakes(theirs, cuts))
    assert (search.agreed, search.differs, search.is_exact) == (changed, changed + 1, True)


@given(
    count=st.integers(1, 300),
    changed=st.integers(0, 299),
    cuts=st.lists(st.integers(1, 300), max_size=30),
)
def test_without_digests_the_lot_with_the_difference_is_found(count, changed, cuts):
    """What an older program took is known at the ends of its lots alone: these bound it."""
    changed %= count
    ours, theirs = entries("a", count), entries("a", count)
    theirs[changed] = bytes(32)
    rows = intakes(theirs, cuts, kept=False)
    search = compare(ours, rows)
    lot = next(row for row in rows if row.first <= changed + 1 <= row.last)
    assert (search.agreed, search.differs) == (lot.first - 1, lot.last)
    assert search.is_exact == (lot.first == lot.last)


def test_a_lot_that_does_not_follow_gives_no_chain():
    """Where the intake before is gone, nothing is made up from the digests behind it."""
    rows = intakes(entries("a", 10), [4])
    assert point_at(rows[1:], 7).number == 0
