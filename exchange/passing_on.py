"""What follows a commit: deliveries are settled, then links and boxes carry on with its entries."""

from collections.abc import Mapping, Sequence

from exchange.batch import Batch
from exchange.errors import LinkLost
from exchange.gate import OpenedBundle, Unreadable
from exchange.intake import Plan
from exchange.lanes import LANES
from exchange.links import Link
from exchange.local import LocalBox
from exchange.ports import Observer


async def settle(plans: Sequence[Plan], observer: Observer) -> None:
    """Settle each session's deliveries at once, through its last one in the group."""
    for plan in plans:
        if plan.again:
            observer.came_again(plan.message.link.neighbour, plan.again)
    messages = [plan.message for plan in plans if plan.message.settles]
    last = {id(message.session): message for message in messages}
    for message in last.values():
        try:
            await message.session.settle_through(message.delivery)
        except LinkLost:
            observer.noticed("settle_after_loss", neighbour=message.link.neighbour)


def pass_on(
    plans: Sequence[Plan], batch: Batch, links: Mapping[str, Link], boxes: Mapping[str, LocalBox]
) -> None:
    """Let links and boxes carry on; nothing from here on can lose anything."""
    for plan in plans:
        link = plan.message.link
        if isinstance(plan.opened, OpenedBundle):
            link.owe_note(plan.opened.header.lane)
        elif isinstance(plan.opened, Unreadable):
            link.owe_note("fast")
            link.owe_note("bulk")
    for stream, offers in batch.offers.items():
        neighbour, _, lane = stream.rpartition("/")
        if lane in LANES and neighbour in links:
            links[neighbour].offer("fast" if lane == "fast" else "bulk", offers)
        elif stream in boxes:
            boxes[stream].wake()
