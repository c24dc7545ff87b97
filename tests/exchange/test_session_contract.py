"""What every carrier of sessions does: RabbitMQ's, and the twin in memory that tests use."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from exchange.errors import BrokerFull, LinkLost, PublishUnknown, Unroutable
from harness.links import Lives, States, nothing_dead, running, soon
from harness.memory_link import MemoryLink


class OverMemory:
    """One link in memory."""

    def __init__(self):
        self.link = MemoryLink("kz.akmola", "kz.akmola.burabay")

    def below(self, handler):
        return self.link.run_child(handler, States())

    def above(self, handler):
        return self.link.run_parent(handler, States())

    @asynccontextmanager
    async def full(self):
        self.link.up.room = 1
        yield
        self.link.up.waiting.clear()
        self.link.up.room = 1000

    @asynccontextmanager
    async def unbound(self):
        self.link.down.bound = False
        yield
        self.link.down.bound = True


class OverBroker:
    """One child of the private broker."""

    def __init__(self, broker):
        self.broker = broker
        self.child = broker.new_child()

    def below(self, handler):
        return self.broker.parent_endpoint(self.child).run(handler, States())

    def above(self, handler):
        handlers = {self.child.label: handler}
        return self.broker.own_endpoint().run(handlers, nothing_dead, States())

    @asynccontextmanager
    async def full(self):
        policy = '{"overflow":"reject-publish","max-length":1}'
        queue = f"up.{self.child.label}"
        ctl = self.broker.ctl
        name = f"full-{self.child.label}"
        pattern = f"^up\\.{self.child.label}$"
        await asyncio.to_thread(
            ctl, "set_policy", "-p", "bbaj", name, pattern, policy, "--priority=9"
        )
        yield
        await asyncio.to_thread(ctl, "purge_queue", "-p", "bbaj", queue)
        await asyncio.to_thread(ctl, "clear_policy", "-p", "bbaj", name)

    @asynccontextmanager
    async def unbound(self):
        broker = self.broker
        await asyncio.to_thread(
            broker.ctl, "delete_queue", f"down.{self.child.label}", "-p", "bbaj"
        )
        yield
        again = await asyncio.to_thread(broker.administration.apply, broker.planned)
        assert again == []


@pytest.fixture(params=["memory", "broker"])
def line(request):
    if request.param == "memory":
        return OverMemory()
    return OverBroker(request.getfixturevalue("broker"))


async def test_messages_go_both_ways(line):
    """What one end publishes the other receives, body and headers."""
    below, above = Lives(), Lives()
    async with running(line.below(below.handle), line.above(above.handle)):
        child, parent = await below.next(), await above.next()
        await child.publish(b"\x00up", {"first": 7, "lane": "fast"})
        await parent.publish(b"down")
        up, down = await soon(parent), await soon(child)
        await parent.settle_through(up)
        await child.settle_through(down)
    assert (up.body, up.headers) == (b"\x00up", {"first": 7, "lane": "fast"})
    assert (down.body, down.headers) == (b"down", {})


async def test_order_is_kept(line):
    """Messages published side by side arrive in the order of their publishing."""
    below, above = Lives(), Lives()
    bodies = [b"%d" % number for number in range(20)]
    async with running(line.below(below.handle), line.above(above.handle)):
        child, parent = await below.next(), await above.next()
        await asyncio.gather(*(child.publish(body) for body in bodies))
        received = []
        for _ in bodies:
            delivery = await soon(parent)
            received.append(delivery.body)
            await parent.settle_through(delivery)
    assert received == bodies


async def test_what_waits_outlives_the_sender(line):
    """A message that was handed over waits for a receiver that comes later."""
    below, above = Lives(), Lives()
    async with running(line.below(below.handle)):
        await (await below.next()).publish(b"kept")
    async with running(line.above(above.handle)):
        parent = await above.next()
        delivery = await soon(parent)
        await parent.settle_through(delivery)
    assert delivery.body == b"kept"


async def test_what_is_not_settled_comes_again(line):
    """Behind the last settled delivery all come again, in order and marked, and no others."""
    below, above = Lives(), Lives()
    async with running(line.below(below.handle)):
        child = await below.next()
        for number in range(4):
            await child.publish(b"%d" % number)
    async with running(line.above(above.handle)):
        parent = await above.next()
        first = [await soon(parent) for _ in range(4)]
        await parent.settle_through(first[1])
    async with running(line.above(above.handle)):
        parent = await above.next()
        second = [await soon(parent) for _ in range(2)]
        with pytest.raises(LinkLost):
            await parent.settle_through(first[3])
        await parent.settle_through(second[-1])
    assert [each.body for each in second] == [b"2", b"3"]
    assert all(each.redelivered for each in second)


async def test_a_session_that_is_over_takes_nothing(line):
    """After its life a session raises, and does not wait."""
    below = Lives()
    async with running(line.below(below.handle)):
        child = await below.next()
    with pytest.raises((LinkLost, PublishUnknown)):
        await asyncio.wait_for(child.publish(b"late"), 20)


async def test_what_is_unsettled_is_bounded(line):
    """A parent holds at most four of a child's messages; the rest waits."""
    below, above = Lives(), Lives()
    async with running(line.below(below.handle), line.above(above.handle)):
        child, parent = await below.next(), await above.next()
        for number in range(6):
            await child.publish(b"%d" % number)
        held = [await soon(parent) for _ in range(4)]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await parent.receive()
        await parent.settle_through(held[-1])
        rest = [await soon(parent) for _ in range(2)]
        await parent.settle_through(rest[-1])
    assert [each.body for each in rest] == [b"4", b"5"]


async def test_a_full_queue_refuses_and_the_session_goes_on(line):
    """BrokerFull says that nothing was taken; later publishes go through."""
    below, above = Lives(), Lives()
    async with running(line.below(below.handle)):
        child = await below.next()
        async with line.full():
            with pytest.raises(BrokerFull):
                await publish_many(child, 20)
        await child.publish(b"room again")
    async with running(line.above(above.handle)):
        parent = await above.next()
        delivery = await soon(parent)
        await parent.settle_through(delivery)
    assert delivery.body == b"room again"


async def publish_many(session, count):
    for _ in range(count):
        await session.publish(b"more")


async def test_without_a_binding_nothing_is_taken(line):
    """Unroutable says that nothing was taken; the session lives."""
    above = Lives()
    async with running(line.above(above.handle)):
        parent = await above.next()
        async with line.unbound():
            with pytest.raises(Unroutable):
                await parent.publish(b"lost")
