"""The commands of `bbaj retention` that destroy: each step is an order to the daemon."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is quick

import asyncio
from typing import Annotated

import typer

from nodes.cli.options import ConfigOption, JsonOption

Wait = Annotated[
    float,
    typer.Option("--wait", metavar="SECONDS", min=0, help="Wait at most so long for the daemon."),
]
Id = Annotated[str, typer.Argument(metavar="PROPOSAL", help="A proposal's id.")]
Digest = Annotated[
    str,
    typer.Argument(metavar="DIGEST", help="The digest that you have looked at, or its beginning."),
]
WAIT_S = 600.0
"""A large bucket is read through at each step."""


def add_to(app: typer.Typer) -> None:
    """Add the commands to `bbaj retention`."""
    app.command()(propose)
    app.command()(approve)
    app.command()(act)
    app.command()(show)
    app.command("list")(list_proposals)


def propose(
    buckets: Annotated[
        list[str], typer.Argument(metavar="BUCKET...", help="As `bbaj retention due` lists them.")
    ],
    wait: Wait = WAIT_S,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Propose to destroy buckets whose term is over; what is in them is fixed by a digest."""
    from nodes.cli import destruction_tables, destructions, output
    from nodes.cli.opening import load

    lines = asyncio.run(destructions.propose(load(config), buckets, wait))
    output.show(
        json, lines, lambda: (part for line in lines for part in destruction_tables.proposal(line))
    )


def approve(
    proposal: Id,
    digest: Digest,
    wait: Wait = WAIT_S,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Approve a proposal; two people must, each under the digest of what is proposed."""
    from nodes.cli import destruction_tables, destructions, output
    from nodes.cli.opening import load

    line = asyncio.run(destructions.approve(load(config), proposal, digest, wait))
    output.show(json, line, lambda: destruction_tables.proposal(line))


def act(
    proposal: Id,
    digest: Digest,
    wait: Wait = WAIT_S,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Destroy what two people have approved, for ever; what is under a legal hold is kept."""
    from nodes.cli import destruction_tables, destructions, output
    from nodes.cli.opening import load

    done = asyncio.run(destructions.act(load(config), proposal, digest, wait))
    output.show(json, done, lambda: destruction_tables.act(done))


def show(proposal: Id, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Show a proposal, and whether what is in its bucket has changed since."""
    from nodes.cli import destruction_tables, destructions, output
    from nodes.cli.opening import load

    line = asyncio.run(destructions.show(load(config), proposal))
    output.show(json, line, lambda: destruction_tables.proposal(line))


def list_proposals(config: ConfigOption = None, json: JsonOption = False) -> None:
    """List proposals, with their approvals and acts."""
    from nodes.cli import destruction_tables, destructions, output
    from nodes.cli.opening import load

    lines = asyncio.run(destructions.list_proposals(load(config)))
    output.show(json, lines, lambda: destruction_tables.proposals(lines))
