"""The log of who used which command: in the record, by pseudonym, refused uses too.

A command must do its work where the database is down, or not made yet: what cannot be recorded now
waits in a file of the data folder, and the next command that reaches the database brings it there.
"""

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from exchange.identity import new_packet_id
from exchange.standing import Command
from nodes.config import Config
from nodes.rights import give_to_owner, pseudonym
from nodes.wiring import database_url
from schemas.errors import BbajError
from schemas.moments import Instant
from schemas.records import AccessRow, InstructionRow
from store.postgres.registrar import Registrar

WAITING_FILE = "accesses.waiting"


class Use(msgspec.Struct, frozen=True):
    """One use of a command, as it goes into the record."""

    access: AccessRow | None
    """None where no policy asks for a log."""
    leaf: InstructionRow | None
    """Tells the daemon to journal an administrative act."""


def use_of(
    config: Config, command: str, login: str, at: Instant, *, allowed: bool, leaf: bool
) -> Use:
    """Return what is recorded of a use; a leaf besides, where it is to be journaled."""
    who = pseudonym(config, login)
    access = None
    if config.rights.policy is not None:
        access = AccessRow(at, who, command, allowed)
    if not leaf:
        return Use(access, None)
    content = Command(command, "done" if allowed else "refused")
    said = msgspec.json.encode(content)
    return Use(access, InstructionRow(new_packet_id(at), at, who, "command", said))


async def record(config: Config, use: Use) -> None:
    """Record a use, and those that wait; where the database cannot be asked it waits, too."""
    if use.access is None and use.leaf is None:
        return
    waiting = _Waiting(config.data / WAITING_FILE)
    waiting.add(use)
    try:
        async with Registrar(database_url(config)) as registrar:
            await waiting.bring(registrar)
    except BbajError:
        return  # the command itself says what is wrong with the database


class _Waiting:
    """Uses in a file, a line each; one process at a time works on it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, use: Use) -> None:
        """Let a use wait; durable on return."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            give_to_owner(self._path)
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(msgspec.json.encode(use) + b"\n")
            file.flush()
            os.fsync(file.fileno())

    async def bring(self, registrar: Registrar) -> None:
        """Bring all that waits into the record; a crash in between may bring a line twice."""
        with self._path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            for line in file.read().splitlines():
                await _bring_one(registrar, msgspec.json.decode(line, type=Use))
            file.truncate(0)


async def _bring_one(registrar: Registrar, use: Use) -> None:
    if use.access is not None:
        await registrar.add_access(use.access)
    if use.leaf is not None:
        await registrar.instruct(use.leaf)


def names_waiting(data: Path) -> Sequence[str]:
    """Return the commands whose uses wait to be recorded."""
    path = data / WAITING_FILE
    if not path.exists():
        return []
    uses = [msgspec.json.decode(line, type=Use) for line in path.read_bytes().splitlines()]
    return [use.access.what if use.access else "a command" for use in uses]
