"""What a bad line does: cut, frozen, refused, slow; each life ends, the next one begins."""

import asyncio

import pytest

from exchange.amqp import ClientTls, ParentEndpoint
from exchange.errors import LinkLost, PublishUnknown
from exchange.supervisor import Backoff
from harness import link_pki
from harness.links import Lives, States, nothing_dead, running, soon
from harness.proxy import Proxy
from schemas.addresses import dns_name

FAST = Backoff(first_s=0.05, most_s=0.2)


def endpoint_through(proxy, child, heartbeat_s=10):
    return ParentEndpoint(
        address=child.address,
        urls=[f"amqps://127.0.0.1:{proxy.port}"],
        tls=child.tls,
        heartbeat_s=heartbeat_s,
        backoff=FAST,
    )


async def test_a_cut_ends_the_life_and_another_begins(broker, child):
    """A cut connection cancels the handler, is told with its reason, and a new session comes."""
    lives, states = Lives(), States()
    async with (
        Proxy(broker.tls_port) as proxy,
        running(endpoint_through(proxy, child).run(lives.handle, states)),
    ):
        await lives.next()
        proxy.cut()
        told = await states.until("down")
        second = await lives.next()
        await second.publish(b"after the cut")
        assert lives.cancelled == 1
    assert "connection to amqps://127.0.0.1" in told.detail


async def test_unsettled_deliveries_come_again_after_a_cut(broker, child):
    """What was received but not settled when the line was cut is redelivered, the rest is not."""
    below, above = Lives(), Lives()
    async with (
        Proxy(broker.tls_port) as proxy,
        running(
            endpoint_through(proxy, child).run(below.handle, States()),
            broker.own_endpoint().run({child.label: above.handle}, nothing_dead, States()),
        ),
    ):
        sender = await above.next()
        receiver = await below.next()
        for number in range(3):
            await sender.publish(b"%d" % number)
        received = [await soon(receiver) for _ in range(3)]
        await receiver.settle_through(received[0])
        await asyncio.sleep(0.1)  # the ack travels without an answer
        proxy.cut()
        receiver = await below.next()
        with pytest.raises(LinkLost, match="earlier life"):
            await receiver.settle_through(received[2])
        again = [await soon(receiver) for _ in range(2)]
        await receiver.settle_through(again[1])
    assert [(each.body, each.redelivered) for each in again] == [(b"1", True), (b"2", True)]


async def test_a_publish_that_is_cut_off_is_in_doubt(broker, child):
    """A publish whose broker confirm is cut off raises PublishUnknown: perhaps taken."""
    lives, outcome = Lives(), asyncio.get_running_loop().create_future()

    async def publish_once(session):
        if outcome.done():
            return await lives.handle(session)
        try:
            proxy.freeze()
            await lives.sessions.put(session)
            await session.publish(b"in doubt")
        except (PublishUnknown, asyncio.CancelledError) as error:
            outcome.set_result(error)
            raise
        raise AssertionError

    async with (
        Proxy(broker.tls_port) as proxy,
        running(endpoint_through(proxy, child).run(publish_once, States())),
    ):
        await lives.next()
        await asyncio.sleep(0.2)
        proxy.cut()
        proxy.thaw()
        await lives.next()
    assert isinstance(await outcome, PublishUnknown | asyncio.CancelledError)


async def test_a_publish_without_answer_is_in_doubt_after_its_time(broker, child, monkeypatch):
    """A publish that nobody answers raises PublishUnknown when its time is up."""
    monkeypatch.setattr("exchange.pace.TIMEOUT_BASE_S", 0.5)
    lives = Lives()
    async with (
        Proxy(broker.tls_port) as proxy,
        running(endpoint_through(proxy, child).run(lives.handle, States())),
    ):
        session = await lives.next()
        proxy.freeze()
        with pytest.raises(PublishUnknown):
            await session.publish(b"in doubt")
        proxy.thaw()


async def test_a_frozen_line_is_noticed_by_heartbeat(broker, child):
    """A line that goes silent without closing is given up after three heartbeats and a bit."""
    lives, states = Lives(), States()
    async with (
        Proxy(broker.tls_port) as proxy,
        running(endpoint_through(proxy, child, heartbeat_s=1).run(lives.handle, states)),
    ):
        await lives.next()
        proxy.freeze()
        started = asyncio.get_running_loop().time()
        await states.until("down")
        took = asyncio.get_running_loop().time() - started
        proxy.cut()
        proxy.thaw()
        await lives.next()
    assert 3 <= took < 12


async def test_the_next_url_at_each_failure(broker, child):
    """After a refused connection the next url is tried."""
    lives, states = Lives(), States()
    async with Proxy(broker.tls_port) as refusing, Proxy(broker.tls_port) as working:
        refusing.refuses = True
        endpoint = broker.parent_endpoint(
            child, f"amqps://127.0.0.1:{refusing.port}", f"amqps://127.0.0.1:{working.port}"
        )
        async with running(endpoint.run(lives.handle, states)):
            await lives.next()
            told = await states.until("down")
            await states.until("up")
    assert f":{refusing.port}/bbaj" in told.detail


async def test_a_silent_server_is_given_up(broker, child, monkeypatch):
    """A server that accepts and says nothing does not hang the link."""
    monkeypatch.setattr("exchange.amqp.connect.CONNECT_TIMEOUT_S", 0.5)
    states = States()
    async with Proxy(broker.tls_port) as proxy:
        proxy.freeze()
        endpoint = endpoint_through(proxy, child, heartbeat_s=0)
        async with running(endpoint.run(Lives().handle, states)):
            told = await states.until("down")
    assert "TimeoutError" in told.detail


async def test_a_renewed_certificate_counts_at_the_next_connect(broker, child):
    """Key files are read anew at each connect: one that is missing now is found later."""
    lives, states = Lives(), States()
    parked = child.tls.certificate.rename(child.tls.certificate.with_suffix(".parked"))
    async with running(broker.parent_endpoint(child).run(lives.handle, states)):
        await states.until("down", text="FileNotFoundError")
        parked.rename(child.tls.certificate)
        await lives.next()


async def test_a_key_under_a_passphrase(broker, child, tmp_path):
    """A key under a passphrase opens with it; without it the link says so and asks nobody."""
    names = (dns_name(child.address),)
    files = link_pki.issue(tmp_path, broker.authority, dns=names, password=b"secret")
    for password, expected in ((None, "down"), (b"secret", "up")):
        tls = ClientTls(broker.ca, files.certificate, files.key, password)
        endpoint = ParentEndpoint(address=child.address, urls=[broker.tls_url], tls=tls)
        states = States()
        async with running(endpoint.run(Lives().handle, states)):
            await states.until("connecting")
            await states.until(expected)
            assert not states.told


async def test_a_slow_line_carries_bundles(broker, child):
    """Over a line with delay, bundles published side by side take one delay, not one each."""
    lives = Lives()
    async with (
        Proxy(broker.tls_port) as proxy,
        running(endpoint_through(proxy, child).run(lives.handle, States())),
    ):
        session = await lives.next()
        proxy.delay_s = 0.15
        started = asyncio.get_running_loop().time()
        await asyncio.gather(*(session.publish(b"x" * 1000) for _ in range(8)))
        assert asyncio.get_running_loop().time() - started < 3 * 0.3


async def test_ten_cuts_lose_nothing(broker, child):
    """Ten cuts while bundles flow: each number arrives, repeats are harmless."""
    total, taken = 400, set()
    all_taken = asyncio.Event()

    async def send(session):
        for number in range(total):
            if number not in taken:  # what the custody note would say
                await session.publish(b"%d" % number)
        await all_taken.wait()

    async def take(session):
        while True:
            delivery = await session.receive()
            taken.add(int(delivery.body))
            await session.settle_through(delivery)
            if len(taken) == total:
                all_taken.set()

    async with (
        Proxy(broker.tls_port) as proxy,
        running(
            endpoint_through(proxy, child).run(send, States()),
            broker.own_endpoint().run({child.label: take}, nothing_dead, States()),
        ),
        asyncio.timeout(60),
    ):
        for _ in range(10):
            await asyncio.sleep(0.15)
            proxy.cut()
        await all_taken.wait()
    assert taken == set(range(total))
