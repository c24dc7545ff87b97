"""The outcome as tables, and what to try next."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nodes.demo.documents import prepare
from nodes.demo.messages import Judged
from nodes.demo.network import DemoNetwork
from nodes.demo.places import DISTRICT, LEAF, OBLAST, REPUBLIC, SCHOOL
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
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for place, head in enumerate(heads):
        table.add_column(head, justify="left" if place == 0 else "right", no_wrap=place > 0)
    return table


def _flows(flows: Mapping[str, Any]) -> Table:
    table = _table("Documents", "flow", "dropped", "delivered", "refused", "overdue", "resent")
    for name, flow in flows.items():
        refused = ", ".join(f"{count} {reason}" for reason, count in flow["refused"].items())
        counts = (flow["dropped"], flow["delivered"], refused or 0, flow["overdue"], flow["resent"])
        table.add_row(name, *map(str, counts))
    return table


def _rogue(rogue: Mapping[str, Any]) -> Table:
    table = _table("The rogue's frames", "case", "quarantined as", "answered by", "next tier")
    for case, found in rogue.items():
        reached = "reached" if found["reached_next_tier"] else "not reached"
        reason = found["reason"] or f"known: released {found.get('released', 0)} time"
        table.add_row(case, reason, found["answer"] or "nothing", reached)
    return table


def _tiers(tiers: Mapping[str, Any]) -> Table:
    table = _table("Time for each step (ms)", "step", "median", "95 %", "documents")
    for step, times in tiers.items():
        values = (f"{times['median_ms']:,.0f}", f"{times['p95_ms']:,.0f}", f"{times['packets']}")
        table.add_row(step, *values)
    return table


def _nodes(nodes: Mapping[str, Any]) -> Table:
    table = _table("Records", "node", "packets", "leaves", "checkpoints", "quarantined")
    for address, one in nodes.items():
        counts = (one["packets"], one["leaves"], one["checkpoints"], one["quarantined"])
        table.add_row(address, *map(str, counts))
    return table


def _say_verdict(judged: Judged, console: Console) -> None:
    summary = judged.summary
    console.print()
    for finding in judged.findings[:FINDINGS_SHOWN]:
        console.print(Text(f"FOUND  {finding}", style="bold red"), soft_wrap=True)
    if len(judged.findings) > FINDINGS_SHOWN:
        console.print(f"and {len(judged.findings) - FINDINGS_SHOWN} more: see the summary")
    counts = (
        f"{summary['lost']} lost, {summary['doubled']} doubled, {summary['undropped']} undropped"
    )
    stores = "every record verifies" if summary["stores_verified"] else "a record does NOT verify"
    proven = _evidence(summary["evidence"])
    text = f"{counts}; {stores}; {proven}{summary['took_s']:.0f} s"
    passed = judged.passed
    word = "PASSED" if passed else "FAILED"
    console.print(Text(f"{word}  {text}", style="bold green" if passed else "bold red"))


def _evidence(figures: Mapping[str, Any]) -> str:
    """Return how many evidence folders hold, and by whom; nothing where none was made."""
    if not figures:
        return ""
    folders = figures["folders"]
    if folders == figures["bbaj"] == figures["second"] == figures["stock"]:
        return f"{folders} evidence folders hold by all three verifiers; "
    counts = f"{figures['bbaj']} hold by bbaj, {figures['second']} by the second verifier"
    return f"{folders} evidence folders: {counts}, {figures['stock']} by stock tools; "


def show_what_next(folder: Path, console: Console) -> None:
    """Say what to look at and what to try."""
    console.print()
    for line in (
        f"{folder / 'summary.json'}: these figures; {folder / 'ledger.jsonl'}: the ledger's book",
        f"{folder / 'evidence'}: proof of one packet of each flow; each has its VERIFY.md",
        f"{folder / 'print'}: one packet of each type on paper, in Kazakh, Russian and English",
        "bbaj demo --stay: leaves the network up, to look around in it",
        "bbaj demo-negative: shows that the same judgement fails where it must",
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
        "The network stays up; Ctrl-C takes it down. In another terminal, for instance:",
        "",
        f"  bbaj list --config {nodes[REPUBLIC].config_path}",
        f"  bbaj show {_some_packet(folder)} --config {nodes[OBLAST].config_path}",
        f"  bbaj quarantine list --config {nodes[DISTRICT].config_path}",
        f"  bbaj store verify --config {nodes[DISTRICT].config_path}",
        f"  {send} --wait --config {nodes[LEAF].config_path}",
        "",
        f"Any AMQP client can drop a document as the register of {SCHOOL}, and hear of it:",
        "",
        f"  {publish} < {path}",
        f"  amqp-get -u '{url}' -q status.{system}",
        "",
        f"Files and logs of all nodes: {network.folder / 'nodes'}",
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
