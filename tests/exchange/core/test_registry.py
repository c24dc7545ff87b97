"""The tree as a node knows it: ways, moves, loops, and who should hear of whom."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.core.registry import Registry
from exchange.core.rules import Rules, find_standing_fault
from harness.cards import SINCE, card_of, registry_of
from harness.drafts import DISTRICT, OBLAST, SCHOOL, draft
from schemas.addresses import is_on_tree_path, is_within, parent_of
from schemas.limits import Limits
from schemas.moments import HOUR
from schemas.reasons import Reason

SIBLING = f"{DISTRICT}.school-8"
OTHER_OBLAST, OTHER_DISTRICT = "kz.abai", "kz.abai.semey"
ALL = ("kz", OBLAST, DISTRICT, SCHOOL, SIBLING, OTHER_OBLAST, OTHER_DISTRICT)
GRACE_US = 72 * HOUR


class Country:
    """All cards that there are, and what each node knows of them: what concerns it."""

    def __init__(self, uplinks):
        self.whole = registry_of(
            "kz", *(card_of(node, uplink=uplink) for node, uplink in uplinks.items())
        )
        self.nodes = {node: self.known_to(node) for node in uplinks}

    def known_to(self, node):
        cards = self.whole.cards()
        return Registry(node, [c for c in cards if self.whole.concerns(node, c.facts.address)])

    def walk(self, from_, to):
        """Return the nodes that a packet passes, the ends included; stop where there is no way."""
        walked = [from_]
        while walked[-1] != to:
            hop = self.nodes[walked[-1]].next_hop(to)
            if hop is None:
                break
            walked.append(hop)
            assert len(walked) <= 2 * len(self.nodes), "a packet goes in circles"
        return walked


addresses = st.lists(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(tuple), min_size=1, max_size=6
).map(
    lambda paths: sorted(
        {".".join(["kz", *path[:depth]]) for path in paths for depth in range(len(path) + 1)}
    )
)


@st.composite
def countries(draw, moves=True):
    """Draw a tree; some of its nodes hang under any other that is not below them."""
    nodes = draw(addresses)
    uplinks = dict.fromkeys(nodes)
    for node in draw(st.lists(st.sampled_from(nodes), max_size=4)) if moves else ():
        registry = registry_of("kz", *(card_of(each, uplink=up) for each, up in uplinks.items()))
        places = [each for each in nodes if not registry.is_below(each, node)]
        if node != "kz" and places:
            uplinks[node] = draw(st.sampled_from(places))
    return Country(uplinks)


@given(countries(moves=False), st.data())
def test_packets_go_up_and_down_the_tree(country, data):
    """Between any two nodes of a tree of any depth, next hops lead along the tree path."""
    from_, to = (data.draw(st.sampled_from(sorted(country.nodes))) for _ in range(2))
    walked = country.walk(from_, to)
    assert walked[-1] == to
    assert set(walked) == {node for node in country.nodes if is_on_tree_path(node, from_, to)}


@given(countries(), st.data())
def test_moved_nodes_are_found_by_the_cards_that_concern_each_node(country, data):
    """However nodes have moved, every hop leads nearer, and what concerns a node is enough."""
    from_, to = (data.draw(st.sampled_from(sorted(country.nodes))) for _ in range(2))
    walked = country.walk(from_, to)
    assert walked[-1] == to
    assert len(walked) == len(set(walked))
    up, down = list(country.whole.way_up(from_)), list(country.whole.way_up(to))
    assert walked == [*up[: up.index(meet(up, down))], *down[down.index(meet(up, down)) :: -1]]
    assert country.whole.way(from_, to) == walked


def meet(up, down):
    return next(node for node in up if node in down)


@given(countries(), st.data())
def test_every_hop_is_a_route_that_the_next_node_allows(country, data):
    """What a node passes on is never `route-forbidden` at the next."""
    from_, to = (data.draw(st.sampled_from(sorted(country.nodes))) for _ in range(2))
    for before, here in itertools.pairwise(country.walk(from_, to)):
        assert country.nodes[here].allows(before, from_, to, SINCE, 0)


@given(countries(moves=False), st.data(), st.lists(st.sampled_from("abcd"), max_size=5))
def test_a_packet_to_nobody_ends_at_the_last_node_that_exists(country, data, path):
    """Where a child is missing there is no way; the packet gets no further than its parent."""
    from_ = data.draw(st.sampled_from(sorted(country.nodes)))
    to = ".".join(["kz", *path])
    end = country.walk(from_, to)[-1]
    assert is_within(to, end)
    if to not in country.nodes:
        rules = Rules(
            here=end,
            registry=country.nodes[end],
            limits=Limits(),
            types=frozenset(),
            systems={},
        )
        fault = find_standing_fault(draft(from_=from_, to=to), rules)
        assert fault is not None
        assert fault.reason is Reason.RECIPIENT_UNKNOWN


@given(st.dictionaries(st.sampled_from(ALL), st.sampled_from(ALL), min_size=1), st.data())
def test_cards_that_contradict_each_other_end_in_an_answer(uplinks, data):
    """Uplinks in a circle, of ourselves too, stop no node: each question has an answer."""
    here, to = (data.draw(st.sampled_from(ALL)) for _ in range(2))
    cards = [card_of(node, uplink=uplinks.get(node)) for node in ALL]
    registry = registry_of(here, *cards)
    assert registry.next_hop(to) in {None, registry.uplink, *registry.children}
    assert len(list(registry.way_up(to))) <= len(ALL)
    assert registry.allows(OBLAST, to, here, SINCE, GRACE_US) in {True, False}


def test_the_root_knows_no_other_country():
    """At the root there is no way to what is not within it."""
    assert registry_of("kz", OBLAST).next_hop("uz.tashkent") is None


def test_nobody_is_the_next_hop_to_itself():
    """What is for us goes nowhere."""
    assert registry_of(DISTRICT, SCHOOL).next_hop(DISTRICT) is None


# ------------------------------------------------------------------ cards


def test_an_older_card_changes_nothing():
    """Only a higher number counts."""
    registry = registry_of(DISTRICT, card_of(SCHOOL, 5))
    assert not registry.take(card_of(SCHOOL, 5, standing="closed"))
    assert not registry.take(card_of(SCHOOL, 4, standing="closed"))
    assert registry.children == (SCHOOL,)
    assert registry.take(card_of(SCHOOL, 6, standing="closed"))
    assert registry.children == ()


@given(st.permutations([1, 2, 3]))
def test_the_order_of_arrival_does_not_matter(order):
    """Whatever comes first, the newest card counts."""
    cards = {
        1: card_of(SCHOOL, 1),
        2: card_of(SCHOOL, 2, uplink=OTHER_DISTRICT),
        3: card_of(SCHOOL, 3, standing="suspended"),
    }
    registry = registry_of(DISTRICT, *(cards[number] for number in order))
    assert registry.card(SCHOOL) == cards[3]
    assert registry.children == (SCHOOL,)
    assert registry.next_hop(SCHOOL) == SCHOOL


def test_a_suspended_child_is_still_a_child():
    """Its standing is judged; its packets still find it."""
    registry = registry_of(DISTRICT, card_of(SCHOOL, standing="suspended"))
    assert registry.next_hop(SCHOOL) == SCHOOL


def test_both_parents_of_a_moved_node_are_responsible():
    """The one by name vouches for it, the one it hangs under judges what it sends."""
    card = card_of(SCHOOL, uplink=OTHER_DISTRICT)
    for here in (DISTRICT, OTHER_DISTRICT):
        assert registry_of(here, card).is_responsible_for(SCHOOL)
    assert not registry_of(OBLAST, card).is_responsible_for(SCHOOL)


# ------------------------------------------------------------------ links

CHILD, PARENT, HERE = SCHOOL, OBLAST, DISTRICT
ALLOWED = [
    (CHILD, CHILD, HERE),
    (CHILD, CHILD, SIBLING),
    (CHILD, CHILD, OTHER_OBLAST),
    (CHILD, f"{CHILD}.annex", "kz"),
    (PARENT, OTHER_OBLAST, HERE),
    (PARENT, "kz", CHILD),
    (PARENT, "kz.akmola.kokshetau", HERE),
]
FORBIDDEN = [
    (CHILD, SIBLING, HERE),
    (CHILD, HERE, "kz"),
    (CHILD, f"{CHILD}7", HERE),
    (CHILD, CHILD, CHILD),
    (CHILD, CHILD, f"{CHILD}.annex"),
    (PARENT, OTHER_OBLAST, OBLAST),
    (PARENT, OTHER_OBLAST, "kz.akmola.kokshetau"),
    (PARENT, CHILD, HERE),
    (PARENT, HERE, CHILD),
    (PARENT, "kz", f"{HERE}2"),
    (OTHER_OBLAST, OTHER_OBLAST, HERE),
    ("kz.akmola.kokshetau", "kz.akmola.kokshetau", HERE),
    (f"{DISTRICT}.school-9", f"{DISTRICT}.school-9", HERE),
    (HERE, CHILD, PARENT),
]


@pytest.mark.parametrize(("neighbour", "from_", "to"), ALLOWED)
def test_allowed(neighbour, from_, to):
    """A link brings what belongs on it."""
    assert registry_of(HERE, CHILD, SIBLING).allows(neighbour, from_, to, SINCE, 0)


@pytest.mark.parametrize(("neighbour", "from_", "to"), FORBIDDEN)
def test_forbidden(neighbour, from_, to):
    """A link brings nothing else: no foreign sender, no detour, no look-alike, no stranger."""
    assert not registry_of(HERE, CHILD, SIBLING).allows(neighbour, from_, to, SINCE, 0)


@pytest.mark.parametrize(
    ("neighbour", "from_", "lags"),
    [
        (CHILD, OTHER_DISTRICT, True),
        (CHILD, SIBLING, False),
        (CHILD, f"{DISTRICT}.school-9", False),
        (CHILD, "kz", False),
        (PARENT, OTHER_DISTRICT, False),
        (f"{DISTRICT}.school-9", OTHER_DISTRICT, False),
        (OTHER_OBLAST, "kz", True),
        (OTHER_OBLAST, SIBLING, False),
    ],
)
def test_a_frame_may_be_ahead_of_the_card_that_admits_it(neighbour, from_, lags):
    """Below a child what has moved there, over a new uplink what comes from above.

    Cards of what bears our name pass us first, and nothing above us can hang below us.
    """
    assert registry_of(HERE, CHILD, SIBLING).may_lag(neighbour, from_) is lags


def test_what_a_new_parent_brings_waits_for_our_own_card():
    """A node that has moved calls its new parent before its card has come over that link."""
    before = registry_of(SCHOOL, *ALL)
    assert before.may_lag(OTHER_DISTRICT, "kz")
    assert before.may_lag(OTHER_DISTRICT, DISTRICT)
    assert not before.may_lag(OTHER_DISTRICT, f"{SCHOOL}.annex")
    assert not before.may_lag(DISTRICT, "kz")


# ------------------------------------------------------------------ moves


def moved(here, *others):
    """Return what a node knows once the school has moved to the other district."""
    registry = registry_of(here, *ALL, *others)
    registry.take(card_of(SCHOOL, 2, uplink=OTHER_DISTRICT))
    return registry


@pytest.mark.parametrize(
    ("here", "neighbour", "from_", "to"),
    [
        (OBLAST, DISTRICT, SCHOOL, "kz"),
        (OBLAST, DISTRICT, f"{SCHOOL}.annex", "kz"),
        (OTHER_OBLAST, "kz", "kz", SCHOOL),
        (DISTRICT, OBLAST, "kz", SCHOOL),
        (SCHOOL, DISTRICT, "kz", SCHOOL),
    ],
)
def test_for_a_while_the_old_way_counts_too(here, neighbour, from_, to):
    """What was on its way when a node moved still arrives; after the hold limit, no more."""
    registry = moved(here)
    assert registry.allows(neighbour, from_, to, SINCE + GRACE_US - 1, GRACE_US)
    if here != OTHER_OBLAST:  # there it is the new way
        assert not registry.allows(neighbour, from_, to, SINCE + GRACE_US, GRACE_US)


def test_a_move_changes_the_ways():
    """The old parent sends it up, the root to the other side, and the new parent down."""
    assert moved(DISTRICT).next_hop(SCHOOL) == OBLAST
    assert moved(DISTRICT).children == (SIBLING,)
    assert moved("kz").next_hop(SCHOOL) == OTHER_OBLAST
    assert moved(OTHER_DISTRICT).next_hop(SCHOOL) == SCHOOL
    assert moved(SCHOOL).next_hop("kz") == OTHER_DISTRICT


def test_a_card_ends_what_was_remembered_of_ways():
    """Whoever was asked for before a move is looked for anew after it."""
    registry = registry_of(DISTRICT, *ALL)
    assert registry.next_hop(SCHOOL) == SCHOOL
    registry.take(card_of(SCHOOL, 2, uplink=OTHER_DISTRICT))
    assert registry.next_hop(SCHOOL) == OBLAST


def test_a_node_that_comes_back_hangs_under_its_parent_again():
    """A card without an uplink ends a move."""
    registry = moved(DISTRICT)
    registry.take(card_of(SCHOOL, 3))
    assert SCHOOL in registry.children
    assert registry.next_hop(SCHOOL) == SCHOOL


# ------------------------------------------------------------------ who should hear


@given(countries())
def test_ancestors_and_descendants_hear_of_a_node_and_so_does_its_parent(country):
    """Those above need it to route, those below to write to it, the parent by name vouches."""
    whole = country.whole
    for node, address in itertools.product(country.nodes, repeat=2):
        if whole.is_below(node, address) or whole.is_below(address, node):
            assert whole.concerns(node, address)
        if parent_of(address) == node:
            assert whole.concerns(node, address)


def test_cousins_do_not_hear_of_each_other():
    """A school's card goes to no other school."""
    registry = registry_of("kz", *ALL)
    assert not registry.concerns(SIBLING, SCHOOL)
    assert not registry.concerns(OTHER_DISTRICT, SCHOOL)
