"""Runs `bbaj` as an operator does: a process of its own, and the one JSON value that it prints."""

import asyncio
import sys
from typing import Any

import msgspec

from nodes.errors import ServiceDown

RUN = "from nodes.cli.main import main; main()"
SAID_MAX = 600


async def bbaj(*words: str) -> Any:  # noqa: ANN401 - as each command documents it
    """Run one command to its end. Raises ServiceDown with what it said where it fails."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-c", RUN, *words, "--json",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    if process.returncode != 0:
        said = (err or out).decode(errors="replace")[-SAID_MAX:]
        raise ServiceDown(f"bbaj {words[0]} ended with {process.returncode}: {said}")
    return msgspec.json.decode(out)
