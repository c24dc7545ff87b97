"""One network for all scenarios of a run, set up where a test first asks for it."""

from collections.abc import AsyncIterator

import pytest

from faults.network import Struck, struck_network


@pytest.fixture(scope="session")
async def struck() -> AsyncIterator[Struck]:
    async with struck_network(on_disk=False) as struck:
        yield struck
