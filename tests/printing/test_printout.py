"""Printouts: every type in every language, whatever became of it, and nothing forgotten."""

import html
import re

import msgspec
import pytest

from harness.printouts import (
    ALL_TYPES,
    DIGEST,
    HERE,
    PARENT,
    content_of,
    dossier_of,
    quarantined_dossier,
    sheet_of,
    short_performance,
)
from harness.record_rows import START
from nodes.printing.blocks import Facts, Listing, Notice, Prose, Table
from nodes.printing.dossier import Absent
from nodes.printing.page import make_page
from nodes.texts import catalogue
from schemas.answers import ARCHIVE_ACT, ARCHIVE_COMPLETENESS, ARCHIVE_STATE, RECEIPT
from schemas.codes import ATTENDANCE_MARKS, Language
from schemas.documents.registry import (
    ADMIN_ORDER,
    ATTENDANCE_DAILY,
    NOTICE_RETURNED,
    PERFORMANCE_PERIOD,
    TYPES,
)
from schemas.identifiers import artificial_iin
from schemas.moments import SECOND
from store.standing import Standing, State

EXPECTED = {
    ATTENDANCE_DAILY: (artificial_iin(3), "1А"),
    PERFORMANCE_PERIOD: ("kaz", "2026-Q4"),
    ADMIN_ORDER: ("17-Ү", "Басқарма басшысы", "Это образец, а не приказ."),
    NOTICE_RETURNED: ("5А", "ӘәҒғҚқҢңӨөҰұҮүҺһІі"),
    RECEIPT: ("sig-invalid", DIGEST),
    ARCHIVE_ACT: ("R5-2021-08", "op-1", "op-2", "бұйрық № 279"),
    ARCHIVE_STATE: ("86400", "-42"),
    ARCHIVE_COMPLETENESS: (ATTENDANCE_DAILY, "10"),
}
"""What must stand in a page of some types, whatever its language."""


def page_of(dossier, language=Language.KK) -> str:
    """Return a page's text: no style, no tags, no escapes."""
    page = make_page(sheet_of(dossier, language))
    body = page.partition("<body>")[2]
    return html.unescape(re.sub(r"<[^>]+>", " ", body))


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("type_name", ALL_TYPES)
def test_every_type_is_printed_in_every_language(type_name, language):
    """Form, content, header, times, confirmations, seal and check all stand in the page."""
    dossier = dossier_of(type_name)
    text = page_of(dossier, language)
    said = catalogue(language)
    row = dossier.packet.packet
    for part in ("content", "header", "times", "confirmations", "course", "seal", "check"):
        assert said[f"print.part.{part}"] in text
    assert TYPES[type_name].names.in_language(language).lower() in text.lower()
    for fact in (row.id, row.frame_sha256.hex(), HERE, PARENT, type_name):
        assert fact in text
    for fact in EXPECTED.get(type_name, ()):
        assert fact in text


@pytest.mark.parametrize("language", Language)
def test_no_other_language_is_mixed_in(language):
    """Names of marks come in the page's own language alone."""
    text = page_of(dossier_of(ATTENDANCE_DAILY), language)
    for each in Language:
        name = ATTENDANCE_MARKS.codes["present"].names.in_language(each)
        assert (f" {name} " in text) == (each is language)


def test_times_stand_in_both_zones():
    """Sent and received stand in UTC and in local time, each with whose clock it is."""
    text = page_of(dossier_of())
    assert "2026-11-23 03:32:11 UTC, 2026-11-23 08:32:11 +05:00" in text
    assert "7 minutes from kz" in text
    assert f"{HERE}: жоғары тораптың сағатынан айырмасы -42 мс" in text


def test_an_unknown_clock_error_is_said_to_be_unknown():
    """Where no incident tells of the clock, the page does not keep silent about it."""
    said = catalogue(Language.KK)
    table = _facts(sheet_of(dossier_of(doubts=(), offsets=())), "times")
    assert table[said["print.times.clock"]] == said["print.not-known"]


def test_clocks_that_contradict_each_other_are_told():
    """A receipt from before the sending shows how far apart the clocks are, at least."""
    whole = dossier_of()
    sent = whole.packet.packet.sent
    table = _facts(
        sheet_of(msgspec.structs.replace(whole, received_there=sent - 90 * SECOND)), "times"
    )
    assert "90" in table[catalogue(Language.KK)["print.times.apart"]]


def _facts(sheet, part: str) -> dict[str, str]:
    title = catalogue(sheet.language)[f"print.part.{part}"]
    blocks = next(each for each in sheet.parts if each.title == title).blocks
    return {
        row.name: row.value for block in blocks if isinstance(block, Facts) for row in block.rows
    }


def test_retention_class_and_names_stand_in_the_header():
    """The class has its term in words, the nodes their names beside their addresses."""
    values = _facts(sheet_of(dossier_of(), Language.RU), "header").values()
    assert "R5: 5 лет после окончания учебного года" in values
    assert f"школа № 7 ({HERE})" in values


@pytest.mark.parametrize("absent", Absent)
def test_a_content_that_is_gone_is_said_to_be(absent):
    """Without a content the page says why, and still has head, times and seal."""
    dossier = dossier_of(absent=absent)
    text = page_of(dossier)
    assert catalogue(Language.KK)[f"print.absent.{absent}"] in text
    assert dossier.packet.packet.frame_sha256.hex() in text


@pytest.mark.parametrize("state", [State.REFUSED, State.EXPIRED])
def test_a_packet_that_was_not_delivered_says_so_first(state):
    """Refused and expired packets are authentic, and no document that anybody got."""
    whole = dossier_of()
    standing = Standing(state, START, reason="sender-suspended")
    packet = msgspec.structs.replace(whole.packet, standing=standing)
    sheet = sheet_of(msgspec.structs.replace(whole, packet=packet), Language.RU)
    said = catalogue(Language.RU)[f"print.states.{state}"]
    assert sheet.notices[0].text == f"Этот пакет не доставлен: {said}."


def test_a_quarantined_frame_is_no_document():
    """What was refused is printed as such: the reason in words, and what it claims as a claim."""
    text = page_of(quarantined_dossier(), Language.RU)
    said = catalogue(Language.RU)
    assert said["print.notice.quarantine"] in text
    assert said["print.notice.claimed"] in text
    assert f"sig-invalid: {said['print.reasons.sig-invalid']}" in text
    assert said["print.part.seal"] not in text


def test_a_quarantined_frame_that_claims_nothing_is_printed():
    """Bytes that are no frame at all have their own page, too."""
    whole = quarantined_dossier()
    text = page_of(msgspec.structs.replace(whole, header=None, signer=None))
    assert whole.quarantined[0].sha256.hex() in text


@pytest.mark.parametrize("type_name", ["made.up/1", "attendance.daily/7"])
def test_unknown_forms_and_versions_have_the_general_layout(type_name):
    """A form that this node does not know is shown as a tree of fields."""
    content = b'{"school":{"name":"\xd2\xb0\xd0\xbb\xd1\x8b","marks":[5,null]}}'
    notice, table = sheet_of(dossier_of(type_name, content)).content.blocks
    assert type_name in notice.text
    assert table.rows == (
        ("school", ""),
        ("· name", "Ұлы"),
        ("· marks", ""),
        ("· · 1.", "5"),
        ("· · 2.", "null"),
    )


def test_a_content_that_misfits_its_form_is_shown_all_the_same():
    """The fault is named, and the content laid out in general."""
    notice, table = sheet_of(dossier_of(ADMIN_ORDER, b'{"number":"1"}')).content.blocks
    assert "$.day" in notice.text
    assert table.rows == (("number", "1"),)


def test_no_bytes_are_unprintable():
    """Bytes of a form that is unknown, and no text, are named by their size."""
    *_, notice = sheet_of(dossier_of("made.up/1", b"\x00\xff\xfe")).content.blocks
    assert isinstance(notice, Notice)


def test_marks_stand_in_columns():
    """Each pupil's marks stand below the codes of their subjects."""
    _, legend, table = sheet_of(dossier_of(PERFORMANCE_PERIOD)).content.blocks
    heading = table.heads[table.aligned]
    assert heading.split() == [row.name for row in legend.rows]
    for row in table.rows:
        assert [len(heading[:at]) for at in _starts(heading)] == _starts(row[table.aligned])


def _starts(line: str) -> list[int]:
    return [match.start() for match in re.finditer(r"\S+", line)]


def test_marks_of_too_many_subjects_stand_in_words():
    """Subjects that fit into no line are named mark by mark."""
    document = msgspec.json.decode(short_performance(1))
    document["pupils"][0]["marks"] = [[f"subject-{number}", 5] for number in range(40)]
    _, table = sheet_of(
        dossier_of(PERFORMANCE_PERIOD, msgspec.json.encode(document))
    ).content.blocks
    assert "subject-39 5" in table.rows[0][3]
    assert (table.wide, table.aligned) == (True, None) or not table.wide


def test_an_order_begins_in_the_readers_language():
    """Of several texts the reader's own stands first, and none is left out."""
    for language, title in ((Language.KK, "бұйрық"), (Language.RU, "приказа")):
        prose = [
            block
            for block in sheet_of(dossier_of(ADMIN_ORDER), language).content.blocks
            if isinstance(block, Prose)
        ]
        assert len(prose) == 2
        assert title in prose[0].title


def test_the_code_names_packet_and_frame():
    """The QR code has the packet's id and the digest of its whole frame."""
    dossier = dossier_of()
    row = dossier.packet.packet
    assert sheet_of(dossier).code == f"bbaj {row.id} sha256:{row.frame_sha256.hex()}"


def test_samples_are_of_their_types():
    """None of the samples is laid out in general for want of fitting its form."""
    for type_name in EXPECTED:
        blocks = sheet_of(dossier_of(type_name, content_of(type_name))).content.blocks
        assert isinstance(blocks[0], Facts)
        assert not any(isinstance(block, Listing) for block in blocks)
        assert any(isinstance(block, Table | Prose | Facts) for block in blocks)
