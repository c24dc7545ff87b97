"""Plants known faults in a copy of the program, one at a time, and has seeds look for each.

`python -m simulation.mutants [NAME ...]`: 1 where a fault was not found within `SEEDS_MAX` seeds.
Which seed found which is written to build/mutants.md as well.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "build" / "mutants.md"
SEEDS_MAX = 2000
SLIP = re.compile(r" fails: (NameError|UnboundLocalError|AttributeError|TypeError|ImportError)")
PARTS = ("schemas", "signing", "store", "exchange", "nodes", "tests")
NOBODY = "**nobody**"
NO_CACHES = shutil.ignore_patterns("__pycache__")


class Mutant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One fault: what stands in a file, what is put there, and the scenario that shows it."""

    file: str
    find: str
    put: str
    scenario: str
    seed: int | None = None
    """The seed that has found it last; it is tried first."""

    def plant(self, root: Path) -> None:
        """Change the file; what is looked for stands there once."""
        path = root / self.file
        before = path.read_text(encoding="utf-8")
        assert before.count(self.find) == 1, f"{self.file}: {self.find!r} does not stand there once"
        path.write_text(before.replace(self.find, self.put), encoding="utf-8")


def mutants() -> dict[str, Mutant]:
    """Return all planted faults by name."""
    table = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    return msgspec.convert(table, dict[str, Mutant])


def hunt(mutant: Mutant) -> str | None:
    """Return the line of the seed that finds a fault; None where none does."""
    with tempfile.TemporaryDirectory(prefix="bbaj-mutant-") as name:
        root = Path(name)
        for part in PARTS:
            shutil.copytree(ROOT / part, root / part, ignore=NO_CACHES)
        mutant.plant(root)
        hinted = _run_seeds(root, mutant.scenario, mutant.seed, 1) if mutant.seed else None
        return hinted or _run_seeds(root, mutant.scenario, 1, SEEDS_MAX)


def _run_seeds(root: Path, scenario: str, first: int, count: int) -> str | None:
    """Run seeds of a copy of the program until one fails; return its line."""
    paths = os.pathsep.join((str(root / "tests"), str(root)))
    environment = os.environ | {"PYTHONPATH": paths, "PYTHONHASHSEED": "0"}
    history = ["--history", str(root / "history.txt"), "--whole"]
    command = [sys.executable, "-m", "simulation", str(first), "--count", str(count)]
    done = subprocess.run(
        [*command, *history, "--scenario", scenario],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"^seed .*", done.stdout, re.MULTILINE)
    assert found or done.returncode == 0, done.stderr
    assert not (found and SLIP.search(found[0])), f"what is planted is no program: {found}"
    return found[0] if found else None


def _seed_in(found: str | None) -> str:
    """Return which seed of which scenario a line is about."""
    named = re.match(r"seed (\d+) of (\S+)", found or "")
    return f"seed {named[1]} of {named[2]}" if named else NOBODY


def main() -> int:
    """Hunt for every fault, or for those that are named, as many at a time as there are cores."""
    every = mutants()
    names = sys.argv[1:] or list(every)
    began = time.monotonic()
    rows: dict[str, str] = {}
    with ThreadPoolExecutor(os.cpu_count()) as hunters:
        hunts = {hunters.submit(hunt, every[name]): name for name in names}
        for done in as_completed(hunts):
            name, found = hunts[done], done.result()
            rows[name] = f"| {name} | `{every[name].file}` | {_seed_in(found)} |"
            _write(rows[each] for each in names if each in rows)
            told = f"{len(rows)}/{len(names)} after {time.monotonic() - began:.0f} s"
            print(f"{told}: {name}: {found or 'NOT FOUND'}", flush=True)
    return int(any(NOBODY in row for row in rows.values()))


def _write(rows: Iterable[str]) -> None:
    TABLE.parent.mkdir(exist_ok=True)
    lines = ["| planted fault | file | found by |", "|---|---|---|", *rows]
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
