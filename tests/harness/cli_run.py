"""Runs `bbaj` as an operator does: a process of its own, exit code and both streams."""

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

CODE = "import sys; sys.path[:0] = [{!r}]; {}from nodes.cli.main import main; main()"
LOGIN = "import nodes.rights; nodes.rights.login_name = lambda: {!r}; "
"""Lets a command be another person's, as the system's audit would say."""
ROOT = Path(__file__).resolve().parents[2]

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
    """Run one command to its end."""
    options = [] if config is None else ["--config", str(config)]
    process = await start_bbaj(*words, *options, variables=variables, login=login)
    out, err = await process.communicate(given)
    assert process.returncode is not None
    return Done(process.returncode, out, err.decode())


async def start_bbaj(
    *words: str, variables: dict[str, str] | None = None, login: str | None = None
) -> asyncio.subprocess.Process:
    """Start one command."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        CODE.format(str(ROOT), "" if login is None else LOGIN.format(login)),
        *words,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "TZ": "Asia/Almaty", **(variables or {})},
    )
