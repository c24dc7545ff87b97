"""How long joining takes, and that it takes no longer where many have joined before."""

import statistics
import time

import pytest

from harness.joining import Joiner, send
from harness.network import private_network
from nodes.cli import admitting, inviting
from nodes.cli.inviting import Wish
from nodes.config import load_config
from nodes.join_folder import Settings
from nodes.sandbox.network import NodeSpec

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

REPUBLIC, OBLAST, DISTRICT = "kz", "kz.zhambyl", "kz.zhambyl.taraz"
DEFAULT_SWEEP = {"sweep_every_us": 5_000_000}
SCHOOLS, INVITED_AT_ONCE = 200, 10
FLAT = 1.5


@pytest.fixture(scope="module")
async def network():
    """Run a district whose authority is two tiers up, at the pace of a real one."""
    specs = [NodeSpec(REPUBLIC), NodeSpec(OBLAST), NodeSpec(DISTRICT, systems=("sis-taraz",))]
    async with private_network(
        specs, on_line=[REPUBLIC], limits=DEFAULT_SWEEP, on_disk=True
    ) as network:
        await network.start(REPUBLIC, OBLAST, DISTRICT)
        yield network


async def test_from_join_to_the_first_delivered_packet(network, tmp_path):
    """From `bbaj join` to the first packet delivered it takes less than 10 s."""
    joiner = Joiner(network, DISTRICT, tmp_path, [])
    [made] = await joiner.invite(joiner.address())
    machine = await joiner.machine(made.address, made.text)
    began = time.monotonic()
    done = await machine.join()
    assert done.code == 0, done.err
    async with machine.running():
        sent = await send(machine, DISTRICT)
        took_s = time.monotonic() - began
    assert sent.state in {"delivered", "closed"}
    assert took_s < 10


async def test_two_hundred_schools_in_a_row(network, tmp_path):
    """With 200 schools in a row, the last ones are invited and join as fast as the first."""
    config = load_config(network.nodes[DISTRICT].config_path)
    settings = Settings(database_url="postgresql://daemon@127.0.0.1/none", http_port=0)
    invited_s, joined_s = [], []
    for batch in range(SCHOOLS // INVITED_AT_ONCE):
        names = tuple(f"{DISTRICT}.row-{batch}-{each}" for each in range(INVITED_AT_ONCE))
        began = time.monotonic()
        invitations = await inviting.invite(config, Wish(addresses=names, tier="school"), 60)
        invited_s.append((time.monotonic() - began) / INVITED_AT_ONCE)
        for made in invitations:
            began = time.monotonic()
            done = await admitting.admit(
                made.text,
                tmp_path / made.address,
                settings,
                root_sha256=None,
                wait_s=60,
                say=lambda _: None,
            )
            joined_s.append(time.monotonic() - began)
            assert done.address == made.address
    assert len(joined_s) == SCHOOLS
    for name, times in (("invited", invited_s), ("joined", joined_s)):
        quarter = len(times) // 4
        first, last = statistics.median(times[:quarter]), statistics.median(times[-quarter:])

        assert last < FLAT * first + 0.05, name
