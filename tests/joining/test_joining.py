"""Two commands make a machine a node, over the real network, whatever interrupts them."""

import asyncio
import contextlib
import signal

import pytest

from harness.cli_run import bbaj, start_bbaj
from harness.joining import (
    ByHand,
    send,
    uses_of,
)
from nodes.cli.invitation_shapes import JoinDone
from nodes.clock import now
from nodes.config import LANGUAGE_NAME
from nodes.invitations import read_invitation

DISTRICT = "kz.zhambyl.taraz"
NOT_ADMITTED = 82


async def test_two_commands_make_a_school(joiner, district):
    """After `bbaj invite` and `bbaj join` the school runs, and its first packet is delivered."""
    machine = await joiner.invited()
    done = (await machine.join("--json")).shape(JoinDone)
    assert (done.address, done.tier, done.parent) == (machine.address, "school", DISTRICT)
    assert (done.again, done.replaces) == (False, False)
    async with machine.running():
        sent = await send(machine, DISTRICT)
        assert sent.state in {"delivered", "closed"}
        reading = await district.reading()

        async def keys_on_card():
            rows = [row for row in await reading.cards() if row.address == machine.address]
            return rows and b'"keys"' in rows[0].object

        await district.until(keys_on_card)
    listed = await joiner.listed(read_invitation(machine.text, now()).header.invitation)
    assert (listed.state, listed.refused) == ("used", 0)


async def test_keys_never_leave_the_machine(joiner):
    """What the machine made lies in its folder with mode 0600, and nowhere at the parent."""
    machine = await joiner.invited()
    assert (await machine.join()).code == 0
    keys = sorted((machine.folder / "keys").glob("*.key"))
    assert [key.stem for key in keys] == ["encryption", "journal", "link", "packet"]
    assert {key.stat().st_mode & 0o777 for key in keys} == {0o600}
    assert not (machine.folder / ".joining").exists()


async def test_steps_are_told_in_kazakh(joiner):
    """The steps are told in Kazakh where nobody asks for another language."""
    machine = await joiner.invited()
    done = await bbaj(*machine.words(), variables={LANGUAGE_NAME: ""})
    assert done.code == 0
    assert "кілттер осы машинада жасалды" in done.err
    assert "торап дайын" in done.err
    assert "жоғары тұрған торап" in done.out.decode()


async def test_joining_again_changes_nothing(joiner):
    """The same command after the end says that the machine has joined."""
    machine = await joiner.invited()
    first = (await machine.join("--json")).shape(JoinDone)
    before = {path: path.read_bytes() for path in machine.folder.rglob("*") if path.is_file()}
    again = (await machine.join("--json")).shape(JoinDone)
    after = {path: path.read_bytes() for path in machine.folder.rglob("*") if path.is_file()}
    assert (first.again, again.again, before == after) == (False, True, True)


@pytest.mark.parametrize("step", ["keys were made", "request is sent", "certificates have come"])
async def test_a_killed_command_can_be_repeated(joiner, district, step):
    """Wherever the machine dies while it joins, the same command goes on from there."""
    machine = await joiner.invited()
    process = await start_bbaj(*machine.words("--language", "en"))
    async with asyncio.timeout(30):
        while step not in (await process.stderr.readline()).decode():
            assert process.returncode is None
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGKILL)
    await process.communicate()
    assert (await machine.join()).code == 0
    invitation = read_invitation(machine.text, now()).header.invitation
    assert [state for state, _ in await uses_of(district, invitation)] == ["taken"]


async def test_a_parent_that_dies_in_between_answers_from_its_record(network, joiner, tmp_path):
    """A request taken while the authority is away is answered after the parent was killed."""
    made = await joiner.invitation()
    machine = ByHand.of(made.text, tmp_path / "between")
    raw = machine.join_object()
    await network.stop("kz")
    try:
        assert (await machine.ask(raw)).state == "taken"
        await network.kill(DISTRICT)
        await network.start(DISTRICT)
        assert (await machine.ask(raw)).state == "taken"
    finally:
        await network.start("kz")
    assert await machine.until_ready(raw)
