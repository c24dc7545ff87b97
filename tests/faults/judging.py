"""Judges a run: what was dropped against what came out, and against every node's record."""

from collections.abc import Mapping

import msgspec

from faults.network import Struck
from harness.cli_run import bbaj
from nodes.demo.book import FINAL, Book, packets_by_key, states_by_drop
from nodes.demo.evidence import gather
from nodes.demo.judgement import StoreReport, judge_documents, judge_stores


class Judgement(msgspec.Struct):
    """What a run came to."""

    dropped: int
    delivered: int
    lost: int
    doubled: int
    false: int
    """Delivered, refused or told without ground."""
    findings: list[str]


async def judge(struck: Struck, book: Book) -> Judgement:
    """Judge all of a run, its traffic at rest: each record is hashed again whole."""
    reports = await gather(struck.config_paths())
    return hold_against(book, reports)


def hold_against(book: Book, reports: Mapping[str, StoreReport]) -> Judgement:
    """Hold the book of local systems against the records. Pure."""
    documents, stores = judge_documents(book), judge_stores(reports)
    false = [*_false_deliveries(book, reports), *_refusals(book, reports)]
    findings = [*documents.findings, *stores.findings, *false]
    arrived, told = packets_by_key(book.left), states_by_drop(book.told)
    ended = [FINAL & told.get((one.sender, one.drop_id), {}).keys() for one in book.dropped]
    return Judgement(
        dropped=len(book.dropped),
        delivered=len(arrived),
        lost=sum(
            not how or ("delivered" in how and one.key not in arrived)
            for one, how in zip(book.dropped, ended, strict=True)
        ),
        doubled=documents.doubled + stores.doubled,
        false=documents.undropped + len(false),
        findings=findings,
    )


def _false_deliveries(book: Book, reports: Mapping[str, StoreReport]) -> list[str]:
    """Find packets told delivered that were not released once, or whose sender has no receipt."""
    told = states_by_drop(book.told)
    found = []
    for one in book.dropped:
        delivered = told.get((one.sender, one.drop_id), {}).get("delivered")
        if delivered is None:
            continue
        released = reports[one.recipient].released.get(delivered.packet, 0)
        if released != 1:
            found.append(f"{one.drop_id}: told delivered, and released {released} times")
        if delivered.packet not in reports[one.sender].ends:
            found.append(f"{one.drop_id}: told delivered, and its sender holds no receipt")
    return found


def _refusals(book: Book, reports: Mapping[str, StoreReport]) -> list[str]:
    """Find refusals of any kind: all that was dropped was good."""
    told = [
        f"{one.drop_id}: told {one.state}: {one.reason}"
        for one in book.told
        if one.state in {"refused", "fault", "expired"}
    ]
    kept = [
        f"{address}: refused a frame: {reason}"
        for address, report in reports.items()
        for reason in report.quarantine.values()
    ]
    return told + kept


async def verified(struck: Struck) -> list[str]:
    """Verify what is new in each record, as an operator does nightly; return what does not hold."""
    found = []
    for address, node in struck.network.nodes.items():
        done = await bbaj("store", "verify", "--incremental", config=node.config_path)
        if done.code:
            found.append(f"{address}: {done.err.strip()}\n{done.out.strip()}")
    return found


def misbehaved(struck: Struck) -> list[str]:
    """Find daemons that have ended by themselves, or that blame themselves in their log."""
    found = []
    for address, node in struck.network.nodes.items():
        if node.process is None or node.process.returncode is not None:
            found.append(f"{address}: its daemon is not there")
        with node.log_path.open(encoding="utf-8", errors="replace") as log:
            found += [f"{address}: {line.strip()}" for line in log if "own_fault" in line]
    return found
