"""A large file over real brokers and databases: from `bbaj send` to `bbaj inbox take` (5.10)."""

import asyncio
import hashlib
import os
from pathlib import Path

import pytest

from harness.cli_run import bbaj
from harness.network import private_network
from harness.watch import Watch
from nodes.cli.shapes import Sending, TakenDocument
from nodes.sandbox.network import NodeSpec
from schemas.moments import DAY

TOP, RELAY, LEAF = "kz", "kz.zhambyl", "kz.zhambyl.taraz"
FILE_BYTES = 100_000_000
FEW_BYTES = 2_000_000
"""Eight parts."""
ABOVE_IDLE_MB = 120
WAIT_S = 500


def memory_mb(pid: int, field: str) -> float:
    """Return a figure of a process's memory: `VmRSS` now, `VmHWM` at most so far."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return (
        int(next(line.split()[1] for line in status.splitlines() if line.startswith(field))) / 1024
    )


def write_random(path: Path, size: int = FILE_BYTES) -> str:
    """Write a file of whole megabytes that no packing makes smaller; return its SHA-256."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for _ in range(size // 1_000_000):
            block = os.urandom(1_000_000)
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_file_of_100_mb_passes_with_flat_memory_past_a_kill():
    """Through a relay that is killed on the way, it comes out as it was; no daemon grows by it."""
    specs = [NodeSpec(TOP), NodeSpec(RELAY), NodeSpec(LEAF)]
    limits = {"receipt_overdue_bulk_us": DAY}
    async with private_network(specs, limits=limits) as network:
        await network.start(TOP, RELAY, LEAF)
        folder = network.nodes[LEAF].config_path.parent
        sha256 = write_random(folder / "file.bin")
        idle = {name: memory_mb(network.nodes[name].process.pid, "VmRSS") for name in (TOP, LEAF)}
        send = ("send", str(folder / "file.bin"), "--type", "document.file/1", "--to", TOP)
        sending = asyncio.create_task(
            bbaj(*send, "--section", "S01", "--wait", str(WAIT_S), "--json",
                 config=network.nodes[LEAF].config_path)
        )  # fmt: skip
        eyes = Watch(network, RELAY)
        async with asyncio.timeout(WAIT_S):
            while len(await eyes.rows("SELECT 1 FROM part")) < 50:  # noqa: ASYNC110 - the record tells no events
                await asyncio.sleep(0.2)
        await eyes.close()
        await network.kill(RELAY)
        await network.start(RELAY)
        sent = (await sending).shape(Sending)
        assert sent.state == "delivered"
        taking = ("inbox", "take", sent.packet, "--to", str(folder), "--json")
        taken = await bbaj(*taking, config=network.nodes[TOP].config_path)
        (document,) = taken.shape(list[TakenDocument])
        assert (document.sha256, document.size) == (sha256, FILE_BYTES)
        assert hashlib.sha256(Path(document.path).read_bytes()).hexdigest() == sha256
        for name, before in idle.items():
            grown = memory_mb(network.nodes[name].process.pid, "VmHWM") - before
            assert grown < ABOVE_IDLE_MB, f"{name} grew by {grown:.0f} MB"


@pytest.mark.slow
@pytest.mark.timeout(200)
async def test_a_refused_file_is_sealed_again_with_its_parts():
    """Once its sender may send files, `bbaj resend` brings the whole under a new id."""
    async with private_network([NodeSpec(TOP), NodeSpec(RELAY)]) as network:
        await network.start(TOP, RELAY)
        config, folder = network.nodes[RELAY].config_path, network.nodes[RELAY].folder
        assert (await bbaj("ping", TOP, "--wait", "30", config=config)).code == 0
        sha256 = write_random(folder / "file.bin", FEW_BYTES)
        await network.stop(TOP)
        network.vouch(RELAY, types=("admin.order/1",))
        send = ("send", str(folder / "file.bin"), "--type", "document.file/1", "--to", TOP)
        await bbaj(*send, "--section", "S01", "--drop-id", "f", config=config)
        eyes = Watch(network, RELAY)
        await eyes.until(lambda: eyes.rows("SELECT 1 FROM part OFFSET 7"))
        await eyes.close()
        await network.start(TOP)
        refused = (
            await bbaj(*send, "--section", "S01", "--drop-id", "f", "--wait", "60", "--json",
                       config=config)
        ).read(Sending)  # fmt: skip
        assert (refused.state, refused.reason) == ("refused", "type-not-allowed")
        network.vouch(RELAY, types=())
        await network.stop(TOP)
        await network.start(TOP)
        again = ("resend", refused.packet, "--wait", "60", "--json")
        sent = (await bbaj(*again, config=config)).shape(Sending)
        assert sent.state == "delivered"
        assert sent.packet != refused.packet
        taking = ("inbox", "take", sent.packet, "--to", str(folder), "--json")
        taken = await bbaj(*taking, config=network.nodes[TOP].config_path)
        (document,) = taken.shape(list[TakenDocument])
        assert (document.sha256, document.size) == (sha256, FEW_BYTES)
