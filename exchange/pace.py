"""How fast a line takes bytes, and how long a broker confirm may take. Arithmetic only.

A fixed time limit never gets 1 MiB through at 128 kbit/s; so it follows what lies before a
message on the line, at the rate measured on it.
"""

ASSUMED_BYTES_PER_S = 16_000.0
"""128 kbit/s, the slowest line we serve: what a line is taken for until it was measured."""
SAMPLE_BYTES = 64 * 1024
"""Fewer bytes in one busy period measure the round trip, not the line."""
PERIOD_S = 1.0
TIMEOUT_BASE_S = 15.0
TIMEOUT_MOST_S = 1800.0
TIMEOUT_SPREAD = 3.0
NEWEST_SHARE = 0.3


class Pace:
    """Bytes on their way, and the rate at which the line has taken them.

    A busy period begins when something is on its way again; `now` is in seconds, monotonic.
    """

    def __init__(self) -> None:
        self.bytes_in_flight = 0
        self.bytes_per_s = ASSUMED_BYTES_PER_S
        self._measured = False
        self._busy_since = 0.0
        self._busy_bytes = 0.0
        self._halved_at = 0.0

    def timeout_s(self) -> float:
        """Return how long the message placed last may wait for its broker confirm."""
        expected_s = self.bytes_in_flight / self.bytes_per_s
        return min(TIMEOUT_MOST_S, TIMEOUT_BASE_S + TIMEOUT_SPREAD * expected_s)

    def place(self, size_bytes: int, now: float) -> None:
        """Count a message that is handed to the line."""
        if not self.bytes_in_flight:
            self._busy_since, self._busy_bytes = now, 0.0
        self.bytes_in_flight += size_bytes

    def drop(self, size_bytes: int) -> None:
        """Stop counting a message whose fate is unknown or refused."""
        self.bytes_in_flight -= size_bytes

    def confirm(self, size_bytes: int, now: float) -> None:
        """Stop counting a message that has arrived, and learn from it."""
        self.bytes_in_flight -= size_bytes
        self._busy_bytes += size_bytes
        elapsed_s = now - self._busy_since
        if self._busy_bytes < SAMPLE_BYTES or elapsed_s <= 0:
            return
        self._learn(self._busy_bytes / elapsed_s)
        if elapsed_s > PERIOD_S and now - self._halved_at > PERIOD_S:
            # Forget half, once a period. Beginning anew, or halving at each of a burst of broker
            # confirms, would take the burst for a fast line.
            self._busy_bytes /= 2
            self._busy_since = now - elapsed_s / 2
            self._halved_at = now

    def _learn(self, sample: float) -> None:
        share = NEWEST_SHARE if self._measured else 1.0
        self.bytes_per_s += share * (sample - self.bytes_per_s)
        self._measured = True
