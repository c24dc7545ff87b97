"""Room for the database: growth by samples, and where the room is looked for."""

import msgspec
import pytest

from nodes.config import Config, Database, Keys, Upkeep
from nodes.room import days_left, free_bytes, growth_a_day
from schemas.moments import DAY
from schemas.records import DiskSample


def config(tmp_path, url="postgresql:///x", **upkeep) -> Config:
    keys = Keys(folder=tmp_path, root=tmp_path, authorities=tmp_path, crls=tmp_path)
    return Config("kz", tmp_path, keys, Database(url), upkeep=Upkeep(**upkeep))


def samples(*pairs):
    return [DiskSample(round(day * DAY), used, None) for day, used in pairs]


@pytest.mark.parametrize(
    ("given", "growth"),
    [
        (samples(), None),
        (samples((0, 100)), None),
        (samples((0, 100), (0.9, 200)), None),
        (samples((0, 100), (1, 200)), 100),
        (samples((0, 100), (1, 150), (4, 500)), 100),
        (samples((0, 500), (2, 100)), 0),
    ],
)
def test_growth_is_told_from_a_day_on(given, growth):
    """Less than a day tells nothing; a database that shrinks does not grow."""
    assert growth_a_day(given) == growth


@pytest.mark.parametrize(
    ("free", "growth", "days"), [(1000, 100, 10), (999, 100, 9), (5, 0, None), (None, 9, None)]
)
def test_days_are_whole_ones(free, growth, days):
    """What does not grow, or nobody knows, has no end."""
    assert days_left(free, growth) == days


def test_a_database_elsewhere_has_the_room_it_is_given(tmp_path):
    """Nobody sees another machine's disk: the configuration says, or nobody does."""
    there = "postgresql://bbaj@database.kz/bbaj"
    assert free_bytes(config(tmp_path, there), 10) is None
    assert free_bytes(config(tmp_path, there, database_room_bytes=100), 10) == 90
    assert free_bytes(config(tmp_path, there, database_room_bytes=100), 200) == 0


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", ""])
def test_a_database_in_this_machine_has_its_disk(tmp_path, host):
    """Loopback and socket are here; a folder that is named is looked at in any case."""
    here = config(tmp_path, f"postgresql://bbaj@{host}/bbaj")
    assert free_bytes(here, 10) > 0
    named = msgspec.structs.replace(here, upkeep=Upkeep(database_folder=tmp_path / "none"))
    with pytest.raises(FileNotFoundError):
        free_bytes(named, 10)
