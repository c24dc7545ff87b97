"""What of a machine's files outlives a power cut: what was synced, and perhaps more, perhaps torn.

`os.fsync` is the system call by which a program makes files and folders durable. For the time of a
run it is watched: after a cut each file has the bytes it was synced with, or by chance a part of
newer ones, and each folder the names it was synced with, or by chance newer ones.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random

LUCK = 0.5
"""What was not synced is there all the same as often as this."""

Files = dict[str, bytes]


class Disk:
    """The files of one machine, one folder deep or two."""

    def __init__(self, folder: Path, chance: Random, on_sync: Callable[[], None]) -> None:
        self._folder = folder
        self._chance = chance
        self._on_sync = on_sync
        self._contents: dict[int, bytes] = {}
        self._names: dict[Path, dict[str, int]] = {}
        self._after_cut: dict[Path, Files] | None = None

    def synced(self, path: Path, number: int) -> None:
        """Make durable what stands under an inode: a folder's names, or a file's bytes."""
        self._on_sync()
        if path.is_dir():
            self._names[path] = {each.name: each.stat().st_ino for each in _files(path)}
        else:
            self._contents[number] = path.read_bytes()

    def cut(self) -> None:
        """Cut the power: from now on it is settled what will be there."""
        if self._after_cut is None:
            folders = [self._folder, *(each for each in self._folder.iterdir() if each.is_dir())]
            self._after_cut = {folder: self._left_of(folder) for folder in sorted(folders)}

    def _left_of(self, folder: Path) -> Files:
        durable = self._names.get(folder, {})
        now = {each.name: each for each in _files(folder)}
        left: Files = {}
        for name in sorted({*durable, *now}):
            newer = name in now and now[name].stat().st_ino != durable.get(name)
            if newer and self._chance.random() < LUCK:
                left[name] = self._bytes_of(now[name].stat().st_ino, now[name].read_bytes())
            elif name in durable:
                present = now[name].read_bytes() if name in now and not newer else b""
                left[name] = self._bytes_of(durable[name], present)
        return left

    def _bytes_of(self, number: int, present: bytes) -> bytes:
        """Return what is left of a file: as it was synced, or else torn somewhere."""
        if number in self._contents:
            return self._contents[number]
        return present[: self._chance.randint(0, len(present))]

    def bring_back(self, path: Path, data: bytes | None) -> None:
        """Have a file be as it is in a backup, once the machine starts; None: not there."""
        assert self._after_cut is not None, "backups are brought back to machines that are off"
        self._after_cut[path.parent].pop(path.name, None)
        if data is not None:
            self._after_cut[path.parent][path.name] = data

    def start(self) -> None:
        """Switch on again: what is there is what was left."""
        if self._after_cut is None:
            return
        left, self._after_cut = self._after_cut, None
        self._contents.clear()
        for folder, files in left.items():
            for path in _files(folder):
                path.unlink()
            for name, data in files.items():
                (folder / name).write_bytes(data)
                self._contents[(folder / name).stat().st_ino] = data
            self._names[folder] = {each.name: each.stat().st_ino for each in _files(folder)}


def _files(folder: Path) -> list[Path]:
    return sorted(each for each in folder.iterdir() if each.is_file())


@contextmanager
def watched(disks: Mapping[Path, Disk]) -> Iterator[None]:
    """Have each disk told what is synced in its folder."""
    system = os.fsync

    def fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        for folder, disk in disks.items():
            if folder in {path, *path.parents}:
                disk.synced(path, os.fstat(descriptor).st_ino)

    os.fsync = fsync  # type: ignore[assignment]
    try:
        yield
    finally:
        os.fsync = system
