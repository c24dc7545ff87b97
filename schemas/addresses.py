"""Addresses: dotted paths from the root, and what follows from them (docs/protocol.md clause 2)."""

import re
from typing import Annotated

import msgspec

from schemas.patterns import whole

LABEL_PATTERN = r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?"
ADDRESS_PATTERN = whole(rf"{LABEL_PATTERN}(?:\.{LABEL_PATTERN}){{0,7}}")
ADDRESS_BYTES_MAX = 200
DNS_SUFFIX = "bbaj.internal"

Label = Annotated[str, msgspec.Meta(pattern=whole(LABEL_PATTERN))]
Address = Annotated[str, msgspec.Meta(pattern=ADDRESS_PATTERN, max_length=ADDRESS_BYTES_MAX)]

_address = re.compile(ADDRESS_PATTERN)


def is_address(text: str) -> bool:
    """Say whether `text` is an address: at most 8 labels of 1 to 32 characters, 200 bytes."""
    return len(text) <= ADDRESS_BYTES_MAX and _address.fullmatch(text) is not None


def label_of(address: str) -> str:
    """Return the last label, the node's own name below its parent."""
    return address.rpartition(".")[2]


def parent_of(address: str) -> str | None:
    """Return the address less its last label, or None for the root."""
    return address.rpartition(".")[0] or None


def is_within(address: str, root: str) -> bool:
    """Say whether `address` is `root` or lies below it."""
    return address == root or address.startswith(root + ".")


def child_towards(here: str, to: str) -> str:
    """Return the child of `here` in whose subtree `to` lies. `to` must lie below `here`."""
    label, _, _ = to[len(here) + 1 :].partition(".")
    return f"{here}.{label}"


def is_on_tree_path(node: str, one_end: str, other_end: str) -> bool:
    """Say whether `node` lies on the path along the tree that joins the two ends, ends included."""
    if not (is_within(one_end, node) or is_within(other_end, node)):
        return False
    return node.count(".") >= common_ancestor(one_end, other_end).count(".")


def common_ancestor(one: str, other: str) -> str:
    """Return the deepest address that both lie within; both share at least the root's label."""
    shared: list[str] = []
    for left, right in zip(one.split("."), other.split("."), strict=False):
        if left != right:
            break
        shared.append(left)
    return ".".join(shared)


def dns_name(address: str) -> str:
    """Return the one DNS name that a node's certificates bear: the address reversed."""
    return ".".join([*reversed(address.split(".")), DNS_SUFFIX])
