"""Certificates that live for seconds renew themselves over the real broker, between daemons."""

import asyncio

import pytest

from harness.cli_run import bbaj
from harness.network import private_network
from harness.watch import Watch
from nodes.cli.key_shapes import KeyLine, RenewalAsked
from nodes.cli.shapes import Sending
from nodes.clock import now
from nodes.keyring import KeyFolder
from nodes.sandbox.network import NodeSpec
from schemas.header import decode_header
from schemas.moments import MINUTE, SECOND
from signing.certificates import life_of_der
from signing.keys import fingerprint
from signing.notes import open_note, vkey
from signing.profiles import Purpose
from store.packing import unpack

pytestmark = pytest.mark.slow

REPUBLIC, OBLAST = "kz", "kz.zhambyl"
LIFE_US = 20 * SECOND
LIVES = {
    Purpose.PACKET: LIFE_US,
    Purpose.JOURNAL: LIFE_US,
    Purpose.WITNESS: LIFE_US,
    Purpose.LINK: 10 * MINUTE,  # the broker must let it in, however slow the machine
}
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
async def network():
    specs = [NodeSpec(REPUBLIC), NodeSpec(OBLAST, systems=("sis",))]
    lives = {OBLAST: LIVES}
    async with private_network(specs, on_line=[REPUBLIC], lives=lives) as network:
        yield network


@pytest.fixture(scope="module")
async def republic(network):
    watch = Watch(network, REPUBLIC)
    yield watch
    await watch.close()


async def until_renewed(keys: KeyFolder, before: dict[Purpose, bytes]) -> dict[Purpose, bytes]:
    """Return the certificates in use, once none of those before is."""
    async with asyncio.timeout(PATIENCE_S):
        while any(keys.certificates()[each] == der for each, der in before.items()):  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    return keys.certificates()


async def ping(network) -> str:
    """Send a ping from the oblast; return its packet, delivered."""
    config = network.nodes[OBLAST].config_path
    sent = (await bbaj("ping", REPUBLIC, "--wait=30", "--json", config=config)).shape(Sending)
    assert sent.state == "delivered", sent
    assert sent.packet is not None
    return sent.packet


async def signer_of(watch: Watch, packet: str) -> str:
    """Return the certificate that a packet was sealed with, as it came."""
    (row,) = await watch.rows("SELECT head FROM packet WHERE id = $1", packet)
    head = unpack(row["head"])
    return decode_header(head[8 : 8 + int.from_bytes(head[6:8])]).certificate


async def test_short_lived_certificates_renew_over_the_broker(network, republic):
    """Packets flow under the next keys, past the end of the first, and through a new connection."""
    keys = KeyFolder(network.keys_of(OBLAST), OBLAST)
    first = keys.certificates()
    await network.start(REPUBLIC, OBLAST)
    second = await until_renewed(keys, first)
    ends = life_of_der(first[Purpose.PACKET]).until
    await asyncio.sleep(max(0, ends + SECOND - now()) / SECOND)
    packet = await ping(network)
    assert await signer_of(republic, packet) == fingerprint(second[Purpose.PACKET])

    await network.stop(OBLAST)  # signs its journal, and comes back with its new link certificate
    newest = "SELECT note FROM checkpoint ORDER BY size DESC LIMIT 1"
    (row,) = await Watch(network, OBLAST).rows(newest)
    name = row["note"].partition("\n")[0]
    assert open_note(row["note"], [vkey(name, keys.journal_signer().public_bytes)]).signatures
    await network.start(OBLAST)
    await ping(network)

    config = network.nodes[OBLAST].config_path
    asked = (await bbaj("keys", "renew", "--json", config=config)).shape(RenewalAsked)
    assert asked.purposes == ["packet", "journal", "link", "witness"]
    third = await until_renewed(keys, second)
    packet = await ping(network)
    assert await signer_of(republic, packet) == fingerprint(third[Purpose.PACKET])
    listed = (await bbaj("keys", "list", "--json", config=config)).shape(list[KeyLine])
    old = {line.id for line in listed if line.state == "old"}
    assert {fingerprint(der) for each in (first, second) for der in each.values()} <= old
    assert sum(line.purpose == "encryption" for line in listed) == 3
