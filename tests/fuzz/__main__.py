"""The long lane: `python -m fuzz --minutes N`, with tests/ in the path; `make fuzz MINUTES=N`.

Each target gets its share of the time, as many at once as asked for; every process begins with
another seed. What is found is added to the corpus, and printed with the line that tries it again.
The table is written to `build/fuzz.txt`; any finding makes the exit code 1.

    python -m fuzz --minutes 4 [--processes 2] [--seed 1] [--target frame …]
    python -m fuzz --replay tests/fuzz/corpus/crl/found-…
"""

import argparse
import json
import mmap
import random
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fuzz.damage import damaged
from fuzz.targets import TARGETS
from fuzz.trial import Finding, Trial, arm, bounded
from fuzz.world import CORPUS, FOUND, seeds

TABLE = Path("build/fuzz.txt")
INPUT_BYTES = 1 << 24
GRACE_S = 30.0
"""So much longer than its time a process may take before it counts as hung."""
KINDS = ("crash", "hang", "memory", "forgery", "ambiguous")

Result = dict[str, Any]


def main() -> int:
    """Run what the command line says; 1 where anything was found."""
    warnings.simplefilter("ignore")  # what `cryptography` says of odd serial numbers
    asked = _arguments()
    if asked.replay is not None:
        return _replay(asked.replay)
    if asked.seconds is not None:
        return _work(asked.target[0], asked.seconds, asked.seed, asked.input)
    names = asked.target or list(TARGETS)
    share_s = 60 * asked.minutes * asked.processes / len(names)
    with ThreadPoolExecutor(asked.processes) as pool, TemporaryDirectory() as folder:
        run = partial(_process, share_s=share_s, seed=asked.seed, folder=Path(folder))
        results = list(pool.map(run, names))
    _report(results)
    return int(any(result["findings"] for result in results))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--target", action="append", choices=list(TARGETS))
    parser.add_argument("--replay", type=Path, help="one file of the corpus")
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--input", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


# ---------------------------------------------------------------------------- one process


def _work(name: str, seconds: float, seed: int, place: Path) -> int:
    """Try inputs for some seconds of the clock; the last one stands in a file, should we die."""
    trial, ends, began = Trial(name), time.monotonic() + seconds, time.process_time()
    with place.open("w+b") as file:
        file.truncate(INPUT_BYTES)
        with mmap.mmap(file.fileno(), INPUT_BYTES) as last, bounded():
            for raw in inputs(trial.folder, random.Random(f"{name} {seed}")):
                last[:4] = len(raw).to_bytes(4)
                last[4 : 4 + len(raw)] = raw
                arm()
                trial.run(raw)
                if time.monotonic() > ends:
                    break
    tally = trial.tally
    found = [[each.kind, each.where, each.said] for each in tally.findings.values()]
    slowest = round(tally.slowest_s, 3)
    result = {"inputs": tally.inputs, "slowest_s": slowest, "findings": found, "files": tally.files}
    print(json.dumps(result | {"core_s": time.process_time() - began}))
    return 0


def inputs(folder: str, chance: random.Random) -> Iterator[bytes]:
    """Yield damaged things of a corpus without end."""
    pool = tuple(seeds(folder).values())
    while True:
        raw = damaged(chance.choice(pool), chance, pool)
        if len(raw) < INPUT_BYTES - 4:
            yield raw


# ---------------------------------------------------------------------------- all of them


def _process(name: str, *, share_s: float, seed: int, folder: Path) -> Result:
    """Have a process of its own work on a target; its death is a finding, too."""
    place = folder / name
    command = [sys.executable, "-m", "fuzz", "--target", name, "--seconds", str(share_s)]
    command += ["--seed", str(seed), "--input", str(place)]
    try:
        ended = subprocess.run(
            command, stdout=subprocess.PIPE, timeout=share_s + GRACE_S, check=False
        )
        how = f"ended with {ended.returncode}"
    except subprocess.TimeoutExpired:
        ended, how = None, "did not end"
    if ended is not None and ended.returncode == 0:
        result: Result = json.loads(ended.stdout.splitlines()[-1])
    else:
        kind = "hang" if ended is None else "crash"
        result = {
            "inputs": 0,
            "slowest_s": 0.0,
            "core_s": 0.0,
            "findings": [[kind, "process", how]],
        }
        result["files"] = [_saved(name, place)]
    return result | {"target": name}


def _saved(name: str, place: Path) -> str:
    """Keep the input at which a process died; return its file."""
    data = place.read_bytes() if place.exists() else bytes(4)
    file = CORPUS / TARGETS[name][0] / f"{FOUND}process-{name}"
    file.write_bytes(data[4 : 4 + int.from_bytes(data[:4])])
    return str(file)


def _report(results: list[Result]) -> None:
    """Print and write the table, then what was found and how to try it again."""
    lines = [f"{'target':20} {'inputs':>11} {'a core s':>8} {'slowest':>8} " + _columns(KINDS)]
    for each in results:
        kinds = [finding[0] for finding in each["findings"]]
        rate, slowest = _rate(each["inputs"], each["core_s"]), f"{each['slowest_s']:.3f}"
        counts = _columns([kinds.count(kind) for kind in KINDS])
        lines.append(f"{each['target']:20} {each['inputs']:11} {rate:8.0f} {slowest:>8} {counts}")
    total = sum(each["inputs"] for each in results)
    rate = _rate(total, sum(each["core_s"] for each in results))
    slowest = f"{max(each['slowest_s'] for each in results):.3f}"
    kinds = [finding[0] for each in results for finding in each["findings"]]
    counts = _columns([kinds.count(kind) for kind in KINDS])
    lines.append(f"{'all':20} {total:11} {rate:8.0f} {slowest:>8} {counts}")
    TABLE.parent.mkdir(exist_ok=True)
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    for each in results:
        for (kind, where, said), file in zip(each["findings"], each["files"], strict=True):
            print(f"{kind} in {each['target']}: {said}\n  at {where}")
            print(f"  again: PYTHONPATH=tests .venv/bin/python -m fuzz --replay {file}")


def _rate(inputs: int, core_s: float) -> float:
    return inputs / core_s if core_s else 0.0


def _columns(values: object) -> str:
    return " ".join(f"{value:>9}" for value in values)


def _replay(file: Path) -> int:
    """Try one file on every target that begins with its folder."""
    found: list[Finding] = []
    for name, (folder, _) in TARGETS.items():
        if folder == file.parent.name:
            with bounded(), TemporaryDirectory() as elsewhere:
                arm()
                finding = Trial(name, Path(elsewhere)).run(file.read_bytes())
            print(f"{name}: {finding or 'withstood'}")
            found += [] if finding is None else [finding]
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
