"""Limits of what one link may cause, counted in memory: a restart only forgives."""

from schemas.limits import Limits
from schemas.moments import HOUR, MINUTE, Instant

REFUSED_A_MINUTE_FACTOR = 10
"""A link is suspended past so many times the answers allowed a minute."""


class HourlyQuota:
    """How much of something is taken of each neighbour within an hour."""

    def __init__(self, most: int) -> None:
        """Let `most` an hour pass of each."""
        self.most = most
        self._taken: dict[str, tuple[Instant, int]] = {}

    def take(self, who: str, now: Instant) -> int:
        """Count one; return how many there were in the hour before it."""
        since, count = self._taken.get(who, (now, 0))
        if not 0 <= now - since < HOUR:
            since, count = now, 0
        self._taken[who] = (since, count + 1)
        return count


class Quotas:
    """Refused bytes kept, and answers to refused frames, by neighbour."""

    def __init__(self, limits: Limits) -> None:
        """Begin with nothing used."""
        self._limits = limits
        self._kept: dict[str, int] = {}
        self._answers: dict[str, tuple[Instant, int]] = {}
        self._refused: dict[str, tuple[Instant, int]] = {}

    def keep_refused(self, neighbour: str, size: int) -> bool:
        """Say whether a refused frame's bytes are kept; past the quota, its digest only."""
        used = self._kept.get(neighbour, 0) + size
        if used > self._limits.refused_bytes_kept_per_link:
            return False
        self._kept[neighbour] = used
        return True

    def refuse(self, neighbour: str, now: Instant) -> bool:
        """Count one refused frame; say whether there are too many a minute for a sound link."""
        since, count = self._refused.get(neighbour, (now, 0))
        if now - since >= MINUTE:
            since, count = now, 0
        self._refused[neighbour] = (since, count + 1)
        return count + 1 > REFUSED_A_MINUTE_FACTOR * self._limits.answers_per_minute_per_link

    def answer(self, neighbour: str, now: Instant) -> bool:
        """Count one answer and say whether it may be given, so many a minute."""
        since, count = self._answers.get(neighbour, (now, 0))
        if now - since >= MINUTE:
            since, count = now, 0
        self._answers[neighbour] = (since, count + 1)
        return count < self._limits.answers_per_minute_per_link

    def first_beyond(self, neighbour: str) -> bool:
        """Say whether the answer just counted is the first beyond this minute's limit."""
        return self._answers[neighbour][1] == self._limits.answers_per_minute_per_link + 1
