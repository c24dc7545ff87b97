"""`bbaj demo` and `bbaj demo-negative`: words become calls, outcomes become exit codes.

`add_commands` puts both into the one application.
"""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from rich.console import Console

T = TypeVar("T")
INTERRUPTED = 130
PLAIN_COLUMNS = 140

Folder = Annotated[Path, typer.Option(help="Where summary, book and logs go.")]
Json = Annotated[bool, typer.Option("--json", help="Print the summary as JSON; news go to stderr.")]


def demo(
    folder: Folder = Path("build/demo"),
    stay: Annotated[
        bool, typer.Option("--stay", help="Leave the network up until Ctrl-C.")
    ] = False,
    json: Json = False,
) -> None:
    """Run a network of five tiers with real services, faults and a rogue, and judge it."""
    from nodes.demo.running import run_demo  # noqa: PLC0415 - keeps other commands quick

    console = _console(json)
    judged = _ended(run_demo(folder, console, stay=stay))
    if json:
        _print_json(judged.summary)
    raise typer.Exit(0 if judged.passed else 1)


def demo_negative(folder: Folder = Path("build/demo-negative"), json: Json = False) -> None:
    """Sabotage a small network three times; the demo's judgement must find each."""
    from nodes.demo.negative import run_negative  # noqa: PLC0415 - keeps other commands quick

    console = _console(json)
    outcome = _ended(run_negative(folder, console))
    if json:
        _print_json(outcome)
    raise typer.Exit(0 if outcome["passed"] else 1)


def add_commands(app: typer.Typer) -> None:
    """Add both commands to the application."""
    app.command("demo")(demo)
    app.command("demo-negative")(demo_negative)


def _console(json: bool) -> "Console":
    from rich.console import Console  # noqa: PLC0415 - keeps other commands quick

    console = Console(stderr=json, highlight=False)
    if not console.is_terminal:
        console.width = PLAIN_COLUMNS
    return console


def _print_json(summary: dict[str, Any]) -> None:
    import msgspec  # noqa: PLC0415 - keeps other commands quick

    print(msgspec.json.encode(summary).decode())


def _ended(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; a signal before it is an interruption."""
    try:
        return asyncio.run(work)
    except asyncio.CancelledError as error:
        raise typer.Exit(INTERRUPTED) from error


if __name__ == "__main__":
    application = typer.Typer()
    add_commands(application)
    application()
