"""A machine that rejoins an address with an empty record: it begins the next epoch by itself."""

import pytest

from harness.joining import send
from nodes.wiring import database_url
from store.reading import Filters, Reading

pytestmark = pytest.mark.slow

DISTRICT = "kz.zhambyl.taraz"


async def test_an_empty_record_begins_epoch_two(joiner, district):
    """The invitation that replaces the machine is the approval: nobody has to be asked."""
    old = await joiner.invited()
    assert (await old.join()).code == 0
    old.hurry()
    async with old.running():
        first = await send(old, DISTRICT)
        assert first.state in {"delivered", "closed"}
    [made] = await joiner.invite(old.address)
    new = await joiner.machine(old.address, made.text)
    assert (await new.join()).code == 0
    new.hurry()
    async with new.running() as running:
        await running.until_said("epoch 2 begins")
        second = await send(new, DISTRICT)
        assert second.state in {"delivered", "closed"}
        async with Reading(database_url(new.config)) as record:

            async def comes_back() -> bool:
                return [await epoch_of(record, each.packet) for each in (first, second)] == [1, 2]

            await district.until(comes_back)
            marks = await record.link_marks()
    assert {mark.action for mark in marks.values()} <= {"lifted"}
    assert new.address not in await (await district.reading()).link_marks()


async def epoch_of(record: Reading, packet_id: str) -> int | None:
    """Return the epoch of a packet in a record; None where it is not there."""
    page = await record.list_packets(Filters(id=packet_id))
    return page.packets[0].packet.epoch if page.packets else None
