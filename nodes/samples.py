"""Made-up documents for demos and load tests: the same seed always makes the same bytes.

Nobody in them exists: every IIN and BIN has month 99, every name says that it is an example, and
all choices come from a digest. A school's pupils follow from its address, so they are the same
people in every document.
"""

# ruff: noqa: RUF001 - Kazakh and Russian texts are the data

import hashlib
from collections.abc import Iterator
from datetime import date, timedelta

import msgspec

from schemas import wire
from schemas.codes import AttendanceMark, Language, SourceKind
from schemas.documents.act import ArchiveAct, Hand
from schemas.documents.attendance import Attendance, AttendanceDaily
from schemas.documents.common import Organisation, SourceRef
from schemas.documents.completeness import Completeness
from schemas.documents.file import FileFacts, encode_file
from schemas.documents.order import AdminOrder, OrderText, Signatory
from schemas.documents.performance import Performance, PerformancePeriod
from schemas.documents.state import ArchiveState
from schemas.identifiers import ARTIFICIAL_BINS, ARTIFICIAL_IINS, artificial_bin, artificial_iin

GRADES = 11
CLASSES_PER_GRADE = "АӘ"
PUPILS_PER_CLASS = 20
PUPILS = GRADES * len(CLASSES_PER_GRADE) * PUPILS_PER_CLASS
SUBJECTS = ("kaz", "kli", "rus", "eng", "mat", "inf", "nat", "geo", "his", "art", "mus", "pe")
TINY_PUPILS = 3

_KATO_VERSION = "NK RK 11-2025"
_SEATS = ("117035100", "113820100", "113833202", "711110000", "635233100")
_FIRST_DAY = date(2026, 9, 1)
_MARKS_IN_100 = (
    (90, AttendanceMark.PRESENT),
    (93, AttendanceMark.ABSENT_EXCUSED),
    (95, AttendanceMark.ABSENT_UNEXCUSED),
    (97, AttendanceMark.TARDY),
    (99, AttendanceMark.EARLY_DEPARTURE),
    (100, AttendanceMark.PARTIAL),
)
_LESSONS_MISSED = {
    AttendanceMark.ABSENT_EXCUSED: 6,
    AttendanceMark.ABSENT_UNEXCUSED: 6,
    AttendanceMark.EARLY_DEPARTURE: 2,
    AttendanceMark.PARTIAL: 3,
}


def person_name(number: int) -> str:
    """Return the name of nobody: "pupil 17, an example"."""
    return f"Оқушы {number} Үлгі"


def attendance(school: str, day: str, seed: int) -> bytes:
    """Return an `attendance.daily/1` of a whole school, about 50 kB."""
    organisation = _organisation(school)
    draws = _draws(PUPILS, "attendance", school, day, seed)
    pupils = (
        _attendance_of(iin, group, _mark_of(draw), _entry(organisation, group, number))
        for (iin, group, number), draw in zip(_pupils(school), draws, strict=True)
    )
    return msgspec.json.encode(
        AttendanceDaily(
            period=day, organisation=organisation, marks_version=1, pupils=tuple(pupils)
        )
    )


def performance(school: str, period: str, seed: int) -> bytes:
    """Return a `performance.period/1` of a whole school with 12 subjects, about 100 kB."""
    organisation = _organisation(school)
    draws = iter(_draws(PUPILS * len(SUBJECTS), "performance", school, period, seed))
    pupils = (
        Performance(
            iin=iin,
            class_=group,
            marks=tuple((subject, 3 + next(draws) % 3) for subject in SUBJECTS),
            source_ref=_entry(organisation, group, number),
        )
        for iin, group, number in _pupils(school)
    )
    return msgspec.json.encode(
        PerformancePeriod(
            period=period,
            term=2 if "Q" in period else None,
            organisation=organisation,
            subjects_version=1,
            pupils=tuple(pupils),
        )
    )


def order(number: int, seed: int) -> bytes:
    """Return an `admin.order/1` in Kazakh and Russian."""
    organisation = _organisation(f"example department {seed}")
    day = _FIRST_DAY + timedelta(days=_draws(1, "order", number, seed)[0])
    due = day + timedelta(days=14)
    kk = f"Мектептер {due} күніне дейін сабаққа қатысу туралы мәліметтерді тапсырсын.\nБұл үлгі."
    ru = f"Школам представить сведения о посещаемости до {due}.\nЭто образец, а не приказ."
    return msgspec.json.encode(
        AdminOrder(
            number=f"{number}-Ү",
            day=str(day),
            organisation=organisation,
            texts=(
                OrderText(language=Language.KK, title=f"№ {number} үлгі бұйрық", text=kk),
                OrderText(language=Language.RU, title=f"Образец приказа № {number}", text=ru),
            ),
            signed_by=Signatory(position="Басқарма басшысы", name=f"Басшы {number} Үлгі"),
            due=str(due),
            source_ref=SourceRef(
                kind=SourceKind.REGISTER, issuer=organisation.bin, number=f"{number}-Ү"
            ),
        )
    )


def file(seed: int) -> bytes:
    """Return a `document.file/1` that holds a one-page PDF."""
    facts = FileFacts(
        title=f"Анықтама үлгісі {seed}: {person_name(seed)}",
        media_type="application/pdf",
        source_ref=SourceRef(
            kind=SourceKind.CERTIFICATE,
            issuer=_organisation(f"example office {seed}").bin,
            number=f"Ү-{seed}",
        ),
    )
    return encode_file(facts, _pdf(f"Example certificate {seed}. Nobody is meant."))


def tiny(number: int) -> bytes:
    """Return an `attendance.daily/1` below 1 KB; each number makes other bytes."""
    organisation = Organisation(
        bin=artificial_bin(number % ARTIFICIAL_BINS), kato=_SEATS[0], kato_version=_KATO_VERSION
    )
    first = number * TINY_PUPILS
    pupils = (
        _attendance_of(
            artificial_iin((first + index) % ARTIFICIAL_IINS),
            "1А",
            AttendanceMark.PRESENT,
            _entry(organisation, "1А", index + 1),
        )
        for index in range(TINY_PUPILS)
    )
    return msgspec.json.encode(
        AttendanceDaily(
            period=str(_FIRST_DAY + timedelta(days=number % 270)),
            organisation=organisation,
            marks_version=1,
            pupils=tuple(pupils),
        )
    )


def act(seed: int) -> bytes:
    """Return an `archive.act/1` on a bucket that never was."""
    digest = hashlib.sha256(f"act {seed}".encode()).hexdigest()
    hands = [
        Hand(
            by=f"op-{digest[at : at + 16]}", role="approver", at=f"2033-02-0{day}T05:00:00.000000Z"
        )
        for day, at in enumerate((0, 16, 32), 1)
    ]
    return wire.encode(
        ArchiveAct(
            bucket="R5-2027-08",
            class_="R5",
            term_ended="2032-09-01T00:00:00.000000Z",
            basis="Order 17-b of 1 February 2027 (an example)",
            policy_sha256=hashlib.sha256(b"policy").hexdigest(),
            packets=1 + seed,
            size=2000 * (1 + seed),
            frames_sha256=digest,
            held=seed % 3,
            proposal=f"{digest[:8]}-{digest[8:12]}-7{digest[12:15]}-8{digest[15:18]}-{digest[18:30]}",
            proposed=hands[0],
            approved=(hands[1], hands[2]),
            acted=hands[2],
        )
    )


def _attendance_of(iin: str, group: str, mark: AttendanceMark, source_ref: SourceRef) -> Attendance:
    return Attendance(
        iin=iin,
        class_=group,
        mark=mark,
        lessons_missed=_LESSONS_MISSED.get(mark, 0),
        source_ref=source_ref,
    )


def completeness(node: str, day: str, seed: int) -> bytes:
    """Return an `archive.completeness/1` of a node with a few hundred schools below it."""
    more, late, missing, gaps = _draws(4, "completeness", node, day, seed)
    expected = 300 + more
    return wire.encode(
        Completeness(
            period=day,
            reports="attendance.daily/1",
            under=node,
            due=f"{day}T19:00:00.000000Z",
            counted=f"{day}T19:00:05.000000Z",
            expected=expected,
            received=expected - missing % 20,
            on_time=expected - missing % 20 - late % 40,
            missing=missing % 20,
            gaps=gaps % 3,
        )
    )


def state(day: str, seed: int) -> bytes:
    """Return an `archive.state/1` of a node that is well."""
    up, grown, left, late = _draws(4, "state", day, seed)
    return msgspec.json.encode(
        ArchiveState(
            period=day,
            version="0.1.0",
            uptime_s=86_400 * up,
            epoch=1,
            leaves=10_000 + seed,
            unwitnessed_leaves=0,
            waiting=late % 5,
            waiting_s=late,
            open_exchanges=late % 7,
            held_frames=0,
            database_bytes=4_000_000_000 + 1_000_000 * up,
            growth_bytes_a_day=1_000_000 * (1 + grown),
            free_bytes=64_000_000_000,
            days_left=100 + left,
            certificate_days={"packet": 200 + left, "journal": 200 + left, "link": 30 + left},
            clock_offset_ms=late - 128,
            clock_doubted=False,
            backup_age_h=late % 24,
        )
    )


def _organisation(address: str) -> Organisation:
    number = _number_of(address)
    return Organisation(
        bin=artificial_bin(number % ARTIFICIAL_BINS),
        kato=_SEATS[number % len(_SEATS)],
        kato_version=_KATO_VERSION,
        name=f"{address} (үлгі, пример)",
    )


def _pupils(school: str) -> Iterator[tuple[str, str, int]]:
    """Yield IIN, class and number in the class's register of each pupil."""
    first = _number_of(school) % (ARTIFICIAL_IINS // PUPILS) * PUPILS
    for index in range(PUPILS):
        place, number = divmod(index, PUPILS_PER_CLASS)
        grade, parallel = divmod(place, len(CLASSES_PER_GRADE))
        group = f"{grade + 1}{CLASSES_PER_GRADE[parallel]}"
        yield artificial_iin(first + index), group, number + 1


def _entry(organisation: Organisation, group: str, number: int) -> SourceRef:
    return SourceRef(kind=SourceKind.REGISTER, issuer=organisation.bin, number=f"{group}-{number}")


def _mark_of(draw: int) -> AttendanceMark:
    return next(mark for below, mark in _MARKS_IN_100 if draw % 100 < below)


def _number_of(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _draws(count: int, *key: str | int) -> bytes:
    """Return `count` bytes that look random and follow from the key alone."""
    return hashlib.shake_256(repr(key).encode()).digest(count)


def _pdf(line: str) -> bytes:
    """Return a PDF of one page with one line of ASCII."""
    content = f"BT /F1 14 Tf 72 770 Td ({line}) Tj ET".encode("ascii")
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources 6 0 R >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Font << /F1 5 0 R >> >>",
    )
    whole, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(whole))
        whole += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    return whole + (
        b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\n"
        b"startxref\n%d\n%%%%EOF\n" % (size, table, size, len(whole))
    )
