"""`bbaj demo`: sets the network up, runs the story, has it judged, and shows the outcome."""

import asyncio
import contextlib
import shutil
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from rich.console import Console

from nodes.cli.speaking import say
from nodes.demo import places
from nodes.demo.joining import join
from nodes.demo.messages import Judged
from nodes.demo.network import DemoNetwork, Layout, demo_network, start_daemons
from nodes.demo.outcome import show, show_what_next, show_what_to_try
from nodes.demo.story import Story, ledger_process
from nodes.demo.view import View, open_view
from nodes.sandbox.network import NodeSpec
from schemas.reasons import Reason

LAYOUT = Layout(
    specs=places.SPECS,
    authorities=places.AUTHORITIES,
    also_children=(places.ROGUE,),
    joining=places.JOINING,
    cuttable=(places.SCHOOL,),
)
FAULTS = (
    "a school was cut off the net and kept dropping",
    "the district's daemon was killed with SIGKILL and started again",
    "the oblast's broker was restarted while traffic flowed",
    "a rogue child with a valid login sent bad frames",
    "a school renewed its keys while its documents flowed",
    "a school was suspended, and reinstated",
)


async def run_demo(folder: Path, console: Console, *, stay: bool) -> Judged:
    """Run the demo; its summary and book go to `folder`. Raises ServiceDown.

    With `stay` the network stays up after the judgement, until a signal ends it.
    """
    began = time.monotonic()
    prepare_folder(folder)
    async with ended_by_signals(), AsyncExitStack() as stack:
        with open_view(console) as view:
            view.say("demo.news.begin")
            network = await stack.enter_async_context(demo_network(LAYOUT, view, folder / "logs"))
            judged = await _tell_and_judge(network, folder, view, began)
            if not judged.passed:
                network.keep_logs(folder / "logs")
            if not stay:
                await stack.aclose()
        show(judged, console)
        if stay:
            show_what_to_try(network, folder, console)
            await until_signal()
            if console.is_terminal:  # the live view has ended, and says no more
                console.print(say("demo.news.down"))
        else:
            show_what_next(folder, console)
    return judged


def prepare_folder(folder: Path) -> None:
    """Make the folder, and take out what an earlier run said."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "summary.json").unlink(missing_ok=True)
    for name in ("logs", "evidence", "print"):
        shutil.rmtree(folder / name, ignore_errors=True)


async def _join_all(network: DemoNetwork, view: View) -> dict[str, float]:
    """Let the schools join, and start them; return how long each took (s)."""

    async def admit(spec: NodeSpec) -> float:
        view.node(spec.address, "joining")
        took_s = await join(network, spec)
        await start_daemons(network, [spec], view)
        return took_s

    joining = [spec for spec in LAYOUT.specs if spec.address in LAYOUT.joining]
    took = await asyncio.gather(*map(admit, joining))
    return {spec.address: took_s for spec, took_s in zip(joining, took, strict=True)}


async def _tell_and_judge(network: DemoNetwork, folder: Path, view: View, began: float) -> Judged:
    joined = await _join_all(network, view)
    set_up_s = round(time.monotonic() - began, 1)
    async with ledger_process(network, folder, view, places.DISTRICT, proves=True) as ledger:
        story = Story(network, ledger, view)
        settled = await story.tell()
        view.say("demo.news.judging")
        facts = {
            "settled": settled,
            "joined": len(joined),
            "joining_s": joined,
            "suspended": len(story.suspended),
            "renewed": len(story.renewed),
            "revoked": sum(case.reason == Reason.KEY_REVOKED for case in story.rogue),
            "set_up_s": set_up_s,
            "took_s": round(time.monotonic() - began, 1),
            "faults": list(FAULTS),
        }
        return await ledger.judge(story.rogue, facts)


@asynccontextmanager
async def ended_by_signals() -> AsyncIterator[None]:
    """Cancel this task at the first signal to end, so that the network comes down whole."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def end() -> None:
        for number in numbers:
            loop.add_signal_handler(number, lambda: None)
        task.cancel()

    for number in numbers:
        loop.add_signal_handler(number, end)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


async def until_signal() -> None:
    """Wait for the signal that ends the program, and take it as meant."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    task = asyncio.current_task()
    assert task is not None
    task.uncancel()
