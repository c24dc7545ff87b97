"""`notice.returned/1`: a document comes back for its content, long after it was authenticated.

A notice is no record of its own: it names the packet whose records it is about, so it bears no
`source_ref`.
"""

from collections.abc import Iterator
from typing import Annotated

import msgspec

from schemas.answers import PacketName
from schemas.codes import ReturnReason
from schemas.documents.common import (
    CodeCheck,
    CodeLists,
    CodeText,
    Document,
    ListVersion,
    ShortText,
    check_text,
)
from schemas.documents.faults import Fault

FIELDS_MAX = 100


class ReturnedField(
    msgspec.Struct, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True
):
    """One field to correct: its path in the document, and the problem."""

    field: ShortText
    problem: ShortText


class NoticeReturned(Document, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """Which packet's document is returned, why, and which fields to correct."""

    packet: PacketName
    reasons_version: ListVersion
    reason: Annotated[
        CodeText,
        msgspec.Meta(extra_json_schema={"examples": [str(reason) for reason in ReturnReason]}),
    ]
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=10_000)]
    fields: Annotated[tuple[ReturnedField, ...], msgspec.Meta(max_length=FIELDS_MAX)] = ()

    def faults(self, lists: CodeLists) -> Iterator[Fault]:
        """Yield what is wrong beyond fields and their forms."""
        reasons = CodeCheck(lists, "return-reason", self.reasons_version)
        yield from check_text(self.packet.from_, "$.packet.from")
        yield from check_text(self.packet.id, "$.packet.id")
        yield from reasons.version_faults("$.reasons_version")
        yield from reasons.faults(self.reason, "$.reason")
        yield from check_text(self.text, "$.text", lines=True)
        for index, one in enumerate(self.fields):
            yield from check_text(one.field, f"$.fields[{index}].field")
            yield from check_text(one.problem, f"$.fields[{index}].problem")
