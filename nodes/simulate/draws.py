"""Numbers that look drawn and are the same in every run: from a digest of a name and a count."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from exchange.supervisor import fraction


class Draws:
    """A row of numbers under one name."""

    def __init__(self, name: str) -> None:
        """Begin the row."""
        self._seed = name.encode()
        self._count = 0

    def next(self) -> float:
        """Return a number in [0, 1)."""
        self._count += 1
        return fraction(self._seed, self._count)

    def places(self, weights: Sequence[float], count: int) -> list[int]:
        """Return so many places in `weights`, each as likely as its weight says."""
        sums = list(accumulate(weights))
        return [bisect_right(sums, self.next() * sums[-1]) for _ in range(count)]
