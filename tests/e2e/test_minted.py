"""A key minted behind a school's back, over real daemons: the school finds it, and all above hear.

kz ── kz.akmola ── kz.akmola.burabay ── kz.akmola.burabay.school-7

The oblast's authority stands on line at its node; it is the oblast that is dishonest.
"""

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from harness.network import private_network
from harness.watch import Watch
from nodes.authority_files import pem_of
from nodes.clock import now
from nodes.keyring import GIVEN
from nodes.sandbox.network import NodeSpec
from schemas.objects import cut_object
from signing.authority import der_of, issue_node, load_issuer
from signing.keys import load_certificate
from signing.profiles import Purpose

pytestmark = pytest.mark.slow

TOP, OBLAST = "kz", "kz.akmola"
DISTRICT, SCHOOL = "kz.akmola.burabay", "kz.akmola.burabay.school-7"
WAY = (TOP, OBLAST, DISTRICT, SCHOOL)
PATIENCE_S = 60.0
COVERS_MINTED = """
SELECT c.witness FROM issued_cosignature AS c JOIN issued AS i ON i.authority = c.authority
WHERE c.authority = $1 AND i.certificate = $2 AND c.size > i.index ORDER BY c.size LIMIT 1
"""


@pytest.fixture(autouse=True)
def hang_up():
    """Stand in for that of all other tests here: their network need not be up for this one."""


@pytest.fixture(scope="module")
async def network():
    specs = [NodeSpec(address) for address in WAY]
    async with private_network(specs, authorities=(TOP, OBLAST)) as network:
        network.put_on_line(OBLAST)
        await network.start(*WAY)
        yield network


@pytest.fixture(scope="module")
async def eyes(network):
    eyes = {address: Watch(network, address) for address in WAY}
    yield eyes
    for each in eyes.values():
        await each.close()


async def logged(watch):
    """Return the certificates (SHA-256) in the oblast's log as a node holds it."""
    query = "SELECT certificate FROM issued WHERE authority = $1 ORDER BY index"
    return [row["certificate"] for row in await watch.rows(query, OBLAST)]


async def incidents(watch, kind):
    return await watch.rows("SELECT * FROM incident WHERE kind = $1", kind)


def mint(network):
    """Let the oblast certify a key of its own in the school's name, and bring it into its log."""
    keys = network.keys_of(OBLAST)
    issuer = load_issuer(keys / "authority.key", keys / "authority.pem")
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = issue_node(issuer, SCHOOL, Purpose.PACKET, key.public_key(), now())
    (keys / GIVEN / "minted.pem").write_bytes(pem_of(certificate))
    return der_of(certificate)


async def test_the_school_finds_a_key_minted_behind_its_back(network, eyes):
    """Nobody tells the school; it reads its oblast's log, and everybody above it is told."""
    own = hashlib.sha256(load_certificate(network.keys_of(SCHOOL) / "packet.pem")).digest()

    async def has_own():
        return own in await logged(eyes[SCHOOL])

    await eyes[SCHOOL].until(has_own, PATIENCE_S)
    assert await incidents(eyes[SCHOOL], "certificate_unasked") == []
    await network.stop(OBLAST)
    minted = mint(network)
    await network.start(OBLAST)
    for address in WAY[::-1]:

        async def told(watch=eyes[address]):
            return await incidents(watch, "certificate_unasked")

        (found,) = await eyes[address].until(told, PATIENCE_S)
        assert hashlib.sha256(minted).hexdigest() in found["detail"]
    (alarm,) = await eyes[TOP].rows("SELECT * FROM alarm")
    assert (alarm["issuer"], alarm["authority"]) == (SCHOOL, OBLAST)
    assert cut_object(alarm["object"]).body == minted

    async def is_cosigned(watch=eyes[SCHOOL]):
        return await watch.rows(COVERS_MINTED, OBLAST, hashlib.sha256(minted).digest())

    (covered,) = await eyes[SCHOOL].until(is_cosigned, PATIENCE_S)
    assert covered["witness"] == TOP
