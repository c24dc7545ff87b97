"""An evidence folder as a stranger hands it over: read once, bounded, no link followed.

What cannot be read safely is not read: it is named with the reason, and check `files` fails for it.
All else that looks at the folder looks at these bytes, so that no two checks see two files.
"""

import base64
import binascii
import hashlib
import os
import re
import stat
from collections.abc import Mapping

import msgspec

from schemas.errors import FormatError
from schemas.reasons import Reason

FILES_MAX = 50_000
FILE_BYTES_MAX = 96 * 1024 * 1024
"""The largest file is a content (64 MiB); lists of a whole network as PEM stay below."""
FOLDER_BYTES_MAX = 512 * 1024 * 1024
DEPTH_MAX = 6

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\n([A-Za-z0-9+/=\n]+)-----END \1-----\n")
_NUMBER = re.compile(r"[1-9][0-9]{0,17}")
_LINE = 64
"""Characters of base64 in a line of PEM."""


class PieceFault(FormatError):  # noqa: N818 - as every fault of bytes that somebody else made
    """One file of the folder is missing or not what it should be; `where` is its name."""

    def __init__(self, where: str, detail: str) -> None:
        """Keep the file's name apart from what is wrong with it."""
        super().__init__(Reason.FORMAT_INVALID, detail)
        self.where = where


class Folder(msgspec.Struct, frozen=True):
    """Every file by its name below the folder, and why others were not read."""

    files: Mapping[str, bytes]
    strange: Mapping[str, str]

    def __contains__(self, name: str) -> bool:
        """Say whether there is such a file."""
        return name in self.files

    def read(self, name: str) -> bytes:
        """Return a file's bytes. Raises PieceFault where it is not there."""
        found = self.files.get(name)
        if found is None:
            raise PieceFault(name, self.strange.get(name, "is not there"))
        return found

    def text(self, name: str) -> str:
        """Return a file that is UTF-8 text. Raises PieceFault."""
        try:
            return self.read(name).decode()
        except UnicodeDecodeError as error:
            raise PieceFault(name, "is not text") from error

    def line(self, name: str) -> str:
        """Return the one line of a file, without its newline. Raises PieceFault."""
        text = self.text(name)
        if text.count("\n") != 1 or not text.endswith("\n"):
            raise PieceFault(name, "is not exactly one line")
        return text[:-1]

    def pem(self, name: str, label: str) -> list[bytes]:
        """Return the DER of every block of that label. Raises PieceFault.

        The file must be exactly its blocks, as openssl writes them: so it has one form only.
        """
        data = self.read(name)
        blocks = [(found, _unbase64(name, body)) for found, body in _BLOCK.findall(data)]
        if not blocks or b"".join(_pem(*block) for block in blocks) != data:
            raise PieceFault(name, "is not PEM as openssl writes it, and nothing else")
        return [der for found, der in blocks if found == label.encode()]

    def certificate(self, name: str) -> bytes:
        """Return the DER of the one certificate in a PEM file. Raises PieceFault."""
        found = self.pem(name, "CERTIFICATE")
        if len(found) != 1:
            raise PieceFault(name, f"has {len(found)} certificates, not one")
        return found[0]

    def sha256(self, name: str) -> str:
        """Return a file's digest in hex. Raises PieceFault."""
        return hashlib.sha256(self.read(name)).hexdigest()

    def numbered(self, parent: str) -> list[str]:
        """Return the folders `parent/N` by number, rising, as `parent/N`."""
        start = f"{parent}/"
        names = {name[len(start) :].partition("/") for name in self.files if name.startswith(start)}
        numbers = {first for first, slash, _ in names if slash and _NUMBER.fullmatch(first)}
        return [f"{start}{n}" for n in sorted(numbers, key=int)]

    def below(self, parent: str) -> list[str]:
        """Return the names of the files right in a folder, sorted."""
        start = f"{parent}/"
        return sorted(
            name for name in self.files if name.startswith(start) and "/" not in name[len(start) :]
        )


def inside(folder: str, name: str) -> str:
    """Return a file's name in one of the folders; `.` is the top."""
    return name if folder == "." else f"{folder}/{name}"


def read_folder(path: str | os.PathLike[str]) -> Folder:
    """Read a folder. Raises OSError where it is none, or may not be read."""
    reader = _Reader()
    with os.scandir(path):
        pass  # says at once, in the system's words, that there is no such folder
    for parent, folders, names, handle in os.fwalk(path, onerror=reader.refuse):
        below = os.path.relpath(parent, path)
        reader.take_folder("" if below == "." else f"{below}/", folders, names, handle)
    return Folder(reader.files, reader.strange)


class _Reader:
    """Takes what is safe to take, and names the rest."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.strange: dict[str, str] = {}
        self.bytes = 0

    def refuse(self, error: OSError) -> None:
        """Name what could not be listed."""
        self.strange[str(error.filename)] = f"cannot be read: {error.strerror}"

    def take_folder(self, below: str, folders: list[str], names: list[str], handle: int) -> None:
        """Read the files of one folder; what is no plain folder below it is not entered."""
        for name in list(folders):
            why = _why_not_entered(below, name, handle)
            if why is not None:
                folders.remove(name)
                self.strange[_shown(below + name)] = why
        if not folders and not names:
            self.strange[_shown(below or ".")] = "is an empty folder"
        for name in names:
            self._take(below, name, handle)

    def _take(self, below: str, name: str, handle: int) -> None:
        try:
            data = self._open(name, handle)
        except OSError as error:
            data = f"cannot be read: {error.strerror}"
        if isinstance(data, str):
            self.strange[_shown(below + name)] = data
            return
        self.files[below + name] = data
        self.bytes += len(data)

    def _open(self, name: str, handle: int) -> bytes | str:
        """Return a file's bytes, or why it is not read."""
        if not _NAME.fullmatch(name):
            return "has a name that no file of an evidence folder has"
        if len(self.files) >= FILES_MAX:
            return f"is beyond the {FILES_MAX} files that are read"
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        if not stat.S_ISREG(os.stat(name, dir_fd=handle, follow_symlinks=False).st_mode):
            return "is no file: a link, or something else"
        with os.fdopen(os.open(name, flags, dir_fd=handle), "rb") as file:
            room = min(FILE_BYTES_MAX, FOLDER_BYTES_MAX - self.bytes)
            data = file.read(room + 1)
        return data if len(data) <= room else f"is over {room} bytes"


def _why_not_entered(below: str, name: str, handle: int) -> str | None:
    if not stat.S_ISDIR(os.stat(name, dir_fd=handle, follow_symlinks=False).st_mode):
        return "is no folder: a link"
    if not _NAME.fullmatch(name):
        return "has a name that no folder of evidence has"
    if below.count("/") >= DEPTH_MAX:
        return f"is deeper than {DEPTH_MAX} folders"
    return None


def _unbase64(name: str, body: bytes) -> bytes:
    try:
        return base64.b64decode(body.replace(b"\n", b""), validate=True)
    except binascii.Error as error:
        raise PieceFault(name, "has damaged base64") from error


def _pem(label: bytes, der: bytes) -> bytes:
    encoded = base64.b64encode(der)
    lines = [encoded[at : at + _LINE] + b"\n" for at in range(0, len(encoded), _LINE)]
    return b"-----BEGIN %b-----\n%b-----END %b-----\n" % (label, b"".join(lines), label)


def _shown(name: str) -> str:
    """Return a stranger's name as it may be printed."""
    return name.encode("unicode_escape").decode()[:300]
