import pytest

from harness.record_rows import HERE, PARENT, START, Scribe
from schemas.leaves import LeafKind
from schemas.moments import HOUR, SECOND
from schemas.records import IncidentRow, OpenRow
from store.reading import Filters, Reading, StreamGauge
from store.standing import State

FAST, BULK = f"{PARENT}/fast", f"{PARENT}/bulk"


@pytest.fixture
async def reading(record):
    async with Reading(record.daemon) as opened:
        yield opened


async def state_of(reading, row):
    page = await reading.list_packets(Filters(id=row.id))
    return page.packets[0].standing


async def test_sender_states(archive, reading, scribe):
    """A sender sees sent, in custody, then delivered; a custody note never delivers."""
    row = scribe.send()
    await archive.commit(scribe.renew())
    assert (await state_of(reading, row)).state is State.SENT
    scribe.note(BULK, 1)
    await archive.commit(scribe.renew())
    standing = await state_of(reading, row)
    assert (standing.state, standing.holder) == (State.IN_CUSTODY, PARENT)
    scribe.confirm(row)
    await archive.commit(scribe.renew())
    standing = await state_of(reading, row)
    assert (standing.state, standing.since) == (State.DELIVERED, scribe.now - 1)


async def test_sender_refused(archive, reading, scribe):
    """A refused receipt shows its reason; an acceptance that comes later overrides it."""
    row = scribe.send()
    scribe.confirm(row, "refused")
    await archive.commit(scribe.renew())
    standing = await state_of(reading, row)
    assert (standing.state, standing.reason) == (State.REFUSED, "type-not-allowed")
    scribe.confirm(row)
    await archive.commit(scribe.renew())
    assert (await state_of(reading, row)).state is State.DELIVERED


async def test_sender_expired_and_overdue(archive, reading, scribe):
    """Overdue marks a packet and ends nothing; expired does."""
    late, dead = scribe.send(), scribe.send()
    scribe.packet_leaf(LeafKind.OVERDUE, late)
    scribe.packet_leaf(LeafKind.EXPIRED, dead)
    await archive.commit(scribe.renew())
    standing = await state_of(reading, late)
    assert (standing.state, standing.overdue) == (State.SENT, True)
    assert (await state_of(reading, dead)).state is State.EXPIRED
    page = await reading.list_packets(Filters(overdue=True))
    assert [line.packet for line in page.packets] == [late]


async def test_recipient_states(archive, reading, scribe):
    """A recipient sees received, released, closed, or refused."""
    row, ping = scribe.receive(), scribe.packet(PARENT, HERE, via=PARENT)
    scribe.packet_leaf(LeafKind.RECEIVED, ping, verdict="accepted")
    barred = scribe.packet(PARENT, HERE, via=PARENT)
    scribe.leaf(LeafKind.REFUSED, barred.frame, reason="type-not-allowed", verdict="refused")
    await archive.commit(scribe.renew())
    assert (await state_of(reading, row)).state is State.RELEASED
    assert (await state_of(reading, ping)).state is State.RECEIVED
    assert (await state_of(reading, barred)).reason == "type-not-allowed"
    scribe.close(row)
    await archive.commit(scribe.renew())
    assert (await state_of(reading, row)).state is State.CLOSED


async def test_relay_state(archive, reading, scribe):
    """A relay sees relayed."""
    row = scribe.relay("kz.a", "kz.b", "kz.b/bulk")
    await archive.commit(scribe.renew())
    assert (await state_of(reading, row)).state is State.RELAYED


async def test_filters(archive, reading, scribe):
    """A list narrows by every field that a filter names."""
    plain = scribe.send()
    other = scribe.relay("kz.akmola.x.s1", "kz", "kz/bulk", type_="order.issue/1", period="2026-Q4")
    near = scribe.relay("kz.akmola.xx", "kz.b", "kz/bulk")
    await archive.commit(scribe.renew())

    async def found(**wanted):
        page = await reading.list_packets(Filters(**wanted))
        assert page.next_after is None
        return [line.packet for line in page.packets]

    assert await found() == [near, other, plain]
    assert await found(id=plain.id) == [plain]
    assert await found(sender=HERE) == [plain]
    assert await found(recipient="kz") == [other]
    assert await found(under="kz.akmola.x") == [other]
    assert await found(under="kz.akmola") == [near, other, plain]
    assert await found(under="kz.b") == [near]
    assert await found(type_="order.issue/1", period="2026-Q4") == [other]
    assert await found(section="S09") == []
    assert await found(received_from=other.received, received_until=near.received) == [other]
    assert await found(state=State.SENT) == [plain]


async def test_pages(archive, reading, scribe):
    """A long list comes in pages, newest first, nothing twice and nothing left out."""
    rows = [scribe.send() for _ in range(450)]
    await archive.commit(scribe.renew())
    frames, after = [], None
    while True:
        page = await reading.list_packets(Filters(), after, limit=150)
        frames += [line.packet.frame for line in page.packets]
        if page.next_after is None:
            break
        after = page.next_after
    assert frames == [row.frame for row in reversed(rows)]


async def test_timeline(archive, reading, scribe):
    """A timeline has leaves, places, custody and answers, in order of time."""
    row = scribe.send()
    scribe.note(BULK, 1)
    receipt = scribe.confirm(row)
    await archive.commit(scribe.renew())
    timeline = await reading.timeline(row.id)
    assert [moment.what for moment in timeline.moments] == [
        "sent", "placed", "custody", "confirmed", "answer", "answer"
    ]  # fmt: skip
    assert timeline.moments[0].facts["head-sha256"] == row.head_sha256.hex()
    assert [answer.type for answer in timeline.answers] == ["receipt/1", "closing/1"]
    assert timeline.packets[0].standing.state is State.DELIVERED
    assert (await reading.timeline(receipt.id)).answered == [row]
    closing = timeline.answers[1]
    assert (await reading.timeline(closing.id)).answered == [receipt, row]
    assert (await reading.timeline("none")).moments == []


async def test_timeline_of_a_recipient(archive, reading, scribe):
    """A timeline tells when a document was released, and who took it."""
    row = scribe.receive()
    await archive.commit(scribe.renew())
    await archive.take(row.frame, "clerk", row.received + SECOND)
    timeline = await reading.timeline(row.id)
    whats = [moment.what for moment in timeline.moments]
    assert whats == ["received", "released", "answer", "taken"]


async def test_quarantine(archive, reading, scribe):
    """Quarantine is listed by state and neighbour, newest first, and shown whole."""
    refused = [scribe.quarantine(raw=bytes([number])) for number in range(3)]
    held = scribe.quarantine("held", b"early")
    await archive.commit(scribe.renew())
    assert await reading.quarantine_list() == [held, *refused[::-1]]
    assert await reading.quarantine_list("refused", PARENT, "sig-invalid", refused[2].frame) == [
        refused[1],
        refused[0],
    ]
    assert await reading.quarantine_list(neighbour="kz.other") == []
    assert await reading.quarantine_show(held.frame) == [held]


async def test_incidents(archive, reading, scribe):
    """Incidents are listed newest first."""
    rows = [IncidentRow(START + at, "fork", PARENT, f"number {at}", None) for at in range(3)]
    scribe.changes.incidents += rows
    await archive.commit(scribe.renew())
    assert await reading.incidents() == rows[::-1]
    assert await reading.incidents(before=START + 2, limit=1) == [rows[1]]


async def test_overdue(archive, reading, scribe):
    """Packets past their deadline are listed with the last known holder."""
    one, two, three = (scribe.send() for _ in range(3))
    scribe.note(BULK, 1)
    scribe.packet_leaf(LeafKind.OVERDUE, two)
    scribe.changes.open.append(OpenRow(two.frame, two.frame, "receipt", START, START, 1, None))
    await archive.commit(scribe.renew())
    assert [item.packet for item in await reading.overdue(START)] == [two]
    found = {item.packet: item.holder for item in await reading.overdue(START + 2 * HOUR)}
    assert found == {one: PARENT, two: HERE, three: HERE}


async def test_gauges(archive, reading, scribe):
    """Counts show what is open, held, dropped and beyond each cursor."""
    for _ in range(3):
        scribe.send()
    scribe.receive()
    scribe.quarantine("held")
    scribe.note(BULK, 2)
    await archive.commit(scribe.renew())
    gauges = await reading.gauges()
    assert gauges.open == {"receipt": 3, "closing": 1}
    assert gauges.held == {PARENT: 1}
    assert (gauges.leaves, gauges.last_frame) == (scribe.leaves, scribe.frame)
    assert gauges.streams[BULK] == StreamGauge(1, START + 3)
    assert gauges.streams[FAST].beyond_cursor == 1


async def test_gauges_of_a_new_record(reading):
    """A new record counts nothing."""
    gauges = await reading.gauges()
    assert (gauges.open, gauges.held, gauges.streams) == ({}, {}, {})
    assert (gauges.leaves, gauges.last_frame, gauges.drops_pending) == (0, 0, 0)


def test_scribe_is_plausible():
    """The helper numbers frames and leaves without gaps."""
    scribe = Scribe()
    scribe.send()
    scribe.receive()
    changes = scribe.renew()
    assert [row.frame for row in changes.packets] == [1, 2, 3]
    assert [leaf.index for leaf in changes.leaves] == list(range(4))
