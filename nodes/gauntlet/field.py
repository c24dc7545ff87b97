"""Where a case runs: the party, its patience, its chance, and what must hold in the end."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from nodes.errors import JudgementFailed
from nodes.gauntlet.party import Party
from nodes.gauntlet.speaker import sha256
from schemas.objects import Bundle, Lane, cut_object, unpack_bundle_body

QUIET_S = 1.0
"""So long nothing comes before the neighbour counts as done with what it was sent."""


class Chance:
    """Bytes that look random and follow from a seed alone, so that a run can be repeated."""

    def __init__(self, seed: int) -> None:
        """Begin the draws of a seed."""
        self._seed = seed
        self._draws = 0

    def draw(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        self._draws += 1
        return hashlib.shake_128(f"{self._seed}/{self._draws}".encode()).digest(count)

    def below(self, bound: int) -> int:
        """Return an integer from 0 to `bound` - 1; its bias is beyond what any case would see."""
        return int.from_bytes(self.draw(8)) % bound


class Field(msgspec.Struct, frozen=True):
    """What one case works with."""

    party: Party
    patience_s: float
    chance: Chance

    def pings(self, count: int) -> list[bytes]:
        """Return sealed packets to the neighbour, each with a content of its own."""
        return [self.party.packet(self.party.neighbour, self.chance.draw(64)) for _ in range(count)]

    async def send_on(self, frames: Sequence[bytes], first: int, lane: Lane = "bulk") -> None:
        """Send what the neighbour has not noted of frames numbered from `first`, as clause 7.5."""
        tail = self.party.sent[lane]
        up_to = max(self.party.noted[lane].up_to, first - 1)
        left = frames[up_to - first + 1 :]
        if left:
            await self.party.publish(self.party.bundle(left, up_to + 1, tail.chain, lane))

    async def until(self, found: Callable[[], object], what: str) -> None:
        """Wait until `found` finds something; raise JudgementFailed where it never does."""
        with self.waiting(what):
            await self.party.until(found, self.patience_s)

    async def quiet(self) -> None:
        """Wait until the neighbour has said nothing for a while."""
        while True:
            before = len(self.party.messages)
            await asyncio.sleep(QUIET_S)
            await self.party.until(lambda: True)
            if len(self.party.messages) == before:
                return

    async def answered(self, frames: Sequence[bytes]) -> None:
        """Wait for one accepted receipt on each frame, and close; raise JudgementFailed if not."""
        for number, frame in enumerate(frames, 1):
            with self.waiting(f"good packet {number} of {len(frames)}: no answer"):
                answer = await self.party.answer_to(frame, self.patience_s)
            if not self.party.receipts_on(frame, "accepted"):
                raise JudgementFailed(f"good packet {number} of {len(frames)}: refused: {answer}")
        await self.quiet()
        closings = []
        for number, frame in enumerate(frames, 1):
            receipts = {sha256(each.raw): each for each, _ in self.party.receipts_on(frame)}
            if len(receipts) != 1:
                raise JudgementFailed(
                    f"good packet {number} of {len(frames)}: {len(receipts)} different receipts"
                )
            (receipt,) = receipts.values()
            self.party.check_frame(receipt)
            closings.append(self.party.closing(frame, receipt))
        last = await self.party.send(*closings, lane="fast")
        await self.noted(last, "fast")

    async def noted(self, number: int, lane: Lane = "bulk") -> None:
        """Wait for the note that covers a number; raise JudgementFailed where none comes."""
        with self.waiting(f"{lane}: no custody note covers entry {number}"):
            await self.party.until_noted(number, lane, self.patience_s)

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Make a wait that found nothing a verdict."""
        try:
            yield
        except TimeoutError:
            raise JudgementFailed(f"{what} within {self.patience_s:g} s") from None


Case = Callable[[Field], Awaitable[int]]
"""Throws things at the neighbour and returns how many; raises JudgementFailed."""


class Came(msgspec.Struct, frozen=True):
    """What the neighbour has put under which number."""

    digests: dict[tuple[Lane, int], bytes]
    repeats: int
    """Entries that came more than once, each time with the same bytes."""


def came(messages: Sequence[bytes], before: Came | None = None) -> Came:
    """Read bundles that came; raise JudgementFailed where a number bears two different entries."""
    digests = dict(before.digests) if before else {}
    repeats = 0
    for raw in messages:
        message = cut_object(raw)
        if not isinstance(message.header, Bundle):
            continue
        bundle = message.header
        for number, entry in enumerate(unpack_bundle_body(message.body)[1], bundle.first):
            known = digests.setdefault((bundle.lane, number), sha256(entry))
            if known != sha256(entry):
                raise JudgementFailed(f"{bundle.lane}: entry {number} came with other bytes")
            repeats += 1
    return Came(digests, repeats - (len(digests) - len(before.digests if before else ())))
