"""One input tried on one target, and what came of it.

A finding is a crash (anything raised that is no `BbajError`), a hang (over a second of processor
time), memory beyond the bound, a forgery, or a text with two encodings. Findings alike in kind and
place are one: it is kept once, as a file of the corpus that the short lane runs ever after.
"""

import hashlib
import resource
import signal
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import NoReturn

from fuzz.targets import TARGETS, BrokenError
from fuzz.world import CORPUS, FOUND, world
from schemas.errors import BbajError

HANG_S = 1.0
MEMORY_BYTES = 1 << 29
"""So much more than at its start a process may take."""


class HangError(BaseException):
    """An input has taken its time."""


@dataclass(frozen=True)
class Finding:
    """What an input did: the kind, where, and in which words."""

    kind: str
    where: str
    said: str


@dataclass
class Tally:
    """How many inputs a target was given, and what was found."""

    inputs: int = 0
    slowest_s: float = 0.0
    findings: dict[tuple[str, str], Finding] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)


class Trial:
    """Tries inputs on one target, and keeps what is found."""

    def __init__(self, target: str, keep: Path = CORPUS) -> None:
        """`keep` is the corpus that findings are added to."""
        self.name = target
        self.folder, self._run = TARGETS[target]
        self._keep = keep
        self.tally = Tally()
        world()

    def run(self, raw: bytes) -> Finding | None:
        """Try an input; keep it where it is the first of its kind."""
        began = time.process_time()
        finding = self._judge(raw)
        took_s = time.process_time() - began
        if finding is None and took_s > HANG_S:
            finding = Finding("hang", "whole", f"{took_s:.1f} s")
        self.tally.inputs += 1
        self.tally.slowest_s = max(self.tally.slowest_s, took_s)
        if finding is not None:
            self._note(finding, raw)
        return finding

    def _judge(self, raw: bytes) -> Finding | None:
        try:
            self._run(raw)
        except BbajError:
            return None
        except BrokenError as error:
            return Finding(error.kind, _place(error), str(error))
        except MemoryError as error:
            return Finding("memory", _place(error), str(error))
        except HangError as error:
            return Finding("hang", _place(error), f"over {HANG_S} s")
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a panic of a library is none of Exception
            return Finding("crash", _place(error), repr(error)[:300])
        return None

    def _note(self, finding: Finding, raw: bytes) -> None:
        known = (finding.kind, finding.where)
        if known in self.tally.findings:
            return
        self.tally.findings[known] = finding
        file = self._keep / self.folder / f"{FOUND}{hashlib.sha256(raw).hexdigest()[:12]}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(raw)
        self.tally.files.append(str(file))


@contextmanager
def bounded() -> Iterator[None]:
    """Let each input take a second of processor time, and the process so much memory more."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    size = next(line for line in status.splitlines() if line.startswith("VmSize"))
    most = int(size.split()[1]) * 1024 + MEMORY_BYTES
    before = resource.getrlimit(resource.RLIMIT_AS)
    handler = signal.signal(signal.SIGPROF, _stop)
    resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, handler)
        resource.setrlimit(resource.RLIMIT_AS, before)


def arm() -> None:
    """Begin the second of the next input."""
    signal.setitimer(signal.ITIMER_PROF, HANG_S)


def _stop(signum: int, frame: FrameType | None) -> NoReturn:
    raise HangError


def _place(error: BaseException) -> str:
    """Return where an error was raised, by function: what two findings alike have in common."""
    frames = traceback.extract_tb(error.__traceback__)
    return " < ".join(f"{Path(each.filename).name}:{each.name}" for each in frames[:-4:-1])
