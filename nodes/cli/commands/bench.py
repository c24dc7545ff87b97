"""`bbaj bench`: figures measured on private services of this machine, side by side in one run."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is quick

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from nodes.cli.options import JsonOption

app = typer.Typer(
    name="bench", help="Measure this machine, with private services.", no_args_is_help=True
)

LONG_PACKETS = 5_000_000
LONG_REBUILT = 100_000

PayloadBytes = Annotated[int, typer.Option(min=16, max=1_000_000, help="Of each packet.")]


@app.command()
def hop(
    packets: Annotated[int, typer.Option(min=256, help="In each round.")] = 20_000,
    rounds: Annotated[int, typer.Option(min=1, max=50)] = 5,
    payload_bytes: PayloadBytes = 1024,
    json: JsonOption = False,
) -> None:
    """Time one relay node with all checks on, beside a bare relay and a shovel that check none."""
    from nodes.bench.hop import run_hop
    from nodes.cli import bench_tables, output
    from nodes.cli.speaking import say

    with output.working(say("bench.rounds-of", rounds=rounds, packets=packets)):
        measured = asyncio.run(run_hop(packets=packets, payload_bytes=payload_bytes, rounds=rounds))
    output.show(json, measured, lambda: bench_tables.figures(measured))


@app.command()
def backlog(
    packets: Annotated[int, typer.Option(min=256)] = 20_000,
    payload_bytes: PayloadBytes = 1024,
    json: JsonOption = False,
) -> None:
    """Time how a node drains what it held for a parent that was away."""
    from nodes.bench.backlog import run_backlog
    from nodes.cli import bench_tables, output
    from nodes.cli.speaking import say

    with output.working(say("bench.packets-of", packets=packets)):
        measured = asyncio.run(run_backlog(packets=packets, payload_bytes=payload_bytes))
    output.show(json, measured, lambda: bench_tables.figures(measured))


@app.command()
def idle(packets: Annotated[int, typer.Option(min=5)] = 100, json: JsonOption = False) -> None:
    """Time single packets over one hop, from the drop to delivered; weigh a leaf daemon."""
    from nodes.bench.idle import run_idle
    from nodes.cli import bench_tables, output
    from nodes.cli.speaking import say

    with output.working(say("bench.packets-of", packets=packets)):
        measured = asyncio.run(run_idle(packets=packets))
    output.show(json, measured, lambda: bench_tables.figures(measured))


@app.command()
def tiers(packets: Annotated[int, typer.Option(min=10)] = 500, json: JsonOption = False) -> None:
    """Time single files from a school up to the republic, over five tiers that are idle."""
    from nodes.bench.tiers import run_tiers
    from nodes.cli import bench_tables, output
    from nodes.cli.progress import progress

    with progress() as on_progress:
        measured = asyncio.run(run_tiers(packets=packets, on_progress=on_progress))
    output.show(json, measured, lambda: bench_tables.figures(measured))


@app.command()
def line(
    files: Annotated[int, typer.Option(min=5, max=1000, help="Of 20 KB each.")] = 60,
    json: JsonOption = False,
) -> None:
    """Time a leaf behind a line of 128 kbit/s: its share used, an order among many files."""
    from nodes.bench.line import run_line
    from nodes.cli import bench_tables, output
    from nodes.cli.progress import progress

    with progress() as on_progress:
        measured = asyncio.run(run_line(files=files, on_progress=on_progress))
    output.show(json, measured, lambda: bench_tables.figures(measured))


@app.command()
def soak(
    minutes: Annotated[int, typer.Option(min=1, max=10_000)] = 10,
    json: JsonOption = False,
) -> None:
    """Load one relay node with half of its peak: rate, memory and latency in windows of 10 s."""
    from nodes.bench.soak import run_soak
    from nodes.cli import bench_tables, output
    from nodes.cli.progress import progress

    with progress() as on_progress:
        measured = asyncio.run(run_soak(minutes=minutes, on_progress=on_progress))
    output.show(json, measured, lambda: bench_tables.figures(measured))


@app.command()
def parts(
    file_mb: Annotated[int, typer.Option(min=2, max=4000, help="Of the file.")] = 100,
    json: JsonOption = False,
) -> None:
    """Time a large file in parts over a relay, with a cut in the middle; weigh each daemon."""
    from nodes.bench.parts import run_parts
    from nodes.cli import bench_tables, output
    from nodes.cli.progress import progress

    with progress() as on_progress:
        measured = asyncio.run(run_parts(file_mb=file_mb, on_progress=on_progress))
    output.show(json, measured, lambda: bench_tables.figures(measured))


@app.command()
def cycle(
    packets: Annotated[int, typer.Option(min=8, help="In each round.")] = 500,
    rounds: Annotated[int, typer.Option(min=1, max=50)] = 3,
    content_bytes: Annotated[int, typer.Option(min=16, max=10_000, help="Of each document.")] = (
        10_000
    ),
    rivals: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Take turns with pyas2lib and as4, which pip installs there at first use.",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Time whole exchanges between two neighbours, drop to closing: encrypted beside clear."""
    from nodes.bench.cycle import run_cycle
    from nodes.cli import bench_tables, output
    from nodes.cli.speaking import say

    with output.working(say("bench.rounds-of", rounds=rounds, packets=packets)):
        measured = asyncio.run(
            run_cycle(packets=packets, content_bytes=content_bytes, rounds=rounds, rivals=rivals)
        )
    output.show(json, measured, lambda: bench_tables.figures(measured))


@app.command()
def seal(
    packets: Annotated[int, typer.Option(min=10)] = 500,
    content_bytes: Annotated[int, typer.Option(min=0, max=1_000_000)] = 10_000,
    json: JsonOption = False,
) -> None:
    """Time sealing and opening one packet, clear and encrypted, in processor time."""
    from nodes.bench.sealing import run_seal
    from nodes.cli import bench_tables, output

    measured = run_seal(content_bytes=content_bytes, packets=packets)
    output.show(json, measured, lambda: bench_tables.figures(measured))


@app.command()
def journal(
    long: Annotated[bool, typer.Option("--long", help="10 million leaves, not 1 million.")] = False,
    json: JsonOption = False,
) -> None:
    """Time the journal from empty to full: tree, appending, proofs, verification, witnessing."""
    from nodes.bench.journal import run_journal
    from nodes.cli import bench_tables, output
    from nodes.cli.speaking import say

    leaves = 10_000_000 if long else 1_000_000
    with output.working(say("bench.leaves-of", leaves=leaves)):
        measured = asyncio.run(run_journal(leaves=leaves))
    output.show(json, measured, lambda: bench_tables.figures(measured))


@app.command()
def archive(
    packets: Annotated[int, typer.Option(min=2000, help="Of 2 KB each.")] = 1_000_000,
    rebuilt: Annotated[
        int, typer.Option(min=5000, help="Fetched back from neighbours, in a record apart.")
    ] = 10_000,
    long: Annotated[
        bool, typer.Option("--long", help="5 million packets, and 100,000 fetched back.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Time a full archive: storing, lists, a print, a destruction, a rebuild; weigh its disk."""
    from nodes.bench.archive import run_archive
    from nodes.cli import bench_tables, output
    from nodes.cli.progress import progress

    with progress() as on_progress:
        measured = asyncio.run(
            run_archive(
                packets=LONG_PACKETS if long else packets,
                rebuilt=LONG_REBUILT if long else rebuilt,
                on_progress=on_progress,
            )
        )
    output.show(json, measured, lambda: bench_tables.archive(measured))


@app.command()
def costs(
    exchanges: Annotated[int, typer.Option(min=40, max=5000, help="In each burst.")] = 400,
    json: JsonOption = False,
) -> None:
    """Time and weigh what exchanges cost each of three nodes, for `bbaj simulate`."""
    from nodes.bench.costs import run_costs
    from nodes.cli import bench_tables, output
    from nodes.cli.progress import progress

    with progress() as on_progress:
        measured = asyncio.run(run_costs(exchanges=exchanges, on_progress=on_progress))
    output.show(json, measured, lambda: bench_tables.costs(measured))


@app.command("all")
def whole(
    rivals: Annotated[
        Path,
        typer.Option(metavar="FOLDER", help="Where pip installs pyas2lib and as4 at first use."),
    ],
    long: Annotated[
        bool, typer.Option("--long", help="5 million packets in the archive, and more elsewhere.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Measure all that has a goal beside a rival or a limit; print figures, goals and verdicts."""
    from nodes.bench.whole import LONG, USUAL, run_whole
    from nodes.cli import bench_tables, output
    from nodes.cli.progress import progress

    with progress() as on_progress:
        measured = asyncio.run(run_whole(LONG if long else USUAL, rivals, on_progress))
    output.show(json, measured, lambda: bench_tables.whole(measured))
