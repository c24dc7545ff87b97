"""The judgement, pure: what was dropped against what left the inboxes, and against the records.

Nothing here reads a clock, a database or a broker.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from nodes.demo.book import (
    FINAL,
    REFUSED,
    Book,
    Key,
    Left,
    Told,
    packets_by_key,
    shown,
    states_by_drop,
)
from nodes.demo.messages import RogueCase, Tally


class StoreReport(msgspec.Struct):
    """What one node's record says, once it was re-hashed."""

    faults: list[str]
    leaves: int = 0
    checkpoints: int = 0
    packets: int = 0
    released: dict[str, int] = {}
    """Released leaves by packet id."""
    resent: dict[str, int] = {}
    """Further places of packets sealed here, by packet id."""
    moments: dict[str, int] = {}
    """When each packet was sealed, passed on or received here, by packet id."""
    ends: dict[str, int] = {}
    """When each packet sealed here was confirmed."""
    encrypted: set[str] = set()
    """Packets of personal types that passed here closed to all but their two ends, by id."""
    clear: set[str] = set()
    """Packets of personal types that passed here open."""
    quarantine: dict[str, str] = {}
    """Reason by SHA-256 of the whole refused frame."""
    frames: set[str] = set()
    """SHA-256 of every frame kept as a packet, refused, or placed for a neighbour."""


class Verdict(msgspec.Struct):
    """What the judgement found. It passes where there are no findings."""

    findings: list[str] = []
    lost: int = 0
    doubled: int = 0
    undropped: int = 0
    flows: dict[str, Tally] = {}


def judge_documents(book: Book) -> Verdict:
    """Hold what left the inboxes against what was dropped."""
    verdict = Verdict(findings=[])
    dropped = Counter(one.key for one in (*book.dropped, *book.expected))
    packets = packets_by_key(book.left)
    told = states_by_drop(book.told)
    refused = Counter(
        one.key
        for one in book.dropped
        if {REFUSED, "fault"} & told.get((one.sender, one.drop_id), {}).keys()
    )
    for key, count in dropped.items():
        missing = count - len(packets.get(key, [])) - refused[key]
        if missing > 0:
            verdict.lost += missing
            states = _states_of(book, told, key)
            verdict.findings.append(f"lost: {shown(key)}: its sender was told: {states}")
    for key, ids in packets.items():
        if key not in dropped:
            verdict.undropped += 1
            verdict.findings.append(f"nobody dropped what was delivered: {shown(key)}")
        elif len(ids) > dropped[key]:
            verdict.doubled += len(ids) - dropped[key]
            text = f"doubled: {shown(key)} arrived as {len(ids)} packets: {', '.join(ids)}"
            verdict.findings.append(text)
        elif len(ids) > dropped[key] - refused[key]:
            verdict.findings.append(f"its sender was told refused, yet it arrived: {shown(key)}")
    for one, times in _unmarked_repeats(book.left).items():
        verdict.doubled += times
        text = f"doubled: packet {one[1]} left the inbox of {one[0]} {times + 1} times, unmarked"
        verdict.findings.append(text)
    verdict.findings += _untold(book, told)
    return verdict


def _unmarked_repeats(left: Iterable[Left]) -> dict[tuple[str, str], int]:
    """Count how often a packet left an inbox again without saying that it may have before."""
    seen: set[tuple[str, str]] = set()
    again: dict[tuple[str, str], int] = {}
    for one in left:
        name = (one.recipient, one.packet)
        if name in seen and not one.repeat:
            again[name] = again.get(name, 0) + 1
        seen.add(name)
    return again


def _untold(book: Book, told: Mapping[tuple[str, str], Mapping[str, Told]]) -> list[str]:
    """Find documents whose sender never heard the end."""
    findings = []
    for one in book.dropped:
        states = told.get((one.sender, one.drop_id), {})
        if not FINAL & states.keys():
            what = f"{shown(one.key)}: heard: {', '.join(states) or 'nothing'}"
            findings.append(f"its sender never heard the end of {what}")
    return findings


def _states_of(book: Book, told: Mapping[tuple[str, str], Mapping[str, Told]], key: Key) -> str:
    states = {
        state
        for one in book.dropped
        if one.key == key
        for state in told.get((one.sender, one.drop_id), {})
    }
    return ", ".join(sorted(states)) or "nothing"


def judge_stores(reports: Mapping[str, StoreReport]) -> Verdict:
    """Hold each record against itself: every digest, every checkpoint, one release a packet."""
    verdict = Verdict(findings=[])
    for address, report in reports.items():
        verdict.findings += [f"store of {address}: {fault}" for fault in report.faults]
        verdict.findings += [
            f"personal data: packet {packet} is open at {address}" for packet in report.clear
        ]
        for packet, times in report.released.items():
            if times > 1:
                verdict.doubled += times - 1
                text = f"doubled: packet {packet} has {times} released leaves at {address}"
                verdict.findings.append(text)
    return verdict


def judge_rogue(
    cases: Iterable[RogueCase], reports: Mapping[str, StoreReport], district: str
) -> tuple[dict[str, Any], list[str]]:
    """Say what became of each bad frame, and what of it is not as it must be."""
    outcome: dict[str, Any] = {}
    findings = []
    for case in cases:
        found = reports[district].quarantine.get(case.frame_sha256, "")
        beyond = [
            address
            for address, report in reports.items()
            if address != district and case.frame_sha256 in report.frames
        ]
        outcome[case.case] = {
            "reason": found,
            "quarantined": bool(found),
            "answered": bool(case.answer),
            "answer": case.answer,
            "reached_next_tier": bool(beyond),
        }
        if not case.reason:
            times = sum(report.released.get(case.packet, 0) for report in reports.values())
            outcome[case.case] |= {"reached_next_tier": False, "released": times}
            if found or not case.answer or times != 1:
                what = f"answered {case.answer!r}, refused {found!r}, released {times} times"
                findings.append(f"rogue, {case.case}: {what}")
            continue
        if found != case.reason:
            findings.append(f"rogue, {case.case}: quarantined as {found!r}, not {case.reason!r}")
        if not case.answer or case.answered_reason != case.reason:
            what = f"{case.answer or 'nothing'} {case.answered_reason}".strip()
            findings.append(f"rogue, {case.case}: answered with {what}")
        if beyond:
            findings.append(f"rogue, {case.case}: reached {', '.join(beyond)}")
    return outcome, findings
