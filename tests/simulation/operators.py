"""What the operators of the country do when a node asks for them: nobody else ever would.

They see what any operator sees: that a node says its journal has lost its end, or that a link was
suspended.
"""

import asyncio
from typing import TYPE_CHECKING

import msgspec

from exchange.cosignatures import ROOT_WITNESSES
from exchange.identity import new_packet_id
from exchange.losses import BEYOND, RECOVER
from nodes.cli.recovering import merged
from schemas.records import InstructionRow
from signing.notes import checkpoint_of, origin

if TYPE_CHECKING:
    from simulation.country import Country
    from simulation.machine import Machine

LOOKS_EVERY_S = 900.0


async def look_after(country: "Country") -> None:
    """Look at every node now and then, and do what it says."""
    while True:
        await asyncio.sleep(LOOKS_EVERY_S)
        for machine in country.machines.values():
            service = machine.service
            if service is None:
                continue
            if service.state.loss is not None:
                country.watch.note(machine.address, "lost", service.state.loss.why)
                recover(country, machine)
            elif machine.was_restored and stands_still(machine):
                country.watch.note(machine.address, "lost", "as its operator knows")
                recover(country, machine)


def stands_still(machine: "Machine") -> bool:
    """Say whether a link is suspended because its neighbour shows more than the node has."""
    marks = machine.server.record.link_marks().values()
    return any(mark.action == "suspended" and mark.why.endswith(BEYOND) for mark in marks)


def recover(country: "Country", machine: "Machine") -> None:
    """Ask for a new epoch, and have the parent's operator approve it."""
    parent = machine.parent
    if parent is None:
        recover_root(country, machine)
        return
    instruct(machine, RECOVER)
    instruct(country.machines[parent], "approve", address=machine.address)


def recover_root(country: "Country", root: "Machine") -> None:
    """Ask the children's operators for notes of one checkpoint; with two of them, recover.

    Where they hold several sizes, the next look brings those of the smallest one.
    """
    if root.service is None or root.service.state.loss is None:
        instruct(root, RECOVER, after="")  # believes the neighbours, and is declined
        return
    name = origin(root.address, root.service.state.loss.of_epoch)
    children = [each for each in country.machines.values() if each.parent == root.address]
    brought = [note for each in children if (note := brought_note(each, name)) is not None]
    sizes = {checkpoint_of(note).size for note in brought}
    if len(sizes) == 1 and len(brought) >= ROOT_WITNESSES:
        instruct(root, RECOVER, after=merged(brought))
        return
    size = {"size": min(sizes)} if len(brought) == len(children) else {}
    for child in children:
        instruct(child, "note", address=root.address, **size)


def brought_note(machine: "Machine", name: str) -> str | None:
    """Return the note of a journal that a node's operator was given last, if there is one."""
    record = machine.server.record
    for _, outcome in reversed(record.done_instructions("note")):
        note: str = msgspec.json.decode(outcome.content)["note"]
        return note if checkpoint_of(note).origin == name else None
    return None


def instruct(machine: "Machine", what: str, /, **content: object) -> None:
    """Hand a node an instruction, as a command does."""
    now = machine.clock()
    encoded = msgspec.json.encode(content)
    machine.server.record.instruct(InstructionRow(new_packet_id(now), now, "op", what, encoded))
    if machine.life is not None and machine.life.on_drop is not None:
        machine.life.on_drop()
