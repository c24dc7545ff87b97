"""How often packets were resent, and how long each step between tiers took. Pure."""

import itertools
import statistics
from collections import defaultdict
from collections.abc import Mapping

from nodes.demo.book import Book
from nodes.demo.judgement import StoreReport
from nodes.demo.messages import Tally


def count_resent(book: Book, reports: Mapping[str, StoreReport], flows: dict[str, Tally]) -> None:
    """Add to each flow how often its packets were placed again by their sender."""
    for one in book.told:
        again = reports[one.sender].resent.pop(one.packet, 0) if one.sender in reports else 0
        flow = next((each.flow for each in book.dropped if each.drop_id == one.drop_id), None)
        if flow is not None:
            flows[flow].resent += again


def tier_times(
    book: Book, reports: Mapping[str, StoreReport], tiers: Mapping[str, str]
) -> dict[str, dict[str, float]]:
    """Return how long each step up or down took, from one node's leaf to the next one's."""
    steps: dict[str, list[float]] = defaultdict(list)
    for one in {(one.sender, one.recipient, one.packet) for one in book.left}:
        sender, recipient, packet = one
        path = [each for each in tree_path(sender, recipient) if each in reports]
        for before, after in itertools.pairwise(path):
            began, ended = (reports[each].moments.get(packet) for each in (before, after))
            if began is not None and ended is not None:
                steps[f"{tiers[before]} to {tiers[after]}"].append((ended - began) / 1000)
        confirmed = reports[sender].ends.get(packet) if sender in reports else None
        if confirmed is not None:
            began = reports[sender].moments[packet]
            steps["sealed to confirmed"].append((confirmed - began) / 1000)
    return {name: _spread(times) for name, times in sorted(steps.items())}


def _spread(times_ms: list[float]) -> dict[str, float]:
    ordered = sorted(times_ms)
    p95 = ordered[max(0, -(-len(ordered) * 95 // 100) - 1)]
    return {
        "median_ms": round(statistics.median(ordered), 1),
        "p95_ms": round(p95, 1),
        "packets": len(ordered),
    }


def tree_path(sender: str, recipient: str) -> list[str]:
    """Return the addresses from one end to the other along the tree, both included."""
    up, down = sender.split("."), recipient.split(".")
    shared = 0
    while shared < min(len(up), len(down)) and up[shared] == down[shared]:
        shared += 1
    rising = [".".join(up[:depth]) for depth in range(len(up), shared - 1, -1)]
    falling = [".".join(down[:depth]) for depth in range(shared + 1, len(down) + 1)]
    return rising + falling
