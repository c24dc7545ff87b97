"""What the operators of the country do when a node asks for them: nobody else ever would.

They see what any operator sees: that a node says its journal has lost its end, or that a link was
suspended.
"""

import asyncio
from typing import TYPE_CHECKING

import msgspec

from exchange.identity import new_packet_id
from exchange.losses import BEYOND, RECOVER
from schemas.records import InstructionRow

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
    if parent is not None:
        instruct(machine, RECOVER)
        instruct(country.machines[parent], "approve", address=machine.address)
        return
    heads = country.journals.newest_of(machine.address)
    instruct(machine, RECOVER, after=heads)


def instruct(machine: "Machine", what: str, /, **content: object) -> None:
    """Hand a node an instruction, as a command does."""
    now = machine.clock()
    encoded = msgspec.json.encode(content)
    machine.server.record.instruct(InstructionRow(new_packet_id(now), now, "op", what, encoded))
    if machine.life is not None and machine.life.on_drop is not None:
        machine.life.on_drop()
