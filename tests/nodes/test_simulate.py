"""The country's model: its tree, its days, and that the same seed gives the same figures."""

from collections import Counter
from pathlib import Path

import msgspec
import pytest

from nodes.cli.main import run
from nodes.errors import ConfigurationFault
from nodes.simulate import country as places
from nodes.simulate import measured, traffic
from nodes.simulate.costs import costs_of
from nodes.simulate.lines import Exchange, Frame, Line
from nodes.simulate.outages import outages_of
from nodes.simulate.running import run_day
from nodes.simulate.storage import years_kept
from nodes.simulate.world import World
from schemas.codes import Tier
from schemas.documents.registry import TYPES
from schemas.limits import BUNDLE_FRAMES_MAX
from schemas.moments import DAY, HOUR

KATO = Path(__file__).parents[3] / "shared" / "data" / "kato.csv"
GUIDE = Path(__file__).parents[2] / "docs" / "sizing.md"
ORGANISATIONS = 300


def _silent(stage, done, total):
    pass


def _run(day, **changes):
    options = {"kato": None, "organisations": ORGANISATIONS, "seed": 1, "on_progress": _silent}
    return run_day(day, **options | changes)


def _world(day="school", seed=1):
    supposed = traffic.load()
    country = places.populate(places.offices(None), supposed.organisation, ORGANISATIONS, seed)
    return World(
        country,
        supposed,
        classes=traffic.lines_of(supposed, country, seed),
        drops=traffic.drops_of(supposed, country, day, seed),
        outages=outages_of(day, country),
        costs=costs_of(measured.load()),
    )


# --- the tree -------------------------------------------------------------------------------------


def test_the_built_in_counts_are_the_country():
    """The offices of the country, by tier: 249 in all."""
    tiers = Counter(member.tier for member in places.offices(None))
    assert tiers == {Tier.REPUBLIC: 1, Tier.OBLAST: 20, Tier.CITY: 39, Tier.DISTRICT: 189}


@pytest.mark.skipif(not KATO.exists(), reason="the classifier is not beside this clone")
def test_a_kato_file_gives_the_same_offices_by_oblast():
    """The built-in table counts what the file holds."""

    def by_oblast(members):
        return Counter((*member.address.split(".")[1:2], member.tier) for member in members)

    assert by_oblast(places.offices(KATO)) == by_oblast(places.offices(None))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a,b\n1,2\n", "no column kato"),
        ("kato,level,type_code\n12,oblast,0\n", "line 2: kato '12' is not nine digits"),
        ("kato,level,type_code\n100000000,district,0\n", "no row of level oblast"),
        (
            "kato,level,type_code\n100000000,oblast,0\n110100000,district,2\n",
            "110100000 lies in no oblast",
        ),
        ("kato,level,type_code\n" + 2 * "100000000,oblast,0\n", "come more than once"),
    ],
)
def test_a_file_that_is_no_kato_is_named(tmp_path, text, fault):
    """What is wrong stands in one line."""
    path = tmp_path / "kato.csv"
    path.write_text(text)
    with pytest.raises(ConfigurationFault, match=fault):
        places.offices(path)


def test_a_file_without_districts_has_no_place_for_organisations():
    """Schools hang under districts and cities; where there are none, that is said."""
    with pytest.raises(ConfigurationFault, match="no city or district for a preschool"):
        places.populate(places.offices(None)[:2], traffic.load().organisation, 1, 1)


def test_a_missing_kato_file_is_named(tmp_path):
    """A file that is not there is a fault of the command, not of the program."""
    with pytest.raises(ConfigurationFault, match=r"none\.csv: No such file"):
        places.offices(tmp_path / "none.csv")


def test_packets_take_the_way_of_the_tree():
    """From a school up to the root and down to another school, each office once."""
    world = _world()
    country = world.country
    one, other = (
        next(
            at
            for at, member in enumerate(country.members)
            if member.kind == "school" and member.address.startswith(f"kz.{oblast}.")
        )
        for oblast in ("k10", "k11")
    )
    path = country.path(one, other)
    tiers = [country.tier_of(at) for at in path]
    assert [tiers[0], tiers[2], tiers[3], tiers[4], tiers[-1]] == [
        Tier.SCHOOL,
        Tier.OBLAST,
        Tier.REPUBLIC,
        Tier.OBLAST,
        Tier.SCHOOL,
    ]
    assert path == country.path(other, one)[::-1]


# --- lines ----------------------------------------------------------------------------------------


def _frame(number, lane="bulk", size=1000):
    exchange = Exchange(number, 0, (0, 1), 0, (size, 0, 0), lane, [0])
    return Frame(exchange, 0, (0, 1), size, lane)


def test_a_fast_frame_goes_before_all_bulk():
    """Results and answers never wait for what else there is."""
    line = Line(0, 1, 1e6, 0)
    line.place(_frame(1), 0)
    line.place(_frame(2, "fast"), 0)
    assert [line.next_bundle().lane, line.next_bundle().lane] == ["fast", "bulk"]


def test_bundles_keep_the_limit_of_frames():
    """What waits goes out in full bundles."""
    line = Line(0, 1, 1e9, 0)
    for number in range(BUNDLE_FRAMES_MAX + 3):
        line.place(_frame(number, size=100), 0)
    sizes = [len(line.next_bundle().frames), len(line.next_bundle().frames)]
    assert sizes == [BUNDLE_FRAMES_MAX, 3]


def test_what_no_note_came_for_is_sent_again_in_its_order():
    """A connection that ends loses nothing."""
    line = Line(0, 1, 1e6, 0)
    for number in range(4):
        line.place(_frame(number), 0)
    bundle = line.next_bundle()
    line.cut()
    line.restore(0)
    again = line.next_bundle()
    assert bundle.life != line.life
    assert [frame.exchange.number for frame in again.frames] == [0, 1, 2, 3]


def test_what_the_neighbour_took_is_not_sent_again():
    """A hello says what was taken where the note was lost."""
    line = Line(0, 1, 1e6, 0)
    for number in range(2):
        line.place(_frame(number), 0)
    line.next_bundle().frames[0].at = 1
    line.cut()
    line.restore(0)
    assert [frame.exchange.number for frame in line.next_bundle().frames] == [1]


# --- days -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("day", traffic.DAYS)
def test_every_day_closes_all_that_was_handed_over(day):
    """Whatever fails, nothing is lost in the model either."""
    figures = _run(day)
    assert figures.closed == figures.packets > ORGANISATIONS


def test_the_same_seed_gives_the_same_figures():
    """Nothing is drawn but from the seed."""
    assert _run("power", seed=7) == _run("power", seed=7)


def test_another_seed_gives_other_figures():
    """The seed counts."""
    assert _run("school", seed=7).tiers != _run("school", seed=8).tiers


def test_no_packet_arrives_before_it_was_committed_below():
    """Custody goes up the way, then the receipt, then the closing."""
    world = _world("deadline")
    world.run(_silent, 2 * DAY)
    for each in world.exchanges:
        times = [each.dropped, *each.custody, each.delivered, each.closed]
        assert times == sorted(times)


def test_a_cut_off_oblast_holds_its_packets_until_the_line_is_back():
    """What is for the republic waits at the oblast, and comes the day after."""
    world = _world("cutoff")
    [outage] = outages_of("cutoff", world.country)
    world.run(_silent, 3 * DAY)
    waited = [
        each
        for each in world.exchanges
        if outage.place in each.path[1:-1] and each.path[-1] == 0 and each.dropped < DAY
    ]
    assert waited
    assert all(each.custody[-1] >= DAY for each in waited)
    assert world.resent > 0


def test_organisations_without_power_hand_over_when_it_is_back():
    """Nothing is dropped in the dark, and all of it afterwards."""
    world = _world("power")
    dark = {outage.place for outage in outages_of("power", world.country)}
    world.run(_silent, 2 * DAY)
    hidden = [
        each
        for each in world.exchanges
        if each.path[0] in dark and 8 * HOUR < each.dropped < 12 * HOUR
    ]
    assert hidden
    assert all(each.custody[0] > 12 * HOUR for each in hidden)


# --- what it stands on ----------------------------------------------------------------------------


def test_every_supposed_document_has_a_type_and_a_measured_size():
    """The model knows no type that the product does not."""
    sizes = measured.load().frame_bytes
    for rule in traffic.load().document:
        assert rule.type in TYPES
        assert sizes[rule.type] > 0


def test_the_measurement_is_whole():
    """No cost is nothing, but that of the broker that a leaf does not have."""
    found = measured.load()
    for place, costs in found.places.items():
        parts = msgspec.structs.asdict(costs.burst_us) | {"stored": costs.stored_bytes}
        assert {name for name, value in parts.items() if value <= 0} == (
            {"broker"} if place == "sender" else set()
        )
    assert found.waits.two_hops_ms > found.waits.one_hop_ms > 0


def test_payloads_are_counted_as_long_as_their_class_is_kept():
    """Five years and the school year for registers, always for what is permanent."""
    assert [years_kept("R5"), years_kept("PERM"), years_kept("R1")] == [6, 10, 2]


def test_a_lone_packet_waits_about_as_long_as_was_measured():
    """The cost of a hop comes from the second hop; the first one was measured apart from it."""
    found = measured.load()
    supposed = traffic.load()
    country = places.populate(places.offices(None)[:4], supposed.organisation, 1, 1)
    line = traffic.LineClass(frozenset({"oblast"}), 100, 1_000_000, 0)
    rule = next(at for at, each in enumerate(supposed.document) if each.type == "admin.order/1")
    world = World(
        country,
        supposed,
        classes=[line] * len(country.members),
        drops=[traffic.Drop(0, rule, country.places["kz.k10"], 0)],
        outages=[],
        costs=costs_of(found),
    )
    world.run(_silent, DAY)
    [exchange] = world.exchanges
    assert 2 / 3 < exchange.delivered / (1000 * found.waits.one_hop_ms) < 3 / 2


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_sizing_guide_shows_what_the_command_prints(capfdbinary, monkeypatch):
    """The table in docs/sizing.md is the output of the command that it names."""
    monkeypatch.setenv("BBAJ_LANG", "en")
    assert run(["simulate", "--country", "--sizing"]) == 0
    printed = capfdbinary.readouterr().out.decode()
    assert f"```\n{printed}```\n" in GUIDE.read_text(encoding="utf-8")
