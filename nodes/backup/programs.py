"""Runs PostgreSQL's own programs; what they fail at is said in our words."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from nodes.cli.errors import FileFault
from nodes.errors import ConfigurationFault, ServiceDown
from nodes.sandbox.postgres import BINARIES
from nodes.sandbox.processes import WITH_US, programs_folder

TICK_S = 0.5
WORDS_KEPT = 600

_GRANT = "database.owner_url must name the owner of the database and of all in it"


async def run(
    name: str, arguments: Sequence[str | Path], url: str, tick: Callable[[], None] = lambda: None
) -> None:
    """Run a program against a database to its end; call `tick` now and then meanwhile.

    It ends with us, however we end. The password goes by the environment, which other users cannot
    read. Raises ServiceDown, FileFault where the disk is full, ConfigurationFault where the login
    may not.
    """
    program = programs_folder(BINARIES, name) / name
    target, password = _without_password(url)
    with_us = [WITH_US, "--pdeathsig", signal.SIGKILL.name] if WITH_US else []
    process = await asyncio.create_subprocess_exec(
        *with_us,
        str(program),
        *map(str, arguments),
        f"--dbname={target}",
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "PGPASSWORD": password},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        said = await _ticking(process, tick)
    finally:
        if process.returncode is None:  # we were told to stop
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode != 0:
        raise _fault(name, process.returncode or 0, said)


async def _ticking(process: asyncio.subprocess.Process, tick: Callable[[], None]) -> str:
    """Wait for the end of a process; return the end of what it has said."""
    async with asyncio.TaskGroup() as tasks:
        ended = tasks.create_task(process.communicate())
        while not ended.done():
            await asyncio.wait({ended}, timeout=TICK_S)
            tick()
    _, said = ended.result()
    return said.decode("utf-8", "replace")[-WORDS_KEPT:]


def _without_password(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    return urlunsplit(parts._replace(netloc=f"{name}@{host}" if user else host)), unquote(password)


def _fault(name: str, code: int, said: str) -> ServiceDown | FileFault | ConfigurationFault:
    text = " ".join(said.split())
    if "No space left on device" in text:
        return FileFault(f"{name}: the disk is full: make room, then the same command again")
    if "permission denied" in text:
        return ConfigurationFault([f"{name}: {text}: {_GRANT}"])
    if "server version mismatch" in text:
        return ServiceDown(f"{name} is older than the server: {text}: install the server's version")
    return ServiceDown(f"{name} ended with {code}: {text}")
