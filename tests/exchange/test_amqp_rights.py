"""What a child's certificate opens at its parent's broker, and all that it must not."""

import asyncio
import functools
import ssl
from contextlib import asynccontextmanager

import aio_pika
import pytest
from aio_pika import exceptions as amqp
from aiormq import exceptions as aiormq_errors
from yarl import URL

from exchange.amqp import ParentEndpoint
from exchange.amqp.rim import translate
from exchange.errors import BrokerUnreachable, LoginRefused
from harness import link_pki
from harness.links import Lives, States, running
from schemas.addresses import dns_name

REFUSED = (amqp.ChannelClosed, amqp.ConnectionClosed, aiormq_errors.ChannelAccessRefused)


@asynccontextmanager
async def channel_of(broker, child, vhost="bbaj", url=None, auth="EXTERNAL"):
    """Log in as an attacker would: with a child's certificate, and any client."""
    scheme = URL(url or broker.tls_url).with_path(f"/{vhost}").with_query(auth=auth)
    context = child.tls.context() if scheme.scheme == "amqps" else None
    connection = aio_pika.Connection(scheme, ssl_context=context)
    if context is not None:
        connection.kwargs["server_hostname"] = dns_name("kz.akmola.burabay")
    try:
        await connection.connect(timeout=10)
        yield await connection.channel(on_return_raises=True)
    finally:
        await asyncio.wait_for(connection.close(), 5)


async def ignore(_):
    pass


def message(**properties):
    return aio_pika.Message(b"x", delivery_mode=2, **properties)


async def publish_as(broker, child, exchange, key, **properties):
    async with channel_of(broker, child) as channel:
        target = await channel.get_exchange(exchange, ensure=False)
        return await target.publish(message(**properties), key, timeout=5)


async def test_own_key_is_open(broker, child):
    """A child publishes to `up` under its own label, and reads its own queue."""
    await publish_as(broker, child, "up", child.label)
    async with channel_of(broker, child) as channel:
        queue = await channel.get_queue(f"down.{child.label}", ensure=False)
        await queue.consume(ignore)


@pytest.mark.parametrize("key", ["other", "{label}0", "{label}.x", "#", ""])
async def test_other_keys_are_closed(broker, child, key):
    """A child may not publish to `up` under any other routing key."""
    with pytest.raises(REFUSED, match="ACCESS_REFUSED"):
        await publish_as(broker, child, "up", key.format(label=child.label))


@pytest.mark.parametrize("exchange", ["down", "dead", "amq.topic", "amq.direct", ""])
async def test_other_exchanges_are_closed(broker, child, exchange):
    """A child may not publish to any other AMQP exchange, the default one included."""
    with pytest.raises(REFUSED, match="ACCESS_REFUSED"):
        await publish_as(broker, child, exchange, f"up.{child.label}")


async def test_another_user_id_is_closed(broker, child):
    """A child may not bear another's user name; its own passes."""
    await publish_as(broker, child, "up", child.label, user_id=dns_name(child.address))
    with pytest.raises((*REFUSED, amqp.ChannelPreconditionFailed), match="PRECONDITION_FAILED"):
        await publish_as(broker, child, "up", child.label, user_id="daemon")


@pytest.mark.parametrize("queue", ["down.{other}", "up.{other}", "up.{label}", "dead"])
async def test_other_queues_are_closed(broker, child, queue):
    """A child reads no queue but its own downlink, and purges and deletes none of the others."""
    other = broker.new_child()
    name = queue.format(label=child.label, other=other.label)
    for attempt in ("consume", "purge", "delete"):
        with pytest.raises(REFUSED, match="ACCESS_REFUSED"):
            await try_queue(broker, child, name, attempt)


async def try_queue(broker, child, name, attempt):
    async with channel_of(broker, child) as channel:
        queue = await channel.get_queue(name, ensure=False)
        action = getattr(queue, attempt)
        await (action(ignore) if attempt == "consume" else action())


async def test_a_child_configures_nothing(broker, child):
    """A child declares, deletes and binds nothing, temporary queues included."""
    own = f"down.{child.label}"
    attempts = (
        lambda channel: channel.declare_queue("mine", durable=True),
        lambda channel: channel.declare_queue("", exclusive=True),
        lambda channel: channel.declare_exchange("mine"),
        lambda channel: channel.queue_delete(own),
        lambda channel: channel.exchange_delete("up"),
        lambda channel: bind(channel, own),
    )
    for attempt in attempts:
        with pytest.raises(REFUSED, match="ACCESS_REFUSED"):
            async with channel_of(broker, child) as channel:
                await attempt(channel)


async def bind(channel, name):
    queue = await channel.get_queue(name, ensure=False)
    await queue.bind("up", "#")


async def test_another_virtual_host_is_closed(broker, child):
    """A child cannot open the local systems' virtual host, nor the default one."""
    for vhost in ("bbaj-local", "%2F"):
        with pytest.raises(Exception, match=r"not allowed|refused|530|InvalidFrame|Expected"):
            async with channel_of(broker, child, vhost=vhost):
                pass


async def test_external_is_not_offered_without_tls(broker, child):
    """Over plain TCP a certificate's login is not offered."""
    with pytest.raises(aiormq_errors.AuthenticationError):
        async with channel_of(broker, child, url=broker.url):
            pass


async def test_plain_as_a_child_is_refused(broker, child):
    """A child's user has no password: an empty one and its own name are refused."""
    for password in ("", "x", dns_name(child.address)):
        url = URL(broker.url).with_user(dns_name(child.address)).with_password(password)
        with pytest.raises(aiormq_errors.ProbableAuthenticationError):
            async with channel_of(broker, child, url=str(url), auth="PLAIN"):
                pass


async def test_a_fourth_connection_is_refused(broker, child):
    """A child has two connections for its link and one for its doctor, and no fourth."""
    login = functools.partial(channel_of, broker, child)
    async with login(), login(), login():
        with pytest.raises(aiormq_errors.AMQPError):
            async with channel_of(broker, child):
                pass


async def test_a_deleted_user_is_cut_off_at_once(broker, child):
    """Deleting a child's user closes its connections; provisioning lets it in again."""
    lives, states = Lives(), States()
    async with running(broker.parent_endpoint(child).run(lives.handle, states)):
        await lives.next()
        broker.ctl("delete_user", dns_name(child.address))
        await states.until("down")
        await states.until("down", text="have the operator of that node admit us")
        assert broker.administration.apply(broker.planned) == []
        await lives.next()


# ------------------------------------------------------------ who may log in at all


async def refusal(broker, files, address="kz.akmola.burabay.school-1"):
    """Return what the link is told that presents these files."""
    endpoint = ParentEndpoint(address=address, urls=[broker.tls_url], tls=broker.client_tls(files))
    states = States()
    async with running(endpoint.run(Lives().handle, states)):
        return (await states.until("down")).detail


async def test_the_same_label_elsewhere_is_refused(broker, child, tmp_path):
    """The same label below another district of the oblast is another name: no such login."""
    name = f"{child.label}.zerenda.akmola.kz.bbaj.internal"
    files = link_pki.issue(tmp_path, broker.authority, dns=(name,), common_name=child.label)
    assert "no such login" in await refusal(broker, files)


async def test_the_same_label_in_another_oblast_is_refused(broker, child, tmp_path):
    """The same label below another oblast's authority is another name: no such login."""
    abai = link_pki.make_authority(broker.root, "abai.kz.bbaj.internal", "abai")
    name = f"{child.label}.burabay.abai.kz.bbaj.internal"
    files = link_pki.issue(tmp_path, abai, dns=(name,), common_name=child.label)
    assert "no such login" in await refusal(broker, files)


async def test_a_common_name_opens_nothing(broker, child, tmp_path):
    """A common name that looks like a child's DNS name opens nothing."""
    name = dns_name(child.address)
    files = link_pki.issue(tmp_path, broker.authority, common_name=name[:64])
    assert "no such login" in await refusal(broker, files)


async def test_a_uri_opens_nothing(broker, child, tmp_path):
    """A URI of the right text, without a DNS name, opens nothing."""
    files = link_pki.issue(tmp_path, broker.authority, uri=f"//{dns_name(child.address)}")
    detail = await refusal(broker, files)
    assert "no such login" in detail or "our link certificate" in detail


async def test_a_name_outside_the_authoritys_subtree_fails(broker, child, tmp_path):
    """An authority of another oblast cannot vouch for this one's names, not even as a second."""
    abai = link_pki.make_authority(broker.root, "abai.kz.bbaj.internal", "abai")
    for names in (
        (dns_name(child.address),),
        ("school-1.abai.kz.bbaj.internal", dns_name(child.address)),
    ):
        files = link_pki.issue(tmp_path, abai, dns=names)
        assert "check that our link certificate is in force" in await refusal(broker, files)


async def test_a_packet_certificate_fails(broker, child, tmp_path):
    """A certificate for sealing packets is none for links."""
    files = link_pki.issue(
        tmp_path,
        broker.authority,
        dns=(dns_name(child.address),),
        usages=link_pki.PACKET_USAGES,
    )
    assert "check that our link certificate is in force" in await refusal(broker, files)


async def test_a_foreign_root_fails(broker, child, tmp_path):
    """A certificate of the right name under another root is none."""
    foreign = link_pki.make_authority(link_pki.make_root("other"), "akmola.kz.bbaj.internal")
    files = link_pki.issue(tmp_path, foreign, dns=(dns_name(child.address),))
    # The alert that says so may be overtaken by the reset that follows it.
    assert "check that our link certificate is in force" in await refusal(broker, files)


async def test_the_parents_name_is_checked(broker, tmp_path):
    """A broker that proves another name than the parent's is refused by the child."""
    address = "kz.akmola.zerenda.school-1"
    files = link_pki.issue(tmp_path, broker.authority, dns=(dns_name(address),))
    assert "does not prove the name expected" in await refusal(broker, files, address)


async def test_a_broker_under_a_foreign_root_is_refused(broker, child, tmp_path):
    """A child that trusts another root refuses this broker."""
    root = tmp_path / "other.crt"
    root.write_bytes(link_pki.pem(link_pki.make_root("other").certificate))
    endpoint = ParentEndpoint(
        address=child.address,
        urls=[broker.tls_url],
        tls=type(child.tls)(root, child.tls.certificate, child.tls.key),
    )
    states = States()
    async with running(endpoint.run(Lives().handle, states)):
        assert "does not prove the name" in (await states.until("down")).detail


def test_errors_below_errors_are_found():
    """The table is read along the chain of causes: a TLS alert inside a transport's error."""
    wrapped = aiormq_errors.AMQPConnectionError("gone")
    wrapped.__cause__ = ssl.SSLError(1, "alert certificate required")
    assert isinstance(translate(wrapped, "connect", BrokerUnreachable), LoginRefused)
