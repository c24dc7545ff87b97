"""`bbaj revoke`: asks the authority through the daemon, waits for its answer, and hangs up.

The broker knows a revoked certificate by the lists that the daemon lays out for it. Connections
are closed once those are there, so that they do not begin anew.
"""

import asyncio

from nodes.broker_door import lists_of
from nodes.cli import children, describing
from nodes.cli.instructing import tell
from nodes.cli.moments import duration
from nodes.cli.opening import reading
from nodes.cli.registry_shapes import RevokingDone
from nodes.config import Config
from nodes.said import Said
from signing.keys import fingerprint, load_certificate

LISTS_S = 10.0
POLL_S = 0.1


def revoke(config: Config, what: str, reason: str, wait_s: float) -> RevokingDone:
    """Return what the authority has revoked. Raises UsageFault, NotDone and StillWaiting."""
    told = tell(config, "revoke", describing.revoke(what, reason), wait_s=wait_s)
    broker = [] if told.content["address"] == config.address else _shut_out(config, told.content)
    return RevokingDone(**told.content, at=told.at, instruction=told.id, broker=broker)


def _shut_out(config: Config, content: dict[str, str]) -> list[str]:
    """Hang up on a child once the broker would know its certificate as revoked."""
    are_there = asyncio.run(_wait_for_lists(config))
    done = children.cut(config, content["address"])
    late = Said("network.broker.late", {"span": duration(LISTS_S)})
    return done if are_there else [*done, late]


async def _wait_for_lists(config: Config) -> bool:
    """Wait until the broker's folder holds what the record does; True where it does."""
    root = fingerprint(load_certificate(config.keys.root))
    lists = lists_of(config, root)
    if lists is None:
        return True
    async with reading(config) as desk:
        recorded = [(row.issuer, row.der) for row in await desk.crls()]
    deadline = asyncio.get_running_loop().time() + LISTS_S
    while not lists.are_current(recorded):
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(POLL_S)
    return True
