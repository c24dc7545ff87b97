"""Finding where two ends of a stream part: equal chains prove equality, unequal ones are halved.

Whoever writes a stream knows its chain at every number, whoever takes it at some. So one of two
neighbours can always answer for the very number that the other one names (clause 24.3).
"""

from collections.abc import Sequence

import msgspec

from exchange.core.streams import CHAIN_START, chain_after
from schemas.records import IntakeRow, StreamTail

_DIGEST_BYTES = 32


class Search(msgspec.Struct, frozen=True, gc=False):
    """How far a comparison is: equal up to `agreed`, and different at `differs` if anywhere."""

    agreed: int = 0
    differs: int | None = None
    floor: int = 0
    """Nothing between `agreed` and here can be compared: one end does not know its chain there."""

    def heard(self, asked: int, number: int, *, same: bool) -> "Search":
        """Return the state after an answer for `asked`, given at `number`, the nearest below."""
        if number <= self.agreed:
            return msgspec.structs.replace(self, floor=max(self.floor, asked))
        if same:
            floor = max(self.floor, asked if self.differs is not None else number)
            return Search(number, self.differs, floor)
        return Search(self.agreed, number, self.floor)

    @property
    def probe(self) -> int | None:
        """The number to ask for next; None where nothing is left to ask."""
        if self.differs is None or self.differs - max(self.floor, self.agreed) <= 1:
            return None
        return (max(self.floor, self.agreed) + self.differs) // 2

    @property
    def is_exact(self) -> bool:
        """Say whether the very first entry that differs is known."""
        return self.differs is not None and self.differs == self.agreed + 1


def point_at(intakes: Sequence[IntakeRow], number: int) -> StreamTail:
    """Return the highest number up to `number` at which the chain is known, and the chain.

    `intakes` are the one that covers the number, if any, and the one before it.
    """
    ended = [row for row in intakes if row.last <= number]
    best = max(ended, key=lambda row: row.last, default=None)
    at, chain = (0, CHAIN_START) if best is None else (best.last, best.chain)
    covering = next((row for row in intakes if row.first <= number < row.last), None)
    if covering is None or covering.digests is None or covering.first != at + 1:
        return StreamTail(at, chain)
    for index in range(number - covering.first + 1):
        digest = covering.digests[index * _DIGEST_BYTES : (index + 1) * _DIGEST_BYTES]
        at, chain = at + 1, chain_after(chain, at + 1, digest)
    return StreamTail(at, chain)
