"""Documents of every type, and dossiers as the record would give them, for printing."""

import io
import subprocess
from pathlib import Path

import msgspec
from PIL import Image

from harness.record_rows import HERE, PARENT, START, Scribe
from nodes import samples
from nodes.printing.dossier import (
    Absent,
    Answer,
    Dossier,
    LeafAt,
    Opened,
    Signer,
    Vouched,
)
from nodes.printing.printout import make_printout
from nodes.printing.speaker import Speaker
from schemas.answers import (
    ARCHIVE_ACT,
    ARCHIVE_COMPLETENESS,
    ARCHIVE_STATE,
    CLOSING,
    PING,
    RECEIPT,
    Closing,
    PacketName,
    Ping,
    Receipt,
)
from schemas.codes import RETURN_REASONS, Language, Names, ReturnReason, SourceKind
from schemas.documents.act import ArchiveAct, Hand
from schemas.documents.common import SourceRef
from schemas.documents.completeness import Completeness
from schemas.documents.file import FileFacts
from schemas.documents.notice import NoticeReturned, ReturnedField
from schemas.documents.registry import (
    ADMIN_ORDER,
    ATTENDANCE_DAILY,
    DOCUMENT_FILE,
    NOTICE_RETURNED,
    PERFORMANCE_PERIOD,
    TYPES,
)
from schemas.documents.state import ArchiveState
from schemas.frame import cut
from schemas.header import PART
from schemas.leaves import LeafKind
from schemas.moments import HOUR, SECOND, format_instant
from schemas.reasons import Reason
from schemas.records import IncidentRow, QuarantineRow
from store.reading import ListedPacket, Moment
from store.standing import Standing, State

NAME = PacketName(HERE, 1, "01a00000-0000-7000-8000-000000000001")
DIGEST = "ab" * 32
HAND = Hand(by="op-1", role="approver", at=format_instant(START))
LETTERS = "ӘәҒғҚқҢңӨөҰұҮүҺһІі"
"""The letters of Kazakh that Russian has not."""


def _encoded(document: msgspec.Struct) -> bytes:
    return msgspec.json.encode(document)


def short_performance(pupils: int = 3) -> bytes:
    """Return marks of a few pupils only."""
    whole = msgspec.json.decode(samples.performance(HERE, "2026-Q4", 1))
    return msgspec.json.encode(whole | {"pupils": whole["pupils"][:pupils]})


SAMPLES = {
    ATTENDANCE_DAILY: samples.tiny(1),
    PERFORMANCE_PERIOD: short_performance(),
    ADMIN_ORDER: samples.order(17, 1),
    NOTICE_RETURNED: _encoded(
        NoticeReturned(
            packet=NAME,
            reasons_version=RETURN_REASONS.version,
            reason=ReturnReason.INCOMPLETE,
            text=f"Бір сыныптың білім алушылары жоқ.\n{LETTERS}",
            fields=(ReturnedField(field="$.pupils", problem="5А"),),
        )
    ),
    DOCUMENT_FILE: samples.file(1),
    RECEIPT: _encoded(
        Receipt(
            packet=NAME,
            head_sha256=DIGEST,
            frame_sha256=DIGEST,
            verdict="refused",
            reason=Reason.SIG_INVALID,
            detail="does not hold",
            received=format_instant(START),
            epoch=1,
            index=7,
        )
    ),
    CLOSING: _encoded(
        Closing(
            packet=NAME, receipt=NAME, receipt_head_sha256=DIGEST, confirmed=format_instant(START)
        )
    ),
    PING: _encoded(Ping(note="between two nodes")),
    ARCHIVE_ACT: _encoded(
        ArchiveAct(
            bucket="R5-2021-08",
            class_="R5",
            term_ended=format_instant(START),
            basis="бұйрық № 279",
            policy_sha256=DIGEST,
            packets=12,
            size=24_000,
            frames_sha256=DIGEST,
            held=1,
            proposal=NAME.id,
            proposed=HAND,
            approved=(HAND, msgspec.structs.replace(HAND, by="op-2")),
            acted=HAND,
        )
    ),
    ARCHIVE_STATE: _encoded(
        ArchiveState(
            period="2026-11-23",
            version="0.1.0",
            uptime_s=86_400,
            epoch=1,
            leaves=1000,
            unwitnessed_leaves=3,
            waiting=2,
            waiting_s=5,
            open_exchanges=1,
            held_frames=0,
            database_bytes=1_000_000,
            certificate_days={"packet": 200},
            clock_offset_ms=-42,
            clock_doubted=False,
        )
    ),
    ARCHIVE_COMPLETENESS: _encoded(
        Completeness(
            period="2026-11-23",
            reports=ATTENDANCE_DAILY,
            under=PARENT,
            due=format_instant(START),
            counted=format_instant(START),
            expected=10,
            received=9,
            on_time=8,
            missing=1,
            gaps=0,
        )
    ),
}
"""A content of each type that has a layout of its own; others are laid out in general."""


def content_of(type_name: str) -> bytes:
    """Return a content of a type; of one without a sample any JSON."""
    return SAMPLES.get(type_name, b'{"made": {"up": [1, true, null]}}')


def file_of(media_type: str, data: bytes, title: str = "Анықтама үлгісі") -> bytes:
    """Return a `document.file/1`, whatever its title has in it."""
    facts = FileFacts(
        title=title,
        media_type=media_type,
        source_ref=SourceRef(kind=SourceKind.CERTIFICATE, issuer="Ұйым", number="Ү-1"),
    )
    encoded = msgspec.json.encode(facts)
    return len(encoded).to_bytes(2, "big") + encoded + data


def picture(kind: str = "PNG", size: tuple[int, int] = (40, 30), **options: object) -> bytes:
    """Return a picture."""
    made = io.BytesIO()
    Image.new("RGB", size, "navy").save(made, kind, **options)
    return made.getvalue()


def dossier_of(
    type_name: str = ATTENDANCE_DAILY,
    content: bytes | None = None,
    *,
    absent: Absent | None = None,
    **changes: object,
) -> Dossier:
    """Return what the record knows of a packet that was sent from here and answered."""
    scribe = Scribe()
    row = scribe.packet(HERE, PARENT, via=HERE, type_=type_name, period="2026-11-23")
    answer = scribe.packet(PARENT, HERE, via=PARENT, type_=RECEIPT, re=row.id)
    receipt = msgspec.json.decode(SAMPLES[RECEIPT], type=Receipt)
    said = msgspec.structs.replace(
        receipt, verdict="accepted", reason=None, received=format_instant(START + 5 * SECOND)
    )
    if absent is None:
        opened = Opened(row.head, content_of(type_name) if content is None else content)
    else:
        opened = Opened(absent=absent)
    leaf = {"kind": "sent", "from": HERE, "at": format_instant(START)}
    found = Dossier(
        here=HERE,
        printed=START + HOUR,
        packet=ListedPacket(row, Standing(State.DELIVERED, START, holder=PARENT)),
        header=cut(row.head).header,
        quarantined=(),
        opened=opened,
        names={HERE: Names(kk="№ 7 мектеп", ru="школа № 7", en="school 7")},
        happened=(
            Moment(START, LeafKind.SENT, "", leaf, row.frame, 18),
            Moment(START + 1, "custody", f"{PARENT}/bulk", {"number": "3"}, row.frame),
        ),
        answers=(Answer(answer, said),),
        received_there=START + 5 * SECOND,
        doubts=(IncidentRow(START, "clock_disagrees", PARENT, "7 minutes from kz", None),),
        offsets=((HERE, "2026-11-23", -42),),
        signer=Signer(
            sha256=DIGEST, subject="CN=school-7", issuer="CN=akmola", since=START, until=START
        ),
        leaf=LeafAt(18, "sent", DIGEST),
        vouched=Vouched(
            size=26,
            at=START,
            origin="school-7.bbaj.internal/1",
            root=DIGEST,
            cosigned=((PARENT, START),),
            stamped=(("national", START),),
        ),
    )
    return msgspec.structs.replace(found, **changes)


def quarantined_dossier() -> Dossier:
    """Return what the record knows of a frame that was refused."""
    whole = dossier_of()
    assert whole.packet is not None
    row = QuarantineRow(
        9, bytes(32), "refused", "sig-invalid", "<b>forged</b>", PARENT, START, 100, True,
        whole.packet.packet.id, HERE, PARENT,
    )  # fmt: skip
    return msgspec.structs.replace(
        whole,
        packet=None,
        quarantined=(row,),
        opened=Opened(whole.opened.raw),
        happened=(),
        answers=(),
        received_there=None,
        leaf=None,
        vouched=None,
    )


def sheet_of(dossier: Dossier, language: Language = Language.KK):
    """Return a dossier's printout."""
    return make_printout(dossier, Speaker(language))


ALL_TYPES = sorted(TYPES.keys() - {PART})
"""Of a part nothing is printed but its head: its manifest says what the file is."""


def ran(*words: object) -> str:
    """Return what a program of poppler says."""
    done = subprocess.run(list(map(str, words)), check=True, capture_output=True, text=True)
    assert "rror" not in done.stderr, done.stderr
    return done.stdout


def pdf_text(file: Path) -> str:
    """Return the text of a PDF as it stands on its pages."""
    return ran("pdftotext", "-layout", file, "-")


def strange_fonts(file: Path) -> list[str]:
    """Return the fonts of a PDF that are not embedded whole, subset and searchable."""
    lines = ran("pdffonts", file).splitlines()[2:]
    assert lines, "a print has text"
    return [line for line in lines if line.split()[-5:-2] != ["yes", "yes", "yes"]]
