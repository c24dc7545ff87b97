"""`bbaj completeness`: what was to come and what did, read from the record."""

from nodes.cli.completing_shapes import (
    ExpectedReports,
    GapLine,
    GapReport,
    Late,
    Owing,
    ReportTold,
    ShareLine,
)
from nodes.cli.errors import UsageFault
from nodes.cli.opening import reading
from nodes.cli.registries import read_tree
from nodes.clock import now
from nodes.completeness import Share, Tally, reporters_below, shares, tallies
from nodes.config import Config
from nodes.policies import open_calendar
from nodes.seq_gaps import GAPS_MAX, Missing, missing_numbers, unexplained
from schemas.addresses import is_within
from schemas.documents.periods import FORMS, Period, parse_period
from schemas.moments import Instant, format_instant


def period_of(text: str) -> Period:
    """Return a period. Raises UsageFault where there is none such."""
    period = parse_period(text)
    if period is None:
        forms = ", ".join(FORMS.values())
        raise UsageFault(f"{text} is no period that exists: write one like {forms}")
    return period


async def expected(
    config: Config, period_text: str, type_: str | None, under: str | None
) -> ExpectedReports:
    """Return what is expected for a period. Raises ConfigurationFault without a calendar."""
    period_of(period_text)
    calendar, moment, here = open_calendar(config), now(), config.address
    registry = (await read_tree(config)).registry
    reporters = [
        who
        for who in reporters_below(registry, here)
        if under is None or is_within(who.address, under)
    ]
    async with reading(config) as desk:
        found = await tallies(calendar, period_text, reporters, desk)
    if type_ is not None:
        found = [each for each in found if each.report.type == type_]
    katos = {card.facts.address: card.facts.kato for card in registry.cards()}
    codes = {address: None if kato is None else kato.code for address, kato in katos.items()}
    return ExpectedReports(
        period=period_text,
        under=under or here,
        reports=[_told(each, moment, codes) for each in found],
        shares=[_share(each, codes) for each in shares(found, under or here)],
    )


async def gaps(config: Config, period_text: str | None, under: str | None) -> GapReport:
    """Return which numbers of packets to this node are missing."""
    between = None
    if period_text is not None:
        calendar, period = open_calendar(config), period_of(period_text)
        between = (calendar.opens_at(period), calendar.closes_at(period))
    async with reading(config) as desk:
        found = await missing_numbers(
            desk, config.address, now(), config.limits, under=under, between=between
        )
    return GapReport(
        to=config.address,
        period=period_text,
        gaps=[_line(each) for each in found],
        missing=sum(each.count for each in found),
        unexplained=unexplained(found),
        is_cut=len({each.gap for each in found}) >= GAPS_MAX,
    )


def _told(tally: Tally, moment: Instant, codes: dict[str, str | None]) -> ReportTold:
    count, on_time = len(tally.expected), len(tally.on_time)
    return ReportTold(
        type_=tally.report.type,
        section=tally.report.section,
        under=tally.report.under,
        due=format_instant(tally.due),
        is_over=moment >= tally.due,
        expected=count,
        received=len(tally.came),
        on_time=on_time,
        on_time_share=on_time / count,
        late=[
            Late(address=who, kato=codes.get(who), came=format_instant(tally.came[who]))
            for who in tally.late
        ],
        missing=[Owing(address=who, kato=codes.get(who)) for who in tally.missing],
    )


def _share(share: Share, codes: dict[str, str | None]) -> ShareLine:
    return ShareLine(
        address=share.address,
        kato=codes.get(share.address),
        expected=share.expected,
        received=share.received,
        on_time=share.on_time,
        on_time_share=share.on_time / share.expected,
    )


def _line(missing: Missing) -> GapLine:
    gap = missing.gap
    return GapLine(
        from_=gap.sender,
        epoch=gap.epoch,
        first=missing.first,
        last=missing.last,
        count=missing.count,
        why=missing.why,
        detail=missing.detail,
        sealed_after=None if gap.sent_before is None else format_instant(gap.sent_before),
        sealed_before=format_instant(gap.sent_after),
    )
