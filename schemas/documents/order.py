"""`admin.order/1`: an order to the nodes below, in one language or several."""

from collections.abc import Iterator
from typing import Annotated

import msgspec

from schemas.codes import LANGUAGES, Language
from schemas.documents.common import (
    CodeLists,
    CodeText,
    Document,
    LongText,
    Organisation,
    ShortText,
    SourceRef,
    check_period,
    check_text,
)
from schemas.documents.faults import Fault, FaultKind
from schemas.documents.periods import Day, PeriodKind
from schemas.header import Sha256Hex, Size

ATTACHMENTS_MAX = 100


class OrderText(msgspec.Struct, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True):
    """The order in one language."""

    language: Annotated[
        CodeText,
        msgspec.Meta(extra_json_schema={"enum": [str(one) for one in Language]}),
    ]
    title: ShortText
    text: LongText


class Signatory(msgspec.Struct, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True):
    """Who signed the order: office and name, as the document shows them."""

    position: ShortText
    name: ShortText


class Attachment(msgspec.Struct, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True):
    """A file that belongs to the order and travels as a `document.file/1` of its own."""

    title: ShortText
    sha256: Sha256Hex
    size: Size


class AdminOrder(Document, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One order: number and day, texts, who signed it, and when it is due."""

    number: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    day: Day
    organisation: Organisation
    texts: Annotated[tuple[OrderText, ...], msgspec.Meta(min_length=1, max_length=len(Language))]
    signed_by: Signatory
    due: Day | None = None
    attachments: Annotated[tuple[Attachment, ...], msgspec.Meta(max_length=ATTACHMENTS_MAX)] = ()
    source_ref: SourceRef

    def faults(self, lists: CodeLists) -> Iterator[Fault]:
        """Yield what is wrong beyond fields and their forms."""
        yield from check_text(self.number, "$.number")
        yield from check_period(self.day, (PeriodKind.DAY,), "$.day")
        yield from self.organisation.faults("$.organisation", lists)
        yield from self._text_faults()
        yield from check_text(self.signed_by.position, "$.signed_by.position")
        yield from check_text(self.signed_by.name, "$.signed_by.name")
        if self.due is not None:
            yield from check_period(self.due, (PeriodKind.DAY,), "$.due")
            if self.due < self.day:
                yield Fault("$.due", "lies before the day of the order", FaultKind.WRONG_PERIOD)
        for index, attachment in enumerate(self.attachments):
            path = f"$.attachments[{index}]"
            yield from check_text(attachment.title, f"{path}.title")
            yield from check_text(attachment.sha256, f"{path}.sha256")
        yield from self.source_ref.faults("$.source_ref")

    def _text_faults(self) -> Iterator[Fault]:
        seen: set[str] = set()
        for index, text in enumerate(self.texts):
            path = f"$.texts[{index}]"
            problem = LANGUAGES.find_fault(text.language, LANGUAGES.version)
            if problem:
                yield Fault(f"{path}.language", problem, FaultKind.UNKNOWN_CODE)
            if text.language in seen:
                problem = "the order has two texts in this language"
                yield Fault(f"{path}.language", problem, FaultKind.DUPLICATE)
            seen.add(text.language)
            yield from check_text(text.title, f"{path}.title")
            yield from check_text(text.text, f"{path}.text", lines=True)
