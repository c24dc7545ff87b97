"""The ledger: a process of its own that drops, takes out, keeps a book, and judges in the end.

It is told what to drop, never what should have happened. Commands come as JSON lines, events go
out as JSON lines; it ends with 0 only if its judgement finds nothing.

    python -P -c "from nodes.demo.ledger import main; main()" PLAN.json
"""

import asyncio
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import msgspec

from nodes.clock import now
from nodes.demo.book import Book, Dropped, Left, Told, tally
from nodes.demo.boxes import AmqpBox, LocalBox, RecordBox
from nodes.demo.documents import NOTICE_RETURNED, Prepared, prepare, prepare_notice
from nodes.demo.evidence import gather
from nodes.demo.judgement import (
    StoreReport,
    Verdict,
    judge_documents,
    judge_rogue,
    judge_stores,
)
from nodes.demo.measures import count_resent, tier_times
from nodes.demo.messages import (
    Command,
    Event,
    Expect,
    Judge,
    Judged,
    Plan,
    Progress,
    Return,
    Send,
)
from nodes.demo.printing import print_demo
from nodes.demo.proving import prove

TELL_EVERY_S = 0.25
LINE_BYTES_MAX = 4 * 1024 * 1024


class Ledger:
    """The book, the boxes, and what is still to be dropped."""

    def __init__(self, plan: Plan, record: TextIO) -> None:
        """Open a box for each local system; `record` takes the book, line by line."""
        self.plan = plan
        self.book = Book(dropped=[], left=[], told=[], expected=[])
        self._record = record
        self._planned: dict[str, int] = {}
        self._serial = now() // 1000
        self._moved = asyncio.Event()
        self._boxes: dict[str, LocalBox] = {
            box.address: RecordBox(box, self) if box.url is None else AmqpBox(box, self)
            for box in plan.boxes
        }

    # --- the book -----------------------------------------------------------------------------

    def leave(self, one: Left) -> None:
        """Note that a document left an inbox."""
        self.book.left.append(one)
        self._write("left", one)

    def tell(self, one: Told) -> None:
        """Note that a status event came."""
        self.book.told.append(one)
        self._write("told", one)

    def _write(self, what: str, one: msgspec.Struct) -> None:
        line = {"what": what, **msgspec.to_builtins(one)}
        self._record.write(msgspec.json.encode(line).decode() + "\n")
        self._moved.set()

    # --- what it does -------------------------------------------------------------------------

    async def run(self, commands: asyncio.StreamReader) -> int:
        """Obey until the judgement, or until whoever commands is gone."""
        async with asyncio.TaskGroup() as tasks:
            own = [tasks.create_task(box.run()) for box in self._boxes.values()]
            own.append(tasks.create_task(self._report()))
            code = 1
            while line := await commands.readline():
                command = msgspec.json.decode(line, type=Command)
                if isinstance(command, Judge):
                    code = await self._judge(command)
                    break
                own.append(tasks.create_task(self._obey(command)))
            for task in own:
                task.cancel()
        return code

    async def _obey(self, command: Send | Expect | Return) -> None:
        match command:
            case Send(flow=flow):
                self._planned[flow.name] = self._planned.get(flow.name, 0) + flow.count
                for _ in range(flow.count):
                    self._serial += 1
                    document = await asyncio.to_thread(
                        prepare, flow.type, flow.sender, self._serial
                    )
                    await self._drop(flow.name, flow.sender, flow.recipient, flow.type, document)
                    await asyncio.sleep(flow.every_s)
            case Expect():
                self._planned[command.flow] = self._planned.get(command.flow, 0) + 1
                expected = Dropped(
                    command.flow, command.sender, command.recipient, command.type,
                    command.sha256, drop_id="",
                )  # fmt: skip
                self.book.expected.append(expected)
                self._write("expected", expected)
            case Return(flow=name, of=of):
                self._planned[name] = 1
                first = await self._first_left(of)
                notice = prepare_notice(first.sender, first.packet, first.type)
                await self._drop(name, first.recipient, first.sender, NOTICE_RETURNED, notice)

    async def _drop(
        self, flow: str, sender: str, recipient: str, type_name: str, document: Prepared
    ) -> None:
        sha256 = hashlib.sha256(document.body).hexdigest()
        drop_id = f"demo-{sha256[:24]}"
        dropped = Dropped(flow, sender, recipient, type_name, sha256, drop_id)
        self.book.dropped.append(dropped)
        self._write("dropped", dropped)
        await self._boxes[sender].drop(drop_id, type_name, recipient, document)

    async def _first_left(self, flow: str) -> Left:
        while True:
            keys = {one.key for one in self.book.dropped if one.flow == flow}
            for one in self.book.left:
                if one.key in keys:
                    return one
            await asyncio.sleep(TELL_EVERY_S)

    async def _report(self) -> None:
        while True:
            await self._moved.wait()
            self._moved.clear()
            _say(Progress(tally(self.book, self._planned)))
            await asyncio.sleep(TELL_EVERY_S)

    # --- the judgement ------------------------------------------------------------------------

    async def _judge(self, command: Judge) -> int:
        reports = await gather(self.plan.stores)
        documents, stores = judge_documents(self.book), judge_stores(reports)
        documents.flows = tally(self.book, self._planned)
        count_resent(self.book, reports, documents.flows)
        rogue, findings = judge_rogue(command.rogue, reports, self.plan.district)
        for name, flow in documents.flows.items():
            if flow.dropped < flow.planned:
                findings.append(f"{name}: only {flow.dropped} of {flow.planned} were dropped")
        proven, unproven = await prove(self.plan, self.book, _say) if self.plan.proves else ({}, [])
        printed, unprinted = await print_demo(self.plan) if self.plan.proves else ({}, [])
        findings = [*documents.findings, *stores.findings, *findings, *unproven, *unprinted]
        summary = self._summary(reports, documents, stores, rogue, command.facts)
        summary["evidence"], summary["print"] = proven, printed
        summary["passed"], summary["findings"] = not findings, findings
        encoded = msgspec.json.format(msgspec.json.encode(summary), indent=2)
        (Path(self.plan.folder) / "summary.json").write_bytes(encoded + b"\n")
        _say(Judged(not findings, findings, summary))
        return 1 if findings else 0

    def _summary(
        self,
        reports: dict[str, StoreReport],
        documents: Verdict,
        stores: Verdict,
        rogue: dict[str, Any],
        facts: dict[str, Any],
    ) -> dict[str, Any]:
        return {
            "lost": documents.lost,
            "doubled": documents.doubled + stores.doubled,
            "undropped": documents.undropped,
            "encrypted": len(set().union(*(one.encrypted for one in reports.values()))),
            "stores_verified": not any(one.faults for one in reports.values()),
            "flows": {
                name: {
                    "dropped": flow.dropped,
                    "delivered": flow.delivered,
                    "refused": flow.refused,
                    "overdue": flow.overdue,
                    "resent": flow.resent,
                }
                for name, flow in documents.flows.items()
            },
            "rogue": rogue,
            "tiers": tier_times(self.book, reports, self.plan.tiers),
            "nodes": {
                address: {
                    "packets": one.packets,
                    "leaves": one.leaves,
                    "checkpoints": one.checkpoints,
                    "quarantined": len(one.quarantine),
                }
                for address, one in reports.items()
            },
            **facts,
        }


def _say(event: Event) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(event) + b"\n")
    sys.stdout.buffer.flush()


async def _commands() -> asyncio.StreamReader:
    reader = asyncio.StreamReader(LINE_BYTES_MAX)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def _run(plan: Plan, record: TextIO) -> int:
    return await Ledger(plan, record).run(await _commands())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run by a plan file."""
    path = (arguments or sys.argv[1:])[0]
    plan = msgspec.json.decode(Path(path).read_bytes(), type=Plan)
    folder = Path(plan.folder)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "ledger.jsonl").open("w", encoding="utf-8", buffering=1) as record:
        sys.exit(asyncio.run(_run(plan, record)))
