import json
import re
from datetime import date

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codes import (
    ARCHIVE_SECTIONS,
    ATTENDANCE_MARKS,
    CODE_LISTS,
    RETENTION_NAMES,
    Code,
    Names,
    Section,
)
from schemas.documents.common import BUILT_IN, CodeLists, Document, SourceRef
from schemas.documents.faults import ADVICE, DocumentError, FaultKind
from schemas.documents.file import (
    PREFIX_BYTES_MAX,
    FileFacts,
    decode_file,
    encode_file,
    read_facts,
)
from schemas.documents.periods import PeriodKind, find_period_problem, parse_period
from schemas.documents.registry import (
    FAULTS_MAX,
    TYPES,
    PacketType,
    check_document,
    decode_document,
    export_json_schemas,
    find_faults,
    find_type,
)
from schemas.header import TypeName
from schemas.identifiers import KatoList, artificial_bin, artificial_iin

SOURCE = {"kind": "register", "issuer": artificial_bin(1), "number": "7А-12"}
ORGANISATION = {"bin": artificial_bin(1), "kato": "117035100", "kato_version": "NK RK 11-2025"}
PACKET = {
    "from": "kz.akmola.burabay.school-7",
    "epoch": 1,
    "id": "01933c00-0000-7000-8000-000000000001",
}


def pupil(number, **more):
    one = {"iin": artificial_iin(number), "class": "7А", "mark": "present", "source_ref": SOURCE}
    return one | more


def marks_of(number, marks):
    one = pupil(number, marks=marks)
    del one["mark"]
    return one


def attendance(**more):
    document = {
        "period": "2026-11-23",
        "organisation": ORGANISATION,
        "marks_version": 1,
        "pupils": [pupil(number) for number in range(5)],
    }
    return document | more


def performance(**more):
    document = {
        "period": "2026-Q4",
        "term": 2,
        "organisation": ORGANISATION,
        "subjects_version": 1,
        "pupils": [marks_of(number, [["kaz", 5], ["pe", "pass"]]) for number in range(3)],
    }
    return document | more


def order(**more):
    document = {
        "number": "17-Ү",
        "day": "2026-11-23",
        "organisation": ORGANISATION,
        "texts": [{"language": "kk", "title": "Үлгі", "text": "Бірінші.\r\nЕкінші."}],
        "signed_by": {"position": "Басшы", "name": "Басшы 1 Үлгі"},
        "source_ref": SOURCE,
    }
    return document | more


def notice(**more):
    document = {
        "packet": PACKET,
        "reasons_version": 1,
        "reason": "identifier-wrong",
        "text": "см. поле",
        "fields": [{"field": "$.pupils[3].iin", "problem": "check digit"}],
    }
    return document | more


GOOD = {
    "attendance.daily/1": attendance,
    "performance.period/1": performance,
    "admin.order/1": order,
    "notice.returned/1": notice,
}
ARCHIVES_OWN = {name for name in TYPES if name.startswith("archive.")}
RECORD_TYPES = {"attendance.daily/1": attendance, "performance.period/1": performance}


def fault_of(type_name, document, lists=BUILT_IN):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    with pytest.raises(DocumentError) as caught:
        check_document(type_name, body, lists=lists)
    return caught.value


def with_pupil(index, **more):
    document = attendance()
    document["pupils"][index] |= more
    return document


@pytest.mark.parametrize("type_name", GOOD)
def test_good_documents_pass(type_name):
    """A right document of each type has no fault."""
    assert find_faults(type_name, json.dumps(GOOD[type_name]()).encode()) == ()


# ---- fields and their paths


@pytest.mark.parametrize(
    ("document", "field", "kind"),
    [
        (with_pupil(3, iin="009900000009"), "$.pupils[3].iin", FaultKind.CHECK_DIGIT),
        (with_pupil(3, iin="0099"), "$.pupils[3].iin", FaultKind.WRONG_VALUE),
        (with_pupil(3, iin=9900000008), "$.pupils[3].iin", FaultKind.WRONG_VALUE),
        (with_pupil(3, iin=artificial_iin(1)), "$.pupils[3].iin", FaultKind.DUPLICATE),
        (with_pupil(3, mark="absent"), "$.pupils[3].mark", FaultKind.UNKNOWN_CODE),
        (with_pupil(3, name="x"), "$.pupils[3].name", FaultKind.UNKNOWN_FIELD),
        (with_pupil(3, lessons_missed=99), "$.pupils[3].lessons_missed", FaultKind.WRONG_VALUE),
        (with_pupil(3, **{"class": "\u202e7"}), "$.pupils[3].class", FaultKind.WRONG_VALUE),
        (attendance(period="2026-02-30"), "$.period", FaultKind.WRONG_PERIOD),
        (attendance(period="2026-11"), "$.period", FaultKind.WRONG_VALUE),
        (attendance(marks_version=2), "$.marks_version", FaultKind.UNKNOWN_CODE),
        (attendance(absences_only=True), "$.pupils[0].mark", FaultKind.WRONG_VALUE),
        (
            attendance(organisation=ORGANISATION | {"bin": "940140000380"}),
            "$.organisation.bin",
            FaultKind.CHECK_DIGIT,
        ),
        (
            attendance(organisation=ORGANISATION | {"kato": "000000000"}),
            "$.organisation.kato",
            FaultKind.UNKNOWN_CODE,
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_attendance_fault_names_its_field(document, field, kind):
    """What is wrong in a day's attendance is told with the exact path and its kind."""
    error = fault_of("attendance.daily/1", document)
    assert (error.field, error.kind) == (field, kind)


@pytest.mark.parametrize(
    ("marks", "field"),
    [
        ([["kaz", 5], ["xyz", 5]], "$.pupils[0].marks[1][0]"),
        ([["kaz", 5], ["kaz", 4]], "$.pupils[0].marks[1][0]"),
        ([["kaz", 6]], "$.pupils[0].marks[0][1]"),
        ([["kaz", "A+"]], "$.pupils[0].marks[0][1]"),
        ([["kaz"]], "$.pupils[0].marks[0]"),
        ([["kaz", 5, 5]], "$.pupils[0].marks[0]"),
        ({"kaz": 5}, "$.pupils[0].marks"),
    ],
)
def test_performance_fault_names_its_field(marks, field):
    """What is wrong in a pupil's marks is told with the exact path."""
    error = fault_of("performance.period/1", performance(pupils=[marks_of(0, marks)]))
    assert error.field == field


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"day": "2026-13-01"}, "$.day"),
        ({"due": "2026-11-22"}, "$.due"),
        ({"number": " "}, "$.number"),
        ({"texts": []}, "$.texts"),
        (
            {"texts": [{"language": "de", "title": "x", "text": "x"}]},
            "$.texts[0].language",
        ),
        (
            {"texts": [{"language": "kk", "title": "x", "text": "x"}] * 2},
            "$.texts[1].language",
        ),
        (
            {"texts": [{"language": "kk", "title": "a\nb", "text": "x"}]},
            "$.texts[0].title",
        ),
        ({"attachments": [{"title": "x", "sha256": "0", "size": 1}]}, "$.attachments[0].sha256"),
        (
            {"attachments": [{"title": "x", "sha256": "0" * 64 + "\n", "size": 1}]},
            "$.attachments[0].sha256",
        ),
        ({"source_ref": SOURCE | {"number": "-"}}, "$.source_ref.number"),
    ],
)
def test_order_fault_names_its_field(change, field):
    """What is wrong in an order is told with the exact path."""
    assert fault_of("admin.order/1", order(**change)).field == field


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"reason": "because"}, "$.reason"),
        ({"reasons_version": 2}, "$.reasons_version"),
        ({"packet": PACKET | {"id": "1"}}, "$.packet.id"),
        ({"packet": PACKET | {"from": "KZ"}}, "$.packet.from"),
        ({"packet": PACKET | {"from": "kz\n"}}, "$.packet.from"),
        ({"fields": [{"field": "$", "problem": "\x00"}]}, "$.fields[0].problem"),
    ],
)
def test_notice_fault_names_its_field(change, field):
    """What is wrong in a notice is told with the exact path."""
    assert fault_of("notice.returned/1", notice(**change)).field == field


@pytest.mark.parametrize("type_name", GOOD)
def test_each_missing_field_is_named(type_name):
    """Leaving out a field that has no default is told by the field's own path."""
    full = GOOD[type_name]()
    fields = {one.name: one for one in msgspec.structs.fields(TYPES[type_name].struct)}
    needed = [name for name in full if fields[name].required]
    found = [
        fault_of(type_name, {name: value for name, value in full.items() if name != gone}).field
        for gone in needed
    ]
    assert found == [f"$.{name}" for name in needed]


def test_message_says_field_problem_and_what_to_do():
    """An error reads as one line: where, what, and what to do next."""
    error = fault_of("attendance.daily/1", with_pupil(3, iin="009900000009"))
    assert str(error) == (
        "$.pupils[3].iin: check digit is 9, should be 8;"
        " compare the number with the document that it was copied from"
    )


def test_unknown_code_message_names_list_and_version():
    """An unknown mark is told with the list and the version that the document names."""
    error = fault_of("attendance.daily/1", with_pupil(0, mark="absent"))
    assert error.problem.startswith("code 'absent' is not in list attendance-mark version 1;")


@pytest.mark.parametrize(
    "document",
    [
        with_pupil(3, iin="009900000009"),
        with_pupil(3, mark=artificial_iin(7)),
        with_pupil(3, **{artificial_iin(7): "x"}),
        with_pupil(3, source_ref=SOURCE | {"kind": artificial_iin(7)}),
        attendance(pupils=[pupil(7), pupil(7)]),
    ],
    ids=["wrong-digit", "in-mark", "as-key", "in-kind", "twice"],
)
def test_messages_hold_no_identification_number(document):
    """No message repeats twelve digits, wherever they stood."""
    error = fault_of("attendance.daily/1", document)
    assert re.search("[0-9]{6}", str(error)) is None


@pytest.mark.parametrize("kind", FaultKind)
def test_every_kind_of_fault_has_advice(kind):
    """Whatever is wrong, the author is told what to do."""
    assert ADVICE[kind]


# ---- bytes that are no document


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "is not JSON: Input data was truncated"),
        (json.dumps(attendance()).encode()[:-20], "is not JSON: Input data was truncated"),
        (b"\xef\xbb\xbf{}", "is not JSON: JSON is malformed: invalid character (byte 0)"),
        (b"[]", "expected `object`, got `array`"),
        (b'{"period":"\xff"}', "is not UTF-8: byte 0 cannot be read"),
        (b'{"pupils":' + b"[" * 100_000, None),
    ],
    ids=["empty", "cut", "byte-order-mark", "array", "not-utf-8", "deep"],
)
def test_broken_bytes_are_told_at_the_root(body, problem):
    """Bytes that are no document of the type have their fault at the root, or deeper."""
    error = fault_of("attendance.daily/1", body)
    assert error.field.startswith("$")
    assert problem in (None, error.problem)


@given(st.binary(max_size=200), st.sampled_from(sorted(TYPES)))
def test_any_bytes_are_judged(body, type_name):
    """Whatever bytes come, the answer is a list of faults and nothing else."""
    assert isinstance(find_faults(type_name, body), tuple)


def test_unknown_type_is_told_with_the_known_ones():
    """A type that nobody knows is told together with those that may be dropped."""
    error = fault_of("attendance.weekly/1", b"{}")
    assert (error.field, error.kind) == ("type", FaultKind.UNKNOWN_TYPE)
    assert "attendance.daily/1" in error.problem


# ---- what records rest on: R-37


@pytest.mark.parametrize("type_name", RECORD_TYPES)
def test_record_without_source_is_stopped(type_name):
    """A record that names no source is told with its path."""
    document = RECORD_TYPES[type_name]()
    del document["pupils"][2]["source_ref"]
    assert fault_of(type_name, document).field == "$.pupils[2].source_ref"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "hearsay"}, "kind"),
        ({"issuer": ""}, "issuer"),
        ({"issuer": " - "}, "issuer"),
        ({"issuer": "940140000380"}, "issuer"),
        ({"number": "\t"}, "number"),
        ({"number": "--"}, "number"),
    ],
)
def test_source_that_names_nothing_is_stopped(change, field):
    """A source needs a kind of the list, an issuer and a number worth the name."""
    error = fault_of("attendance.daily/1", with_pupil(1, source_ref=SOURCE | change))
    assert error.field == f"$.pupils[1].source_ref.{field}"


@pytest.mark.parametrize("kind", ["register", "id_doc", "certificate"])
def test_the_three_kinds_of_source_are_taken(kind):
    """A register, an identity document and a certificate are sources."""
    document = with_pupil(1, source_ref=SOURCE | {"kind": kind})
    check_document("attendance.daily/1", json.dumps(document).encode())


# ---- code lists


def test_newer_list_admits_its_new_code():
    """A node that has a newer list takes a code that is not built in."""
    marks = msgspec.structs.replace(
        ATTENDANCE_MARKS,
        version=2,
        codes=ATTENDANCE_MARKS.codes
        | {"remote": Code(Names(kk="қашықтан", ru="удалённо", en="remote"), since=2)},
    )
    lists = CodeLists(CODE_LISTS | {marks.name: marks})
    document = attendance(marks_version=2, pupils=[pupil(1, mark="remote")])
    check_document("attendance.daily/1", json.dumps(document).encode(), lists=lists)


def test_kato_code_is_looked_up_where_an_edition_is_at_hand():
    """With an edition loaded, a code outside it is told with list and version."""
    lists = msgspec.structs.replace(
        BUILT_IN, kato=KatoList("NK RK 11-2025", frozenset({"110000000"}))
    )
    error = fault_of("attendance.daily/1", attendance(), lists)
    assert (error.field, error.problem) == (
        "$.organisation.kato",
        "code 117035100 is not in list kato version 'NK RK 11-2025'",
    )


# ---- several faults


def test_all_faults_are_listed_in_order():
    """Everything wrong beyond the form is listed at once, for a notice."""
    document = attendance(period="2026-02-30", pupils=[pupil(0), pupil(1, mark="?"), pupil(0)])
    faults = find_faults("attendance.daily/1", json.dumps(document).encode())
    assert [one.field for one in faults] == ["$.period", "$.pupils[2].iin", "$.pupils[1].mark"]


def test_list_of_faults_is_bounded():
    """A file that is wrong throughout does not make an endless list."""
    document = attendance(pupils=[pupil(number, mark="?") for number in range(FAULTS_MAX + 5)])
    faults = find_faults("attendance.daily/1", json.dumps(document).encode())
    assert len(faults) == FAULTS_MAX


# ---- periods


@pytest.mark.parametrize(
    ("text", "kind", "first", "last"),
    [
        ("2026-11-23", "day", date(2026, 11, 23), date(2026, 11, 23)),
        ("2028-02", "month", date(2028, 2, 1), date(2028, 2, 29)),
        ("2026-12", "month", date(2026, 12, 1), date(2026, 12, 31)),
        ("2026-Q4", "quarter", date(2026, 10, 1), date(2026, 12, 31)),
        ("2026-Q1", "quarter", date(2026, 1, 1), date(2026, 3, 31)),
        ("2026", "year", date(2026, 1, 1), date(2026, 12, 31)),
    ],
)
def test_periods_have_first_and_last_day(text, kind, first, last):
    """Each form names a stretch of days."""
    period = parse_period(text)
    assert (period.kind, period.first, period.last) == (kind, first, last)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-02-30",
        "2027-02-29",
        "2026-00",
        "2026-13",
        "2026-Q0",
        "2026-Q5",
        "0000",
        "26",
        "2026-11-23\n",
        "2026-11-00",
        "2026-1-1",
        "٢٠٢٦",
        "2026-Q4-01",
        "2026-11-23T00",
    ],
)
def test_periods_that_do_not_exist_are_none(text):
    """No such day, month, quarter or form: no period."""
    assert parse_period(text) is None


@given(st.dates())
def test_every_day_is_a_period(day):
    """Any day of the calendar reads back as itself."""
    assert parse_period(day.isoformat()).last == day


def test_fitting_kind_of_period_has_no_problem():
    """A period of an allowed kind is taken."""
    assert find_period_problem("2026", (PeriodKind.QUARTER, PeriodKind.YEAR)) is None


def test_other_kind_of_period_is_told_with_an_example():
    """A period of the wrong length is told with the forms that the type wants."""
    assert find_period_problem("2026-11", (PeriodKind.QUARTER, PeriodKind.YEAR)) == (
        "'2026-11' is a month; the type wants a quarter (2026-Q4) or year (2026)"
    )


# ---- files

FACTS = FileFacts(
    title="Анықтама үлгісі", media_type="application/pdf", source_ref=SourceRef(**SOURCE)
)


@given(st.binary(max_size=3000))
def test_any_bytes_come_back_from_a_container(data):
    """A file's bytes and facts are the same after the way."""
    file = decode_file(encode_file(FACTS, data))
    assert (file.facts, file.data) == (FACTS, data)


def test_container_begins_with_the_length_of_its_facts():
    """The layout is u16 length, JSON, bytes."""
    body = encode_file(FACTS, b"\x00\xff")
    length = int.from_bytes(body[:2], "big")
    assert (json.loads(body[2 : 2 + length])["title"], body[2 + length :]) == (
        "Анықтама үлгісі",
        b"\x00\xff",
    )


def test_facts_are_read_from_the_beginning_of_a_large_file():
    """The facts and the place of the bytes need a bounded prefix only."""
    body = encode_file(FACTS, b"x" * 200_000)
    assert read_facts(body[:PREFIX_BYTES_MAX]) == (FACTS, len(body) - 200_000)


@pytest.mark.parametrize("kept", [0, 1, 2, 50])
def test_cut_container_is_told(kept):
    """A container that ends within its facts is malformed."""
    body = encode_file(FACTS, b"data")[:kept]
    assert fault_of("document.file/1", body).kind == FaultKind.MALFORMED


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"title": "  "}, "$.title"),
        ({"title": "x\u202efdp"}, "$.title"),
        ({"title": ""}, "$.title"),
        ({"media_type": "pdf"}, "$.media_type"),
        ({"media_type": "text/plain\n"}, "$.media_type"),
        ({"source_ref": SourceRef(kind="x", issuer="a", number="1")}, "$.source_ref.kind"),
    ],
)
def test_bad_facts_are_not_written(change, field):
    """A container is made only of facts that its reader would take."""
    with pytest.raises(DocumentError) as caught:
        encode_file(msgspec.structs.replace(FACTS, **change), b"")
    assert caught.value.field == field


def test_longest_facts_fit():
    """The limits of the fields keep the facts within their two-byte length."""
    long = SourceRef(kind="register", issuer="\U00010400" * 300, number="\U00010400" * 100)
    facts = FileFacts(title="\U00010400" * 300, media_type="a/" + "b" * 98, source_ref=long)
    assert decode_file(encode_file(facts, b"")).facts == facts


# ---- the registry


@pytest.mark.parametrize("packet_type", TYPES.values(), ids=list(TYPES))
def test_type_names_fit_the_header(packet_type):
    """Each type has a name that a header can bear, and is registered under it."""
    name = msgspec.convert(packet_type.name, TypeName)
    assert TYPES[name] is packet_type


@pytest.mark.parametrize("packet_type", TYPES.values(), ids=list(TYPES))
def test_default_section_is_allowed(packet_type):
    """What stands for a section not named is one of those allowed."""
    assert packet_type.section in (None, *packet_type.sections)


@pytest.mark.parametrize("packet_type", TYPES.values(), ids=list(TYPES))
def test_every_type_has_a_retention_term(packet_type):
    """The class of each type stands in the table of terms."""
    assert packet_type.retention in RETENTION_NAMES


def test_network_packets_stand_outside_the_archive_sections():
    """Receipts, closings and pings are the network's own, unless they inherit."""
    own = {name for name, one in TYPES.items() if one.section is Section.NET}
    assert own == {"receipt/1", "closing/1", "ping/1"} | ARCHIVES_OWN


def test_answers_inherit():
    """What answers a packet takes its section and class."""
    inheriting = {name for name, one in TYPES.items() if one.inherits}
    assert inheriting == {"receipt/1", "closing/1", "notice.returned/1", "part/1"}


def test_only_nodes_make_receipts_and_closings():
    """A local system may drop everything but the answers, and what the archive says itself."""
    made = {"receipt/1", "closing/1", "part/1"} | ARCHIVES_OWN
    assert {name for name, one in TYPES.items() if not one.droppable} == made


def test_personal_data_is_marked():
    """Types that hold or may hold personal data are encrypted end to end."""
    open_types = {name for name, one in TYPES.items() if not one.personal}
    assert open_types == {"admin.order/1", "receipt/1", "closing/1", "ping/1"} | ARCHIVES_OWN


def test_orders_and_files_must_name_one_of_the_15_sections():
    """A type that any section takes has no default."""
    assert [
        (TYPES[name].section, TYPES[name].sections) for name in ("admin.order/1", "document.file/1")
    ] == [(None, ARCHIVE_SECTIONS)] * 2


def test_ping_is_a_document_of_its_type():
    """The network's own types are decoded like all others."""
    assert decode_document("ping/1", b"{}").note == ""


class Weather(Document, frozen=True, gc=False, kw_only=True):
    sky: str


def test_plug_in_type_is_checked_like_the_others():
    """A type that a node adds is judged by its own Struct."""
    weather = msgspec.structs.replace(TYPES["ping/1"], name="weather/1", struct=Weather)
    faults = find_faults("weather/1", b"{}", types=TYPES | {weather.name: weather})
    assert [one.field for one in faults] == ["$.sky"]


def test_find_type_returns_the_entry():
    """A known name gives its entry."""
    assert isinstance(find_type("admin.order/1"), PacketType)


def test_every_type_has_a_json_schema():
    """Makers of local systems get a schema for each type, named after it."""
    assert {name: one["title"] for name, one in export_json_schemas().items()} == {
        name: name for name in TYPES
    }


@pytest.mark.parametrize("schema", export_json_schemas().values(), ids=list(TYPES))
def test_schemas_forbid_unknown_fields(schema):
    """What decoding refuses as unknown, a schema refuses too."""
    objects = [one for one in schema["$defs"].values() if one.get("type") == "object"]
    assert [one["additionalProperties"] for one in objects] == [False] * len(objects)
