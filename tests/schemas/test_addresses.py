"""Addresses: what is one, and what follows from two of them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.drafts import addresses, labels
from schemas.addresses import (
    ADDRESS_BYTES_MAX,
    child_towards,
    common_ancestor,
    dns_name,
    is_address,
    is_on_tree_path,
    is_within,
    label_of,
    parent_of,
)

below_kz = st.lists(labels, max_size=3).map(lambda path: ".".join(["kz", *path]))
near = st.lists(st.sampled_from(["a", "b"]), max_size=4).map(lambda path: ".".join(["kz", *path]))


@given(addresses)
def test_what_the_grammar_makes_is_an_address(address):
    """Every path of 1 to 8 labels within 200 bytes is an address."""
    assert is_address(address)


@pytest.mark.parametrize(
    "text",
    ["", ".", "kz.", ".kz", "kz..a", "KZ", "kz.a_b", "kz.-a", "kz.a-", "kz.a b", "kz.ә", "kz\n"],
)
def test_what_departs_from_the_grammar_is_no_address(text):
    """Empty labels, upper case, edges of hyphens, other characters and a last newline are out."""
    assert not is_address(text)


def test_limits_of_an_address():
    """Eight labels, 32 characters a label and 200 bytes are the most."""
    assert is_address(".".join("a" * 8))
    assert not is_address(".".join("a" * 9))
    assert is_address("a" * 32)
    assert not is_address("a" * 33)
    assert is_address(".".join(["a" * 32] * 5 + ["b" * 32, "cc"]))
    assert not is_address(".".join(["a" * 32] * 6 + ["bbb"]))
    assert len(".".join(["a" * 32] * 6 + ["bbb"])) == ADDRESS_BYTES_MAX + 1


@given(addresses)
def test_parent_and_label_make_the_address(address):
    """An address is its parent's and its label; the root alone has no parent."""
    parent = parent_of(address)
    assert address == (label_of(address) if parent is None else f"{parent}.{label_of(address)}")
    assert (parent is None) == ("." not in address)


@given(below_kz, labels)
def test_a_node_lies_within_all_above_it_and_itself(address, label):
    """A node lies within itself and everything above it, and nothing above lies within it."""
    child = f"{address}.{label}"
    assert is_within(address, address)
    assert is_within(child, address)
    assert is_within(child, "kz")
    assert not is_within(address, child)


def test_a_longer_label_is_no_subtree():
    """Lying within goes by labels, not by characters."""
    assert not is_within("kz.akmola2", "kz.akmola")


@given(near, near)
def test_common_ancestor_is_above_both(one, other):
    """Both lie within their common ancestor, and within nothing deeper together."""
    common = common_ancestor(one, other)
    assert is_within(one, common)
    assert is_within(other, common)
    deeper = [f"{common}.{label}" for label in ("a", "b")]
    assert not any(is_within(one, node) and is_within(other, node) for node in deeper)


@given(near, near)
def test_the_tree_path_is_the_walk_from_one_end_to_the_other(one, other):
    """A node is on the tree path exactly when a packet between the two ends passes it."""
    walk, at = [one], one
    while at != other:
        at = child_towards(at, other) if is_within(other, at) else parent_of(at)
        walk.append(at)
    tree = {".".join(["kz", *path]) for path in _paths(4)}
    assert {node for node in tree if is_on_tree_path(node, one, other)} == set(walk)


def _paths(depth):
    paths = [[]]
    for path in paths:
        if len(path) < depth:
            paths += [[*path, "a"], [*path, "b"]]
    return paths


@given(addresses)
def test_dns_name_is_reversible(address):
    """Two addresses never share a DNS name."""
    labels_back = dns_name(address).removesuffix(".bbaj.internal").split(".")
    assert ".".join(reversed(labels_back)) == address


def test_dns_name_of_a_school():
    """The DNS name is the address reversed, under our own suffix."""
    expected = "school-7.burabay.akmola.kz.bbaj.internal"
    assert dns_name("kz.akmola.burabay.school-7") == expected
    assert re.fullmatch(r"[a-z0-9.-]+", expected)
