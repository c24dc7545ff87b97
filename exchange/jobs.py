"""What the sequencer is given to do, as data."""

import asyncio

import msgspec

from exchange.dropped import Drop
from exchange.drops import Outcome
from exchange.gate import OpenedBundle, OpenedObject
from exchange.links import LinkMessage
from exchange.stamping import Evidenced
from exchange.strangers import Stranger
from exchange.upkeep import Tended
from schemas.records import OwnKey
from schemas.witnessing import Checkpoint, Cosigned, Proven

UNHURRIED = (Checkpoint, Cosigned, Proven)


class Confirmed(msgspec.Struct, frozen=True):
    """A local broker has taken entries of a local stream up to a number."""

    stream: str
    up_to: int


class Dropped(msgspec.Struct, frozen=True):
    """Documents to seal; `done` is settled when they are committed."""

    drops: list[Drop]
    done: "asyncio.Future[list[Outcome]]"


class Introduced(msgspec.Struct, frozen=True):
    """Certificates and CRLs (DER) and cards (statements' bytes) that the configuration brings.

    A card counts once the packet certificates of its issuer and of the node it is about are at
    hand: bring them with it.
    """

    certificates: list[bytes]
    crls: list[bytes]
    cards: list[bytes] = []
    own_keys: list[OwnKey] = []
    """The public keys of our key folder."""
    first: frozenset[bytes] | None = None
    """SHA-256 of the certificates that the genesis file lists; None without one."""


class DeadLetter(msgspec.Struct, frozen=True):
    """A message that our broker gave up on; its stream brings it again, somebody must look."""

    body: bytes
    detail: str
    done: "asyncio.Future[list[Outcome]]"
    """Settled once the incident is committed."""


class Knocked(msgspec.Struct, frozen=True):
    """Somebody was not let in at our broker."""

    stranger: Stranger
    done: "asyncio.Future[list[Outcome]]"
    """Settled once the incident is committed, where it opens one."""


class Swept(msgspec.Struct, frozen=True):
    """The time has come to look at what is open, held or pending."""


class Signed(msgspec.Struct, frozen=True):
    """A checkpoint of our journal has been signed and stored."""


Job = (
    LinkMessage
    | Confirmed
    | Dropped
    | Introduced
    | DeadLetter
    | Knocked
    | Swept
    | Signed
    | Evidenced
    | Tended
)


async def frames_in(job: Job) -> int:
    """Wait until a job is ready; return how many frames it brings."""
    match job:
        case LinkMessage():
            opened = await job.opened
            return len(opened.entries) if isinstance(opened, OpenedBundle) else 1
        case Dropped():
            return len(job.drops)
        case _:
            return 1


def lane_of(message: LinkMessage) -> str:
    """Return the lane of a bundle that is opened; empty for any other message."""
    opened = message.opened.result()
    return opened.header.lane if isinstance(opened, OpenedBundle) else ""


def is_unhurried(job: Job) -> bool:
    """Say whether a job that is ready may wait a moment: it is about journals, not packets."""
    if not isinstance(job, LinkMessage):
        return False
    opened = job.opened.result()
    return isinstance(opened, OpenedObject) and isinstance(opened.header, UNHURRIED)


def is_ready(job: Job) -> bool:
    """Say whether a job needs no waiting for."""
    return not isinstance(job, LinkMessage) or job.opened.done()
