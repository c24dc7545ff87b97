"""The private broker: certificates by server name, logins by certificate, data that stays."""

import asyncio
import ssl

import aio_pika
import pytest
from yarl import URL

from nodes.authority_files import AuthorityFiles
from nodes.sandbox.network import make_brokers
from nodes.sandbox.processes import is_open
from nodes.sandbox.rabbitmq import PLUGINS, needed_plugins
from schemas.addresses import dns_name

CHILD = "kz.akmola.burabay"


def client_context(work, address=None):
    """Return what a client trusts, and its certificate where it has one."""
    context = ssl.create_default_context(cafile=work / "ca" / "nodes" / "kz" / "root.pem")
    if address is not None:
        keys = work / "ca" / "nodes" / address
        context.load_cert_chain(keys / "link.pem", keys / "link.key")
    return context


async def names_seen(broker, context, server_name):
    """Return the DNS names in the certificate that the broker shows under a server name."""
    _, writer = await asyncio.open_connection(
        "127.0.0.1", broker.amqps_port, ssl=context, server_hostname=server_name
    )
    certificate = writer.get_extra_info("peercert")
    writer.close()
    return [name for kind, name in certificate["subjectAltName"] if kind == "DNS"]


async def log_in(broker, work, *, parent, address=CHILD):
    """Open a link as a child does it: by certificate, checking its own parent's name."""
    url = f"amqps://127.0.0.1:{broker.amqps_port}/?auth=EXTERNAL"
    connection = aio_pika.Connection(URL(url), ssl_context=client_context(work, address))
    connection.kwargs["server_hostname"] = dns_name(parent)
    await connection.connect(timeout=10)
    return connection


@pytest.mark.parametrize("address", ["kz", "kz.akmola"])
async def test_each_node_shows_its_own_certificate(broker, work, address):
    """Nodes that share a broker are told apart by the TLS server name."""
    name = dns_name(address)
    assert await names_seen(broker, client_context(work, CHILD), name) == [name]


async def test_unknown_name_is_refused_by_the_client(broker, work):
    """The broker shows its first node's certificate then, and the client turns away."""
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        await names_seen(broker, client_context(work, CHILD), dns_name(CHILD))


@pytest.mark.parametrize("address", ["kz", "kz.akmola"])
async def test_client_certificate_is_demanded(broker, work, address):
    """A server name changes the certificate that is shown, not the one that is demanded."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1",
        broker.amqps_port,
        ssl=client_context(work),
        server_hostname=dns_name(address),
    )
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        await asyncio.wait_for(reader.read(8), 10)
    writer.transport.abort()


async def test_login_is_the_certificates_name(broker, work):
    """A child is the user of its DNS name, whichever node's name it asked for."""
    user = dns_name(CHILD)
    await broker.ctl("add_user", user, "x")
    await broker.ctl("clear_password", user)
    await broker.ctl("set_permissions", "-p", "/", user, "^$", "^$", "^$")
    connection = await log_in(broker, work, parent="kz.akmola")
    users = await broker.ctl("list_connections", "user", "ssl", "--no-table-headers")
    await connection.close()
    assert users.split() == [user, "true"]


async def test_certificate_without_a_user_is_refused(broker, work):
    """A certificate alone opens nothing."""
    with pytest.raises(aio_pika.exceptions.AMQPConnectionError):
        await log_in(broker, work, parent="kz", address="kz.akmola")


async def test_comes_up_again_with_its_data(work):
    """The same folder gives the same queues at the same address, and leaves nothing running."""
    authority, group = AuthorityFiles(work / "ca"), {"again": ["kz"]}
    before = make_brokers(authority, work, group, schedulers=1)["kz"]
    await before.start()
    await before.ctl("add_user", "keeper", "secret")
    await before.ctl("set_permissions", "keeper", ".*", ".*", ".*")
    await put(before, b"kept")
    await before.stop()
    assert not await is_open(before._port_mapper.port)
    after = make_brokers(authority, work, group, schedulers=1)["kz"]
    await after.start()
    try:
        assert after.amqps_port == before.amqps_port
        assert await take(after) == b"kept"
        await put(after, b"kept over a kill")
        await after.kill()
        await after.start()
        assert await take(after) == b"kept over a kill"
    finally:
        await after.stop()


def url_of(broker):
    return f"amqp://keeper:secret@127.0.0.1:{broker.amqp_port}"


async def put(broker, body):
    """Publish to a quorum queue and see it confirmed."""
    async with await aio_pika.connect(url_of(broker)) as connection:
        channel = await connection.channel(on_return_raises=True)
        arguments = {"x-queue-type": "quorum"}
        await channel.declare_queue("kept", durable=True, arguments=arguments)
        message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, "kept", timeout=10)


async def take(broker):
    """Take one message off the queue."""
    async with await aio_pika.connect(url_of(broker)) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue("kept", ensure=False)
        return (await queue.get(no_ack=True)).body


def test_only_needed_plugins_are_looked_at(tmp_path):
    """What ours name is kept, however far down; the rest is left out."""
    listed = {
        "rabbit": "[kernel, ra]",
        "rabbitmq_prelaunch": "[kernel]",
        "rabbitmq_auth_mechanism_ssl": "[rabbit]",
        "ra": "[\n  aten\n]",
        "aten": "[]",
        "rabbitmq_management": "[rabbit]",
    }
    for name, needs in listed.items():
        (tmp_path / f"{name}-1" / "ebin").mkdir(parents=True)
        file = tmp_path / f"{name}-1" / "ebin" / f"{name}.app"
        file.write_text(f"{{application, {name}, [{{applications, {needs}}}]}}.")
    wanted = ["aten-1", "ra-1", "rabbit-1", "rabbitmq_auth_mechanism_ssl-1", "rabbitmq_prelaunch-1"]
    assert [path.name for path in needed_plugins(tmp_path, PLUGINS)] == wanted
