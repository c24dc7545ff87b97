"""The outcome as tables, and what to try next, in the language spoken here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from nodes.cli.speaking import say
from nodes.demo.documents import prepare
from nodes.demo.messages import Judged
from nodes.demo.network import DemoNetwork
from nodes.demo.places import DISTRICT, LEAF, OBLAST, REPUBLIC, SCHOOL
from nodes.demo.words import name_of, step_of
from schemas.documents.registry import ATTENDANCE_DAILY

FINDINGS_SHOWN = 30


def show(judged: Judged, console: Console) -> None:
    """Print flows, the rogue's frames, times, and the judgement."""
    summary = judged.summary
    console.print(_flows(summary["flows"]))
    if summary["rogue"]:
        console.print(_rogue(summary["rogue"]))
    if summary["tiers"]:
        console.print(_tiers(summary["tiers"]))
    console.print(_nodes(summary["nodes"]))
    _say_verdict(judged, console)


def _table(title: str, *heads: str) -> Table:
    title = say(f"demo.titles.{title}")
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for place, head in enumerate(heads):
        justify: JustifyMethod = "left" if place == 0 else "right"
        table.add_column(say(f"demo.columns.{head}"), justify=justify, no_wrap=place > 0)
    return table


def _flows(flows: Mapping[str, Any]) -> Table:
    table = _table("flows", "flow", "dropped", "delivered", "refused", "overdue", "resent")
    for name, flow in flows.items():
        refused = ", ".join(f"{count} {reason}" for reason, count in flow["refused"].items())
        counts = (flow["dropped"], flow["delivered"], refused or 0, flow["overdue"], flow["resent"])
        table.add_row(name_of("demo.flows", name), *map(str, counts))
    return table


def _rogue(rogue: Mapping[str, Any]) -> Table:
    table = _table("rogue", "case", "reason", "answer", "next-tier")
    for case, found in rogue.items():
        reached = say(
            "demo.rogue.reached" if found["reached_next_tier"] else "demo.rogue.not-reached"
        )
        reason = found["reason"] or say("demo.rogue.known", times=found.get("released", 0))
        answer = name_of("demo.answers", found["answer"] or "nothing")
        table.add_row(name_of("demo.cases", case), reason, answer, reached)
    return table


def _tiers(tiers: Mapping[str, Any]) -> Table:
    table = _table("steps", "step", "median", "p95", "documents")
    for step, times in tiers.items():
        values = (f"{times['median_ms']:,.0f}", f"{times['p95_ms']:,.0f}", f"{times['packets']}")
        table.add_row(step_of(step), *values)
    return table


def _nodes(nodes: Mapping[str, Any]) -> Table:
    table = _table("records", "node", "packets", "leaves", "checkpoints", "quarantined")
    for address, one in nodes.items():
        counts = (one["packets"], one["leaves"], one["checkpoints"], one["quarantined"])
        table.add_row(address, *map(str, counts))
    return table


def _say_verdict(judged: Judged, console: Console) -> None:
    summary = judged.summary
    console.print()
    for finding in judged.findings[:FINDINGS_SHOWN]:
        console.print(Text(say("demo.found", finding=finding), style="bold red"), soft_wrap=True)
    if len(judged.findings) > FINDINGS_SHOWN:
        console.print(say("demo.more", count=len(judged.findings) - FINDINGS_SHOWN))
    counts = {name: summary[name] for name in ("lost", "doubled", "undropped")}
    parts = (
        say("demo.counts", **counts),
        say("demo.verified" if summary["stores_verified"] else "demo.not-verified"),
        _evidence(summary["evidence"]),
        say("demo.took", seconds=f"{summary['took_s']:.0f}"),
    )
    key = "demo.passed" if judged.passed else "demo.failed"
    text = say(key, sum="; ".join(filter(None, parts)))
    console.print(Text(text, style="bold green" if judged.passed else "bold red"))


def _evidence(figures: Mapping[str, Any]) -> str:
    """Return how many evidence folders hold, and by whom; nothing where none was made."""
    if not figures:
        return ""
    by = {name: figures[name] for name in ("folders", "bbaj", "second", "stock")}
    return say("demo.proven" if len(set(by.values())) == 1 else "demo.not-proven", **by)


def show_what_next(folder: Path, console: Console) -> None:
    """Say what to look at and what to try."""
    console.print()
    files = {"summary": folder / "summary.json", "book": folder / "ledger.jsonl"}
    for line in (
        say("demo.next.figures", **files),
        say("demo.next.evidence", folder=folder / "evidence"),
        say("demo.next.print", folder=folder / "print"),
        say("demo.next.stay"),
        say("demo.next.negative"),
    ):
        console.print(Text(line), soft_wrap=True)


def show_what_to_try(network: DemoNetwork, folder: Path, console: Console) -> None:
    """Print commands for the network that stays up."""
    nodes = network.nodes.nodes
    sample = prepare(ATTENDANCE_DAILY, SCHOOL, 1)
    path = (folder / "attendance.json").resolve()
    path.write_bytes(sample.body)
    system = nodes[SCHOOL].spec.systems[0]
    url = network.url_of(SCHOOL, system)
    send = f"bbaj send {path} --type {ATTENDANCE_DAILY} --to {OBLAST} --period {sample.period}"
    headers = {"type": ATTENDANCE_DAILY, "to": OBLAST, "period": sample.period, "drop-id": "mine-1"}
    given = " ".join(f"-H '{name}: {value}'" for name, value in headers.items())
    publish = f"amqp-publish -u '{url}' -e outbound -r {system} -p -C application/json {given}"
    lines = (
        say("demo.next.stays"),
        "",
        f"  bbaj list --config {nodes[REPUBLIC].config_path}",
        f"  bbaj show {_some_packet(folder)} --config {nodes[OBLAST].config_path}",
        f"  bbaj quarantine list --config {nodes[DISTRICT].config_path}",
        f"  bbaj store verify --config {nodes[DISTRICT].config_path}",
        f"  {send} --wait --config {nodes[LEAF].config_path}",
        "",
        say("demo.next.any-client", school=SCHOOL),
        "",
        f"  {publish} < {path}",
        f"  amqp-get -u '{url}' -q status.{system}",
        "",
        say("demo.next.files", folder=network.folder / "nodes"),
    )
    console.print()
    for line in lines:
        console.print(Text(line), soft_wrap=True)


def _some_packet(folder: Path) -> str:
    """Return the id of a packet that reached the oblast, from the ledger's book."""
    for line in (folder / "ledger.jsonl").read_text(encoding="utf-8").splitlines():
        entry = msgspec.json.decode(line)
        if entry["what"] == "left" and entry["recipient"] == OBLAST:
            return str(entry["packet"])
    return "PACKET"
