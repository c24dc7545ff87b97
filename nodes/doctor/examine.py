"""`bbaj doctor`: looks at everything an operator may get wrong, and goes on behind a fault."""

from pathlib import Path

from nodes.cli import checks
from nodes.cli.registry_shapes import Examination
from nodes.cli.seen import Seen, fail, fault, ok
from nodes.config import Config, load_config
from nodes.doctor import brokers, clocks, files, machine, names, people, records, timestamps
from nodes.doctor.findings import Part, finding_of
from nodes.errors import ConfigurationFault, JudgementFailed
from nodes.said import Said
from schemas.errors import BbajError

PARTS: dict[str, Part] = {
    "doctor.files": files.examine,
    "doctor.names": names.examine,
    "doctor.clocks": clocks.examine,
    "doctor.records": records.examine,
    "doctor.timestamps": timestamps.examine,
    "doctor.brokers": brokers.examine,
    "doctor.people": people.examine,
    "doctor.machine": machine.examine,
}
"""What is looked at, each part by the name that an error in it goes under."""


async def examine(path: Path) -> Examination:
    """Return all that was found; a fault in the configuration leaves the rest unlooked at."""
    name = Said("checks.configuration")
    try:
        config = load_config(path)
    except ConfigurationFault as error:
        what_to_do = Said("doctor.advice.correct")
        faults = [finding_of(fail(name, each, what_to_do)) for each in error.faults]
        return Examination(address=None, healthy=False, findings=faults)
    seen = [ok(name, str(path))]
    for finder in checks.FINDERS:
        seen += [each async for each in finder(config)]
    for key, part in PARTS.items():
        seen += await _seen_by(part, Said(key), config)
    findings = [finding_of(each) for each in seen]
    healthy = all(each.state == "ok" for each in findings)
    return Examination(address=config.address, healthy=healthy, findings=findings)


async def _seen_by(part: Part, name: str, config: Config) -> list[Seen]:
    """Return what one part sees; an error of ours ends that part alone, and is a finding."""
    seen: list[Seen] = []
    try:
        async for each in part(config):
            seen.append(each)  # noqa: PERF401 - what came before the error counts
    except BbajError as error:
        seen.append(fault(name, error))
    return seen


def judge(found: Examination) -> None:
    """Raise JudgementFailed where there is a fault; warnings alone raise nothing."""
    faults = [each.name for each in found.findings if each.state == "fail"]
    if faults:
        raise JudgementFailed(f"{len(faults)} faults: {', '.join(faults)}")
