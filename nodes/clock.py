"""The one place that reads the clock."""

import time

from schemas.moments import Instant


def now() -> Instant:
    """Return microseconds since 1970, as this machine believes."""
    return time.time_ns() // 1000
