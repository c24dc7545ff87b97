"""The judgement, pure: what was dropped against what left the inboxes, and against the records.

It knows documents by sender, recipient, type and SHA-256 of their bytes; packet ids only tell a
repeat from a double. Nothing here reads a clock, a database or a broker.
"""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from nodes.demo.messages import RogueCase, Tally

Key = tuple[str, str, str, str]
"""Sender, recipient, type and SHA-256 of the document."""

REFUSED = "refused"
FINAL = frozenset({"delivered", REFUSED, "fault"})
"""States after which a sender hears no more."""


class Dropped(msgspec.Struct, frozen=True):
    """A document handed to a node."""

    flow: str
    sender: str
    recipient: str
    type: str
    sha256: str
    drop_id: str

    @property
    def key(self) -> Key:
        """What the document is known by."""
        return self.sender, self.recipient, self.type, self.sha256


class Left(msgspec.Struct, frozen=True):
    """A document that left an inbox. `repeat`: it came marked as one that may have come before."""

    sender: str
    recipient: str
    type: str
    sha256: str
    packet: str
    repeat: bool

    @property
    def key(self) -> Key:
        """What the document is known by."""
        return self.sender, self.recipient, self.type, self.sha256


class Told(msgspec.Struct, frozen=True):
    """A status event about a drop."""

    sender: str
    drop_id: str
    state: str
    packet: str = ""
    reason: str = ""


class Book(msgspec.Struct):
    """Everything that the ledger's own systems did and saw."""

    dropped: list[Dropped] = []
    left: list[Left] = []
    told: list[Told] = []
    expected: list[Dropped] = []
    """Documents that others handed in: no status comes to us about them."""


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


def tally(book: Book, planned: Mapping[str, int]) -> dict[str, Tally]:
    """Return where each flow stands, by what its systems did and saw."""
    flows = {name: Tally(planned=count, refused={}) for name, count in planned.items()}
    told = states_by_drop(book.told)
    arrived = Counter({key: len(packets) for key, packets in _packets_by_key(book.left).items()})
    for one in (*book.dropped, *book.expected):
        flow = flows.setdefault(one.flow, Tally(refused={}))
        flow.dropped += 1
        if arrived[one.key] > 0:
            arrived[one.key] -= 1
            flow.delivered += 1
        states = told.get((one.sender, one.drop_id), {})
        flow.overdue += "overdue" in states
        flow.told += bool(FINAL & states.keys()) or one in book.expected
        for state in (REFUSED, "fault"):
            if state in states:
                reason = states[state].reason or state
                flow.refused[reason] = flow.refused.get(reason, 0) + 1
    return flows


def states_by_drop(told: Iterable[Told]) -> dict[tuple[str, str], dict[str, Told]]:
    """Return the status events of each drop, by state."""
    states: dict[tuple[str, str], dict[str, Told]] = defaultdict(dict)
    for one in told:
        states[one.sender, one.drop_id][one.state] = one
    return states


def _packets_by_key(left: Iterable[Left]) -> dict[Key, list[str]]:
    packets: dict[Key, list[str]] = defaultdict(list)
    for one in left:
        if one.packet not in packets[one.key]:
            packets[one.key].append(one.packet)
    return packets


def judge_documents(book: Book) -> Verdict:
    """Hold what left the inboxes against what was dropped."""
    verdict = Verdict(findings=[])
    dropped = Counter(one.key for one in (*book.dropped, *book.expected))
    packets = _packets_by_key(book.left)
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
            verdict.findings.append(f"lost: {_shown(key)}: its sender was told: {states}")
    for key, ids in packets.items():
        if key not in dropped:
            verdict.undropped += 1
            verdict.findings.append(f"nobody dropped what was delivered: {_shown(key)}")
        elif len(ids) > dropped[key] - refused[key]:
            verdict.doubled += len(ids) - dropped[key] + refused[key]
            text = f"doubled: {_shown(key)} arrived as {len(ids)} packets: {', '.join(ids)}"
            verdict.findings.append(text)
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
            what = f"{_shown(one.key)}: heard: {', '.join(states) or 'nothing'}"
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
            "answered": case.answer or False,
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


def count_resent(book: Book, reports: Mapping[str, StoreReport], flows: dict[str, Tally]) -> None:
    """Add to each flow how often its packets were placed again by their sender."""
    for one in book.told:
        again = reports[one.sender].resent.pop(one.packet, 0) if one.sender in reports else 0
        flow = next((each.flow for each in book.dropped if each.drop_id == one.drop_id), None)
        if flow is not None:
            flows[flow].resent += again


def tier_times(
    book: Book, reports: Mapping[str, StoreReport], tiers: Mapping[str, str]
) -> dict[str, dict[str, float]]:
    """Return how long each step up or down took, from one node's leaf to the next one's."""
    steps: dict[str, list[float]] = defaultdict(list)
    for one in {(one.sender, one.recipient, one.packet) for one in book.left}:
        sender, recipient, packet = one
        path = [each for each in tree_path(sender, recipient) if each in reports]
        for before, after in zip(path, path[1:], strict=False):
            began, ended = (reports[each].moments.get(packet) for each in (before, after))
            if began is not None and ended is not None:
                steps[f"{tiers[before]} to {tiers[after]}"].append((ended - began) / 1000)
        confirmed = reports[sender].ends.get(packet) if sender in reports else None
        if confirmed is not None:
            began = reports[sender].moments[packet]
            steps["sealed to confirmed"].append((confirmed - began) / 1000)
    return {name: _spread(times) for name, times in sorted(steps.items())}


def _spread(times_ms: list[float]) -> dict[str, float]:
    ordered = sorted(times_ms)
    p95 = ordered[max(0, -(-len(ordered) * 95 // 100) - 1)]
    return {
        "median_ms": round(statistics.median(ordered), 1),
        "p95_ms": round(p95, 1),
        "packets": len(ordered),
    }


def tree_path(sender: str, recipient: str) -> list[str]:
    """Return the addresses from one end to the other along the tree, both included."""
    up, down = sender.split("."), recipient.split(".")
    shared = 0
    while shared < min(len(up), len(down)) and up[shared] == down[shared]:
        shared += 1
    rising = [".".join(up[:depth]) for depth in range(len(up), shared - 1, -1)]
    falling = [".".join(down[:depth]) for depth in range(shared + 1, len(down) + 1)]
    return rising + falling


def _shown(key: Key) -> str:
    sender, recipient, type_, sha256 = key
    return f"{type_} from {sender} to {recipient} (sha256 {sha256[:16]})"
