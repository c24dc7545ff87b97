"""Inflicts faults on a running network, and heals them."""

import asyncio
import os
import signal
from contextlib import suppress

from faults.network import Struck, superuser
from faults.plan import Fault
from faults.steps import DONE, ORDERED, STEPS
from nodes.errors import ServiceDown
from nodes.sandbox.network import RunningNode, database_name

REACHED_S = 10.0
"""A step that a daemon does not come to within so long is given up."""

_SESSIONS = """
SELECT pid FROM pg_stat_activity
WHERE datname = $1 AND pid <> pg_backend_pid() AND application_name LIKE $2
"""


class NotReachedError(Exception):
    """The daemon did not come to the step: nothing was struck."""


async def strike(struck: Struck, fault: Fault) -> None:
    """Inflict a fault and heal it. Raises NotReachedError; ServiceDown where nothing heals it."""
    match fault.kind:
        case "daemon":
            await _strike_daemon(struck, fault)
        case "database":
            await _strike_database(struck, fault)
        case "broker":
            await struck.brokers[fault.at].kill()
            await struck.brokers[fault.at].start()
        case "link":
            await _strike_line(struck, fault)


async def _strike_daemon(struck: Struck, fault: Fault) -> None:
    node = struck.network.nodes[fault.at]
    if not fault.step:
        await struck.network.kill(fault.at)
    elif not await _killed_at(struck, node, fault.step):
        raise NotReachedError(str(fault))
    await struck.network.start(fault.at)


async def _killed_at(struck: Struck, node: RunningNode, step: str) -> bool:
    """Have a daemon kill itself at a step; return whether it came there. It is dead only then."""
    done = node.folder / DONE
    done.unlink(missing_ok=True)
    draft = node.folder / f"{ORDERED}.new"
    draft.write_text(step, encoding="ascii")
    draft.replace(node.folder / ORDERED)
    if STEPS[step].at == "start":
        await struck.network.kill(node.address)
        with suppress(ServiceDown):  # it may die before it is ready
            await struck.network.start(node.address)
    assert node.process is not None, "it runs, or has died a moment ago"
    with suppress(TimeoutError):
        async with asyncio.timeout(REACHED_S):
            await node.process.wait()
    (node.folder / ORDERED).unlink(missing_ok=True)
    if not done.exists():
        return False
    await node.process.wait()
    node.process = None
    return True


async def _strike_database(struck: Struck, fault: Fault) -> None:
    postgres = struck.postgres
    match fault.way:
        case "server killed":
            await postgres.kill()
            await postgres.start()
        case "server stopped at once":
            await postgres.stop(at_once=True)
            await postgres.start()
        case "backend killed":
            for pid in await _sessions(struck, fault.at, "bbaj sequencer"):
                os.kill(pid, signal.SIGKILL)
        case _:
            await _sessions(struck, fault.at, "%", terminate=True)


async def _sessions(
    struck: Struck, address: str, name: str, *, terminate: bool = False
) -> list[int]:
    """Return the server processes of a node's sessions of a name; end them, where asked to."""
    connection = await superuser(struck)
    try:
        rows = await connection.fetch(_SESSIONS, database_name(address), name)
        if terminate:
            for row in rows:
                await connection.execute("SELECT pg_terminate_backend($1)", row["pid"])
        return [row["pid"] for row in rows]
    finally:
        await connection.close()


async def _strike_line(struck: Struck, fault: Fault) -> None:
    line = struck.lines[fault.at]
    match fault.way:
        case "cut":
            line.cut()
        case "frozen":
            line.freeze()
            await asyncio.sleep(fault.lasts_s)
            line.thaw()
        case "slowed":
            line.delay_s = fault.lasts_s / 4
            await asyncio.sleep(fault.lasts_s)
            line.delay_s = 0.0
        case "refused":
            line.refuses = True
            line.cut()
            await asyncio.sleep(fault.lasts_s)
            line.refuses = False
        case _:
            line.forsake()
