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
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "build" / "mutants.md"
SEEDS_MAX = 2000
PARTS = ("schemas", "signing", "store", "exchange", "nodes", "tests")
NO_CACHES = shutil.ignore_patterns("__pycache__")


class Mutant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One fault: what stands in a file, what is put there, and the scenario that shows it."""

    file: str
    find: str
    put: str
    scenario: str

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
        paths = os.pathsep.join((str(root / "tests"), str(root)))
        environment = os.environ | {"PYTHONPATH": paths, "PYTHONHASHSEED": "0"}
        history = ["--history", str(root / "history.txt"), "--whole"]
        command = [sys.executable, "-m", "simulation", "1", "--count", str(SEEDS_MAX)]
        done = subprocess.run(
            [*command, *history, "--scenario", mutant.scenario],
            cwd=root,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    found = re.search(r"^seed .*", done.stdout, re.MULTILINE)
    assert found or done.returncode == 0, done.stderr
    return found[0] if found else None


def _seed_in(found: str | None) -> str:
    """Return which seed of which scenario a line is about."""
    named = re.match(r"seed (\d+) of (\S+)", found or "")
    return f"seed {named[1]} of {named[2]}" if named else "**nobody**"


def main() -> int:
    """Hunt for every fault, or for those that are named."""
    every = mutants()
    missed = 0
    rows = ["| planted fault | file | found by |", "|---|---|---|"]
    for name in sys.argv[1:] or every:
        began = time.monotonic()
        found = hunt(every[name])
        missed += found is None
        rows.append(f"| {name} | `{every[name].file}` | {_seed_in(found)} |")
        TABLE.parent.mkdir(exist_ok=True)
        TABLE.write_text("\n".join(rows) + "\n", encoding="utf-8")
        print(f"{name}: {found or 'NOT FOUND'} ({time.monotonic() - began:.0f} s)", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
