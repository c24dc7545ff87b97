"""Where short-lived databases lie."""

import shutil
from pathlib import Path

MEMORY = Path("/dev/shm")
ROOM_BYTES = 6 << 30
"""What a few hundred small databases and all that tests do to them may take."""


def passing_place() -> str:
    """Return a folder for what goes with its test: in memory where there is room, else on disk.

    A run makes and drops hundreds of databases of some 600 files each: on a disk that alone takes
    minutes. Tests that cut the power kill processes; what they had written stays in either place.
    """
    has_room = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM_BYTES
    return str(MEMORY) if has_room else "/tmp"
