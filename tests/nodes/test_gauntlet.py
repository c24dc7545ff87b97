"""The gauntlet against real daemons, above and below, and against neighbours that have faults."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from harness.cli_run import bbaj
from harness.memory_link import MemoryLink
from harness.network import private_network
from harness.pki import make_network
from harness.rogue import Rogue
from nodes.clock import now
from nodes.gauntlet.party import Party
from nodes.gauntlet.running import CASES, GauntletResult, run_gauntlet
from nodes.sandbox.network import NodeSpec, PrivateNetwork
from schemas.objects import MAGIC, Bundle, CutObject, cut_object, unpack_bundle_body

TOP, PARTY, BELOW = "kz", "kz.zhambyl", "kz.zhambyl.taraz"
QUICK_CASES = ("lose", "repeat", "damage", "bad-packets")


@pytest.fixture(scope="module")
async def network() -> AsyncIterator[PrivateNetwork]:
    """Run a parent and a child; the node between them is the gauntlet's."""
    async with private_network([NodeSpec(each) for each in (TOP, PARTY, BELOW)]) as network:
        await network.start(TOP, BELOW)
        yield network


async def tried(network: PrivateNetwork, neighbour: str, *words: str) -> GauntletResult:
    """Run the command as an operator does."""
    config = str(network.nodes[PARTY].config_path)
    done = await bbaj("gauntlet", neighbour, "--config", config, "--json", *words)
    assert done.code == 0, done.err
    return msgspec.json.decode(done.out, type=GauntletResult)


@pytest.mark.parametrize("neighbour", [TOP, BELOW])
async def test_a_node_withstands_the_gauntlet(network, neighbour):
    """A daemon of ours, as parent and as child, answers every good packet once, and goes on."""
    words = [word for name in QUICK_CASES for word in ("--case", name)]
    result = await tried(network, neighbour, *words)
    assert result.withstood
    assert [(each.name, each.fault) for each in result.cases] == [
        (each, "") for each in QUICK_CASES
    ]
    assert all(each.thrown > 0 for each in result.cases)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("neighbour", [TOP, BELOW])
async def test_a_node_withstands_all_of_it(network, neighbour):
    """The whole gauntlet, and the same identity again, to the fork."""
    first = await tried(network, neighbour)
    second = await tried(network, neighbour, "--case", "repeat", "--fork")
    assert [each.name for each in first.cases] == list(CASES)
    assert [each.name for each in second.cases] == ["repeat", "fork"]
    assert first.withstood
    assert second.withstood


async def test_only_a_neighbour_is_tried(network):
    """An address that is no neighbour of the party is refused, with both named."""
    config = str(network.nodes[PARTY].config_path)
    done = await bbaj("gauntlet", "kz.turkestan", "--config", config)
    assert (done.code, "kz.turkestan is neither the parent of kz.zhambyl" in done.err) == (78, True)


# --- neighbours that have faults ------------------------------------------------------------------


class Naive(Rogue):
    """A parent that answers each ping, and looks at nothing but lengths and numbers."""

    def _open(self, raw: bytes) -> CutObject:
        return cut_object(raw)

    def _keep(self, entry: bytes) -> None:
        if entry[:4] != MAGIC:
            super()._keep(entry)

    async def _take(self, bundle: Bundle, body: bytes) -> None:
        before = len(self.packets)
        await super()._take(bundle, body)
        await self.answer(before)

    async def answer(self, before: int) -> None:
        for frame in self.packets[before:]:
            if frame.header.type == "ping/1":
                await self.send(self.receipt(frame), lane="fast")


class Sound(Naive):
    """One that checks what a link object and its entries must be."""

    _open = Rogue._open


class Doubling(Sound):
    """One that processes a bundle as often as it comes."""

    async def _take(self, bundle: Bundle, body: bytes) -> None:
        if bundle.last > self.taken[bundle.lane].up_to:
            return await super()._take(bundle, body)
        before = len(self.packets)
        for entry in unpack_bundle_body(body)[1]:
            self._keep(entry)
        return await self.answer(before)


class Leaping(Sound):
    """One that takes what comes, whatever is missing before it."""

    async def _take(self, bundle: Bundle, body: bytes) -> None:
        known = self.taken[bundle.lane]
        self.taken[bundle.lane] = msgspec.structs.replace(known, up_to=bundle.first - 1)
        before = len(self.packets)
        for entry in unpack_bundle_body(body)[1]:
            self._keep(entry)
        chain = bytes.fromhex(bundle.chain)
        self.taken[bundle.lane] = type(known)(bundle.last, chain, bundle.last)
        await self.note(bundle.lane)
        await self.answer(before)


class Forgetful(Sound):
    """One that answers nothing."""

    async def answer(self, before: int) -> None:
        """Say nothing."""


@pytest.mark.parametrize(
    ("kind", "case", "fault"),
    [
        (Sound, "repeat", ""),
        (Sound, "lose", ""),
        (Doubling, "repeat", "different receipts"),
        (Leaping, "lose", "never came"),
        (Naive, "bad-packets", "an empty entry: no answer"),
        (Forgetful, "repeat", "no answer within"),
    ],
)
async def test_a_fault_is_found_and_named(kind, case, fault):
    """A neighbour that departs from the rules does not withstand the case made for that."""
    result = await tried_in_memory(kind, case)
    (found,) = result.cases
    assert result.withstood is (fault == "")
    assert fault in found.fault, found.fault


async def tried_in_memory(kind: type[Rogue], case: str) -> GauntletResult:
    """Run one case against a neighbour of some kind, over queues in memory."""
    keys = make_network([TOP, PARTY], now())
    link = MemoryLink(TOP, PARTY)
    neighbour = kind(
        TOP,
        PARTY,
        signer=keys.nodes[TOP].packet,
        trust=keys.trust(),
        connect=lambda handler: link.run_parent(handler, lambda _: None),
    )
    party = Party(
        PARTY,
        TOP,
        signer=keys.nodes[PARTY].packet,
        trust=keys.trust(),
        connect=lambda handler: link.run_child(handler, lambda _: None),
    )
    await neighbour.start(greeted=False)
    try:
        return await run_gauntlet(party, [case], seed=1, patience_s=3, on_progress=lambda *_: None)
    finally:
        await neighbour.stop()
