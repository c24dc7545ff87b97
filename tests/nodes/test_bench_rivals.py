"""Rivals take turns with us from environments of their own; what services spend is counted."""

import subprocess
import sys
import time

import msgspec
import pytest

from nodes.bench.rivals.environment import AS4, PYAS2LIB, Environment, RivalKind, rival
from nodes.bench.spent import Meter, cpu_s, resident_mb
from nodes.errors import ServiceDown

CYCLE = """
def make_cycle(content_bytes):
    def cycle():
        done.append(content_bytes)
        assert len(done) <= 3, f"cycle {len(done)} of {content_bytes} bytes"
    done = []
    return cycle
"""


@pytest.fixture
def made_up(tmp_path):
    """Return a rival whose environment is our own, and its folder; its fourth cycle fails."""
    file = tmp_path / "cycle.py"
    file.write_text(CYCLE, encoding="utf-8")
    kind = RivalKind("made-up", "made-up==1", str(file))
    home = tmp_path / "made-up"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "python").symlink_to(sys.executable)
    known = Environment({"made-up": "1"}, [])
    (home / "made-up==1.json").write_bytes(msgspec.json.encode(known))
    return kind, tmp_path


async def test_a_rival_takes_turns(made_up):
    """Each turn has its own times, and an environment that is whole is not made again."""
    kind, folder = made_up
    async with rival(kind, folder, 1024) as one:
        turns = [await one.run(1), await one.run(2)]
        assert one.environment.versions == {"made-up": "1"}
    assert all(0 < turn.seconds < 10 and 0 <= turn.cpu_s < 10 for turn in turns)


async def test_a_cycle_that_fails_ends_the_measurement(made_up):
    """What the rival said is told, so that no rate of broken cycles is ever compared."""
    kind, folder = made_up
    async with rival(kind, folder, 1024) as one:
        with pytest.raises(ServiceDown, match="cycle 4 of 1024 bytes"):
            await one.run(4)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", [PYAS2LIB, AS4], ids=lambda kind: kind.name)
async def test_real_rivals_install_and_run(kind, tmp_path):
    """Pip makes the environment; the cycle verifies all that it signs; the versions are told."""
    async with rival(kind, tmp_path, 1024) as one:
        assert (await one.run(3)).seconds > 0
        name, version = kind.requirement.split("==")
        assert one.environment.versions[name] == version


def test_a_service_spends_what_its_children_spend():
    """Processor time of a process counts with that of children, ended ones and living ones."""
    burn = "import sys, time\nwhile time.process_time() < 0.2: pass\n"
    lead = f"""
import subprocess, sys
sys.stdin.readline()
subprocess.run([sys.executable, "-c", {burn!r}])
subprocess.Popen([sys.executable, "-c", {burn + "sys.stdin.read(1)"!r}], stdin=subprocess.PIPE)
sys.stdin.read(1)
"""
    with subprocess.Popen([sys.executable, "-c", lead], stdin=subprocess.PIPE) as process:
        try:
            meter = Meter({"lead": process.pid})
            assert process.stdin is not None
            process.stdin.write(b"now\n")
            process.stdin.flush()
            while meter.spent_s()["lead"] < 0.3:
                assert process.poll() is None
                time.sleep(0.02)
            assert meter.spent_s()["lead"] <= cpu_s(process.pid)
            assert resident_mb(process.pid) > 1
        finally:
            process.kill()
