"""Says what a disk refuses while a backup is written or read."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from nodes.cli.errors import FileFault

_WHAT_TO_DO = {
    errno.ENOSPC: "the disk is full: make room, then the same command again",
    errno.EDQUOT: "the quota is used up: make room, then the same command again",
    errno.EROFS: "nothing can be written there: name another folder",
    errno.EACCES: "this user may not: run the command as the daemon's user",
}


@contextmanager
def explained() -> Iterator[None]:
    """Raise FileFault from what the system says of a file."""
    try:
        yield
    except OSError as error:
        what = _WHAT_TO_DO.get(error.errno or 0, "see rights and room there")
        raise FileFault(f"{error.filename or 'backup'}: {error.strerror}: {what}") from error
