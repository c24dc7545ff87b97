"""`bbaj evidence`: proof for a third party, to be checked with stock tools."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is quick

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from nodes.cli.options import ConfigOption, JsonOption, PacketArgument

app = typer.Typer(
    name="evidence",
    help="Proof for a third party, to be checked with stock tools.",
    no_args_is_help=True,
)


@app.command()
def export(
    packet: PacketArgument,
    to: Annotated[Path, typer.Option(metavar="DIR", help="A folder that is not there yet.")],
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Write a packet, its answers and all that proves them into a folder."""
    from nodes.cli import evidence_tables, exporting, output
    from nodes.cli.opening import load

    file = asyncio.run(exporting.export(load(config), packet, to))
    output.show(json, file, lambda: evidence_tables.exported(file))


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="An evidence folder.")],
    at: Annotated[
        str | None, typer.Option(metavar="MOMENT", help="Judge as if it were then; else now.")
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Which algorithms are good until when.")
    ] = None,
    root: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The network's root that you trust.")
    ] = None,
    stamp_root: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Roots of time-stamp authorities (PEM); may be given again. Only those count.",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Judge an evidence folder by itself: no network, no database, no key."""
    from nodes.cli import evidence_tables, output, verifying
    from nodes.evidence import verify as evidence

    found = verifying.read(folder)
    terms = verifying.terms(found, at, policy, root, stamp_root or [])
    verdict = evidence.verify(found, terms)
    given = root is not None
    if json and not given:
        typer.echo(f"bbaj: {evidence_tables.provenance(terms, given=False)}", err=True)
    is_known = verdict.stamp_roots == "given" and verdict.stamp_root_sha256
    if json and not is_known and (said := evidence_tables.stamp_provenance(verdict)):
        typer.echo(f"bbaj: {said}", err=True)
    output.show(json, verdict, lambda: evidence_tables.verdict(verdict, terms, given=given))
    verifying.told(verdict)
