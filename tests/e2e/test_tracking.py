"""Tracking, by the command and by itself, over real daemons and a real broker."""

from harness.cli_run import bbaj
from nodes.cli.shapes import Overdue, Story
from nodes.cli.tracking_shapes import TrackReport

RELAY, SENDER, RECIPIENT = "kz.zhambyl", "kz.zhambyl.taraz", "kz.zhambyl.shu"
SPARE = "kz.zhambyl.spare"


def below(country, *words):
    return bbaj(*words, "--json", config=country.network.nodes[SENDER].config_path)


def kinds(report, node):
    return [leaf.what for each in report.nodes if each.node == node for leaf in each.leaves]


async def test_the_command_shows_what_each_node_did(country):
    """From the sender to the recipient, each with the moment and the proof of its journal."""
    drop_id, packet, _ = await country.drop()
    await country.sender.until_status(drop_id, "delivered")
    report = (await below(country, "track", packet)).shape(TrackReport)
    assert [each.node for each in report.nodes] == [SENDER, RELAY, RECIPIENT]
    assert report.silent == []
    assert kinds(report, SENDER)[:1] == ["sent"]
    assert kinds(report, RELAY) == ["relayed"]
    assert kinds(report, RECIPIENT)[:2] == ["received", "released"]


async def test_who_is_above_may_ask_and_who_is_beside_may_not(country):
    """The republic asks for what passed below it; a sibling's daemon declines to."""
    drop_id, packet, _ = await country.drop()
    await country.sender.until_status(drop_id, "delivered")
    ends = ("--from", SENDER, "--to", RECIPIENT)
    above = country.network.nodes["kz"].config_path
    report = (await bbaj("track", packet, *ends, "--json", config=above)).shape(TrackReport)
    assert ([each.node for each in report.nodes], report.silent) == ([SENDER, RELAY, RECIPIENT], [])
    beside = country.network.nodes[RECIPIENT].config_path
    foreign = await bbaj("track", packet, "--from", SENDER, "--to", RELAY, config=beside)
    assert (foreign.code != 0, "may not ask" in foreign.err) == (True, True)


async def test_an_overdue_packet_tells_who_had_it_last(country):
    """Nobody has asked: the sender did, and `overdue` and `show` say what the relay answered."""
    drop_id, packet, _ = await country.drop(SPARE)
    await country.sender.until_status(drop_id, "overdue")

    async def told():
        rows = (await below(country, "overdue")).shape(list[Overdue])
        return next((row.last_told for row in rows if row.id == packet), None)

    said = await country.at[SENDER].until(told)
    assert said.startswith(f"{RELAY}: relayed ")
    story = (await below(country, "show", packet)).shape(Story)
    assert RELAY in [each.where for each in story.happenings if each.what == "relayed"]
