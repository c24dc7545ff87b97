"""Runs `bbaj` as an operator does: a process of its own, exit code and both streams."""

import asyncio
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec

from harness import fork_server
from nodes.config import LANGUAGE_NAME

CODE = "import sys; sys.path[:0] = [{!r}]; from nodes.cli.main import main; main()"
ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "TZ": "Asia/Almaty", LANGUAGE_NAME: "en"}

Shape = TypeVar("Shape")


@dataclass(frozen=True)
class Done:
    """What a command left."""

    code: int
    out: bytes
    err: str

    def shape(self, shape: type[Shape]) -> Shape:
        """Return the one JSON value that was printed, as one of the documented shapes."""
        assert self.code == 0, self.err
        return self.read(shape)

    def read(self, shape: type[Shape]) -> Shape:
        """Return the same, whatever the exit code."""
        return msgspec.json.decode(self.out, type=shape)


async def bbaj(
    *words: str,
    config: Path | None = None,
    given: bytes = b"",
    variables: dict[str, str] | None = None,
    login: str | None = None,
) -> Done:
    """Run one command to its end; it speaks English unless the variables say otherwise.

    `login` lets it be another person's, as the system's audit would say.
    """
    options = [] if config is None else ["--config", str(config)]
    environment = ENVIRONMENT | (variables or {})
    run = partial(fork_server.run, [*words, *options], environment, login, given)
    ended = await asyncio.to_thread(run)
    return Done(ended.code, ended.out, ended.err.decode())


async def start_bbaj(*words: str) -> asyncio.subprocess.Process:
    """Start one command as a program of its own, for whoever deals with it while it runs."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        CODE.format(str(ROOT)),
        *words,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=ENVIRONMENT,
    )
