"""What the demo's local systems drop: whole schools of made-up pupils, orders, files, a notice."""

from datetime import date, timedelta

import msgspec

from nodes import samples
from schemas.answers import PacketName
from schemas.codes import RETURN_REASONS, ReturnReason
from schemas.documents.file import decode_file
from schemas.documents.notice import NoticeReturned, ReturnedField
from schemas.documents.registry import (
    ADMIN_ORDER,
    ATTENDANCE_DAILY,
    DOCUMENT_FILE,
    NOTICE_RETURNED,
    PERFORMANCE_PERIOD,
    find_type,
)

FIRST_DAY = date(2026, 9, 1)
QUARTERS = ("Q1", "Q2", "Q3", "Q4")
JSON = "application/json"


class Prepared(msgspec.Struct, frozen=True):
    """A document ready to be dropped, and what its drop says beside type and recipient."""

    body: bytes
    period: str | None = None
    section: str | None = None
    title: str | None = None
    re: str | None = None
    media_type: str = JSON


def prepare(type_name: str, sender: str, serial: int) -> Prepared:
    """Return the document of a type that bears a serial number; no two are alike."""
    match type_name:
        case _ if type_name == ATTENDANCE_DAILY:
            day = str(FIRST_DAY + timedelta(days=serial % 270))
            return Prepared(samples.attendance(sender, day, serial), period=day)
        case _ if type_name == PERFORMANCE_PERIOD:
            period = f"{2020 + serial // 4 % 7}-{QUARTERS[serial % 4]}"
            return Prepared(samples.performance(sender, period, serial), period=period)
        case _ if type_name == ADMIN_ORDER:
            return Prepared(samples.order(serial, serial), section="S06")
        case _ if type_name == DOCUMENT_FILE:
            file = decode_file(samples.file(serial))
            facts = file.facts
            return Prepared(
                file.data, section="S06", title=facts.title, media_type=facts.media_type
            )
        case _:
            raise AssertionError(f"the demo drops no {type_name}")


def prepare_notice(sender: str, packet: str, type_name: str) -> Prepared:
    """Return the notice that returns a sender's packet for its content, in its own section."""
    notice = NoticeReturned(
        packet=PacketName(sender, 1, packet),
        reasons_version=RETURN_REASONS.version,
        reason=ReturnReason.INCOMPLETE,
        text="Pupils of one class are missing: send the day again.",
        fields=(ReturnedField(field="$.pupils", problem="class 5A is missing"),),
    )
    return Prepared(msgspec.json.encode(notice), section=find_type(type_name).section, re=packet)


__all__ = ["NOTICE_RETURNED", "Prepared", "prepare", "prepare_notice"]
