"""Evidence of one packet of each flow: exported by a node, and checked by three that share nothing.

The first is `bbaj evidence verify`, the second `deploy/verify/`, the third the blocks of VERIFY.md
under stock tools. What they say goes into the summary, and what does not hold is a finding.
"""

import asyncio
import itertools
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from nodes.demo.book import REFUSED, Book, Dropped, packets_by_key, states_by_drop
from nodes.demo.commands import RUN, bbaj
from nodes.demo.measures import tree_path
from nodes.demo.messages import Plan, Proven
from nodes.demo.words import slug

VOUCHED_S = 60.0
"""So long are an export's leaves waited for to be cosigned, and stamped where nodes have that."""
AT_ONCE = 2
STAMPED_TIERS = ("republic", "oblast")
SECOND = Path(__file__).resolve().parents[2] / "deploy/verify/verify_evidence.py"
STOCK = "awk '/^```$/{on=0} on; /^```sh$/{on=1}' VERIFY.md | env -i PATH=/usr/bin:/bin sh -eu"


class Wanted(msgspec.Struct, frozen=True):
    """A packet to be proven, and the node that exports: the highest one on its way."""

    flow: str
    packet: str
    by: str

    @property
    def folder(self) -> str:
        """A folder's name for the flow."""
        return slug(self.flow)


class Held(msgspec.Struct, frozen=True):
    """What the three say of a folder; `second` is None where the file is not at hand."""

    packet: str
    by: str
    existed_by: str | None
    stamps: int
    cosigned: int
    bbaj: bool
    second: bool | None
    stock: bool

    @property
    def everybody(self) -> bool:
        """Whether nobody finds fault."""
        return self.bbaj and self.stock and self.second is not False


def wanted(book: Book, stores: Mapping[str, str]) -> list[Wanted]:
    """Return one packet of each flow whose end its sender has heard, or that has arrived.

    One that was refused is proven by its sender: who knows how far it came.
    """
    told, left = states_by_drop(book.told), packets_by_key(book.left)
    found: dict[str, Wanted] = {}
    for one in (*book.dropped, *book.expected):
        states = told.get((one.sender, one.drop_id), {})
        arrived = next(iter(left.get(one.key, [])), "")
        refused = states[REFUSED].packet if REFUSED in states else ""
        by = one.sender if not arrived else _highest(one, stores)
        if one.flow not in found and (arrived or refused) and by in stores:
            found[one.flow] = Wanted(one.flow, arrived or refused, by)
    return list(found.values())


def _highest(one: Dropped, stores: Mapping[str, str]) -> str:
    """Return the node on a document's way that is nearest to the root."""
    on_the_way = [each for each in tree_path(one.sender, one.recipient) if each in stores]
    return min(on_the_way, key=lambda address: address.count("."))


async def prove(
    plan: Plan, book: Book, tell: Callable[[Proven], None]
) -> tuple[dict[str, Any], list[str]]:
    """Export and check, telling of each; return figures for the summary, and findings."""
    few, done = asyncio.Semaphore(AT_ONCE), itertools.count(1)
    packets = wanted(book, plan.stores)

    async def one(each: Wanted) -> Held:
        async with few:
            found = await _prove(plan, each)
            tell(Proven(each.flow, found.everybody, next(done), len(packets)))
            return found

    held = dict(
        zip((each.flow for each in packets), await asyncio.gather(*map(one, packets)), strict=True)
    )
    findings = [
        f"evidence of {flow} ({each.packet}) does not hold: bbaj {each.bbaj}, "
        f"second verifier {each.second}, stock tools {each.stock}"
        for flow, each in held.items()
        if not each.everybody
    ]
    figures = {
        "folders": len(held),
        "bbaj": sum(each.bbaj for each in held.values()),
        "second": sum(each.second is True for each in held.values()),
        "stock": sum(each.stock for each in held.values()),
        "flows": {flow: msgspec.to_builtins(each) for flow, each in held.items()},
    }
    return figures, findings


async def _prove(plan: Plan, one: Wanted) -> Held:
    folder = Path(plan.folder) / "evidence" / one.folder
    file = await _export(plan, one, folder)
    judged = await _run(
        sys.executable, "-P", "-c", RUN, "evidence", "verify", str(folder), "--json"
    )
    second = await _run(sys.executable, str(SECOND), str(folder)) if SECOND.exists() else None
    stock = await _run("sh", "-c", STOCK, folder=folder)
    verdict = msgspec.json.decode(judged[1]) if judged[1] else {}
    return Held(
        packet=one.packet,
        by=one.by,
        existed_by=verdict.get("existed_by"),
        stamps=file["stamps"],
        cosigned=file["cosigned"],
        bbaj=judged[0] == 0,
        second=None if second is None else second[0] == 0,
        stock=stock[0] == 0 and stock[1].endswith(b"evidence: holds\n"),
    )


async def _export(plan: Plan, one: Wanted, folder: Path) -> dict[str, Any]:
    """Export until all that vouches for the packet has come, or time is up."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    stamped = plan.tiers[one.by] in STAMPED_TIERS
    until = asyncio.get_running_loop().time() + VOUCHED_S
    while True:
        draft = folder.with_name(f"{folder.name}-draft")
        config = plan.stores[one.by]
        words = ("evidence", "export", one.packet, "--to", str(draft), "--config", config)
        file: dict[str, Any] = await bbaj(*words)
        lacking = file["leaves"] - file["leaves_proven"] + file["leaves_uncosigned"]
        lacking += file["leaves_unstamped"] if stamped else 0
        if not lacking or asyncio.get_running_loop().time() > until:
            await asyncio.to_thread(draft.rename, folder)
            return file
        await asyncio.to_thread(shutil.rmtree, draft)


async def _run(*words: str, folder: Path | None = None) -> tuple[int, bytes]:
    """Run a program to its end; return exit code and output."""
    process = await asyncio.create_subprocess_exec(
        *words,
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out
