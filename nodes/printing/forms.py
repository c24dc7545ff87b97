"""How each form of document is laid out; a form that is not here has the general layout."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from nodes.printing import archive_forms
from nodes.printing.blocks import Block, Fact, Facts, Prose, Table, code, facts
from nodes.printing.speaker import Speaker, both_zones
from schemas.answers import Closing, PacketName, Ping, Receipt
from schemas.codes import (
    ATTENDANCE_MARKS,
    LANGUAGES,
    RETURN_REASONS,
    SOURCE_KINDS,
    SUBJECTS,
)
from schemas.documents.act import ArchiveAct
from schemas.documents.attendance import AttendanceDaily
from schemas.documents.common import Organisation, SourceRef
from schemas.documents.completeness import Completeness
from schemas.documents.notice import NoticeReturned
from schemas.documents.order import AdminOrder
from schemas.documents.performance import PerformancePeriod
from schemas.documents.state import ArchiveState

UPRIGHT_CHARACTERS_MAX = 60
"""Marks in longer lines have their page on its side."""
ALIGNED_CHARACTERS_MAX = 120
"""Marks in longer lines are told by their subjects' names, pupil by pupil."""

Layout = Callable[[Any, Speaker], Iterator[Block]]


def layout_of(document: msgspec.Struct) -> Layout | None:
    """Return what lays out a decoded document; None where its form has no layout of its own."""
    return _LAYOUTS.get(type(document))


# ------------------------------------------------------------------ registers


def _attendance(document: AttendanceDaily, speaker: Speaker) -> Iterator[Block]:
    say = speaker.say
    marks = Counter(each.mark for each in document.pupils)
    yield Facts(
        (
            Fact(say("print.form.day"), document.period),
            *_organisation(document.organisation, speaker),
            Fact(
                say("print.form.scope"),
                say("print.form.absences-only" if document.absences_only else "print.form.all"),
            ),
            Fact(say("print.form.pupils"), str(len(document.pupils))),
            *(
                Fact(speaker.code(ATTENDANCE_MARKS, mark), str(marks[mark]))
                for mark in ATTENDANCE_MARKS.codes
                if marks[mark]
            ),
        )
    )
    heads = ("number", "iin", "class", "mark", "missed", "source")
    yield Table(
        tuple(say(f"print.form.{head}") for head in heads),
        tuple(
            (
                str(number),
                each.iin,
                each.class_,
                speaker.code(ATTENDANCE_MARKS, each.mark),
                str(each.lessons_missed),
                source_of(each.source_ref, speaker, document.organisation.bin),
            )
            for number, each in enumerate(document.pupils, 1)
        ),
    )


def _performance(document: PerformancePeriod, speaker: Speaker) -> Iterator[Block]:
    say = speaker.say
    yield facts(
        (say("print.form.period"), document.period),
        (say("print.form.term"), None if document.term is None else str(document.term)),
        *_organisation(document.organisation, speaker),
        (say("print.form.pupils"), str(len(document.pupils))),
    )
    subjects = list(dict.fromkeys(name for each in document.pupils for name, _ in each.marks))
    lines = _in_columns([dict(each.marks) for each in document.pupils], subjects, speaker)
    if len(lines[0]) <= ALIGNED_CHARACTERS_MAX:
        yield facts(*((each, speaker.code(SUBJECTS, each)) for each in subjects))
        yield _marks(document, lines, speaker)
    else:
        listed = [_in_words(each.marks, speaker) for each in document.pupils]
        yield _marks(document, [speaker.say("print.form.marks"), *listed], speaker)


def _marks(document: PerformancePeriod, lines: Sequence[str], speaker: Speaker) -> Table:
    """Return the table of marks; `lines` has its heading first, then one line a pupil."""
    heads = [speaker.say(f"print.form.{head}") for head in ("number", "iin", "class")]
    return Table(
        (*heads, lines[0], speaker.say("print.form.source")),
        tuple(
            (
                str(number),
                each.iin,
                each.class_,
                line,
                source_of(each.source_ref, speaker, document.organisation.bin),
            )
            for number, (each, line) in enumerate(zip(document.pupils, lines[1:], strict=True), 1)
        ),
        wide=len(lines[0]) > UPRIGHT_CHARACTERS_MAX,
        aligned=3 if len(lines[0]) <= ALIGNED_CHARACTERS_MAX else None,
    )


def _in_columns(
    pupils: Sequence[Mapping[str, int | str]], subjects: Sequence[str], speaker: Speaker
) -> list[str]:
    """Return marks as lines whose columns stand below each other, the subjects' codes first."""
    rows = [
        [_mark(marks[name], speaker) if name in marks else "-" for name in subjects]
        for marks in pupils
    ]
    columns = list(zip(subjects, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    return [
        " ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (subjects, *rows)
    ]


def _in_words(marks: Iterable[tuple[str, int | str]], speaker: Speaker) -> str:
    return "; ".join(
        f"{speaker.code(SUBJECTS, name)} {_mark(mark, speaker)}" for name, mark in marks
    )


def _mark(mark: int | str, speaker: Speaker) -> str:
    return str(mark) if isinstance(mark, int) else speaker.say(f"print.marks.{mark}")


# ------------------------------------------------------------------ orders and notices


def _order(document: AdminOrder, speaker: Speaker) -> Iterator[Block]:
    say = speaker.say
    yield facts(
        (say("print.form.order-number"), document.number),
        (say("print.form.day"), document.day),
        *_organisation(document.organisation, speaker),
        (say("print.form.due"), document.due),
        (say("print.form.source"), source_of(document.source_ref, speaker)),
    )
    own_first = sorted(document.texts, key=lambda each: each.language != speaker.language)
    for each in own_first:
        name = speaker.code(LANGUAGES, each.language)
        yield Prose(each.text, f"{each.title} ({name})")
    yield facts((document.signed_by.position, document.signed_by.name))
    if document.attachments:
        yield Table(
            (say("print.form.attachment"), say("print.form.size"), "SHA-256"),
            tuple((each.title, str(each.size), each.sha256) for each in document.attachments),
        )


def _notice(document: NoticeReturned, speaker: Speaker) -> Iterator[Block]:
    say = speaker.say
    yield Facts(
        (
            *_packet(document.packet, speaker),
            Fact(say("print.form.reason"), speaker.code(RETURN_REASONS, document.reason)),
        )
    )
    yield Prose(document.text)
    if document.fields:
        yield Table(
            (say("print.form.field"), say("print.form.problem")),
            tuple((each.field, each.problem) for each in document.fields),
        )


# ------------------------------------------------------------------ the network's own


def _receipt(document: Receipt, speaker: Speaker) -> Iterator[Block]:
    say = speaker.say
    yield facts(
        *_packet(document.packet, speaker),
        (say("print.form.verdict"), say(f"print.verdicts.{document.verdict}")),
        (say("print.form.reason"), document.reason and reason_of(document.reason, speaker)),
        (say("print.form.detail"), document.detail),
        (say("print.form.refused-by"), document.refused_by),
        (say("print.times.received"), both_zones(document.received)),
        (
            say("print.seal.leaf"),
            say("print.seal.leaf-of", index=document.index, epoch=document.epoch),
        ),
        code(say("print.seal.head"), document.head_sha256),
        code(say("print.seal.frame"), document.frame_sha256),
    )


def _closing(document: Closing, speaker: Speaker) -> Iterator[Block]:
    say = speaker.say
    yield Facts(
        (
            *_packet(document.packet, speaker),
            code(say("print.form.receipt"), document.receipt.id),
            Fact(say("print.form.receipt-of"), document.receipt.from_),
            code(say("print.form.receipt-head"), document.receipt_head_sha256),
            Fact(say("print.form.confirmed"), both_zones(document.confirmed)),
        )
    )


def _ping(document: Ping, speaker: Speaker) -> Iterator[Block]:
    yield facts((speaker.say("print.form.note"), document.note or speaker.say("print.form.empty")))


# ------------------------------------------------------------------ pieces


def _organisation(one: Organisation, speaker: Speaker) -> tuple[Fact, ...]:
    say = speaker.say
    kato = say("print.form.kato-of", code=one.kato, edition=one.kato_version)
    named = [Fact(say("print.form.organisation"), one.name)] if one.name else []
    return (*named, Fact(say("print.form.bin"), one.bin), Fact(say("print.form.kato"), kato))


def _packet(name: PacketName, speaker: Speaker) -> tuple[Fact, ...]:
    say = speaker.say
    return (
        code(say("print.form.packet"), name.id),
        Fact(say("print.form.packet-of"), name.from_),
    )


def source_of(source: SourceRef, speaker: Speaker, known_issuer: str = "") -> str:
    """Return what a record rests on; its issuer only where that is not said above."""
    kind = speaker.code(SOURCE_KINDS, source.kind)
    if source.issuer == known_issuer:
        return f"{kind} № {source.number}"
    return f"{kind} № {source.number}, {source.issuer}"


def reason_of(reason: str, speaker: Speaker) -> str:
    """Return a reason of the closed list with its meaning; any other word as it is."""
    meaning = speaker.say_of("print.reasons", reason)
    return reason if meaning == reason else f"{reason}: {meaning}"


_LAYOUTS: dict[type[msgspec.Struct], Layout] = {
    AttendanceDaily: _attendance,
    PerformancePeriod: _performance,
    AdminOrder: _order,
    NoticeReturned: _notice,
    Receipt: _receipt,
    Closing: _closing,
    Ping: _ping,
    ArchiveAct: archive_forms.act,
    ArchiveState: archive_forms.state,
    Completeness: archive_forms.completeness,
}
