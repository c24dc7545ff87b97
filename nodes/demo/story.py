"""What happens in the demo, in order: a school day with a cut line, a crash, a restart, a rogue."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from nodes.demo.beside import beside
from nodes.demo.commands import bbaj
from nodes.demo.messages import (
    Command,
    Event,
    Expect,
    Judge,
    Judged,
    Plan,
    Progress,
    Proven,
    Return,
    RogueCase,
    Send,
    Tally,
)
from nodes.demo.misdeeds import Misdeeds, rogue_link
from nodes.demo.network import DemoNetwork
from nodes.demo.places import (
    DISTRICT,
    FLOWS,
    LEAF,
    OBLAST,
    REINSTATED,
    RETURNED,
    ROGUE,
    SCHOOL,
    TIERS,
    WHILE_SUSPENDED,
)
from nodes.demo.view import View, sum_up
from nodes.demo.words import name_of
from nodes.errors import JudgementFailed

SETTLE_S = 120.0
JUDGE_S = 600.0
RENEW_S = 60.0
SUSPENDED_S = 60.0
LINE_BYTES_MAX = 4 * 1024 * 1024
RUN = "from nodes.demo.ledger import main; main()"


class LedgerProcess:
    """The ledger at the other end of a pipe."""

    def __init__(self, process: asyncio.subprocess.Process, view: View) -> None:
        """Speak to a running ledger."""
        self.flows: Mapping[str, Tally] = {}
        self.exit_code = -1
        self._process = process
        self._named: set[str] = set()
        """Flows that it was told of; it says so itself a moment later."""
        self._view = view
        self._judged: Judged | None = None
        self._moved = asyncio.Event()
        self._ended = asyncio.Event()

    async def listen(self) -> None:
        """Take its events until it ends. Raises JudgementFailed where it ends without judging."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            event: Event = msgspec.json.decode(line, type=Event)
            if isinstance(event, Progress):
                self.flows = event.flows
                self._view.flows(event.flows)
            elif isinstance(event, Proven):
                self._prove(event)
            else:
                self._judged = event
            self._moved.set()
        if self._judged is None:
            raise JudgementFailed("the ledger process ended before its judgement: see its log")
        self._ended.set()

    def _prove(self, event: Proven) -> None:
        key = "demo.news.proven" if event.holds else "demo.news.disproven"
        flow = name_of("demo.flows", event.flow)
        self._view.say(key, done=event.done, planned=event.planned, flow=flow)

    async def tell(self, command: Command) -> None:
        """Give a command."""
        match command:
            case Send(flow=flow):
                self._named.add(flow.name)
            case Expect(flow=name) | Return(flow=name):
                self._named.add(name)
            case Judge():
                pass
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(command) + b"\n")
        await self._process.stdin.drain()

    async def settled(self, timeout_s: float) -> bool:
        """Wait until every flow has ended; say whether it did in time."""
        return await self._until(lambda flow: flow.settled, timeout_s)

    async def heard(self, timeout_s: float) -> bool:
        """Wait until every sender has heard the end of what it dropped; say whether in time."""
        return await self._until(lambda flow: flow.told >= flow.planned, timeout_s)

    async def _until(self, holds: Callable[[Tally], bool], timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                while not (
                    self._named <= self.flows.keys() and all(map(holds, self.flows.values()))
                ):
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            return False
        return True

    async def judge(self, rogue: list[RogueCase], facts: dict[str, Any]) -> Judged:
        """Have it judge. Raises JudgementFailed where it ends without a word."""
        await self.tell(Judge(rogue, facts))
        async with asyncio.timeout(JUDGE_S):
            self.exit_code = await self._process.wait()
            await self._ended.wait()
        assert self._judged is not None, "listen has raised else"
        if (self.exit_code == 0) != self._judged.passed:
            raise JudgementFailed(f"the ledger ended with {self.exit_code} against its judgement")
        return self._judged


@asynccontextmanager
async def ledger_process(
    network: DemoNetwork, folder: Path, view: View, district: str, *, proves: bool = False
) -> AsyncIterator[LedgerProcess]:
    """Run a ledger for a network while the block runs; `proves`: its judgement takes evidence."""
    plan = Plan(
        boxes=network.boxes(),
        stores={node.address: str(node.config_path) for node in network.in_order()},
        tiers=TIERS,
        district=district,
        folder=str(folder),
        proves=proves,
    )
    path = network.folder / "plan.json"
    path.touch(mode=0o600)
    path.write_bytes(msgspec.json.encode(plan))
    with (network.folder / "ledger.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-c", RUN, str(path),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log,
            start_new_session=True, limit=LINE_BYTES_MAX,
        )  # fmt: skip
    ledger = LedgerProcess(process, view)
    try:
        async with beside(ledger.listen()):
            yield ledger
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


class Story:
    """The demo's events over a running network."""

    def __init__(self, network: DemoNetwork, ledger: LedgerProcess, view: View) -> None:
        """Act on the network, and tell."""
        self._network = network
        self._ledger = ledger
        self._view = view
        self.rogue: list[RogueCase] = []
        self.suspended: list[str] = []
        self.renewed: list[str] = []
        """Purposes of the keys that were renewed."""

    async def tell(self) -> bool:
        """Run the whole story; say whether everything settled in time."""
        self._view.say("demo.news.day")
        for flow in FLOWS:
            await self._ledger.tell(Send(flow))
        await asyncio.sleep(5)
        await self._cut_school_off()
        await self._kill_district()
        await self._restart_broker()
        await self._let_school_in()
        await self._renew_keys()
        await self._ledger.tell(Return(RETURNED, FLOWS[0].name))
        await self._meet_rogue()
        self._view.say("demo.news.waiting")
        done = await self._ledger.settled(SETTLE_S) and await self._suspend_leaf()
        self._view.say("demo.sum", **sum_up(self._ledger.flows))
        return done

    async def _renew_keys(self) -> None:
        """Have a school renew its keys while its documents flow."""
        config = self._config_of(SCHOOL)
        self._view.say("demo.news.renews", address=SCHOOL)
        before = await self._keys_in_use(config)
        asked = await bbaj("keys", "renew", "--config", config)
        purposes = {str(each) for each in asked["purposes"]}
        async with asyncio.timeout(RENEW_S):
            while purposes & {  # noqa: ASYNC110 - polls a command
                each for each, _ in before & await self._keys_in_use(config)
            }:
                await asyncio.sleep(0.5)
        self.renewed = sorted(purposes)

    @staticmethod
    async def _keys_in_use(config: str) -> set[tuple[str, str]]:
        lines = await bbaj("keys", "list", "--config", config)
        return {(each["purpose"], each["id"]) for each in lines if each["state"] == "in use"}

    async def _suspend_leaf(self) -> bool:
        """Suspend a school, see its document refused, and let it in again; say whether in time."""
        config = self._config_of(DISTRICT)
        await bbaj("child", "suspend", LEAF, "--config", config)
        self.suspended.append(LEAF)
        self._view.node(LEAF, "suspended")
        await self._ledger.tell(Send(WHILE_SUSPENDED))
        refused = await self._ledger.settled(SUSPENDED_S)
        await bbaj("child", "reinstate", LEAF, "--config", config)
        self._view.node(LEAF, "up")
        await self._ledger.tell(Send(REINSTATED))
        return refused and await self._ledger.settled(SUSPENDED_S)

    def _config_of(self, address: str) -> str:
        return str(self._network.nodes.nodes[address].config_path)

    async def _cut_school_off(self) -> None:
        self._network.proxies[SCHOOL].cut()
        self._view.node(SCHOOL, "cut-off")
        await asyncio.sleep(3)

    async def _let_school_in(self) -> None:
        self._network.proxies[SCHOOL].restore()
        self._view.say("demo.news.back", address=SCHOOL)
        self._view.node(SCHOOL, "up")
        await asyncio.sleep(1)

    async def _kill_district(self) -> None:
        await self._network.nodes.kill(DISTRICT)
        self._view.node(DISTRICT, "killed")
        await asyncio.sleep(3)
        self._view.say("demo.news.daemon-again", address=DISTRICT)
        await self._network.nodes.start(DISTRICT)
        self._view.node(DISTRICT, "up")

    async def _restart_broker(self) -> None:
        self._view.node(OBLAST, "broker-restarts")
        await self._network.brokers[OBLAST].restart()
        self._view.say("demo.news.broker-back", address=OBLAST)
        self._view.node(OBLAST, "up")
        await asyncio.sleep(2)

    async def _meet_rogue(self) -> None:
        async def expect(one: Expect) -> None:
            await self._ledger.tell(one)

        self._view.node(ROGUE, "rogue-here")
        async with rogue_link(self._network) as rogue:
            misdeeds = Misdeeds(self._network, rogue, self._view, expect)
            self.rogue = await misdeeds.commit()
        self._view.node(ROGUE, "rogue-gone")
