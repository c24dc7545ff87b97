"""Lost journals: our own wish for a new epoch, a child's approved, and what we hold of one."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import RenderableType

from exchange.losses import RecoverOrder
from exchange.recoveries import ApproveOrder, NoteOrder
from nodes.cli.errors import UsageFault
from nodes.cli.files import read_document
from nodes.cli.instructing import tell
from nodes.cli.moments import utc_and_local
from nodes.cli.shapes import Shape
from nodes.cli.speaking import say
from nodes.config import Config
from schemas.errors import FormatError
from signing.note_text import split_note


class RecoverDone(Shape, frozen=True, kw_only=True):
    """A new epoch is asked for."""

    address: str
    of_epoch: int
    leaves: int
    """So many are left."""
    asked: str
    """Whose operator approves it; the root its own."""
    at: str
    instruction: str


class ApproveDone(Shape, frozen=True, kw_only=True):
    """A child's card opens a new epoch."""

    address: str
    epoch: int
    size: int
    """Of the last checkpoint that was witnessed of the epoch before."""
    root: str
    leaves: int
    """So many were left to the child: those from here to `size` are lost."""
    changed: bool
    """False where the card had opened it already."""
    at: str
    instruction: str


class HeldNote(Shape, frozen=True, kw_only=True):
    """A checkpoint of a neighbour's journal, cosigned by this node."""

    address: str
    size: int
    note: str


def recover(config: Config, after: Sequence[Path], wait_s: float) -> RecoverDone:
    """Ask for a new epoch of this node's journal. Raises UsageFault for notes that don't fit."""
    notes = [read_document(path).decode("utf-8", "replace") for path in after]
    order = RecoverOrder(merged(notes) if notes else None)
    told = tell(config, "recover", order, wait_s=wait_s)
    return RecoverDone(**told.content, at=told.at, instruction=told.id)


def approve(config: Config, address: str, wait_s: float) -> ApproveDone:
    """Let a child begin a new epoch."""
    told = tell(config, "approve", ApproveOrder(address), wait_s=wait_s)
    return ApproveDone(**told.content, at=told.at, instruction=told.id)


def note(config: Config, address: str, size: int | None, wait_s: float) -> HeldNote:
    """Return a checkpoint that this node holds of a journal, cosigned by it; None: the newest."""
    return HeldNote(**tell(config, "note", NoteOrder(address, size), wait_s=wait_s).content)


def merged(notes: Sequence[str]) -> str:
    """Return one note with the signatures of all; they are of one text. Raises UsageFault."""
    try:
        cut = [split_note(each) for each in notes]
    except FormatError as error:
        raise UsageFault(f"--after: {error.detail}") from error
    if len({text for text, _ in cut}) > 1:
        raise UsageFault("--after: the notes are of several checkpoints: take those of the newest")
    lines = dict.fromkeys(line for _, lines in cut for line in lines)
    return cut[0][0] + "\n" + "".join(f"{line}\n" for line in lines)


def asked(done: RecoverDone) -> Iterator[RenderableType]:
    """Draw `journal recover`."""
    at = utc_and_local(done.at)
    yield say("recovery.asked", epoch=done.of_epoch, leaves=done.leaves, at=at)
    if done.asked == done.address:
        yield say("recovery.begins")
    else:
        yield say("recovery.next", address=done.address, asked=done.asked)


def approved(done: ApproveDone) -> Iterator[RenderableType]:
    """Draw `journal approve`."""
    key = "recovery.approved" if done.changed else "recovery.approved-before"
    yield say(key, address=done.address, epoch=done.epoch, at=utc_and_local(done.at))
    lost = max(0, done.size - done.leaves)
    yield say("recovery.lost", leaves=done.leaves, size=done.size, lost=lost)
