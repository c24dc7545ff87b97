"""Checkpoints of neighbours and cosignatures of ours: the newest of each name, and single ones."""

from collections.abc import Iterable

import pytest

from schemas.records import Changes, CosignatureRow, WitnessedRow

NAMES = ("a.kz/1", "b.kz/1", "b.kz/2")


def shown(origin: str, size: int) -> WitnessedRow:
    return WitnessedRow(origin, size, bytes([size]) * 32, size, f"note {size}", origin[0])


def cosigned(epoch: int, size: int, witness: str) -> CosignatureRow:
    return CosignatureRow(epoch, size, witness, size, f"line {size}", b"object")


@pytest.fixture
async def noted(archive):
    """Lend an archive where each journal was shown thrice, and two witnesses have cosigned."""
    sizes: Iterable[int] = (3, 7, 5)
    await archive.commit(
        Changes(
            witnessed=[shown(name, size) for name in NAMES for size in sizes],
            cosignatures=[
                cosigned(1, 3, "kz.b"),
                cosigned(1, 9, "kz.a"),
                cosigned(1, 4, "kz.a"),
                cosigned(2, 1, "kz.a"),
            ],
        )
    )
    return archive


async def test_nothing_was_shown_to_an_empty_record(archive):
    """A new node holds nobody's journal, and nobody has cosigned its own."""
    assert await archive.witnessed_newest() == []
    assert await archive.last_cosigned(1) == []
    assert await archive.witnessed_at("a.kz/1", 3) is None


async def test_the_newest_of_each_journal(noted):
    """By origin, the largest size: an epoch is a journal of its own."""
    assert await noted.witnessed_newest() == [shown(name, 7) for name in NAMES]


async def test_a_checkpoint_of_one_size(noted):
    """What was shown earlier can still be compared."""
    assert await noted.witnessed_at("b.kz/1", 5) == shown("b.kz/1", 5)
    assert await noted.witnessed_at("b.kz/1", 6) is None
    assert await noted.witnessed_at("c.kz/1", 5) is None


async def test_the_newest_cosignature_of_each_witness(noted):
    """Of the epoch that is asked for."""
    assert await noted.last_cosigned(1) == [cosigned(1, 9, "kz.a"), cosigned(1, 3, "kz.b")]
    assert await noted.last_cosigned(2) == [cosigned(2, 1, "kz.a")]
    assert await noted.last_cosigned(3) == []


async def test_the_cosignatures_of_one_checkpoint(noted):
    """A checkpoint may have several, each of its witness."""
    assert await noted.cosignatures(1, 9) == [cosigned(1, 9, "kz.a")]
    assert await noted.cosignatures(1, 7) == []
