"""Sessions over a real broker: what goes out comes in, is settled, refused or returned."""

import asyncio
import subprocess

import pytest

from exchange.errors import BrokerFull, LinkLost, RightRefused, Unroutable
from exchange.sessions import Delivery
from harness.links import PATIENCE_S, Lives, States, nothing_dead, running, soon


async def test_a_bundle_goes_up(broker, child):
    """What a child publishes arrives at its parent, body and headers, under the child's label."""
    below, above = Lives(), Lives()
    up = broker.parent_endpoint(child).run(below.handle, States())
    down = broker.own_endpoint().run({child.label: above.handle}, nothing_dead, States())
    async with running(up, down):
        sender, receiver = await below.next(), await above.next()
        await sender.publish(b"\x00bundle", {"lane": "fast", "first": 7})
        delivery = await soon(receiver)
        await receiver.settle_through(delivery)
    assert (receiver.peer, sender.peer) == (child.label, "kz.akmola.burabay")
    assert delivery.body == b"\x00bundle"
    assert delivery.headers == {"lane": "fast", "first": 7}
    assert delivery.user_id == broker.names.child_user(child.label)
    assert not delivery.redelivered


async def test_a_bundle_goes_down(broker, child):
    """What a parent publishes to a child arrives there and nowhere else."""
    below, above = Lives(), Lives()
    up = broker.parent_endpoint(child).run(below.handle, States())
    down = broker.own_endpoint().run({child.label: above.handle}, nothing_dead, States())
    async with running(up, down):
        receiver, sender = await below.next(), await above.next()
        await sender.publish(b"answer")
        delivery = await soon(receiver)
        await receiver.settle_through(delivery)
    assert delivery.body == b"answer"


async def test_one_mebibyte_and_many_at_once(broker, child):
    """Large bundles published concurrently all arrive whole, in order of their publishing."""
    below, above = Lives(), Lives()
    bodies = [bytes([number]) * 1024 * 1024 for number in range(8)]
    up = broker.parent_endpoint(child).run(below.handle, States())
    down = broker.own_endpoint().run({child.label: above.handle}, nothing_dead, States())
    async with running(up, down):
        sender, receiver = await below.next(), await above.next()
        await asyncio.gather(*(sender.publish(body) for body in bodies))
        received = []
        for _ in bodies:
            delivery = await soon(receiver)
            received.append(delivery.body)
            await receiver.settle_through(delivery)
    assert received == bodies


async def test_what_is_not_settled_comes_again(broker, child):
    """Deliveries beyond the last settled one come again in the next life, and no others."""
    above = Lives()
    async with running(broker.parent_endpoint(child).run((below := Lives()).handle, States())):
        sender = await below.next()
        for number in range(4):
            await sender.publish(b"%d" % number)
    async with running(
        broker.own_endpoint().run({child.label: above.handle}, nothing_dead, States())
    ):
        receiver = await above.next()
        first_life = [await soon(receiver) for _ in range(4)]
        await receiver.settle_through(first_life[1])
    async with running(
        broker.own_endpoint().run({child.label: above.handle}, nothing_dead, States())
    ):
        receiver = await above.next()
        second_life = [await soon(receiver) for _ in range(2)]
        with pytest.raises(LinkLost, match="earlier life"):
            await receiver.settle_through(first_life[3])
        await receiver.settle_through(second_life[-1])
    assert [each.body for each in second_life] == [b"2", b"3"]
    assert all(each.redelivered for each in second_life)


async def test_settling_leaves_siblings_alone(broker):
    """Settling one child's deliveries, by a multiple ack, settles none of another's."""
    one, other = broker.new_child(), broker.new_child()
    for each in (one, other):
        async with running(broker.parent_endpoint(each).run((lives := Lives()).handle, States())):
            await (await lives.next()).publish(each.label.encode())
    first, second = Lives(), Lives()
    children = {one.label: first.handle, other.label: second.handle}
    async with running(broker.own_endpoint().run(children, nothing_dead, States())):
        session_of_one, session_of_other = await first.next(), await second.next()
        await soon(session_of_other)
        await session_of_one.settle_through(await soon(session_of_one))
    async with running(broker.own_endpoint().run(children, nothing_dead, States())):
        session_of_other = await second.next()
        again = await soon(session_of_other)
        await session_of_other.settle_through(again)
    assert (again.body, again.redelivered) == (other.label.encode(), True)


async def test_prefetch_bounds_what_is_unsettled(broker, child):
    """A parent holds at most four of a child's deliveries; the rest waits at the broker."""
    async with running(broker.parent_endpoint(child).run((below := Lives()).handle, States())):
        sender = await below.next()
        for number in range(6):
            await sender.publish(b"%d" % number)
    above = Lives()
    async with running(
        broker.own_endpoint().run({child.label: above.handle}, nothing_dead, States())
    ):
        receiver = await above.next()
        held = [await soon(receiver) for _ in range(4)]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await receiver.receive()
        await receiver.settle_through(held[-1])
        rest = [await soon(receiver) for _ in range(2)]
        await receiver.settle_through(rest[-1])
    assert [each.body for each in rest] == [b"4", b"5"]


async def test_a_full_queue_refuses_and_the_session_goes_on(broker, child):
    """A queue at its limit answers with nack: BrokerFull, and later publishes go through."""
    policy = '{"overflow":"reject-publish","max-length":1}'
    broker.ctl("set_policy", "-p", "bbaj", "full", f"^up\\.{child.label}$", policy, "--priority=9")
    below, above = Lives(), Lives()
    async with running(broker.parent_endpoint(child).run(below.handle, States())):
        sender = await below.next()
        with pytest.raises(BrokerFull, match="full"):
            await publish_many(sender, 20)
        broker.ctl("purge_queue", "-p", "bbaj", f"up.{child.label}")
        broker.ctl("clear_policy", "-p", "bbaj", "full")
        await sender.publish(b"room again")
    async with running(
        broker.own_endpoint().run({child.label: above.handle}, nothing_dead, States())
    ):
        receiver = await above.next()
        delivery = await soon(receiver)
        await receiver.settle_through(delivery)
    assert delivery.body == b"room again"


async def publish_many(session, count):
    for _ in range(count):
        await session.publish(b"more")


async def test_an_unroutable_message_raises_and_the_session_goes_on(broker, child):
    """Without a binding a publish comes back as Unroutable; others in flight are confirmed."""
    above = Lives()
    endpoint = broker.own_endpoint()
    broker.ctl("delete_queue", f"down.{child.label}", "-p", "bbaj")
    sibling = broker.new_child()
    handlers = {child.label: above.handle, sibling.label: (other := Lives()).handle}
    async with running(endpoint.run(handlers, nothing_dead, States())):
        sender, sibling_session = await above.next(), await other.next()
        results = await asyncio.gather(
            sender.publish(b"lost"), sibling_session.publish(b"kept"), return_exceptions=True
        )
        await sibling_session.publish(b"still here")
    assert isinstance(results[0], Unroutable)
    assert results[1] is None
    assert broker.administration.apply(broker.planned) == []


async def test_a_missing_queue_stops_that_child_alone(broker):
    """A child whose queue is missing is reported down; its siblings' sessions are up."""
    states, lives = States(), Lives()
    child = broker.new_child()
    handlers = {"nobody": Lives().handle, child.label: lives.handle}
    async with running(broker.own_endpoint().run(handlers, nothing_dead, states)):
        session = await lives.next()
        await states.until("down", peer="nobody", text="no such queue")
        await session.publish(b"works")


async def test_a_failing_handler_restarts_its_session_alone(broker):
    """A handler's retryable error ends its session; it gets a new one, the siblings keep theirs."""
    flaky, steady = broker.new_child(), broker.new_child()
    lives, sessions = Lives(), Lives()
    attempts = []

    async def fail_once(session):
        attempts.append(session)
        if len(attempts) == 1:
            raise BrokerFull("as if")
        await sessions.handle(session)

    handlers = {flaky.label: fail_once, steady.label: lives.handle}
    async with running(broker.own_endpoint().run(handlers, nothing_dead, States())):
        await lives.next()
        await sessions.next()
        assert lives.cancelled == 0
    assert len(attempts) == 2


async def test_an_unexpected_error_leaves_the_endpoint(broker, child):
    """What is not the world's fault in a handler is raised by run: the daemon must see it."""

    async def break_down(_):
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as raised:
        await broker.own_endpoint().run({child.label: break_down}, nothing_dead, States())
    assert raised.group_contains(ZeroDivisionError)


async def test_children_come_and_go_while_running(broker):
    """A child admitted while running gets a session; a dismissed one loses its own."""
    first, late = broker.new_child(), broker.new_child()
    endpoint, lives, states = broker.own_endpoint(), Lives(), States()
    async with running(endpoint.run({first.label: lives.handle}, nothing_dead, states)):
        await lives.next()
        endpoint.admit(late.label, lives.handle)
        assert (await lives.next()).peer == late.label
        endpoint.dismiss(first.label)
        await states.until("down", peer=first.label, text="stopped")
        assert lives.cancelled == 1


async def test_dead_letters_reach_their_handler(broker, child):
    """What the broker gives up on is handed over with its history, and settled afterwards."""
    dead = asyncio.Queue()

    async def on_dead(body, headers):
        await dead.put((body, headers))

    policy = '{"delivery-limit":1,"dead-letter-exchange":"dead"}'
    broker.ctl("set_policy", "-p", "bbaj", "short", f"^up\\.{child.label}$", policy, "--priority=9")
    below, above = Lives(), Lives()
    own = broker.own_endpoint().run({child.label: above.handle}, on_dead, States())
    async with running(broker.parent_endpoint(child).run(below.handle, States()), own):
        await (await below.next()).publish(b"poison")
        for _ in range(2):
            session = await above.next()
            await soon(session)
            await session._consumer._channel.close()
        async with asyncio.timeout(20):
            body, _ = await dead.get()
    broker.ctl("clear_policy", "-p", "bbaj", "short")
    assert body == b"poison"


async def test_a_local_system_drops_and_is_answered(broker, system):
    """A stock client's document arrives with its headers; inbox and status take the answers."""
    lives = Lives()
    async with running(
        broker.local_endpoint().run({system.user: lives.handle}, nothing_dead, States())
    ):
        session = await lives.next()
        drop = await asyncio.to_thread(amqp_publish, broker, system, system.user)
        delivery = await soon(session)
        await session.settle_through(delivery)
        await session.publish_to("status", b"{}", {"drop-id": "1"})
        await session.publish_to("inbox", b"doc", content_type="application/pdf")
    assert drop.returncode == 0, drop.stderr
    assert delivery.body == b"document"
    assert delivery.content_type == "text/plain"
    assert delivery.headers == {"type": "result", "to": "kz.akmola"}
    assert amqp("get", broker, system, f"--queue=status.{system.user}").stdout == "{}"
    assert amqp("get", broker, system, f"--queue=inbox.{system.user}").stdout == "doc"


async def test_drops_that_wait_are_received_together(broker, system):
    """So many at most, and no more once there are so many bytes."""
    lives = Lives()
    for number in range(5):
        await asyncio.to_thread(amqp_publish, broker, system, system.user, f"{number}")
    async with running(
        broker.local_endpoint().run({system.user: lives.handle}, nothing_dead, States())
    ):
        session = await lives.next()
        async with asyncio.timeout(PATIENCE_S):
            while session._consumer._inbox.qsize() < 5:  # noqa: ASYNC110 - it tells no events
                await asyncio.sleep(0.01)
            received = [
                await session.receive_some(3, 1000),
                await session.receive_some(3, 1),
                await session.receive_some(3, 1000),
            ]
    bodies = [[each.body for each in some] for some in received]
    assert bodies == [[b"0", b"1", b"2"], [b"3"], [b"4"]]


async def test_a_local_system_may_not_drop_as_another(broker, system):
    """Of two drops under one routing key, only its owner's arrives."""
    other, lives = broker.new_system(), Lives()
    await asyncio.to_thread(amqp_publish, broker, system, other.user, "forged")
    await asyncio.to_thread(amqp_publish, broker, other, other.user, "own")
    async with running(
        broker.local_endpoint().run({other.user: lives.handle}, nothing_dead, States())
    ):
        session = await lives.next()
        delivery = await soon(session)
        await session.settle_through(delivery)
    assert (delivery.body, delivery.user_id) == (b"own", "")


def amqp_publish(broker, login, key, body="document"):
    return amqp(
        "publish",
        broker,
        login,
        *("--exchange=outbound", f"--routing-key={key}", "--content-type=text/plain"),
        *("--persistent", "--header=type: result", "--header=to: kz.akmola", f"--body={body}"),
    )


def amqp(tool, broker, login, *options):
    """Run one of amqp-tools: a stock client that knows nothing of us."""
    url = f"amqp://{login.user}:{login.password.replace(' ', '%20')}@127.0.0.1:{broker.port}"
    return subprocess.run(
        [f"amqp-{tool}", f"--url={url}/bbaj-local", *options],
        check=False,
        capture_output=True,
        text=True,
        timeout=20,
    )


def test_a_delivery_of_nobody_holds_plain_values():
    """A delivery is a value: it can be made by any carrier, and compared."""
    assert Delivery(b"x", {}, redelivered=False, tag=1, life=1) == Delivery(
        b"x", {}, redelivered=False, tag=1, life=1
    )


def test_errors_after_which_the_session_is_over_are_told_apart():
    """BrokerFull and Unroutable leave the session alive, RightRefused does not: three types."""
    assert not issubclass(RightRefused, BrokerFull | Unroutable)
