"""`bbaj track`: has the daemon ask the nodes on a packet's way, and shows what they say.

What each node showed was checked when it came; here it is read out of the record.
"""

import asyncio
from collections.abc import Sequence

import msgspec

from exchange.testimony import Claim, read_claims
from exchange.tracking import Tracking, TrackOrder
from nodes.cli.errors import UsageFault
from nodes.cli.instructing import Instructed, tell
from nodes.cli.opening import find, reading
from nodes.cli.tracking_shapes import LeafTold, NodeTold, TrackReport
from nodes.config import Config
from nodes.said import Said
from schemas.moments import format_instant
from schemas.objects import cut_object
from schemas.records import TrackedRow
from store.reading import Reading

GRACE_S = 30.0
"""So long beyond its own wait for answers the daemon may take to begin and to say so."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """The packet asked for; sender, recipient and epoch where the record does not have it."""

    packet: str
    sender: str | None = None
    recipient: str | None = None
    epoch: int = 1


def track(config: Config, wish: Wish, wait_s: float) -> TrackReport:
    """Return what the nodes on a packet's way say. Raises NotFound, NotDone and StillWaiting."""
    order = asyncio.run(_order(config, wish, wait_s))
    told = tell(config, "track", order, wait_s=wait_s + GRACE_S)
    return asyncio.run(_report(config, order, told))


async def _order(config: Config, wish: Wish, wait_s: float) -> TrackOrder:
    """Return the packet by its name: from the record, or as the operator names it."""
    sender, recipient, epoch = wish.sender, wish.recipient, wish.epoch
    if (sender is None) != (recipient is None):
        raise UsageFault("--from and --to go together: name both ends, or neither")
    if sender is None:
        async with reading(config) as desk:
            packet = (await find(desk, wish.packet)).packet
        sender, recipient, epoch = packet.sender, packet.recipient, packet.epoch
    facts = {
        "sender": sender, "packet_epoch": epoch, "packet": wish.packet, "recipient": recipient,
        "wait_us": round(wait_s * 1e6),
    }  # fmt: skip
    try:
        return msgspec.convert(facts, TrackOrder)
    except msgspec.ValidationError as error:
        raise UsageFault(f"{error}: give an id as `bbaj list` shows it, and addresses") from error


async def _report(config: Config, order: TrackOrder, told: Instructed) -> TrackReport:
    found = msgspec.convert(told.content, Tracking)
    name = (order.sender, order.packet_epoch, order.packet)
    async with reading(config) as desk:
        rows = newest_of(await desk.tracked([order.packet]), name)
        own = await _own(desk, config.address, order)
    nodes = [] if own is None else [own]
    for node in found.asked:
        row, at = rows.get(node), found.answered.get(node)
        leaves = [] if row is None else leaves_in(row)
        nodes.append(NodeTold(node=node, answered=at, leaves=leaves))
    return TrackReport(
        id=order.packet,
        from_=order.sender,
        to=order.recipient,
        epoch=order.packet_epoch,
        nodes=nodes,
        silent=[node for node in found.asked if node not in found.answered],
        instruction=told.id,
    )


async def _own(desk: Reading, here: str, order: TrackOrder) -> NodeTold | None:
    """Return what our own journal has of the packet; None where nothing."""
    marks = await desk.leaves_about(order.sender, order.packet)
    last = await desk.last_checkpoint()
    size = 0 if last is None else last[0]
    leaves = [
        _leaf(Claim(mark.record), size if mark.index < size else None, mark.index) for mark in marks
    ]
    return NodeTold(node=here, answered=None, leaves=leaves) if leaves else None


def newest_of(
    rows: Sequence[TrackedRow], name: tuple[str, int, str] | None = None
) -> dict[str, TrackedRow]:
    """Return what each node has said last (of one packet), by its address."""
    return {
        row.issuer: row
        for row in rows
        if name is None or (row.sender, row.packet_epoch, row.packet) == name
    }


def leaves_in(row: TrackedRow) -> list[LeafTold]:
    """Return the leaves that a node has shown."""
    told = []
    for claim in read_claims(cut_object(row.object).body):
        head = claim.checkpoint
        index = None if claim.proof is None else claim.proof.index
        told.append(_leaf(claim, None if head is None else head.size, index))
    return told


def _leaf(claim: Claim, size: int | None, index: int | None) -> LeafTold:
    leaf = claim.leaf
    return LeafTold(
        what=leaf["kind"],
        at=leaf["at"],
        index=index,
        checkpoint=size,
        reason=leaf.get("reason"),
        detail=leaf.get("detail"),
    )


def last_word(rows: Sequence[TrackedRow]) -> str | None:
    """Return what happened last to a packet by the words of others, in one line."""
    told = [(leaf, row) for row in newest_of(rows).values() for leaf in leaves_in(row)]
    if not told:
        return None
    leaf, row = max(told, key=lambda each: each[0].at)
    facts = {"node": row.issuer, "event": Said(f"packets.events.{leaf.what}"), "at": leaf.at}
    return Said("packets.told-by", facts | {"told": format_instant(row.at)})
