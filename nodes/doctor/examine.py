"""`bbaj doctor`: looks at everything an operator may get wrong, and goes on behind a fault."""

from pathlib import Path

from nodes.cli import checks
from nodes.cli.registry_shapes import Examination, Finding
from nodes.config import Config, load_config
from nodes.doctor import brokers, clocks, files, machine, names, people, records, timestamps
from nodes.doctor.findings import Part, fail, fault, of_check, ok
from nodes.errors import ConfigurationFault, JudgementFailed
from schemas.errors import BbajError

PARTS: tuple[Part, ...] = (
    files.examine,
    names.examine,
    clocks.examine,
    records.examine,
    timestamps.examine,
    brokers.examine,
    people.examine,
    machine.examine,
)


async def examine(path: Path) -> Examination:
    """Return all that was found; a fault in the configuration leaves the rest unlooked at."""
    try:
        config = load_config(path)
    except ConfigurationFault as error:
        faults = [fail("configuration", each, "correct it") for each in error.faults]
        return Examination(address=None, healthy=False, findings=faults)
    findings = [ok("configuration", str(path))]
    for finder in checks.FINDERS:
        findings += [of_check(check) async for check in finder(config)]
    for part in PARTS:
        findings += await _findings_of(part, config)
    healthy = all(each.state == "ok" for each in findings)
    return Examination(address=config.address, healthy=healthy, findings=findings)


async def _findings_of(part: Part, config: Config) -> list[Finding]:
    """Return what one part finds; an error of ours ends that part alone, and is a finding."""
    found: list[Finding] = []
    try:
        async for each in part(config):
            found.append(each)  # noqa: PERF401 - what came before the error counts
    except BbajError as error:
        found.append(fault(part.__module__.rpartition(".")[2], error))
    return found


def judge(found: Examination) -> None:
    """Raise JudgementFailed where there is a fault; warnings alone raise nothing."""
    faults = [each.name for each in found.findings if each.state == "fail"]
    if faults:
        raise JudgementFailed(f"{len(faults)} faults: {', '.join(faults)}")
