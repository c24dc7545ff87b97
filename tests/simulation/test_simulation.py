"""The simulator itself: seeds close, and one seed is one history."""

import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from simulation import country
from simulation.country import run
from simulation.mutants import ROOT, mutants
from simulation.plan import draw, scenarios

HERE = Path(__file__).parent
SEEDS, AT_ONCE = 200, 40


@pytest.mark.parametrize("name", list(scenarios()))
def test_one_seed_is_one_history(name):
    """The same seed twice: the same bytes on every line, to the same microsecond."""
    plan = draw(7, scenarios()[name])
    (first, _), (second, _) = run(plan), run(plan)
    assert first.history == second.history
    assert first.digest == second.digest


def test_what_is_remembered_changes_nothing(monkeypatch):
    """A run that works everything out anew has the same history: kept answers are those."""
    plan = draw(9, scenarios()["07-liars"])
    remembered, _ = run(plan)
    monkeypatch.setattr(country, "remembering", nullcontext)
    assert run(plan)[0].digest == remembered.digest


@pytest.mark.timeout(300)
@pytest.mark.parametrize("first", range(1, SEEDS, AT_ONCE))
def test_seeds_close(first, tmp_path):
    """In seed after seed nothing wrong is seen, and all is closed once the faults are over.

    In a process of its own: a failing seed is run again there by the line that it prints.
    """
    command = [sys.executable, "-m", "simulation", str(first), "--count", str(AT_ONCE)]
    history = ["--history", str(tmp_path / "history.txt")]
    environment = os.environ | {"PYTHONPATH": str(HERE.parent), "PYTHONHASHSEED": "0"}
    done = subprocess.run(
        [*command, *history], cwd=ROOT, env=environment, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()


@pytest.mark.parametrize("mutant", mutants().values(), ids=list(mutants()))
def test_planted_faults_fit(mutant, tmp_path):
    """What a planted fault replaces stands in the program once, and it is a program yet."""
    place = tmp_path / mutant.file
    place.parent.mkdir(parents=True)
    place.write_bytes((ROOT / mutant.file).read_bytes())
    mutant.plant(tmp_path)
    compile(place.read_text(encoding="utf-8"), mutant.file, "exec")
    assert mutant.scenario in scenarios()
