"""Environments that are made, measured in and thrown away: one for each rival, made by pip.

A rival's program and its dependencies never meet ours: it runs under an interpreter of its own, and
takes turns with us over its standard input and output.
"""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from nodes.errors import ServiceDown

TURNS = Path(__file__).with_name("turns.py")
CYCLES = Path(__file__).with_name("cycles")
INSTALL_S = 300.0
TURN_S = 300.0
END_S = 5.0
_LOOKS_FOR, _SHALL_LOOK_FOR = r"\\d\\.\\d\\.\\d[a-z]*", r"\\d\\.\\d\\.\\d+[a-z]*"
"""What oscrypto 1.3.0 takes for a version of OpenSSL, as its source spells it; and with 3.0.10."""


class RivalKind(msgspec.Struct, frozen=True):
    """Whom to measure beside us."""

    name: str
    requirement: str
    file: str
    """Of the cycle, among CYCLES, which no interpreter of ours can import."""


PYAS2LIB = RivalKind("pyas2lib", "pyas2lib==1.4.4", "as2.py")
AS4 = RivalKind("as4", "as4==0.2.0", "as4.py")


class Environment(msgspec.Struct, frozen=True):
    """What a rival runs in, as results record it."""

    versions: dict[str, str]
    """Of all packages, by name."""
    altered: list[str]
    """Files of theirs that we had to change, so that they run on this machine."""


class Turn(msgspec.Struct, frozen=True):
    """What one turn took."""

    seconds: float
    cpu_s: float


class Rival:
    """A rival that waits for its turns."""

    def __init__(self, process: asyncio.subprocess.Process, environment: Environment) -> None:
        """Talk to a `process` of `turns.py`."""
        self.environment = environment
        self._process = process

    async def run(self, cycles: int) -> Turn:
        """Let it run so many cycles. Raises ServiceDown where it fails."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{cycles}\n".encode("ascii"))
        async with asyncio.timeout(TURN_S):
            answer = (await self._process.stdout.readline()).split()
        if not answer:
            assert self._process.stderr is not None
            said = (await self._process.stderr.read()).decode("utf-8", "replace")
            raise ServiceDown(f"a rival ended in its turn: {said.strip()[-400:]}")
        return Turn(*map(float, answer))


@asynccontextmanager
async def rival(kind: RivalKind, folder: Path, content_bytes: int) -> AsyncIterator[Rival]:
    """Start a rival in an environment below `folder`, made where it is not there yet.

    Raises ServiceDown where pip cannot make it.
    """
    home = folder / kind.name
    environment = await _make(kind, home)
    process = await asyncio.create_subprocess_exec(
        str(_python(home)),
        "-I",
        str(TURNS),
        str(CYCLES / kind.file),
        str(content_bytes),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Rival(process, environment)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), END_S)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _make(kind: RivalKind, home: Path) -> Environment:
    """Return what an environment holds; its record is written last, so what has it is whole."""
    record = home / f"{kind.requirement}.json"
    if record.exists():
        return msgspec.json.decode(record.read_bytes(), type=Environment)
    shutil.rmtree(home, ignore_errors=True)
    await _call(sys.executable, "-I", "-m", "venv", str(home))
    await _call(str(_python(home)), "-m", "pip", "install", "--quiet", kind.requirement)
    environment = Environment(await _versions(home), _alter(home))
    record.write_bytes(msgspec.json.encode(environment))
    return environment


def _alter(home: Path) -> list[str]:
    """Let oscrypto take an OpenSSL whose third number has two digits; return what was altered."""
    altered = []
    for path in home.glob("lib/*/site-packages/oscrypto/_openssl/_libcrypto_c*.py"):
        source = path.read_text(encoding="utf-8")
        if _LOOKS_FOR not in source:
            raise ServiceDown(f"{path.name} of oscrypto is not as expected: pin another version")
        path.write_text(source.replace(_LOOKS_FOR, _SHALL_LOOK_FOR), encoding="utf-8")
        altered.append(path.name)
    return sorted(altered)


async def _versions(home: Path) -> dict[str, str]:
    listed = await _call(str(_python(home)), "-m", "pip", "list", "--format=json")
    return {each["name"]: each["version"] for each in msgspec.json.decode(listed)}


def _python(home: Path) -> Path:
    return home / "bin" / "python"


async def _call(*command: str) -> bytes:
    """Run a command as we are, with our environment; return its output. Raises ServiceDown."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        output, faults = await asyncio.wait_for(process.communicate(), INSTALL_S)
    except TimeoutError as error:
        raise ServiceDown(f"{command[0]} took longer than {INSTALL_S:.0f} s") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        said = faults.decode("utf-8", "replace").strip()[-400:]
        raise ServiceDown(f"{' '.join(command)} ended with {process.returncode}: {said}")
    return output
