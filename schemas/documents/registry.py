"""Packet types: what each one is for, how it is handled, and how its document is checked.

A type is an entry here or, for a plug-in, in a mapping that a node merges with `TYPES` and passes
in (R-18.1g): nothing else knows the types.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

import msgspec

from schemas.answers import (
    ARCHIVE_ACT,
    ARCHIVE_COMPLETENESS,
    ARCHIVE_STATE,
    CLOSING,
    PING,
    RECEIPT,
    Closing,
    Ping,
    Receipt,
)
from schemas.codes import ARCHIVE_SECTIONS, Flow, Names, RetentionClass, Section, show
from schemas.documents import attendance, completeness, performance, state
from schemas.documents.act import ArchiveAct
from schemas.documents.attendance import AttendanceDaily
from schemas.documents.common import BUILT_IN, CodeLists, Document
from schemas.documents.completeness import Completeness
from schemas.documents.faults import DocumentError, Fault, FaultKind
from schemas.documents.file import CONTAINER_MEDIA_TYPE, FileDocument, FileFacts, decode_file
from schemas.documents.file import read_facts as read_file_facts
from schemas.documents.notice import NoticeReturned
from schemas.documents.order import AdminOrder
from schemas.documents.performance import PerformancePeriod
from schemas.documents.periods import PeriodKind
from schemas.documents.reading import decode_json
from schemas.documents.state import ArchiveState
from schemas.header import PART

# ruff: noqa: RUF001 - Kazakh and Russian names are the data

JSON_MEDIA_TYPE = "application/json"
FAULTS_MAX = 100
"""So many faults of one document are listed; nobody corrects more at a sitting."""

ATTENDANCE_DAILY = "attendance.daily/1"
PERFORMANCE_PERIOD = "performance.period/1"
ADMIN_ORDER = "admin.order/1"
NOTICE_RETURNED = "notice.returned/1"
DOCUMENT_FILE = "document.file/1"


class PacketType(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """How packets of one type are handled."""

    name: str
    names: Names
    purpose: str
    """Why such data is exchanged at all, as the law on personal data asks."""
    section: Section | None
    """The section where a drop names none; None: the drop must name one."""
    sections: tuple[Section, ...]
    flow: Flow
    retention: RetentionClass
    personal: bool
    """Holds personal data, so it must be encrypted end to end."""
    padded: bool = False
    """Padded before it is encrypted: its size alone would tell something about persons."""
    inherits: bool = False
    """Section and retention class are those of the packet it answers; else the ones given here."""
    droppable: bool = True
    """A local system may drop it; False for what only nodes make."""
    periods: tuple[PeriodKind, ...] = ()
    """Kinds of period that the header may name; empty: none."""
    media_type: str = JSON_MEDIA_TYPE
    struct: type[msgspec.Struct] | None
    """What its JSON decodes to; None: the container of documents.file."""
    subjects: tuple[str, ...] = ()
    """Fields with the IIN or BIN of whom a document is about, as paths: see documents.findable."""
    searchable: tuple[str, ...] = ()
    """Fields whose words find a document, its title first; never those that name persons."""


_ALL_SECTIONS = (*ARCHIVE_SECTIONS, Section.NET)

_BUILT_IN_TYPES = (
    PacketType(
        name=ATTENDANCE_DAILY,
        names=Names(
            kk="күнделікті сабаққа қатысу",
            ru="ежедневная посещаемость",
            en="daily attendance",
        ),
        purpose="electronic register: attendance of pupils",
        section=Section.S15,
        sections=(Section.S15,),
        flow=Flow.RESULT,
        retention=RetentionClass.R5,
        personal=True,
        padded=True,  # its size is the number of absent pupils
        periods=attendance.PERIODS,
        struct=AttendanceDaily,
        subjects=("organisation.bin", "pupils[].iin"),
        searchable=("organisation.name",),
    ),
    PacketType(
        name=PERFORMANCE_PERIOD,
        names=Names(
            kk="кезеңдік үлгерім",
            ru="успеваемость за период",
            en="performance of a period",
        ),
        purpose="electronic register: final marks of pupils",
        section=Section.S15,
        sections=(Section.S15,),
        flow=Flow.RESULT,
        retention=RetentionClass.R50,
        personal=True,
        padded=True,  # its size is the number of pupils and of marks
        periods=performance.PERIODS,
        struct=PerformancePeriod,
        subjects=("organisation.bin", "pupils[].iin"),
        searchable=("organisation.name",),
    ),
    PacketType(
        name=ADMIN_ORDER,
        names=Names(kk="бұйрық", ru="приказ", en="order"),
        purpose="orders to the bodies and organisations below",
        section=None,
        sections=ARCHIVE_SECTIONS,
        flow=Flow.ADMIN,
        retention=RetentionClass.R10,
        personal=False,
        struct=AdminOrder,
        subjects=("organisation.bin",),
        searchable=("texts[].title", "number", "organisation.name"),
    ),
    PacketType(
        name=NOTICE_RETURNED,
        names=Names(
            kk="құжатты қайтару туралы хабарлама",
            ru="уведомление о возврате документа",
            en="notice of a returned document",
        ),
        purpose="correction of documents with faulty content",
        section=None,
        sections=ARCHIVE_SECTIONS,
        flow=Flow.ADMIN,
        retention=RetentionClass.R5,
        personal=True,  # its text is free, so it may name a person
        inherits=True,
        struct=NoticeReturned,
    ),
    PacketType(
        name=DOCUMENT_FILE,
        names=Names(kk="файл", ru="файл", en="file"),
        purpose="documents in any format that the sections of the archive take",
        section=None,
        sections=ARCHIVE_SECTIONS,
        flow=Flow.INFO,
        retention=RetentionClass.R5,
        personal=True,  # nobody can tell what is in it
        periods=tuple(PeriodKind),
        media_type=CONTAINER_MEDIA_TYPE,
        struct=None,
        searchable=("facts.title",),
    ),
    PacketType(
        name=RECEIPT,
        names=Names(kk="түбіртек", ru="квитанция", en="receipt"),
        purpose="confirmation of a packet",
        section=Section.NET,
        sections=_ALL_SECTIONS,
        flow=Flow.OPER,
        retention=RetentionClass.R1,
        personal=False,
        inherits=True,
        droppable=False,
        struct=Receipt,
    ),
    PacketType(
        name=CLOSING,
        names=Names(
            kk="қорытынды растау",
            ru="закрывающее подтверждение",
            en="closing",
        ),
        purpose="confirmation of a receipt",
        section=Section.NET,
        sections=_ALL_SECTIONS,
        flow=Flow.OPER,
        retention=RetentionClass.R1,
        personal=False,
        inherits=True,
        droppable=False,
        struct=Closing,
    ),
    PacketType(
        name=PART,
        names=Names(kk="файл бөлігі", ru="часть файла", en="part of a file"),
        purpose="files too large for one packet",
        section=None,
        sections=ARCHIVE_SECTIONS,
        flow=Flow.INFO,
        retention=RetentionClass.R5,
        personal=True,  # as the file that it is a part of
        inherits=True,
        droppable=False,
        media_type="application/octet-stream",
        struct=None,
    ),
    PacketType(
        name=PING,
        names=Names(kk="байланысты тексеру", ru="проверка связи", en="ping"),
        purpose="test of the way between two nodes",
        section=Section.NET,
        sections=(Section.NET,),
        flow=Flow.OPER,
        retention=RetentionClass.R1,
        personal=False,
        struct=Ping,
    ),
    PacketType(
        name=ARCHIVE_ACT,
        names=Names(kk="жою актісі", ru="акт об уничтожении", en="destruction act"),
        purpose="proof of what was destroyed at the end of its term, and by whom",
        section=Section.NET,
        sections=(Section.NET,),
        flow=Flow.OPER,
        retention=RetentionClass.PERM,
        personal=False,
        droppable=False,
        struct=ArchiveAct,
    ),
    PacketType(
        name=ARCHIVE_COMPLETENESS,
        names=Names(
            kk="есептердің толықтығы туралы мәлімет",
            ru="сведения о полноте отчётов",
            en="completeness of reports",
        ),
        purpose="how many reports came in time, for the bodies above",
        section=Section.NET,
        sections=(Section.NET,),
        flow=Flow.OPER,
        retention=RetentionClass.R5,
        personal=False,
        droppable=False,
        periods=completeness.PERIODS,
        struct=Completeness,
    ),
    PacketType(
        name=ARCHIVE_STATE,
        names=Names(kk="тораптың жай-күйі", ru="состояние узла", en="state of a node"),
        purpose="analysis of the network's technical state, and recovery after accidents",
        section=Section.NET,
        sections=(Section.NET,),
        flow=Flow.OPER,
        retention=RetentionClass.R5,
        personal=False,
        droppable=False,
        periods=state.PERIODS,
        struct=ArchiveState,
    ),
)

TYPES: dict[str, PacketType] = {one.name: one for one in _BUILT_IN_TYPES}
"""The types that every node knows, by name."""


def own_classes(types: Mapping[str, PacketType] = TYPES) -> dict[str, str]:
    """Return the retention class of each type that does not inherit it."""
    return {one.name: one.retention.value for one in types.values() if not one.inherits}


def find_type(name: str, types: Mapping[str, PacketType] = TYPES) -> PacketType:
    """Return the type of that name. Raises DocumentError(unknown-type)."""
    found = types.get(name)
    if found is None:
        known = ", ".join(sorted(one.name for one in types.values() if one.droppable))
        problem = f"{show(name)} is not known here; the known ones are {known}"
        raise DocumentError("type", problem, FaultKind.UNKNOWN_TYPE)
    return found


def decode_document(
    type_name: str, body: bytes, *, types: Mapping[str, PacketType] = TYPES
) -> msgspec.Struct:
    """Return a document decoded, not checked further; a `document.file/1` as FileDocument.

    Raises DocumentError for an unknown type and for bytes that are not of its form.
    """
    struct = find_type(type_name, types).struct
    return decode_file(body) if struct is None else decode_json(body, _decoder_of(struct))


def check_document(
    type_name: str,
    body: bytes,
    *,
    lists: CodeLists = BUILT_IN,
    types: Mapping[str, PacketType] = TYPES,
) -> None:
    """Check a document, at the drop and at the addressee. Raises DocumentError: the first."""
    for fault in _faults(find_type(type_name, types), body, lists):
        raise DocumentError(fault.field, fault.problem, fault.kind)


def find_faults(
    type_name: str,
    body: bytes,
    *,
    lists: CodeLists = BUILT_IN,
    types: Mapping[str, PacketType] = TYPES,
) -> tuple[Fault, ...]:
    """Return what is wrong with a document, at most FAULTS_MAX; what cannot be decoded has one."""
    found: list[Fault] = []
    try:
        for fault in _faults(find_type(type_name, types), body, lists):
            found.append(fault)
            if len(found) == FAULTS_MAX:
                break
    except DocumentError as error:
        found.append(Fault(error.field, error.problem, error.kind))
    return tuple(found)


def export_json_schemas(types: Iterable[PacketType] = _BUILT_IN_TYPES) -> dict[str, dict[str, Any]]:
    """Return a JSON Schema for each type, for the makers of local systems.

    That of a file describes its facts. What a schema cannot say (check digits, code lists, real
    dates, nobody twice) only `check_document` says.
    """
    return {one.name: _schema_of(one) for one in types}


def _faults(packet_type: PacketType, body: bytes, lists: CodeLists) -> Iterator[Fault]:
    if packet_type.struct is None:
        facts, _ = read_file_facts(body)  # the file itself may be large: it is not copied
        yield from facts.faults()
        return
    document = decode_json(body, _decoder_of(packet_type.struct))
    if isinstance(document, Document):
        yield from document.faults(lists)


def _schema_of(packet_type: PacketType) -> dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": packet_type.name,
        "description": packet_type.names.en,
        **msgspec.json.schema(packet_type.struct or FileFacts),
    }


@cache
def _decoder_of(struct: type[msgspec.Struct]) -> "msgspec.json.Decoder[msgspec.Struct]":
    return msgspec.json.Decoder(struct)


__all__ = [
    "ADMIN_ORDER",
    "ARCHIVE_COMPLETENESS",
    "ATTENDANCE_DAILY",
    "DOCUMENT_FILE",
    "FAULTS_MAX",
    "JSON_MEDIA_TYPE",
    "NOTICE_RETURNED",
    "PERFORMANCE_PERIOD",
    "TYPES",
    "DocumentError",
    "Fault",
    "FaultKind",
    "FileDocument",
    "PacketType",
    "check_document",
    "decode_document",
    "export_json_schemas",
    "find_faults",
    "find_type",
    "own_classes",
]
