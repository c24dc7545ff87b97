"""What is read off a judged entry: its header, what it answers; and the entry as refused."""

from exchange.core.custody import Content
from exchange.gate import JudgedEntry
from exchange.ports import Name
from schemas.answers import Closing, Receipt
from schemas.header import Header
from schemas.reasons import Reason
from signing.authenticate import Accepted, Held, Refused


def names_answered(content: Content) -> list[Name]:
    """Return the packet that an answer is about, then the receipt that a closing answers."""
    match content:
        case Receipt(packet=about):
            return [(about.from_, about.epoch, about.id)]
        case Closing(packet=about, receipt=receipt):
            return [
                (about.from_, about.epoch, about.id),
                (receipt.from_, receipt.epoch, receipt.id),
            ]
        case _:
            return []


def header_of(entry: JudgedEntry) -> Header | None:
    """Return the header of a frame, believed or not; None of what is none."""
    match entry.verdict:
        case Accepted() as accepted:
            return accepted.frame.header
        case Refused() as refused:
            return refused.header
        case Held() as held:
            return held.header
        case _:
            return None


def as_refused(
    entry: JudgedEntry, reason: Reason, detail: str, header: Header | None, *, proven: bool
) -> JudgedEntry:
    """Return an entry as one that is refused."""
    verdict = Refused(reason, detail, entry.raw, entry.sha256, header, proven)
    return JudgedEntry(entry.raw, entry.sha256, verdict)
