"""`bbaj node check`: looks at everything that the daemon needs, and goes on behind a fault."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

from nodes.cli.journal_checks import check_witnesses
from nodes.cli.key_checks import check_certificates, check_keys
from nodes.cli.seen import Seen, ok
from nodes.cli.service_checks import check_broker, check_daemon, check_record
from nodes.cli.shapes import Check, NodeCheck
from nodes.config import Config, load_config
from nodes.errors import ConfigurationFault, JudgementFailed
from nodes.said import Said

Finder = Callable[[Config], AsyncIterator[Seen]]

FINDERS: tuple[Finder, ...] = (
    check_keys,
    check_certificates,
    check_record,
    check_witnesses,
    check_broker,
    check_daemon,
)


async def check_node(path: Path) -> NodeCheck:
    """Return what was found; a fault in the configuration leaves the rest unlooked at."""
    name = Said("checks.configuration")
    try:
        config = load_config(path)
    except ConfigurationFault as error:
        faults = [Check(name=name, state="fault", detail=fault) for fault in error.faults]
        return NodeCheck(address=None, holds=False, checks=faults)
    found = [_check(ok(name, str(path)))]
    for finder in FINDERS:
        found += [_check(seen) async for seen in finder(config)]
    holds = all(check.state != "fault" for check in found)
    return NodeCheck(address=config.address, holds=holds, checks=found)


def judge(found: NodeCheck) -> None:
    """Raise JudgementFailed where there is a fault."""
    faults = sum(check.state == "fault" for check in found.checks)
    if faults:
        raise JudgementFailed(f"{faults} faults: correct what the table names")


def _check(seen: Seen) -> Check:
    return Check(name=seen.name, state=seen.state, detail=seen.detail)
