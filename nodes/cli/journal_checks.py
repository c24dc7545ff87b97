"""Whether somebody vouches for the node's journal, as `bbaj node check` and the doctor look."""

from collections.abc import AsyncIterator

from nodes.cli.journals import OLD_US, needed_witnesses, witness_wait
from nodes.cli.moments import duration
from nodes.cli.opening import reading
from nodes.cli.seen import Seen, fault, ok, warn
from nodes.clock import now
from nodes.config import Config
from nodes.said import Said, joined
from schemas.errors import BbajError
from schemas.moments import SECOND


async def check_witnesses(config: Config) -> AsyncIterator[Seen]:
    """See that enough witnesses have cosigned our newest checkpoints, or will have soon."""
    name = Said("checks.witnesses")
    try:
        async with reading(config) as desk:
            waits = await witness_wait(config, desk, now())
            rows = await desk.last_cosigned(desk.epoch)
    except BbajError as error:
        yield fault(name, error)
        return
    names = joined(sorted(row.witness for row in rows)) or Said("checks.found.nobody")
    if waits is None or waits < OLD_US:
        yield ok(name, Said("checks.found.cosigned", {"names": names}))
        return
    needed = needed_witnesses(config.address)
    who = Said("checks.found.its-uplink")
    if needed > 1:
        who = Said("checks.found.its-children", {"count": needed})
    facts = {"waits": duration(waits / SECOND), "who": who, "names": names}
    yield warn(name, Said("checks.found.not-cosigned", facts), Said("checks.advice.witnesses"))
