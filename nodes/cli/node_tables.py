"""A node, its links, its tree and its broker as people read them, in the language spoken here."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from nodes.cli.drawing import STYLES, new_table, plain
from nodes.cli.moments import utc_over_local
from nodes.cli.shapes import LinkStanding, NodeCheck, Topology, TreeNode
from nodes.cli.speaking import say, say_of
from nodes.cli.tables import columns
from nodes.config import spoken_language
from nodes.said import spoken
from schemas.codes import TIER_NAMES, Tier


def links(rows: Sequence[LinkStanding]) -> Iterator[RenderableType]:
    """Draw `link list`."""
    table = new_table(*columns("neighbour", "link", "since", "reason"))
    for row in rows:
        since = "" if row.since is None else utc_over_local(row.since)
        table.add_row(row.neighbour, say_of("links", row.state), since, plain(row.why))
    yield table


def node_check(found: NodeCheck) -> Iterator[RenderableType]:
    """Draw `node check`."""
    table = new_table("", say("look.what"), say("look.found"))
    for check in found.checks:
        state = Text(say_of("look.states", check.state), STYLES[check.state])
        table.add_row(state, spoken(check.name), plain(spoken(check.detail)))
    yield table


def topology(shown: Topology) -> Iterator[RenderableType]:
    """Draw `topology`."""
    base = min(node.address.count(".") for node in shown.tree)
    for node in shown.tree:
        indent = "  " * (node.address.count(".") - base)
        marks = ", ".join(filter(None, _marks(node)))
        yield Text(f"{indent}{node.address}  ({marks})", "bold" if node.here else "")
    for system in shown.systems:
        yield say("topology.system", system=system)
    yield _broker(shown)
    if shown.unanswered is None:
        yield from (f"  {plain(spoken(difference))}" for difference in shown.differences)


def _marks(node: TreeNode) -> tuple[str, str, str]:
    """Return tier, standing where it is no ordinary one, and whether this is the node itself."""
    tier = say("topology.no-tier")
    if node.tier is not None:
        tier = TIER_NAMES[Tier(node.tier)].in_language(spoken_language())
    standing = "" if node.standing == "active" else say_of("network.standings", node.standing)
    return tier, standing, say("topology.here") if node.here else ""


def _broker(shown: Topology) -> str:
    """Return how the broker stands beside the plan."""
    if shown.broker is None:
        return say("topology.no-broker")
    facts = {"broker": spoken(shown.broker)}
    if shown.unanswered is not None:
        return say("topology.unanswered", **facts)
    result = say("topology.departs" if shown.differences else "topology.planned", **facts)
    return say("topology.applied", result=result) if shown.applied else result
