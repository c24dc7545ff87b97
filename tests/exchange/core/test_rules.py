"""A node's place in the tree: routes, next hops, lanes, and whom it vouches for."""

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.core.rules import Child, Rules, find_standing_fault, lane_of
from harness.drafts import DISTRICT, OBLAST, SCHOOL, addresses, draft
from schemas.addresses import is_on_tree_path, is_within, label_of, parent_of
from schemas.answers import CLOSING, RECEIPT
from schemas.limits import Limits
from schemas.objects import Detail
from schemas.reasons import Reason
from schemas.routes import route_allows

_detail = msgspec.json.Decoder(Detail)


def rules(here, *children, **facts):
    """Return the rules of a node with these children; a plain text is a child's label."""
    known = [child if isinstance(child, Child) else Child(child) for child in children]
    fields = {"limits": Limits(), "types": frozenset({"attendance.daily/1"}), "systems": {}}
    return Rules(here=here, children={child.label: child for child in known}, **fields | facts)


class Tree:
    """A whole tree of nodes, each knowing its children."""

    def __init__(self, paths):
        closure = {
            ".".join(["kz", *path[:depth]]) for path in paths for depth in range(len(path) + 1)
        }
        self.nodes = {
            node: rules(node, *(label_of(each) for each in closure if parent_of(each) == node))
            for node in closure | {"kz"}
        }

    def walk(self, from_, to):
        """Return the nodes that a packet passes, the ends included; stop where there is no way."""
        walked = [from_]
        while walked[-1] != to:
            hop = self.nodes[walked[-1]].next_hop(to)
            if hop is None:
                break
            walked.append(hop)
            assert len(walked) <= 2 * 8, "a packet goes in circles"
        return walked


trees = st.lists(
    st.lists(st.sampled_from("abc"), max_size=7).map(tuple), min_size=1, max_size=8
).map(Tree)


@given(trees, st.data())
def test_packets_go_up_and_down_the_tree(tree, data):
    """Between any two nodes of a tree of any depth, next hops lead along the tree path."""
    from_, to = (data.draw(st.sampled_from(sorted(tree.nodes))) for _ in range(2))
    walked = tree.walk(from_, to)
    assert walked[-1] == to
    assert set(walked) == {node for node in tree.nodes if is_on_tree_path(node, from_, to)}


@given(trees, st.data())
def test_every_hop_is_a_route_that_the_next_node_allows(tree, data):
    """What a node passes on is never `route-forbidden` at the next."""
    from_, to = (data.draw(st.sampled_from(sorted(tree.nodes))) for _ in range(2))
    for before, here in itertools.pairwise(tree.walk(from_, to)):
        assert route_allows(here, before, from_, to)


@given(trees, st.data(), st.lists(st.sampled_from("abcd"), max_size=7))
def test_a_packet_to_nobody_ends_at_the_last_node_that_exists(tree, data, path):
    """Where a child is missing there is no way; the packet gets no further than its parent."""
    from_ = data.draw(st.sampled_from(sorted(tree.nodes)))
    to = ".".join(["kz", *path])
    end = tree.walk(from_, to)[-1]
    assert is_within(to, end)
    if to not in tree.nodes:
        fault = find_standing_fault(draft(from_=from_, to=to), tree.nodes[end])
        assert fault is not None
        assert fault.reason is Reason.RECIPIENT_UNKNOWN


def test_the_root_knows_no_other_country():
    """At the root there is no way to what is not within it."""
    assert rules("kz", "akmola").next_hop("uz.tashkent") is None


def test_nobody_is_the_next_hop_to_itself():
    """What is for us goes nowhere."""
    assert rules(DISTRICT, "school-7").next_hop(DISTRICT) is None


def test_neighbours_are_the_parent_and_the_children():
    """The parent comes first; the root has none."""
    assert rules(DISTRICT, "school-7", "school-8").neighbours == (
        OBLAST,
        SCHOOL,
        f"{DISTRICT}.school-8",
    )
    assert rules("kz", "akmola").neighbours == (OBLAST,)


@pytest.mark.parametrize(
    ("facts", "lane"),
    [
        ({"flow": "result"}, "fast"),
        ({"flow": "info"}, "bulk"),
        ({"flow": "info", "type": RECEIPT}, "fast"),
        ({"flow": "admin", "type": CLOSING}, "fast"),
        ({"flow": "oper", "type": "ping/1"}, "bulk"),
    ],
)
def test_lanes(facts, lane):
    """Answers and results are fast, everything else is bulk."""
    assert lane_of(draft(**facts)) == lane


def test_the_first_system_that_takes_a_type_gets_it():
    """A document goes to the first local system with its type, else to the default one."""
    systems = {"sis": ("a/1", "b/1"), "hr": ("b/1", "c/1")}
    found = rules(DISTRICT, systems=systems, default_system="rest")
    assert [found.system_for(f"{name}/1") for name in "abcd"] == ["sis", "sis", "hr", "rest"]


# ------------------------------------------------------------------ standing


def judge(child, **facts):
    """Return why the district refuses a frame of its school with this standing, or None."""
    fault = find_standing_fault(draft(**{"from_": SCHOOL, **facts}), rules(DISTRICT, child))
    return None if fault is None else fault.reason


def test_a_child_of_active_standing_may_send():
    """Nothing is wrong with an active child's frame."""
    assert judge(Child("school-7")) is None


@pytest.mark.parametrize(
    "child", [Child("school-7", standing="suspended"), Child("school-7", standing="closed"), "x"]
)
def test_others_may_not_send(child):
    """A suspended, closed or unknown child is refused at its parent, answers included."""
    assert judge(child) is Reason.SENDER_SUSPENDED
    assert judge(child, type=RECEIPT) is Reason.SENDER_SUSPENDED


def test_types_are_limited_where_the_parent_says_so():
    """A child with a list of types may send these and answers."""
    child = Child("school-7", types=("admin.order/1",))
    assert judge(child) is Reason.TYPE_NOT_ALLOWED
    assert judge(child, type="admin.order/1") is None
    assert judge(child, type=RECEIPT) is None
    assert judge(child, type=CLOSING) is None


def test_a_grandchild_is_judged_by_its_own_parent():
    """Standing and rights are the business of the node responsible, not of those above it."""
    above = rules(OBLAST, Child("burabay", standing="suspended", types=("ping/1",)))
    assert find_standing_fault(draft(from_=SCHOOL), above) is None


@pytest.mark.parametrize(
    ("child", "reason"),
    [
        (Child("school-8"), None),
        (Child("school-8", standing="suspended"), None),
        (Child("school-8", standing="closed"), Reason.RECIPIENT_UNKNOWN),
        (Child("school-8", standing="closed", successor="kz.akmola.x"), Reason.RECIPIENT_MOVED),
        ("x", Reason.RECIPIENT_UNKNOWN),
    ],
)
def test_recipients_standing(child, reason):
    """A closed child is unknown or has moved; a suspended one still gets its packets."""
    found = find_standing_fault(
        draft(from_=SCHOOL, to=f"{DISTRICT}.school-8"), rules(DISTRICT, "school-7", child)
    )
    assert (found and found.reason) == reason


def test_the_successor_is_named():
    """The detail of `recipient-moved` is where to send instead."""
    child = Child("school-8", standing="closed", successor="kz.akmola.x")
    found = find_standing_fault(
        draft(from_=OBLAST, to=f"{DISTRICT}.school-8"), rules(DISTRICT, child)
    )
    assert found is not None
    assert found.detail == "successor kz.akmola.x"


@given(addresses, addresses)
def test_details_fit_a_refusal(from_, to):
    """However long the addresses, what is said of them fits a signed refusal."""
    parent = parent_of(from_)
    for here in {"kz", parent, parent_of(to)} - {None}:
        found = find_standing_fault(
            draft(from_=from_, to=to), rules(here, Child("x", types=("a/1",)))
        )
        if found is not None:
            assert _detail.decode(msgspec.json.encode(found.detail)) == found.detail
