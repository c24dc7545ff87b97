"""A republic and an oblast in memory, each with a real record, and what tests ask of them."""

import asyncio
from contextlib import asynccontextmanager

import msgspec

from exchange.identity import new_packet_id
from harness.drafts import OBLAST
from harness.pki import make_network
from harness.service_node import Node, new_link, new_record
from nodes import clock
from schemas.moments import SECOND
from schemas.records import InstructionRow
from signing.seal import sign_object

TOP = "kz"
PATIENCE_S = 30.0


class Pair:
    """A republic and an oblast in memory."""

    def __init__(self, nodes, network):
        self.nodes, self.network = nodes, network

    def __getitem__(self, address):
        return self.nodes[address]

    async def reconcile(self, at, neighbour, wait_us=20 * SECOND):
        """Have a node compare its streams; return what became of it."""
        content = msgspec.json.encode({"neighbour": neighbour, "wait_us": wait_us})
        row = InstructionRow(new_packet_id(clock.now()), clock.now(), "op", "reconcile", content)
        return await self.instruct(at, row)

    async def instruct(self, at, row):
        """Give a node an instruction; return what became of it."""
        archive, id_ = self[at].archive, row.id
        await archive.instruct(row)
        async with asyncio.timeout(PATIENCE_S):
            while (outcome := await archive.instruction_outcome(id_)) is None:  # noqa: ASYNC110 - the record tells no events
                await asyncio.sleep(0.02)
        return outcome.state, msgspec.json.decode(outcome.content)

    async def streams(self, at, neighbour):
        """Return the streams compared, by writer and lane."""
        state, said = await self.reconcile(at, neighbour)
        assert state == "done", said
        return {(each["writer"], each["lane"]): each for each in said["streams"]}

    async def incidents(self, at, kind):
        query = "SELECT detail, frame FROM incident WHERE kind = $1 ORDER BY place"
        return await self[at].archive._rows(query, kind)

    def say(self, by, to, header):
        """Have a node sign and send an object of its own, whatever its program thinks."""
        raw = sign_object(header, self.network.nodes[by].packet)
        self[by].service.state.links[to].send_object(raw)

    def stamp(self, from_, to):
        return {
            "from_": from_, "to": to, "epoch": 1, "number": clock.now(),
            "certificate": self.network.nodes[from_].packet.fingerprint,
        }  # fmt: skip


@asynccontextmanager
async def running(server, folder, name, documents=12):
    """Run both, some documents sent up and answered."""
    network = make_network((TOP, OBLAST), clock.now())
    nodes, link = {}, new_link(OBLAST)
    for number, address in enumerate((TOP, OBLAST)):
        place = folder / f"{name}_{number}"
        place.mkdir()
        record = await new_record(server, f"{name}_{number}", address)
        nodes[address] = Node(address, network, place, record)
    async with nodes[TOP].live(link), nodes[OBLAST].live(link):
        for packet in await nodes[OBLAST].drop(TOP, range(documents)):
            await nodes[TOP].until(OBLAST, packet, "closed")
        yield Pair(nodes, network)
