"""What the sequencer is given to do, as data."""

import asyncio

import msgspec

from exchange.drops import Drop, Outcome
from exchange.gate import OpenedBundle
from exchange.links import LinkMessage
from schemas.records import OwnKey


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


class Swept(msgspec.Struct, frozen=True):
    """The time has come to look at what is open, held or pending."""


Job = LinkMessage | Confirmed | Dropped | Introduced | DeadLetter | Swept


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


def is_ready(job: Job) -> bool:
    """Say whether a job needs no waiting for."""
    return not isinstance(job, LinkMessage) or job.opened.done()
