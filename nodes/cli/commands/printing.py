"""`bbaj print`: a packet on paper, in Kazakh, Russian or English."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is quick

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from nodes.cli.options import ConfigOption, JsonOption

LangOption = Annotated[
    str | None,
    typer.Option(
        "--lang",
        metavar="kk|ru|en",
        help="The language; else BBAJ_LANG or the locale says it, else Kazakh.",
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("print")(print_)


def print_(
    packet: Annotated[
        str, typer.Argument(metavar="ID", help="A packet's id, or a frame's number.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="A new file: .pdf or .html.")
    ],
    lang: LangOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Print a packet with its content, its times and confirmations, its seal, and a code to check.

    Refused, held and destroyed packets are printed as what they are.
    """
    from nodes.cli import output as out
    from nodes.cli import printouts
    from nodes.cli.opening import load
    from nodes.cli.speaking import language_of

    language = language_of(lang)
    printed = asyncio.run(printouts.write(load(config), packet, output, language))
    out.show(json, printed, lambda: printouts.told(printed, language))
