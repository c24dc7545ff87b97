"""`bbaj list` and `bbaj search`: packets by their headers, documents by what is in them."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is quick

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from nodes.cli.commands.printing import LangOption
from nodes.cli.options import ConfigOption, JsonOption, LimitOption

FromOption = Annotated[
    str | None,
    typer.Option("--from", metavar="ADDRESS", help="Sent by this address, or any below it."),
]
ToOption = Annotated[
    str | None,
    typer.Option("--to", metavar="ADDRESS", help="Sent to this address, or any below it."),
]
UnderOption = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="From or to this address, or any below it."),
]
TypeOption = Annotated[str | None, typer.Option("--type", help="A packet type.")]
PeriodOption = Annotated[str | None, typer.Option(help="The period reported on.")]
SectionOption = Annotated[str | None, typer.Option(help="S01 to S15, or net.")]
FlowOption = Annotated[str | None, typer.Option(help="oper, admin, result or info.")]
StateOption = Annotated[str | None, typer.Option(help="Like delivered, refused, in-custody.")]
ReasonOption = Annotated[str | None, typer.Option(help="Why it was refused, like sig-invalid.")]
AfterOption = Annotated[
    str | None, typer.Option(metavar="CURSOR", help="Go on behind the page that named this.")
]
ExportOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Write all of it to a new file, .jsonl or .csv; without content."
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("list")(list_)
    app.command("search")(search)


def list_(
    from_: FromOption = None,
    to: ToOption = None,
    under: UnderOption = None,
    type_: TypeOption = None,
    period: PeriodOption = None,
    section: SectionOption = None,
    flow: FlowOption = None,
    state: StateOption = None,
    reason: ReasonOption = None,
    late: Annotated[bool, typer.Option("--overdue", help="Only what is overdue.")] = False,
    every: Annotated[
        bool, typer.Option("--all", help="Receipts, closings and parts of large files too.")
    ] = False,
    sort: Annotated[
        str | None, typer.Option(help="newest, or organisation: by the sender's name.")
    ] = None,
    after: AfterOption = None,
    limit: LimitOption = 50,
    export: ExportOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """List packets sent, received and relayed here, newest first."""
    from nodes.cli import exports, finding_tables, lists, output, reports, tables
    from nodes.cli.opening import load
    from nodes.config import spoken_language
    from schemas.codes import Flow, Section
    from schemas.reasons import Reason

    query = lists.Query(
        from_=reports.address(from_),
        to=reports.address(to),
        under=reports.address(under),
        type_=type_,
        period=reports.period(period),
        section=reports.choice("--section", section, Section),
        flow=reports.choice("--flow", flow, Flow),
        state=reports.state(state),
        reason=reports.choice("--reason", reason, Reason),
        overdue=late,
        answers=every,
        sort=reports.choice("--sort", sort, lists.Sort) or lists.Sort.NEWEST,
        after=after,
        limit=limit,
    )
    if export is not None:
        done = asyncio.run(exports.export_list(load(config), query, export))
        output.show(json, done, lambda: finding_tables.exported(done, spoken_language()))
        return
    page = asyncio.run(lists.list_packets(load(config), query))
    output.show(json, page, lambda: tables.packets(page))


def search(
    text: Annotated[
        str | None, typer.Option(metavar="WORDS", help="Words of titles, all of them.")
    ] = None,
    subject: Annotated[
        bool, typer.Option("--subject", help="Whom it is about: asks for an IIN or BIN.")
    ] = False,
    subject_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The same, the number from a file, or -.")
    ] = None,
    from_: FromOption = None,
    type_: TypeOption = None,
    period: PeriodOption = None,
    section: SectionOption = None,
    flow: FlowOption = None,
    sort: Annotated[str | None, typer.Option(help="newest, or title.")] = None,
    after: AfterOption = None,
    limit: LimitOption = 50,
    export: ExportOption = None,
    lang: LangOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Find documents delivered here by whom they are about, or by words of their titles.

    Each use is journaled; what was looked for stands nowhere.
    """
    from nodes.cli import finding_tables, lists, output, reports, searching
    from nodes.cli.opening import load
    from nodes.cli.speaking import language_of
    from schemas.codes import Flow, Section

    language = language_of(lang)
    number = searching.read_subject(subject_file) if subject or subject_file else None
    order = reports.choice("--sort", sort, searching.Order) or searching.Order.NEWEST
    asked = searching.asked_for(number, text, order)
    query = lists.Query(
        from_=reports.address(from_),
        type_=type_,
        period=reports.period(period),
        section=reports.choice("--section", section, Section),
        flow=reports.choice("--flow", flow, Flow),
        after=after,
        limit=limit,
    )
    if export is not None:
        done = asyncio.run(searching.export_search(load(config), asked, query, export))
        output.show(json, done, lambda: finding_tables.exported(done, language))
        return
    page = asyncio.run(searching.search(load(config), asked, query))
    output.show(json, page, lambda: finding_tables.found(page, language))
