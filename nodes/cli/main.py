"""The `bbaj` command. Everything heavy is imported by the command that needs it."""

import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer
from typer.exceptions import TyperException

from nodes.cli import ca, demo
from nodes.cli.commands import (
    archive,
    backup,
    bench,
    broker,
    child,
    completeness,
    documents,
    evidence,
    finding,
    gauntlet,
    holds,
    joining,
    journal,
    keys,
    link,
    looking,
    node,
    printing,
    rebuilding,
    retention,
    rights,
    simulating,
    store,
)
from nodes.cli.guarding import guard
from nodes.cli.options import ConfigOption, JsonOption, spell_out, take_to_all

PROGRAM = "bbaj"
USAGE = 64
INTERRUPTED = 130

app = typer.Typer(
    name=PROGRAM,
    help="Signed packets between the bodies that govern and run education.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
documents.add_to(app)
app.add_typer(documents.inbox)
finding.add_to(app)
looking.add_to(app)
printing.add_to(app)
app.add_typer(looking.quarantine)
app.add_typer(evidence.app)
app.add_typer(link.app)
app.add_typer(completeness.app)
completeness.add_to(app)
app.add_typer(archive.app)
joining.add_to(app)
app.add_typer(joining.app)
app.add_typer(child.app)
child.add_to(app)
app.add_typer(keys.app)
app.add_typer(rights.app)
rights.add_to(app)
app.add_typer(node.app)
broker.add_to(app)
app.add_typer(store.app)
backup.add_to(app)
rebuilding.add_to(app)
app.add_typer(journal.app)
app.add_typer(retention.app)
app.add_typer(holds.app)
app.add_typer(ca.app)
demo.add_commands(app)
app.add_typer(bench.app)
simulating.add_to(app)
gauntlet.add_to(app)
node.add_to(app)
guard(app)


def _say_version(wanted: bool) -> None:
    from importlib.metadata import version  # noqa: PLC0415 - keeps --help quick

    if wanted:
        print(f"{PROGRAM} {version(PROGRAM)}")
        raise typer.Exit


@app.callback()
def begin(
    context: typer.Context,
    config: ConfigOption = None,
    json: JsonOption = False,
    _version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_say_version, is_eager=True),
    ] = False,
) -> None:
    """Take options that stand before the command's name."""
    given = {"config": None if config is None else str(config), "json": json or None}
    take_to_all(context, {name: value for name, value in given.items() if value is not None})


def main() -> NoReturn:
    """Run the command that the process was given."""
    sys.exit(run(sys.argv[1:]))


def run(words: Sequence[str]) -> int:
    """Run a command; return its exit code. What goes wrong stands on standard error."""
    if sys.flags.optimize:
        print(f"{PROGRAM}: runs without -O only: its assertions guard the record", file=sys.stderr)
        return USAGE
    try:
        done = app(args=spell_out(list(words)), prog_name=PROGRAM, standalone_mode=False)
    except TyperException as error:
        if error.format_message().startswith("Usage:"):  # a group's name alone
            print(error.format_message(), file=sys.stderr)
            return USAGE
        return _explain(_usage(error), words)
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last resort: never a stack trace
        return _explain(error, words)
    return done if isinstance(done, int) else 0


def _usage(error: TyperException) -> Exception:
    """Return words of the command line that do not fit, as an error of ours."""
    from nodes.cli.errors import UsageFault  # noqa: PLC0415 - keeps --help quick

    context = getattr(error, "ctx", None)
    path = PROGRAM if context is None else context.command_path
    return UsageFault(f"{error.format_message()} See `{path} --help`.")


def _explain(error: Exception, words: Sequence[str]) -> int:
    from nodes.cli.failures import explain  # noqa: PLC0415 - keeps --help quick

    return explain(error, as_json="--json" in words)


if __name__ == "__main__":
    main()
