"""Options that every command takes, before or behind its name."""

from pathlib import Path
from typing import Annotated, Any

import typer

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="PATH",
        help="The node's configuration; else BBAJ_CONFIG names it.",
        show_default=False,
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON value.", show_default=False)
]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many.")]
PacketArgument = Annotated[str, typer.Argument(metavar="ID", help="A packet's id.")]

KazakhName = Annotated[
    str | None, typer.Option("--kk", "--name-kk", help="Its name in Kazakh; give all three.")
]
RussianName = Annotated[str | None, typer.Option("--ru", "--name-ru", help="In Russian.")]
EnglishName = Annotated[str | None, typer.Option("--en", "--name-en", help="In English.")]
KatoOption = Annotated[
    str | None, typer.Option("--kato", metavar="CODE", help="Its place by KATO.")
]
KatoEdition = Annotated[
    str | None,
    typer.Option("--kato-edition", metavar="YYYY-MM", help="The edition that it is read by."),
]
BinOption = Annotated[str | None, typer.Option("--bin", help="Its business number.")]
TypesOption = Annotated[
    list[str] | None,
    typer.Option("--type", help="A type that it may send; may be given again. Else all."),
]

WAIT = "--wait"
WAIT_S = 300
WaitOption = Annotated[
    float | None,
    typer.Option(
        WAIT,
        metavar="[=SECONDS]",
        min=0,
        help=f"Wait until the packet has its answer; {WAIT_S} s where none are given.",
        show_default=False,
    ),
]


def spell_out(words: list[str]) -> list[str]:
    """Return the words with every `--wait` as `--wait=SECONDS`, which may be left out."""
    end = words.index("--") if "--" in words else len(words)
    spelt: list[str] = []
    rest = iter(words[:end])
    for word in rest:
        if word != WAIT:
            spelt.append(word)
            continue
        following = next(rest, None)
        is_number = following is not None and following.replace(".", "", 1).isdecimal()
        spelt.append(f"{WAIT}={following if is_number else WAIT_S}")
        if following is not None and not is_number:
            spelt += spell_out([following])
    return spelt + words[end:]


def take_to_all(context: typer.Context, given: dict[str, Any]) -> None:
    """Make what stands before a command's name the default of every command's own option."""
    context.default_map = _defaults_of(context.command, given)


def _defaults_of(command: Any, given: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - of typer
    below = getattr(command, "commands", {})
    return given | {name: _defaults_of(each, given) for name, each in below.items()}
