"""Makes a backup beside the daemon: a draft, proven by restoring it, and only then a backup.

The dump is `pg_dump`'s: it needs no login beyond the owner's, copies this one database and nothing
else of the server, and what it writes can be read by servers to come. All of it is of one moment,
whose journal the manifest names.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgspec

from nodes.backup import manifest as manifests
from nodes.backup.configuration import copy_configuration
from nodes.backup.fault import explained
from nodes.backup.keys import Keys, write_keys
from nodes.backup.manifest import AUTHORITY, SIGNER, BackupManifest
from nodes.backup.programs import run
from nodes.cli.errors import FileFault, UsageFault
from nodes.config import Config
from nodes.evidence.draft import pem
from nodes.evidence.manifest import SUMS
from nodes.wiring import open_keys, open_trust
from schemas.moments import Instant, format_instant
from signing.keys import Signer, sync_folder
from store.faults import Progress
from store.migrations import SCHEMA_VERSION
from store.snapshot import Held, Moment, hold_moment

DATABASE, CONFIGURATION = "database", "configuration"
DUMP = "--format=directory", "--compress=1", "--jobs=2", "--no-owner", "--no-acl"
ROOM_SPARE = 1.1
"""A dump is smaller than its database, but for what comes while it is made."""
LOCK = ".bbaj-backup.lock"

Prove = Callable[[Path, BackupManifest, Keys], Awaitable[None]]
"""Restores a draft and verifies it; raises where it does not hold."""


class Order(msgspec.Struct, frozen=True):
    """What is to be made, and where to."""

    config: Config
    config_file: Path
    owner: str
    """The URL of the database's owner, who may read all of it."""
    to: Path
    keys_to: Path
    passphrase: bytes
    now: Instant


class Made(msgspec.Struct, frozen=True):
    """A backup that has its name."""

    folder: Path
    manifest: BackupManifest
    keys: Keys


async def make_backup(order: Order, prove: Prove, on_progress: Progress) -> Made:
    """Make a backup; it has its name on return, and nothing is left of one that fails.

    Raises FileFault, ServiceDown, KeyFileError, BackupDamaged and what `prove` does.
    """
    _check_places(order)
    with explained():
        order.to.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(order), _draft(order) as (draft, folder):
        async with hold_moment(order.owner) as held:
            _check_room(order.to, held.moment.used)
            await _dump(order, draft, held, on_progress)
            moment = held.moment
        with explained():
            copy_configuration(order.config, order.config_file, draft / CONFIGURATION)
            _write_heads(draft, moment)
        keys = write_keys(order.config, order.keys_to, moment, order.passphrase, order.now)
        made = _seal(order, draft, moment, on_progress)
        await prove(draft, made, keys)
        with explained():
            draft.rename(folder)
            sync_folder(order.to)
        return Made(folder, made, keys)


def name_of(address: str, at: Instant) -> str:
    """Return the name of a backup's folder."""
    moment = format_instant(at)[:19].replace("-", "").replace(":", "")
    return f"{address}-{moment}Z"


def folder_bytes(folder: Path) -> int:
    """Return how much lies in a folder just now, while others write there."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total


def _check_places(order: Order) -> None:
    """Raise UsageFault where keys and data would lie together."""
    to, keys_to = order.to.resolve(), order.keys_to.resolve()
    if to == keys_to or to in keys_to.parents or keys_to in to.parents:
        raise UsageFault(
            f"--keys-to {order.keys_to} and --to {order.to} lie in one another: keep keys apart "
            "from what they open, on another disk"
        )


def _check_room(to: Path, used: int) -> None:
    free, wanted = shutil.disk_usage(to).free, round(used * ROOM_SPARE)
    if free < wanted:
        raise FileFault(
            f"{to} has room for {free} bytes, the database has {used}: make room, or name "
            "another disk"
        )


@contextmanager
def _alone(order: Order) -> Iterator[None]:
    """Let one backup at a time write into a folder."""
    with explained(), (order.to / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            what = "another backup is being made there: wait until it ends"
            raise FileFault(f"{order.to}: {what}") from error
        yield


@contextmanager
def _draft(order: Order) -> Iterator[tuple[Path, Path]]:
    """Give a draft's folder and the name that it is to take; what was cut off before goes."""
    start = f".{order.config.address}-"
    for left in order.to.glob(f"{start}*.new"):
        shutil.rmtree(left, ignore_errors=True)
    folder = order.to / name_of(order.config.address, order.now)
    if folder.exists():
        raise FileFault(f"{folder} is there already: wait a second")
    draft = order.to / f".{folder.name}.new"
    with explained():
        draft.mkdir(mode=0o700)
    try:
        yield draft, folder
    finally:
        shutil.rmtree(draft, ignore_errors=True)


async def _dump(order: Order, draft: Path, held: Held, on_progress: Progress) -> None:
    target, total = draft / DATABASE, held.moment.used
    arguments = (*DUMP, f"--snapshot={held.snapshot}", f"--file={target}")

    def tick() -> None:
        on_progress("dump", min(folder_bytes(target), total), total)

    await run("pg_dump", arguments, order.owner, tick)
    on_progress("dump", total, total)


def _write_heads(draft: Path, moment: Moment) -> None:
    heads = {"checkpoint.note": moment.checkpoint, "cosigned.note": moment.cosigned}
    for name, head in heads.items():
        if head is not None:
            (draft / name).write_text(head[1], encoding="utf-8")


def _seal(order: Order, draft: Path, moment: Moment, on_progress: Progress) -> BackupManifest:
    """Sum up, sign, and make everything durable."""
    signer = open_keys(order.config).packet_signer()
    files = list(manifests.files_in(draft))
    size = sum(path.stat().st_size for _, path in files)
    with explained():
        sums = manifests.sums_of(draft, Counted(on_progress, size).add)
        made = BackupManifest(
            format="bbaj-backup/1",
            by=order.config.address,
            made=format_instant(order.now),
            epoch=moment.epoch,
            leaves=moment.leaves,
            root=moment.root.hex(),
            schema=SCHEMA_VERSION,
            server=moment.server,
            files=len(files),
            bytes=size,
            sums=hashlib.sha256(sums).hexdigest(),
        )
        authority = _authority_of(order.config, signer)
        written = manifests.seal(made, signer, authority) | {SUMS: sums}
        written |= {SIGNER: pem(signer.certificate), AUTHORITY: pem(authority)}
        for name, data in written.items():
            _write(draft / name, data)
        _sync_all(draft)
    return made


class Counted:
    """Turns steps into progress."""

    def __init__(self, on_progress: Progress, total: int, stage: str = "sums") -> None:
        """Count up to `total` bytes."""
        self._tell = partial(on_progress, stage)
        self._total = total
        self._done = 0

    def add(self, count: int) -> None:
        """Take note of so many more."""
        self._done += count
        self._tell(min(self._done, self._total), self._total)


def _authority_of(config: Config, signer: Signer) -> bytes:
    chain = open_trust(config).ders_for(signer.fingerprint)
    if len(chain) != 2:
        what = f"the authority of certificate {signer.fingerprint} is not at hand"
        raise FileFault(f"{what}: put its certificate into the folder of authorities")
    return chain[1]


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)


def _sync_all(folder: Path) -> None:
    """Make all files and folders durable; pg_dump has done so with its own."""
    for path in folder.rglob("*"):
        if path.is_dir():
            sync_folder(path)
        elif path.parent.name != DATABASE:
            with path.open("rb") as file:
                os.fsync(file.fileno())
    sync_folder(folder)
