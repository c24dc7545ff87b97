"""The files of a key folder, and a switch of a key that has no gap.

It keeps the old pair, then puts the new key and the new certificate in their place, then clears
`next`. Wherever it is cut off, `open` goes on from there; until the first of the two stands in its
place, the old pair is in use, whole. One process at a time changes a folder.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nodes.key_files import are_same, put_in_place
from signing.errors import KeyFileMissingError, KeyFolderUnwritable
from signing.keys import fingerprint, load_certificate, sync_folder
from signing.profiles import Purpose

NODE_PURPOSES = (Purpose.PACKET, Purpose.JOURNAL, Purpose.LINK, Purpose.WITNESS)


class KeySwitch:
    """A key folder's files: those in use, those that follow, those of before."""

    def __init__(self, folder: Path) -> None:
        """Work on `folder`."""
        self._folder = folder

    def __repr__(self) -> str:
        return f"<keys in {self._folder}>"

    def open(self) -> None:
        """Finish switches that were cut off. Raises KeyFolderUnwritable where it may not."""
        with self._changing():
            for purpose in NODE_PURPOSES:
                if self._is_begun(purpose):
                    self._complete(purpose)

    def switch(self, purpose: Purpose) -> None:
        """Take the next key into use; the one of before, if any, is kept.

        Raises KeyFolderUnwritable.
        """
        with self._changing():
            if self._path(purpose, "pem").exists() and not self._is_begun(purpose):
                self._keep_old(purpose)
            self._complete(purpose)

    def _path(self, purpose: Purpose, kind: str) -> Path:
        return self._folder / f"{purpose}.{kind}"

    def _next(self, purpose: Purpose, kind: str) -> Path:
        return self._folder / "next" / f"{purpose}.{kind}"

    def _has_next(self, purpose: Purpose) -> bool:
        return self._next(purpose, "key").exists() or self._next(purpose, "pub").exists()

    def _keep_old(self, purpose: Purpose) -> None:
        """Give the pair in use its place among the old ones; it stays in use."""
        pem, key = self._path(purpose, "pem"), self._path(purpose, "key")
        name = f"{purpose}-{fingerprint(load_certificate(pem))[:16]}"
        old = self._folder / "old"
        old.mkdir(mode=0o700, exist_ok=True)
        sync_folder(self._folder)
        for path in (key, pem):
            if path.exists():
                with contextlib.suppress(FileExistsError):
                    os.link(path, old / f"{name}{path.suffix}")
        sync_folder(old)

    def _is_begun(self, purpose: Purpose) -> bool:
        """Say whether a switch was cut off after the first file was put in its place."""
        if not self._next(purpose, "pem").exists():
            return False
        return any(
            are_same(self._next(purpose, kind), self._path(purpose, kind))
            for kind in ("key", "pem")
        )

    def _complete(self, purpose: Purpose) -> None:
        """Put key and certificate in place and clear `next`; may be repeated from any line on."""
        key, pem = self._next(purpose, "key"), self._next(purpose, "pem")
        public = self._next(purpose, "pub")
        if key.exists():
            put_in_place(key, self._path(purpose, "key"))
        put_in_place(pem, self._path(purpose, "pem"))
        if public.exists():
            self._path(purpose, "key").unlink(missing_ok=True)
        sync_folder(self._folder)
        # The certificate goes last: a key alone would pass for one that is asked for.
        key.unlink(missing_ok=True)
        public.unlink(missing_ok=True)
        sync_folder(pem.parent)
        pem.unlink()
        sync_folder(pem.parent)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Keep other processes off the folder. Raises KeyFolderUnwritable."""
        try:
            descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise KeyFileMissingError(
                f"key folder {self._folder} cannot be read ({error.strerror}): restore it, or "
                "correct keys.folder",
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        except OSError as error:
            raise KeyFolderUnwritable(
                f"key folder {self._folder} cannot be changed ({error.strerror}): let this user "
                "write there, and make room",
            ) from error
        finally:
            os.close(descriptor)
