"""An authority's key is stolen: the root revokes it, and the next one certifies everybody anew."""

import asyncio
import itertools
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from exchange.jobs import Introduced
from harness.key_folders import make_key_folder
from harness.pki import DISTRICT, OBLAST, make_network
from harness.service_node import Node, new_link, new_record
from nodes.clock import now
from signing.authority import Issuer, der_of, issue_authority, issue_crl, issue_node
from signing.authority import Revoked as Entry
from signing.chain import Trusted, Untrusted
from signing.keys import fingerprint
from signing.profiles import Purpose

TOP = "kz"
WAY = (TOP, OBLAST, DISTRICT)
PATIENCE_S = 60.0

_numbers = itertools.count()


@pytest.fixture
def network():
    return make_network(WAY, now())


@pytest.fixture
async def nodes(server, network, tmp_path):
    made = {}
    for address in WAY:
        name = f"replacing_{next(_numbers)}"
        record = await new_record(server, name, address)
        made[address] = Node(address, network, tmp_path / name, record)
        made[address].keys = make_key_folder(network, address, tmp_path / f"keys-{address}")
    made[OBLAST].authority = network.authorities[OBLAST]
    return made


@asynccontextmanager
async def running(nodes, links):
    async with AsyncExitStack() as stack:
        for place, address in enumerate(WAY):
            ends = [links[each] for each in WAY[place : place + 2] if each != TOP]
            await stack.enter_async_context(nodes[address].live(*ends))
        yield


def replace(network):
    """Do as `bbaj ca authority --replace`: return the next authority and the root's list."""
    old = network.authorities[OBLAST]
    key = ec.generate_private_key(ec.SECP256R1())
    new = Issuer(issue_authority(network.root, OBLAST, key.public_key(), now()), key)
    revoked = [Entry(old.certificate.serial_number, now(), "keyCompromise")]
    return new, issue_crl(network.root, revoked, 1_000, now())


def in_use(node):
    return {purpose: fingerprint(der) for purpose, der in node.keys.certificates().items()}


async def until(condition):
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - folders and lists tell no events
            await asyncio.sleep(0.05)


def judged(node, name, address):
    trust, limits = node.service.state.gate.trust, node.service.state.rules.limits
    return trust.judge(name, address, Purpose.PACKET, now(), now(), limits)


async def logged(node):
    return {row.certificate for row in await node.archive.issued(OBLAST, 0, 1000)}


async def test_keys_that_were_asked_for_are_certified_anew(network, nodes):
    """All take new certificates for the keys they have; a thief's certificate is not made anew."""
    links = {child: new_link(child) for child in WAY[1:]}
    async with running(nodes, links):
        async with asyncio.timeout(PATIENCE_S):
            while len(await logged(nodes[DISTRICT])) < 8:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    before = {address: in_use(nodes[address]) for address in WAY}
    thief = ec.generate_private_key(ec.SECP256R1())
    stolen = issue_node(
        network.authorities[OBLAST], DISTRICT, Purpose.PACKET, thief.public_key(), now()
    )
    new, crl = replace(network)
    nodes[OBLAST].authority = new
    nodes[OBLAST].certificates = [*nodes[OBLAST].certificates, new.der]
    async with running(nodes, links):
        await nodes[TOP].service.submit(Introduced([new.der], [crl]))
        for address in (OBLAST, DISTRICT):
            node, old = nodes[address], before[address]
            await until(
                lambda node=node, old=old: not set(in_use(node).values()) & set(old.values())
            )
        assert in_use(nodes[TOP]) == before[TOP]
        names = in_use(nodes[DISTRICT])
        assert set(names) == set(before[DISTRICT])
        renewed = names[Purpose.PACKET]
        await until(lambda: isinstance(judged(nodes[TOP], renewed, DISTRICT), Trusted))
        nodes[TOP].service.state.gate.trust.add_certificates([der_of(stolen)])
        for name in (before[DISTRICT][Purpose.PACKET], fingerprint(der_of(stolen))):
            found = judged(nodes[TOP], name, DISTRICT)
            assert isinstance(found, Untrusted)
            assert found.reason == "key-revoked"
        rows = await nodes[OBLAST].archive.certified(DISTRICT)
        assert fingerprint(der_of(stolen)) not in {row.sha256.hex() for row in rows}
        assert "authority_replaced" in nodes[OBLAST].eyes.incidents
        (packet,) = await nodes[DISTRICT].drop(TOP, [1])
        await nodes[DISTRICT].until(DISTRICT, packet, "confirmed")
