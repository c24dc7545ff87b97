"""What seeds have found once, each by itself in the plan that a failing seed was shrunk to."""

import msgspec
import pytest

from simulation.country import run
from simulation.plan import Drop, Fault, Plan, scenarios

TOP, OBLAST = "kz", "kz.akmola"
DISTRICT, SHCHUCHINSK = "kz.akmola.burabay", "kz.akmola.shuchinsk"


def plan_of(*faults, drops=(), name="01-fair", healed_s=4500, seed=1):
    scenario = msgspec.structs.replace(scenarios()[name], faults_s=healed_s)
    return Plan(seed, scenario, tuple(drops), tuple(faults))


def published(watch, by, since_s, until_s):
    """Return how many messages a node has put on its lines within a time."""
    lines = [line.split() for line in watch.history]
    at = [float(line[0]) for line in lines if line[1:3] == [by, "published"]]
    return sum(since_s <= moment < until_s for moment in at)


def test_a_full_queue_is_tried_at_a_pace():
    """While there is no room a link greets about once a second: its tries do not beget tries."""
    watch, failure = run(plan_of(Fault("full", DISTRICT, 100, 900, 0)))
    assert failure is None
    assert 0 < published(watch, DISTRICT, 700, 800) <= 250


def test_a_hello_that_was_lost_is_said_again():
    """A broker that loses the hellos of a connection costs an hour, not the connection."""
    cut = Fault("cut", DISTRICT, 100, 50, 0)
    lose = Fault("lose", DISTRICT, 120, 300, 1)
    watch, failure = run(plan_of(cut, lose, drops=[Drop(500, TOP, DISTRICT, 1)]))
    assert failure is None
    assert any("released" in line for line in watch.history)


def test_hellos_that_come_twice_are_answered_once():
    """A line that doubles messages and breaks now and then does not drown in greetings."""
    faults = [Fault("double", DISTRICT, 90, 1400, 0.6), Fault("flaky", DISTRICT, 100, 1200, 0.06)]
    drops = [Drop(500, OBLAST, DISTRICT, 1), Drop(1300, DISTRICT, OBLAST, 2)]
    watch, failure = run(plan_of(*faults, drops=drops, healed_s=1600))
    assert failure is None
    assert published(watch, DISTRICT, 1400, 1500) < 100


def test_a_receipt_that_waited_for_its_packet_ends_the_wait():
    """Packet and receipt come back to a restored node in one group: nothing is open for ever."""
    drop = Drop(1318.297, SHCHUCHINSK, DISTRICT, 1)
    restore = Fault("restore", SHCHUCHINSK, 1176.93, 2359.895, 0.205)
    plans = [plan_of(restore, drops=[drop], name="06-restored", seed=seed) for seed in (5, 7)]
    assert [run(plan)[1] for plan in plans] == [None, None]


@pytest.mark.parametrize("jump_s", [-6e7, 6e7], ids=["back", "ahead"])
def test_a_clock_that_jumps_refuses_nothing(jump_s):
    """A relay whose clock jumps by years holds what comes at once, not from the next greeting."""
    jump = Fault("clock", OBLAST, 3435, 5868, jump_s)
    drops = [Drop(3436, SHCHUCHINSK, TOP, 1), Drop(3440, TOP, DISTRICT, 2)]
    watch, failure = run(plan_of(jump, drops=drops, name="05-clocks"))
    assert failure is None
    assert not watch.incidents["answer_refused"]


def test_a_clock_that_was_wrong_at_the_start_refuses_nothing():
    """A relay that starts behind its last leaf, with its parent away, judges nothing."""
    faults = [
        Fault("cut", OBLAST, 3400, 6000, 0),
        Fault("clock", OBLAST, 3435, 5868, -6e7),
        Fault("crash", OBLAST, 3434, 30, 0),
    ]
    watch, failure = run(
        plan_of(*faults, drops=[Drop(3440, SHCHUCHINSK, TOP, 1)], name="05-clocks")
    )
    assert failure is None
    assert watch.incidents["clock_disagrees"]


def test_no_epoch_is_begun_twice():
    """A backup made between the wish for an epoch and its beginning, brought back after it."""
    faults = [
        Fault("restore", OBLAST, 996.237, 4616.719, 0.951),
        Fault("cut", OBLAST, 3484.514, 2047.178, 0.0),
        Fault("restore", OBLAST, 7158.195, 3312.209, 0.474),
    ]
    drops = [
        Drop(684.525, DISTRICT, TOP, 8),
        Drop(1320.595, SHCHUCHINSK, OBLAST, 4),
        Drop(2113.111, DISTRICT, TOP, 0),
        Drop(3198.997, TOP, SHCHUCHINSK, 1),
        Drop(3953.483, TOP, SHCHUCHINSK, 7),
        Drop(7570.371, DISTRICT, OBLAST, 6),
        Drop(10871.762, DISTRICT, TOP, 5),
        Drop(10915.326, DISTRICT, OBLAST, 3),
    ]
    plan = plan_of(*faults, drops=drops, name="06-restored", healed_s=14400, seed=2282)
    watch, failure = run(plan)
    assert failure is None
    begun = [line.split(":")[1] for line in watch.history if "EpochBegun" in line]
    assert begun == [" epoch 2 begins", " epoch 3 begins"]


def test_an_operator_ends_the_loss_of_what_was_only_passed_on():
    """A relay restored to before its last packet, which no checkpoint had covered yet."""
    restore = Fault("restore", OBLAST, 1417.377, 1429.4, 0.88)
    drops = [Drop(2800.6, SHCHUCHINSK, TOP, 1)]
    watch, failure = run(plan_of(restore, drops=drops, name="06-restored"))
    assert failure is None
    assert any("its operator knows" in line for line in watch.history)


def test_a_drop_that_meets_the_jump_itself_waits():
    """The group that notices a jump seals nothing either: the drop in it is parked."""
    jump = Fault("clock", SHCHUCHINSK, 711, 3590, -5e7)
    watch, failure = run(plan_of(jump, drops=[Drop(797, SHCHUCHINSK, OBLAST, 4)], name="05-clocks"))
    assert failure is None
    assert watch.incidents["clock_disagrees"]


def test_a_drop_that_waited_in_the_backup_is_not_sealed_again():
    """A loss lets the drop wait when the backup is made; it is out when that is brought back."""
    faults = [
        Fault("restore", OBLAST, 2309.621, 964.73, 0.318),
        Fault("cut", SHCHUCHINSK, 2364.531, 1163.68, 0),
        Fault("restore", OBLAST, 4620.281, 2651.898, 0.184),
    ]
    drops = [Drop(4139.81, OBLAST, TOP, 1), Drop(2366.583, TOP, DISTRICT, 12)]
    watch, failure = run(plan_of(*faults, drops=drops, name="09-alone", healed_s=9000, seed=6))
    assert failure is None
    assert sum("told           drop-1 known" in line for line in watch.history) == 1


def test_an_epoch_that_a_neighbour_alone_has_seen_is_not_begun_again():
    """Restored to before its epoch, of which the parent has taken nothing: our own note tells."""
    faults = [
        Fault("cut", OBLAST, 1658.659, 2117.107, 0),
        Fault("restore", OBLAST, 1958.578, 912.612, 0.138),
        Fault("restore", OBLAST, 3218.832, 1680.492, 0.254),
    ]
    drops = [
        Drop(2568.689, OBLAST, DISTRICT, 6),
        Drop(5102.347, OBLAST, SHCHUCHINSK, 7),
        Drop(4818.436, OBLAST, SHCHUCHINSK, 8),
    ]
    plan = plan_of(*faults, drops=drops, name="09-alone", healed_s=9000, seed=11)
    watch, failure = run(plan)
    assert failure is None
    begun = [line.split(":")[1] for line in watch.history if "EpochBegun" in line]
    assert begun == [" epoch 2 begins", " epoch 3 begins"]


def test_a_receipt_that_waited_in_the_queue_of_a_restored_node_is_not_refused():
    """It comes before the greeting that shows the loss: what it answers is unknown for now."""
    faults = [
        Fault("cut", DISTRICT, 4657.626, 2571.548, 0),
        Fault("restore", DISTRICT, 4707.178, 3111.793, 0.48),
        Fault("cut", SHCHUCHINSK, 7135.18, 692.242, 0),
    ]
    drop = Drop(6296.654, DISTRICT, SHCHUCHINSK, 2)
    plan = plan_of(*faults, drops=[drop], name="09-alone", healed_s=9000, seed=17)
    watch, failure = run(plan)
    assert failure is None
    assert not watch.incidents["answer_refused"]
