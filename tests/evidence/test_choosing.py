"""Which time-stamps a folder takes: as few as prove most, and what keeps them alive."""

from nodes.evidence.choosing import ENDLESS, Known, beside, choose

YEAR = 365
"""Moments are days here."""


def stamp(size: int, at: int, ends: int = ENDLESS, **more: object) -> Known:
    """Return a time-stamp whose own leaf is the one behind the leaves that it covers."""
    return Known(b"%d %d" % (size, at), size, at, ends, leaf=size, **more)


def sizes(chosen: list[Known]) -> list[int]:
    return [each.size for each in chosen]


def test_each_frame_has_the_first_time_stamp_after_it():
    """The packet was stamped before its receipt came: both moments are kept."""
    stamps = [stamp(10, 1), stamp(20, 2), stamp(30, 3), stamp(40, 4)]
    assert sizes(choose([5, 25, 27], stamps, now=9, hash_ends=None)) == [10, 30]


def test_leaves_without_a_time_stamp_have_none():
    """What no time-stamp covers yet takes none."""
    assert choose([50], [stamp(10, 1)], now=9, hash_ends=None) == []


def test_an_ended_authority_is_kept_alive_by_the_one_that_lasts_longest():
    """Of those made in time, the one with the longest life; one made too late does not help."""
    stamps = [
        stamp(10, 1, ends=10 * YEAR),
        stamp(20, 9 * YEAR, ends=19 * YEAR),
        stamp(30, 9 * YEAR + 1, ends=12 * YEAR),
        stamp(40, 18 * YEAR, ends=28 * YEAR),
        stamp(50, 27 * YEAR),
        stamp(60, 29 * YEAR),
    ]
    assert sizes(choose([5], stamps, now=30 * YEAR, hash_ends=None)) == [10, 20, 40, 50]


def test_a_later_one_must_cover_the_leaf_of_the_token():
    """A time-stamp over a checkpoint without the older token's own leaf renews nothing."""
    stamps = [stamp(10, 1, ends=10), stamp(10, 2)]
    assert sizes(choose([5], stamps, now=11, hash_ends=None)) == [10]


def test_a_chain_that_broke_is_shown_as_far_as_it_goes():
    """Where nothing was made in time the folder has what there is, and the verdict says why not."""
    stamps = [stamp(10, 1, ends=10), stamp(20, 11)]
    assert sizes(choose([5], stamps, now=12, hash_ends=None)) == [10]


def test_a_second_log_is_taken_once_the_hash_has_an_end():
    """A renewal of the hash counts where the policy sets an end: the first one made before it."""
    late, good = stamp(30, 9, second_log=True), stamp(20, 5, second_log=True)
    stamps = [stamp(10, 1), good, stamp(25, 7, second_log=True), late]
    assert choose([5], stamps, now=9, hash_ends=None) == [stamps[0]]
    assert choose([5], stamps, now=9, hash_ends=8) == [stamps[0], good]


def test_others_over_the_same_checkpoint_come_along_while_they_are_good():
    """A second authority's word costs nothing; one that has ended would need renewing."""
    first, second, ended = stamp(10, 1), stamp(10, 2), stamp(10, 3, ends=5)
    found = beside([first], [first, second, ended, stamp(20, 4)], now=9)
    assert found == [first, second]
