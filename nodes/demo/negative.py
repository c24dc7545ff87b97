"""`bbaj demo-negative`: the demo's judgement over a small network, once as it is, then sabotaged.

It passes only if the control run passes and each sabotage is found, named precisely, and nothing
else with it: a judgement that cannot fail proves nothing.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from nodes.cli.speaking import say
from nodes.demo import sabotage
from nodes.demo.messages import Judged, Send
from nodes.demo.network import DemoNetwork, Layout, demo_network
from nodes.demo.places import CITY, OBLAST, REPUBLIC, Flow
from nodes.demo.running import ended_by_signals, prepare_folder
from nodes.demo.story import LedgerProcess, ledger_process
from nodes.demo.view import View, open_view
from nodes.demo.words import name_of
from nodes.sandbox.network import NodeSpec
from schemas.documents.registry import ADMIN_ORDER, ATTENDANCE_DAILY

SYSTEM = "statistics"
LAYOUT = Layout(
    specs=(
        NodeSpec(REPUBLIC, systems=(SYSTEM,)),
        NodeSpec(OBLAST),
        NodeSpec(CITY, systems=("register",)),
    ),
    authorities=(REPUBLIC, OBLAST),
    share_broker=True,
)
FLOWS = (
    Flow("attendance, city to republic", CITY, REPUBLIC, ATTENDANCE_DAILY, 6, 0.2),
    Flow("order, republic to city", REPUBLIC, CITY, ADMIN_ORDER, 3, 0.4),
)
SETTLE_S = 60.0
SECOND_LOOK_S = 0.5
LEAVE_S = 6.0
"""Documents whose senders have heard of delivery have left their inbox by then, or never will."""


class Trial(msgspec.Struct, frozen=True):
    """One run: its name, what is done behind the program's back, and what must be found."""

    name: str
    act: Callable[[DemoNetwork, LedgerProcess], Awaitable[None]]
    finding: str
    """How each finding must begin; empty: there must be none."""


class Outcome(msgspec.Struct, frozen=True):
    """What a trial's judgement said."""

    passed: bool
    exit_code: int
    findings: list[str]
    as_it_must: bool


async def run_negative(folder: Path, console: Console) -> dict[str, Any]:
    """Run control and sabotages; return the outcome of each. Raises ServiceDown."""
    began = time.monotonic()
    prepare_folder(folder)
    outcomes: dict[str, Outcome] = {}
    async with ended_by_signals(), AsyncExitStack() as stack:
        with open_view(console) as view:
            network = await stack.enter_async_context(demo_network(LAYOUT, view, folder / "logs"))
            for trial in TRIALS:
                outcomes[trial.name] = await _run(trial, network, folder, view)
            if not all(each.as_it_must for each in outcomes.values()):
                network.keep_logs(folder / "logs")
            await stack.aclose()
    summary = {
        "passed": all(outcome.as_it_must for outcome in outcomes.values()),
        "took_s": round(time.monotonic() - began, 1),
        "trials": msgspec.to_builtins(outcomes),
    }
    encoded = msgspec.json.format(msgspec.json.encode(summary), indent=2)
    (folder / "summary.json").write_bytes(encoded + b"\n")
    _show(outcomes, summary, console)
    return summary


async def _run(trial: Trial, network: DemoNetwork, folder: Path, view: View) -> Outcome:
    view.say("demo.news.trial", trial=name_of("demo.trials", trial.name))
    own = folder / trial.name.replace(" ", "-")
    async with ledger_process(network, own, view, OBLAST) as ledger:
        await trial.act(network, ledger)
        judged = await ledger.judge([], {"trial": trial.name})
    outcome = Outcome(judged.passed, ledger.exit_code, judged.findings, _is_right(trial, judged))
    view.say(_said(passed=judged.passed), trial=name_of("demo.trials", trial.name))
    return outcome


def _is_right(trial: Trial, judged: Judged) -> bool:
    if not trial.finding:
        return judged.passed and not judged.findings
    precise = all(finding.startswith(trial.finding) for finding in judged.findings)
    return not judged.passed and bool(judged.findings) and precise


async def _leave_alone(_: DemoNetwork, ledger: LedgerProcess) -> None:
    async with _traffic(ledger):
        pass


async def _swallow(network: DemoNetwork, ledger: LedgerProcess) -> None:
    async with sabotage.first_in_line(network, REPUBLIC, SYSTEM) as taken, _traffic(ledger):
        await sabotage.swallow(taken)


async def _release_twice(network: DemoNetwork, ledger: LedgerProcess) -> None:
    async with sabotage.first_in_line(network, REPUBLIC, SYSTEM) as taken, _traffic(ledger):
        message = await sabotage.swallow(taken)
        await sabotage.release_twice(network, REPUBLIC, SYSTEM, message)


async def _delete(network: DemoNetwork, ledger: LedgerProcess) -> None:
    async with _traffic(ledger):
        pass
    await sabotage.delete_packet(network, OBLAST)


@asynccontextmanager
async def _traffic(ledger: LedgerProcess) -> AsyncIterator[None]:
    """Send the documents; on leaving the block, wait until they have arrived or never will."""
    for flow in FLOWS:
        await ledger.tell(Send(flow))
    yield
    await ledger.heard(SETTLE_S)
    with contextlib.suppress(TimeoutError):
        await ledger.settled(LEAVE_S)
    await asyncio.sleep(SECOND_LOOK_S)


TRIALS = (
    Trial("control", _leave_alone, ""),
    Trial("a delivery swallowed", _swallow, "lost: "),
    Trial("a release doubled", _release_twice, "doubled: "),
    Trial("a row deleted", _delete, f"store of {OBLAST}: "),
)
"""The deletion comes last: what it did stays found."""


def _show(outcomes: dict[str, Outcome], summary: dict[str, Any], console: Console) -> None:
    for name, outcome in outcomes.items():
        said = say(_said(passed=outcome.passed), trial=name_of("demo.trials", name))
        if not outcome.passed:
            said = say("demo.negative.exit-code", result=said, code=outcome.exit_code)
        console.print(Text(said, style="green" if outcome.as_it_must else "bold red"))
        for finding in outcome.findings[:5]:
            console.print(Text(f"    {finding}"), soft_wrap=True)
        if len(outcome.findings) > 5:
            console.print(f"    {say('demo.more', count=len(outcome.findings) - 5)}")
    passed = summary["passed"]
    found = say("demo.negative.all-found" if passed else "demo.negative.not-found")
    took = say("demo.took", seconds=f"{summary['took_s']:.0f}")
    verdict = say("demo.passed" if passed else "demo.failed", sum=f"{found}; {took}")
    console.print(Text(verdict, style="bold green" if passed else "bold red"))


def _said(*, passed: bool) -> str:
    """Return the key of what a judgement says."""
    return "demo.news.judged-passed" if passed else "demo.news.judged-failed"
