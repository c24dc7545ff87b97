"""A republic with its authority on line, an oblast, and the district that machines join.

kz ── kz.zhambyl ── kz.zhambyl.taraz ── school-1, school-2 ... as tests invite them
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harness.joining import Joiner
from harness.network import private_network
from harness.watch import Watch
from nodes.cli.invitation_shapes import InvitationMade
from nodes.sandbox.network import NodeSpec, PrivateNetwork

REPUBLIC, OBLAST, DISTRICT = "kz", "kz.zhambyl", "kz.zhambyl.taraz"


@pytest.fixture(scope="session")
async def network() -> AsyncIterator[PrivateNetwork]:
    specs = [NodeSpec(REPUBLIC), NodeSpec(OBLAST), NodeSpec(DISTRICT, systems=("sis-taraz",))]
    async with private_network(specs, on_line=[REPUBLIC], log_for=DISTRICT) as network:
        await network.start(REPUBLIC, OBLAST, DISTRICT)
        yield network


@pytest.fixture(scope="session")
def ready() -> list[InvitationMade]:
    """Invitations made beforehand; a test takes those it uses."""
    return []


@pytest.fixture
def joiner(network: PrivateNetwork, ready: list[InvitationMade], tmp_path: Path) -> Joiner:
    return Joiner(network, DISTRICT, tmp_path, ready)


@pytest.fixture
async def district(network: PrivateNetwork) -> AsyncIterator[Watch]:
    watch = Watch(network, DISTRICT)
    yield watch
    await watch.close()


@pytest.fixture
async def republic(network: PrivateNetwork) -> AsyncIterator[Watch]:
    watch = Watch(network, REPUBLIC)
    yield watch
    await watch.close()
