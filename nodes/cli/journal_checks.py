"""Whether somebody vouches for the node's journal, as `bbaj node check` and the doctor look."""

from collections.abc import AsyncIterator

from nodes.cli.journals import OLD_US, needed_witnesses, witness_wait
from nodes.cli.moments import duration
from nodes.cli.opening import reading
from nodes.cli.shapes import Check
from nodes.clock import now
from nodes.config import Config
from schemas.errors import BbajError
from schemas.moments import SECOND

NAME = "witnesses"


async def check_witnesses(config: Config) -> AsyncIterator[Check]:
    """See that enough witnesses have cosigned our newest checkpoints, or will have soon."""
    try:
        async with reading(config) as desk:
            waits = await witness_wait(config, desk, now())
            rows = await desk.last_cosigned(desk.epoch)
    except BbajError as error:
        yield Check(name=NAME, state="fault", detail=" ".join(str(error).split()))
        return
    names = ", ".join(sorted(row.witness for row in rows)) or "nobody"
    if waits is None or waits < OLD_US:
        yield Check(name=NAME, state="ok", detail=f"cosigned by {names}")
        return
    needed = needed_witnesses(config.address)
    who = "its uplink" if needed == 1 else f"{needed} of its children"
    what = (
        f"a checkpoint has waited {duration(waits / SECOND)} for {who}, cosigned by {names}: see "
        "`bbaj link list` and `bbaj incidents`; a witness needs a witness certificate"
    )
    yield Check(name=NAME, state="warning", detail=what)
