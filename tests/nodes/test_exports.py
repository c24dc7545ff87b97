"""Lists as files: what each line holds, and what a spreadsheet makes of it."""

import csv
import io
import json

import pytest

from nodes.cli.errors import FileFault, UsageFault
from nodes.cli.exports import COLUMNS, CSV, JSON_LINES, encode_line, export
from nodes.cli.shapes import FoundLine, PacketLine

FACTS = {
    "id": "019aae3e-0000-7000-8000-000000000001",
    "type_": "attendance.daily/1",
    "from_": "kz.akmola",
    "to": "kz",
    "epoch": 1,
    "seq": None,
    "section": "S15",
    "class_": "R5",
    "flow": "result",
    "period": "2026-11-23",
    "re": None,
    "sent": "2026-11-23T03:32:06.000000Z",
    "received": None,
    "transit_s": -0.5,
    "kept": "2026-11-23T03:32:07.000000Z",
    "via": "kz.akmola",
    "size": 2000,
    "state": "delivered",
    "since": "2026-11-23T03:32:07.000000Z",
    "overdue": False,
    "holder": None,
    "reason": None,
    "next_step": None,
    "frame": 7,
}


def line(**changes):
    return PacketLine(**(FACTS | changes))


async def batches(*lists):
    for done, each in enumerate(lists, 1):
        yield each, done, len(lists)


def cells(raw):
    return next(csv.reader(io.StringIO(raw.decode())))


def test_a_line_has_every_field_in_both_forms():
    """Both forms have the same fields under the names that --json prints."""
    assert list(json.loads(encode_line(line(), JSON_LINES))) == list(COLUMNS)
    row = dict(zip(COLUMNS, cells(encode_line(line(), CSV)), strict=True))
    assert (row["from"], row["period"], row["seq"]) == ("kz.akmola", "2026-11-23", "")


def test_no_title_leaves_in_a_file():
    """What a document says of itself is content: a file of what was found has no title."""
    found = FoundLine(**FACTS, title="Анықтама: Оқушы 7 Үлгі")
    for suffix in (CSV, JSON_LINES):
        assert "Анықтама" not in encode_line(found, suffix).decode()


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_text_becomes_a_formula(text):
    """A text of others that begins like a formula is shown as a text."""
    row = dict(zip(COLUMNS, cells(encode_line(line(from_name=text), CSV)), strict=True))
    assert row["from_name"] == f"'{text}"


def test_numbers_stay_numbers():
    """A transit of less than nothing, by clocks that differ, is no text."""
    row = dict(zip(COLUMNS, cells(encode_line(line(), CSV)), strict=True))
    assert row["transit_s"] == "-0.5"


async def test_a_file_is_written_part_by_part(tmp_path):
    """Lines come in their order, behind the names of the columns; the file is for us alone."""
    file = tmp_path / "list.csv"
    done = await export(batches([line(frame=3), line(frame=2)], [], [line(frame=1)]), file)
    with file.open(encoding="utf-8-sig", newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert [row["frame"] for row in rows] == ["3", "2", "1"]
    assert (done.packets, file.stat().st_mode & 0o777) == (3, 0o600)


async def test_an_empty_list_is_a_file(tmp_path):
    """A list without packets has the names of its columns, or nothing."""
    await export(batches(), tmp_path / "list.jsonl")
    assert (tmp_path / "list.jsonl").read_bytes() == b""


@pytest.mark.parametrize(("name", "error"), [("list.txt", UsageFault), ("there.csv", FileFault)])
async def test_a_name_that_does_not_fit_is_refused(tmp_path, name, error):
    """A file of another kind is not written, one that is there is not replaced."""
    (tmp_path / "there.csv").write_text("mine", encoding="utf-8")
    with pytest.raises(error):
        await export(batches([line()]), tmp_path / name)
    assert (tmp_path / "there.csv").read_text(encoding="utf-8") == "mine"


async def test_a_file_that_came_meanwhile_stays(tmp_path):
    """Whoever was first keeps the name, and no draft is left."""
    file = tmp_path / "list.csv"

    async def slow():
        yield [line()], 1, 2
        file.write_text("mine", encoding="utf-8")
        yield [line()], 2, 2

    with pytest.raises(FileFault):
        await export(slow(), file)
    assert [each.name for each in tmp_path.iterdir()] == ["list.csv"]
    assert file.read_text(encoding="utf-8") == "mine"


async def test_a_list_that_breaks_off_leaves_no_file(tmp_path):
    """Half a list is never taken for a whole one."""

    async def broken():
        yield [line()], 1, 2
        raise UsageFault("the other half is not there")

    with pytest.raises(UsageFault):
        await export(broken(), tmp_path / "list.csv")
    assert list(tmp_path.iterdir()) == []
