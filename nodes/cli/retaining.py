"""How long packets are kept, and what is due: by the policy in force and the record."""

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256

import msgspec

from nodes.cli.errors import UsageFault
from nodes.cli.opening import reading
from nodes.cli.retaining_shapes import ClassLine, DueLine, DueList, PolicyShown, TermStatus
from nodes.clock import now
from nodes.config import Config, spoken_language
from nodes.policies import open_retention, retention_bytes
from schemas.codes import RETENTION_NAMES, RetentionClass
from schemas.moments import Instant, format_instant, from_datetime
from schemas.records import PacketRow
from schemas.retention import (
    ClassRule,
    RetentionPolicy,
    due_at,
    ends_at,
    rule_of,
    term_text,
)
from store.reading import Reading


class Term(msgspec.Struct, frozen=True):
    """How long a packet is kept."""

    bucket: str | None
    ends: str | None
    """None: never, or its payload was never kept here."""
    basis: str | None
    status: TermStatus | None
    held_by: list[int]
    """Legal holds that it is under."""


async def show_policy(config: Config) -> PolicyShown:
    """Return the policy that counts, and since when the record knows it."""
    policy = open_retention(config)
    digest = sha256(retention_bytes(config)).digest()
    async with reading(config) as desk:
        known = [row for row in await desk.policies() if row.sha256 == digest]
    return PolicyShown(
        version=policy.version,
        sha256=digest.hex(),
        since=format_instant(known[0].learned) if known else None,
        classes=[_class_line(rule) for rule in policy.classes.values()],
    )


async def list_due(config: Config, until: Instant) -> DueList:
    """Return the buckets whose term is over at a moment, with what is in them."""
    policy = open_retention(config)
    async with reading(config) as desk:
        there = await desk.payload_buckets() - {row.bucket for row in await desk.destroyed()}
        due = sorted(
            (end, bucket)
            for bucket in there
            if (end := due_at(policy, bucket)) is not None and end <= until
        )
        lines = [await _due_line(desk, policy, bucket, end) for end, bucket in due]
    return DueList(
        until=format_instant(until),
        buckets=[line for line in lines if line.packets],
        never=[
            rule.class_
            for rule in policy.classes.values()
            if rule.months is not None and not rule.is_approved
        ],
    )


async def terms_of(config: Config, desk: Reading, packets: Sequence[PacketRow]) -> dict[int, Term]:
    """Return how long each packet is kept, by its frame."""
    policy = open_retention(config)
    frames = [packet.frame for packet in packets]
    buckets, held = await desk.buckets_of(frames), await desk.holds_on(frames)
    return {frame: _term(policy, buckets.get(frame), held.get(frame, [])) for frame in frames}


def day(text: str | None) -> Instant:
    """Return the end of a day (UTC) as an operator writes it; now where none is. UsageFault."""
    if text is None:
        return now()
    try:
        start = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise UsageFault(f"--until {text}: write a day like 2032-09-01") from error
    return from_datetime(start.replace(hour=23, minute=59, second=59, microsecond=999_999))


async def _due_line(desk: Reading, policy: RetentionPolicy, bucket: str, end: Instant) -> DueLine:
    rule, fill = rule_of(policy, bucket), await desk.fill_of(bucket)
    assert rule is not None, "what is due has a rule"
    return DueLine(
        bucket=bucket,
        class_=rule.class_,
        due=format_instant(end),
        basis=rule.basis,
        packets=fill.packets,
        size=fill.size,
        held=fill.held,
        sections=fill.sections,
    )


def _term(policy: RetentionPolicy, bucket: str | None, held_by: list[int]) -> Term:
    rule = None if bucket is None else rule_of(policy, bucket)
    if bucket is None or rule is None:
        return Term(bucket, None, None, None, held_by)
    ends = ends_at(policy, bucket)
    return Term(
        bucket, None if ends is None else format_instant(ends), rule.basis, _status(rule), held_by
    )


def _class_line(rule: ClassRule) -> ClassLine:
    names = RETENTION_NAMES[RetentionClass(rule.class_)]
    return ClassLine(
        class_=rule.class_,
        name=names.in_language(spoken_language()),
        term=term_text(rule.months),
        starts=rule.starts.value,
        basis=rule.basis,
        status=_status(rule),
    )


def _status(rule: ClassRule) -> TermStatus:
    return "approved" if rule.is_approved else "proposed"
