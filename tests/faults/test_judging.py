"""The judgement of a run: each promise that is broken is found, or a clean run proves nothing."""

import pytest

from faults.judging import hold_against
from nodes.demo.book import Book, Dropped, Left, Told
from nodes.demo.judgement import StoreReport

SENDER, RECIPIENT, PACKET = "kz.a", "kz", "p1"
DROPPED = Dropped("f", SENDER, RECIPIENT, "attendance.daily/1", "aa", "d1")
LEFT = Left(SENDER, RECIPIENT, "attendance.daily/1", "aa", PACKET, repeat=False)
DELIVERED = Told(SENDER, "d1", "delivered", PACKET)


def judged(*, left=(LEFT,), told=(DELIVERED,), released=1, receipt=True, faults=(), quarantine=()):
    """Judge one document that was dropped."""
    book = Book(dropped=[DROPPED], left=[*left], told=[*told], expected=[])
    reports = {
        SENDER: StoreReport(faults=[*faults], ends={PACKET: 1} if receipt else {}),
        RECIPIENT: StoreReport(faults=[], released={PACKET: released}, quarantine=dict(quarantine)),
    }
    found = hold_against(book, reports)
    return (found.lost, found.doubled, found.false), found.findings


def test_a_document_that_came_out_once_with_a_receipt_is_well():
    """Nothing is found where nothing is wrong."""
    assert judged() == ((0, 0, 0), [])


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({"told": (), "left": ()}, (1, 0, 0)),
        ({"told": ()}, (1, 0, 0)),
        ({"left": ()}, (1, 0, 0)),
        ({"left": (LEFT, LEFT)}, (0, 1, 0)),
        ({"left": (LEFT, Left(*[*LEFT.key], "p2", repeat=False))}, (0, 1, 0)),
        ({"released": 2}, (0, 1, 1)),
        ({"released": 0}, (0, 0, 1)),
        ({"receipt": False}, (0, 0, 1)),
        ({"left": (LEFT, Left(SENDER, RECIPIENT, "t/1", "bb", "p2", repeat=False))}, (0, 0, 1)),
        ({"told": (Told(SENDER, "d1", "refused", PACKET),), "left": ()}, (0, 0, 1)),
        ({"told": (DELIVERED, Told(SENDER, "d1", "fault"))}, (0, 0, 1)),
        ({"quarantine": {"cc": "signature-invalid"}}, (0, 0, 1)),
    ],
    ids=[
        "lost", "never heard of", "told delivered and gone", "unmarked repeat", "two packets",
        "released twice", "never released", "no receipt", "nobody dropped it", "refused", "fault",
        "a frame refused",
    ],
)  # fmt: skip
def test_each_promise_that_is_broken_is_counted(changes, counts):
    """By its kind, and with words."""
    found, findings = judged(**changes)
    assert (found, bool(findings)) == (counts, True)


def test_a_repeat_that_says_so_is_no_double():
    """A document may come again where it says that it may have come before."""
    again = Left(*LEFT.key, PACKET, repeat=True)
    assert judged(left=(LEFT, again)) == ((0, 0, 0), [])


def test_a_record_that_does_not_hold_is_a_finding():
    """Even where every document came out."""
    assert judged(faults=["leaf 3: another hash"])[1] == ["store of kz.a: leaf 3: another hash"]
