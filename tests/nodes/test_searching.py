"""What is looked for, before anything is asked of the record."""

import msgspec
import pytest

from harness.record_rows import Scribe
from nodes.cli import lists
from nodes.cli.errors import FileFault, UsageFault
from nodes.cli.searching import Asked, Hit, Order, asked_for, page_by_title, read_subject
from schemas.documents.findable import Findable
from schemas.identifiers import artificial_iin
from signing.marks import Marks
from store.reading import ListedPacket
from store.standing import Standing, State

IIN = artificial_iin(3)
WRONG = IIN[:-1] + str((int(IIN[-1]) + 1) % 10)


def test_a_number_comes_from_the_first_line_of_a_file(tmp_path):
    """What stands behind the first line is not looked at."""
    file = tmp_path / "whom"
    file.write_text(f" {IIN} \nanything\n", encoding="ascii")
    assert read_subject(file) == IIN


@pytest.mark.parametrize(
    "text", [WRONG, "", "12345", "abcdefghijkl", "\N{CYRILLIC SMALL LETTER A}"]
)
def test_a_wrong_number_is_refused_and_not_repeated(tmp_path, text):
    """What is no number of anybody is told as such, without its digits."""
    file = tmp_path / "whom"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UsageFault) as caught:
        read_subject(file)
    assert not text or text not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    """Who names a wrong file reads which."""
    with pytest.raises(FileFault, match="whom"):
        read_subject(tmp_path / "whom")


@pytest.mark.parametrize("text", [None, "", " - !"])
def test_something_must_be_looked_for(text):
    """Neither a number nor a word is no search."""
    with pytest.raises(UsageFault, match="--text"):
        asked_for(None, text, Order.NEWEST)


def test_content_decides():
    """A document has what was asked for where number and words both are in it."""
    found = Findable(frozenset({IIN}), ("Мұрағат туралы бұйрық",))
    assert Asked(subject=IIN, text="архив").is_in(found)
    assert not Asked(subject=artificial_iin(4)).is_in(found)
    assert not Asked(subject=IIN, text="музей").is_in(found)


def test_titles_stand_in_the_order_of_the_alphabet():
    """Pages by title go on where one ends, whatever came first in time."""
    titles = ["Үлгі", "Ұлттық тізім", "Әліппе", "Абай жолы", "Қаулы"]
    rows = [Scribe().packet("kz.a", "kz", via="kz.a") for _ in titles]
    hits = [
        Hit(
            ListedPacket(
                msgspec.structs.replace(row, frame=frame), Standing(State.RECEIVED, row.received)
            ),
            title,
        )
        for frame, (row, title) in enumerate(zip(rows, titles, strict=True), 1)
    ]
    found, after = [], None
    for _ in range(3):
        page, after = page_by_title(hits, lists.Query(limit=2, after=after))
        found += [hit.title for hit in page]
    assert (found, after) == (["Абай жолы", "Әліппе", "Қаулы", "Ұлттық тізім", "Үлгі"], None)
    with pytest.raises(UsageFault, match="--after"):
        page_by_title(hits, lists.Query(after="99"))


def test_both_spellings_are_looked_for():
    """A key term has one mark for each of its spellings, either of which will do."""
    marks = Marks(bytes(32))
    wanted = Asked(text="архив 17").in_bucket("R5-2026-11", marks)
    assert wanted.subject is None
    assert [len(word) for word in wanted.words] == [2, 1]
    assert marks.stem("мұрағат") in wanted.words[0]


@pytest.mark.parametrize("cursor", ["", "kz.akmola/7", "-7", "١", "7.0"])
def test_a_cursor_of_another_order_is_refused(cursor):
    """A page goes on in the order that has named its cursor."""
    with pytest.raises(UsageFault, match="--after"):
        lists.frame_in(cursor)
