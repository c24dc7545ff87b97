"""What a run draws: so much of each kind, every step, and the same from the same seed."""

from collections import Counter

from faults.network import PLACES
from faults.plan import LASTS_S, WAYS, draw
from faults.steps import STEPS


def test_a_thousand_faults_are_of_the_kinds_promised():
    """Of a thousand, so many are of each kind, and ways of a kind are shared out evenly."""
    faults = draw(1, 1000, PLACES)
    assert Counter(each.kind for each in faults) == {
        "daemon": 250, "database": 60, "broker": 40, "link": 650
    }  # fmt: skip
    for kind, ways in WAYS.items():
        counts = Counter(each.way for each in faults if each.kind == kind)
        assert counts.keys() == set(ways)
        assert max(counts.values()) - min(counts.values()) <= 1


def test_every_step_has_its_turn_three_times_in_a_thousand():
    """Whatever the seed, no step is left out."""
    counts = Counter(each.step for each in draw(7, 1000, PLACES) if each.step)
    assert counts.keys() == set(STEPS)
    assert min(counts.values()) >= 3


def test_a_step_of_a_local_system_is_asked_of_a_node_that_has_one():
    """A node that only passes on would never come there."""
    for each in draw(3, 1000, PLACES):
        if each.step and STEPS[each.step].at == "system":
            assert each.at in PLACES.with_systems


def test_the_same_seed_draws_the_same_faults():
    """A failure is run again by its seed."""
    assert draw(5, 100, PLACES) == draw(5, 100, PLACES) != draw(6, 100, PLACES)


def test_kinds_that_were_not_asked_for_are_left_out():
    """What was asked for comes in full."""
    faults = draw(1, 30, PLACES, ["daemon", "broker"])
    assert Counter(each.kind for each in faults) == {"daemon": 26, "broker": 4}


def test_a_link_that_heals_by_itself_is_down_for_a_while():
    """Faults that are lifted last as long as was drawn; the others strike at once."""
    for each in draw(2, 500, PLACES, ["link"]):
        least, most = LASTS_S[each.way]
        assert least <= each.lasts_s <= most
