"""Pages of the public logs as link objects: a head, and entries behind an index (clause 14.4)."""

from exchange.links import Link
from exchange.signing_desk import body_of
from exchange.state import NodeState
from schemas.errors import FormatError
from schemas.issued import check_entry
from schemas.moments import Instant
from schemas.objects import Issued, pack_pieces, unpack_pieces
from schemas.reasons import Reason
from schemas.records import IssuedHead


def send_page(  # noqa: PLR0917 - what one object brings
    state: NodeState,
    head: IssuedHead,
    page: tuple[int, list[bytes]],
    link: Link,
    now: Instant,
    witnesses: tuple[str, ...] = (),
) -> None:
    """Send entries from the page's first index on, under a head; certificates go before it."""
    first, entries = page
    body = pack_pieces([head.note.encode(), *entries])
    header = Issued(
        **state.gate.stamp(link.neighbour, now),  # type: ignore[arg-type]
        authority=head.authority,
        journal=head.journal,
        first=first,
        last=first + len(entries),
        size=head.size,
        witnesses=witnesses,
        body=body_of(body),
    )
    raw = state.gate.sign(header, body)
    link.send_statement(raw, state.gate.fingerprint, head.journal, *witnesses)


def cut_page(header: Issued, body: bytes) -> tuple[str, list[bytes]]:
    """Return head and entries as the header says. Raises FormatError."""
    pieces, end = unpack_pieces(body)
    if end != len(body) or len(pieces) != 1 + header.last - header.first:
        raise FormatError(Reason.FORMAT_INVALID, "log: not the entries that the header names")
    if not header.first <= header.last <= header.size:
        raise FormatError(Reason.FORMAT_INVALID, "log: entries behind the head")
    for entry in pieces[1:]:
        check_entry(entry)
    try:
        return pieces[0].decode(), pieces[1:]
    except UnicodeDecodeError as error:
        raise FormatError(Reason.FORMAT_INVALID, "log: the head is no text") from error
