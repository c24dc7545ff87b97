"""A node whose archive is old enough to be destroyed, with a parent that keeps its acts."""

import asyncio
import json

import msgspec

from exchange.core.destruction import Approve, Propose, Proposed
from exchange.destroying import ACT, APPROVE, PROPOSE, Carried
from exchange.dropped import Drop
from exchange.identity import new_packet_id
from harness.service_node import Node
from nodes import samples
from nodes.clock import now
from schemas.records import InstructionOutcome, InstructionRow
from schemas.retention import DEFAULT, RetentionPolicy
from store.postgres import PostgresArchive

OLD_DAY = "2018-03-05"
OLD = "R5-2018-08"
"""The bucket of what is about that day: its term is over since 2023."""
BASIS = "Order 12 of 2026"
PATIENCE_S = 30.0


def approved(*classes: str) -> RetentionPolicy:
    """Return the policy with the terms of some classes approved."""
    rules = {
        name: msgspec.structs.replace(rule, is_approved=True, basis=BASIS)
        if name in classes
        else rule
        for name, rule in DEFAULT.classes.items()
    }
    return RetentionPolicy(2, rules)


def old_document(to: str, number: int, day: str = OLD_DAY, mark: str = "") -> Drop:
    """Return a made-up document about a day long ago, with a text that only it has."""
    body = json.loads(samples.tiny(number))
    body["period"] = day
    if mark:
        body["pupils"][0]["source_ref"]["number"] = mark
    return Drop(
        system="sis",
        drop_id=f"old-{day}-{number}",
        type="attendance.daily/1",
        to=to,
        body=json.dumps(body, separators=(",", ":")).encode(),
    )


async def send_old(sender: Node, recipient: Node, *numbers: int, mark: str = "") -> list[str]:
    """Deliver documents about that day; return their ids once all about them is over."""
    drops = [old_document(recipient.address, number, mark=mark) for number in numbers]
    outcomes = await sender.service.drop(drops)
    ids = [outcome.packet or "" for outcome in outcomes]
    assert all(ids), outcomes
    for id_ in ids:
        await sender.until(sender.address, id_, "confirmed")
        await recipient.until(sender.address, id_, "closed")
    async with asyncio.timeout(PATIENCE_S):
        while any(waiting(sender, recipient)):  # noqa: ASYNC110 - the record tells no events
            await asyncio.sleep(0.02)
    return ids


def waiting(sender: Node, recipient: Node) -> list[int]:
    """Return how many entries a neighbour has not noted yet, by lane."""
    streams = sender.service.waiting().items()
    return [count for name, count in streams if name.startswith(f"{recipient.address}/")]


class Commission:
    """People who order a node to destroy, each by a pseudonym."""

    def __init__(self, archive: PostgresArchive) -> None:
        self.archive = archive

    async def order(self, who: str, what: str, content: object) -> InstructionOutcome:
        """Give an order; return what became of it, its id being the order's."""
        row = InstructionRow(new_packet_id(now()), now(), who, what, msgspec.json.encode(content))
        await self.archive.instruct(row)
        async with asyncio.timeout(PATIENCE_S):
            while True:
                found = await self.archive.instruction_outcome(row.id)
                if found is not None:
                    return found
                await asyncio.sleep(0.02)

    async def tell(self, who: str, what: str, content: object) -> tuple[str, bytes]:
        """Give an order; return its outcome's state and content."""
        found = await self.order(who, what, content)
        return found.state, found.content

    async def propose(self, bucket: str = OLD, who: str = "op-1") -> Approve:
        """Propose a bucket; return what an approver says of it."""
        found = await self.order(who, PROPOSE, Propose(bucket, "operator"))
        assert found.state == "done", found.content
        proposed = msgspec.json.decode(found.content, type=Proposed)
        return Approve(found.id, proposed.frames_sha256, "approver")

    async def refused(self, who: str, what: str, content: object) -> str:
        """Give an order that is declined; return why."""
        state, answer = await self.tell(who, what, content)
        assert state == "refused", answer
        return str(msgspec.json.decode(answer)["why"])

    async def approve(self, wish: Approve, *people: str) -> None:
        """Let people approve, one after the other."""
        for who in people:
            state, answer = await self.tell(who, APPROVE, wish)
            assert state == "done", answer

    async def act(self, wish: Approve, who: str = "op-2") -> Carried:
        """Order the act."""
        state, answer = await self.tell(who, ACT, wish)
        assert state == "done", answer
        return msgspec.json.decode(answer, type=Carried)

    async def destroy(self, bucket: str = OLD) -> Carried:
        """Go all the way."""
        wish = await self.propose(bucket)
        await self.approve(wish, "op-1", "op-2")
        return await self.act(wish)
