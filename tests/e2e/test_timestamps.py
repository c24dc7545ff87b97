"""Time-stamps of a real node by a real authority, through the command and over a power cut.

kz, a republic without anybody below it
"""

import asyncio
import urllib.request

import pytest

from harness.cli_run import bbaj
from harness.network import private_network
from nodes.cli.stamping import StampLine, StampsDone
from nodes.sandbox.network import NodeSpec
from nodes.sandbox.timestamp_authority import TimestampAuthority

pytestmark = pytest.mark.slow

TOP = "kz"
PATIENCE_S = 30.0


@pytest.fixture(scope="module")
async def republic(tmp_path_factory):
    authority = TimestampAuthority(tmp_path_factory.mktemp("time"), "national")
    with authority.serving():
        async with private_network([NodeSpec(TOP, tier="republic")]) as network:
            node = network.nodes[TOP]
            lines = "\n".join(authority.config_lines(outside=True))
            with node.config_path.open("a", encoding="utf-8") as file:
                file.write(lines + "\n")
            await network.start(TOP)
            yield network


async def run(network, *words):
    return await bbaj(*words, "--json", config=network.nodes[TOP].config_path)


async def until_stamped(network, beyond=0):
    """Have the newest checkpoint stamped, once there is one of more than so many leaves."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            done = await run(network, "journal", "stamp")
            if done.code == 0 and done.read(StampsDone).stamps[0].size > beyond:
                return done.read(StampsDone)
            await asyncio.sleep(0.5)


def metrics(network):
    url = f"http://127.0.0.1:{network.nodes[TOP].http_port}/metrics"
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode()


async def test_stamped_listed_and_renewed_by_command(republic):
    """`journal stamp`, `stamps` and `renew --hash`; what is in the record survives a power cut."""
    done = await until_stamped(republic)
    assert [each.authority for each in done.stamps] == ["national"]
    assert (done.failed, done.due) == ({}, {})
    renewed = (await run(republic, "journal", "renew", "--hash")).read(StampsDone)
    assert [each.hash for each in renewed.stamps] == ["sha-256", "sha-512"]
    await republic.kill(TOP)
    await republic.start(TOP)
    await until_stamped(republic, done.stamps[0].size + len(renewed.stamps))
    lines = (await run(republic, "journal", "stamps")).read(list[StampLine])
    assert {line.hash for line in lines} == {"sha-256", "sha-512"}
    assert {line.ends_by for line in lines} == {"certificate"}
    assert lines[-1].renewed_by == "national"
    assert lines[0].renewed_by is None
    text = await asyncio.to_thread(metrics, republic)
    assert 'bbaj_timestamp_age_seconds{authority="national"}' in text
    assert "bbaj_timestamp_outside_missing 0.0" in text
