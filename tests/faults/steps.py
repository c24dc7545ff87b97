"""The named steps of a daemon at which it can be killed: between, before and within its effects.

`main` runs a node as `nodes.running` does, after each step was wrapped from outside. Whoever wants
it dead writes a step's name into the file `die-at` beside the configuration; the process then kills
itself, as SIGKILL from elsewhere would, when it gets there.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, Literal

import msgspec

from exchange.amqp.carriers import LinkCarrier, SystemCarrier
from exchange.checkpoints import Checkpoints
from exchange.drops import DropDesk
from exchange.links import Link
from exchange.service import Service
from exchange.signed_size import SizeFile
from exchange.sweep import Sweep
from nodes.daemon import Daemon
from nodes.running import run_node
from store.postgres import PostgresArchive

PROGRAM = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from faults.steps import main
main()
"""
"""What `PrivateNetwork` runs in place of the daemon alone."""
WITHIN_S = 0.001
"""What is `within` an effect is so long after its beginning: a round trip on loopback is longer."""
ORDERED, DONE = "die-at", "died-at"

Moment = Literal["before", "within", "after"]
Case = Callable[[tuple[Any, ...]], bool]


class Effect(msgspec.Struct, frozen=True):
    """A method that does one thing which can be cut short."""

    owner: type
    method: str
    moments: tuple[Moment, ...]
    at: Literal["start", "any", "system"] = "any"
    """Reached at any node, or only while it starts, or only at nodes with a local system."""
    case: Case = lambda _arguments: True
    """Whether a call with these arguments (the object first) is meant."""


def _to(place: str) -> Case:
    return lambda arguments: bool(arguments[1] == place)


EFFECTS: Mapping[str, Effect] = {
    "taking the lock": Effect(PostgresArchive, "open", ("before", "within", "after"), "start"),
    "reading the record": Effect(Service, "open", ("after",), "start"),
    "comparing the signed size": Effect(Checkpoints, "check", ("before", "after"), "start"),
    "greeting": Effect(Link, "hear_hello", ("before", "after"), "start"),
    "sealing drops": Effect(DropDesk, "seal_all", ("before", "after"), "system"),
    "the transaction": Effect(PostgresArchive, "commit", ("before", "within")),
    "COMMIT": Effect(PostgresArchive, "_commit", ("before", "within", "after")),
    "settling a message": Effect(LinkCarrier, "settle_through", ("before", "after")),
    "publishing to a neighbour": Effect(LinkCarrier, "publish", ("before", "within", "after")),
    "moving past a note": Effect(Link, "take_position", ("before", "after")),
    "settling a drop": Effect(SystemCarrier, "settle_through", ("before", "after"), "system"),
    "publishing a document": Effect(
        SystemCarrier, "publish_to", ("before", "within", "after"), "system", _to("inbox")
    ),
    "publishing a status": Effect(
        SystemCarrier, "publish_to", ("before", "within", "after"), "system", _to("status")
    ),
    "confirming a box": Effect(Service, "confirm", ("before", "after"), "system"),
    "writing the signed size": Effect(SizeFile, "write", ("before", "after")),
    "keeping a checkpoint": Effect(
        PostgresArchive, "add_checkpoint", ("before", "within", "after")
    ),
    "the sweep": Effect(Sweep, "run", ("before", "after")),
}

STEPS: Mapping[str, Effect] = {
    f"{moment} {name}": effect for name, effect in EFFECTS.items() for moment in effect.moments
}
"""Every named step, by its name."""


class Executioner:
    """Kills this process where the file in a folder says so."""

    def __init__(self, folder: Path) -> None:
        self._ordered = folder / ORDERED
        self._done = folder / DONE

    def is_due(self, step: str) -> bool:
        """Return whether to die at this step."""
        try:
            return self._ordered.read_text(encoding="ascii") == step
        except FileNotFoundError:
            return False

    def kill(self) -> None:
        """Say that the step was reached, and die; live on where the order was withdrawn."""
        try:
            self._ordered.rename(self._done)
        except FileNotFoundError:
            return
        os.kill(os.getpid(), signal.SIGKILL)


def install(executioner: Executioner) -> None:
    """Wrap every method that has a step; what it does and returns stays as it is."""
    for name, effect in EFFECTS.items():
        original = getattr(effect.owner, effect.method)
        wrap = _awaited if asyncio.iscoroutinefunction(original) else _called
        setattr(effect.owner, effect.method, wrap(name, effect, original, executioner))


def _called(
    name: str, effect: Effect, original: Callable[..., Any], executioner: Executioner
) -> Callable[..., Any]:
    @wraps(original)
    def call(*arguments: Any, **options: Any) -> Any:
        meant = effect.case(arguments)
        if meant and executioner.is_due(f"before {name}"):
            executioner.kill()
        result = original(*arguments, **options)
        if meant and executioner.is_due(f"after {name}"):
            executioner.kill()
        return result

    return call


def _awaited(
    name: str, effect: Effect, original: Callable[..., Any], executioner: Executioner
) -> Callable[..., Any]:
    @wraps(original)
    async def call(*arguments: Any, **options: Any) -> Any:
        meant = effect.case(arguments)
        if meant and executioner.is_due(f"before {name}"):
            executioner.kill()
        if meant and executioner.is_due(f"within {name}"):
            asyncio.get_running_loop().call_later(WITHIN_S, executioner.kill)
        result = await original(*arguments, **options)
        if meant and executioner.is_due(f"after {name}"):
            executioner.kill()
        return result

    return call


def tell_tasks_on_request() -> None:
    """Have this process write to its log, at SIGUSR1, what each of its tasks waits for."""
    original = Daemon.run

    @wraps(original)
    async def run(*arguments: Any, **options: Any) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, _tell_tasks)
        await original(*arguments, **options)

    setattr(Daemon, "run", run)  # noqa: B010 - a plain assignment to a method is refused


def _tell_tasks() -> None:
    for task in asyncio.all_tasks():
        sys.stderr.write(f"{task.get_name()}, asked to end {task.cancelling()} times:\n")
        awaiting: Any = task.get_coro()
        while hasattr(awaiting, "cr_frame"):
            line = awaiting.cr_frame and awaiting.cr_frame.f_lineno
            sys.stderr.write(f"    {awaiting.__qualname__}:{line}\n")
            awaiting = awaiting.cr_await


def main() -> None:
    """Run the node of a configuration, mortal at every step."""
    config, ready = map(Path, sys.argv[1:])
    install(Executioner(config.parent))
    tell_tasks_on_request()
    run_node(config, ready)
