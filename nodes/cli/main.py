"""The `bbaj` command. Everything heavy is imported by the command that needs it."""

from typing import Annotated

import typer

from nodes.cli import ca
from nodes.cli.commands import broker, documents, evidence, looking, node, store
from nodes.cli.options import ConfigOption, JsonOption

PROGRAM = "bbaj"

app = typer.Typer(
    name=PROGRAM,
    help="Signed packets between the bodies that govern and run education.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for command_group in (documents, looking, evidence, broker):
    command_group.add_to(app)
app.add_typer(node.app)
app.add_typer(documents.inbox)
app.add_typer(looking.quarantine)
app.add_typer(store.app)
app.add_typer(ca.app)


@app.callback()
def begin(
    context: typer.Context,
    config: ConfigOption = None,
    json: JsonOption = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Take options that stand before the command's name."""
