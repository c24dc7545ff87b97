"""How long to wait for an answer before asking again, on a line of any speed.

A line that takes a minute for an answer must not be asked for it six times: the answers would queue
up, each behind others to what is answered already. So a wait is twice what the last answer took,
and doubles while nothing comes.
"""

import msgspec

from schemas.moments import MINUTE, SECOND, Instant

LEAST_US = 10 * SECOND
MOST_US = 10 * MINUTE


class Patience(msgspec.Struct, frozen=True, gc=False):
    """With one who is asked one thing after the other."""

    wait_us: int = LEAST_US
    first: Instant | None = None
    """When what is out was asked for the first time; None: nothing is out."""
    last: Instant | None = None
    """When it was asked last."""

    def asked(self, now: Instant) -> "Patience":
        """Return it with one more question out; the same thing once more counts double."""
        if self.first is None:
            return Patience(self.wait_us, now, now)
        return Patience(min(2 * self.wait_us, MOST_US), self.first, now)

    def answered(self, now: Instant) -> "Patience":
        """Return it once what was out has come."""
        took_us = 0 if self.first is None else max(0, now - self.first)
        return Patience(min(max(2 * took_us, LEAST_US), MOST_US))

    def is_over(self, now: Instant, up_since: Instant) -> bool:
        """Say whether to ask again; what was asked before the line came up may be lost."""
        if self.last is None or self.last < up_since:
            return True
        return not 0 <= now - self.last < self.wait_us
