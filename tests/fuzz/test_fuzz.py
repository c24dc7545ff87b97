"""Hostile bytes are read or refused, in bounded time and memory, and never believed."""

import random
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.damage import damaged
from fuzz.forms import form_of
from fuzz.targets import TARGETS
from fuzz.trial import Trial
from fuzz.world import FOUND, genuine, seeds
from schemas.errors import FormatError
from schemas.limits import PAYLOAD_BYTES_MAX
from signing.payload import open_payload

pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number which")
DEAR = {"evidence", "invitation"}
"""Targets of which one input takes milliseconds."""
CONTENT_BYTES = 1 << 22


@pytest.fixture(scope="module", params=list(TARGETS))
def trial(request, tmp_path_factory):
    return Trial(request.param, tmp_path_factory.mktemp("found"))


def test_the_corpus_is_withstood(trial):
    """What is genuine, and everything that a run has ever found, harms nobody."""
    found = {file: trial.run(raw) for file, raw in seeds(trial.folder).items()}
    assert [(file, each) for file, each in found.items() if each is not None] == []


@settings(max_examples=15, derandomize=True, database=None)
@given(chance=st.randoms(use_true_random=False))
def test_drawn_damage_is_withstood(trial, chance):
    """Whatever hypothesis draws; what fails is shrunk to the least damage."""
    pool = tuple(sorted(genuine(trial.folder)))
    raw = damaged(chance.choice(pool), chance, pool)
    assert trial.run(raw) is None


def test_seeded_damage_is_withstood(trial):
    """A short piece of what the long lane does, the same each time."""
    chance, pool = random.Random(f"gate {trial.name}"), tuple(sorted(genuine(trial.folder)))
    for _ in range(4 if trial.name in DEAR else 400):
        assert trial.run(damaged(chance.choice(pool), chance, pool)) is None


@pytest.mark.parametrize("target", sorted({folder for folder, _ in TARGETS.values()}))
def test_what_is_taken_apart_is_joined_again(target):
    """Undamaged, the forms of everything genuine give the same bytes."""
    for raw in genuine(target):
        form = form_of(raw)
        assert form is None or target == "invitation" or form.join(form.parts) == raw


def test_a_deflate_bomb_takes_no_more_than_the_limit():
    """A payload of many times the limit costs what the limit is, and is refused."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = b"".join(packer.compress(bytes(1 << 24)) for _ in range(5)) + packer.flush()
    assert len(bomb) < PAYLOAD_BYTES_MAX
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match="limit"):
            open_payload(bomb, "salt+deflate", CONTENT_BYTES)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * CONTENT_BYTES


def test_a_lie_is_found(tmp_path, monkeypatch):
    """A target that believes what it should not, or raises what it should not, is a finding."""
    monkeypatch.setitem(TARGETS, "lie", ("note", lambda raw: raw.decode("ascii")))
    tried = Trial("lie", tmp_path)
    assert tried.run(b"\xff").kind == "crash"
    assert tried.run(b"\xfe").kind == "crash"
    assert [file.read_bytes() for file in (tmp_path / "note").glob(f"{FOUND}*")] == [b"\xff"]
