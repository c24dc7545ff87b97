"""The rules of a link, broken one by one: what is kept, what stands still, and who goes on."""

import asyncio

import pytest

from harness.rogue import chain_over, sha256, signer_of
from nodes.clock import now
from schemas.leaves import read_leaf
from schemas.objects import Ask, CustodyNote, Hello, StreamPosition, Void, cut_object
from schemas.records import LinkMark
from signing.seal import sign_object
from store.packing import unpack

ROOT, RELAY, SENDER, RECIPIENT = "kz", "kz.zhambyl", "kz.zhambyl.taraz", "kz.zhambyl.shu"
WRONG = b"\x11" * 32


async def until_incident(country, kind, rogue):
    """Return the incidents of one kind on a rogue's link, once there is one."""
    eyes = country.at[RELAY]
    return await eyes.until(lambda: eyes.incidents(kind, rogue.address))


async def restart(country):
    await country.network.stop(RELAY)
    await country.network.start(RELAY)


async def send_and_close(rogue, *frames):
    """Send frames and return once each has its recipient's receipt."""
    await rogue.send(*frames)
    return [(await rogue.receipt_on(frame))[1].verdict for frame in frames]


def is_fast(bundle):
    """Say whether a bundle's bytes are one of the fast stream."""
    return cut_object(bundle).header.lane == "fast"


async def stands_at(country, rogue, cursors):
    """Say whether these are the cursors that the fast stream to a rogue has had."""
    query = "SELECT up_to FROM note WHERE stream = $1 ORDER BY place"
    rows = await country.at[RELAY].rows(query, f"{rogue.address}/fast")
    return [row["up_to"] for row in rows] == cursors


# --- bundles --------------------------------------------------------------------------------------


async def test_a_wrong_chain_is_kept_and_nothing_is_taken(country):
    """A bundle whose chain is not that of its entries is an incident, and the note stays."""
    rogue = await country.rogue()
    await send_and_close(rogue, rogue.packet(ROOT))
    raw = rogue.bundle([rogue.packet(ROOT)], 2, WRONG)
    await rogue.publish(raw)
    (incident,) = await until_incident(country, "message_unreadable", rogue)
    (row,) = await country.at[RELAY].quarantine_of(raw)
    kept = await country.at[RELAY].quarantined_bytes(row)
    assert (row.state, kept, incident.frame, rogue.noted["bulk"].up_to) == (
        "incident",
        raw,
        row.frame,
        1,
    )


async def test_a_sender_goes_on_after_a_wrong_chain(country):
    """The right bundle with the same numbers is taken after the wrong one."""
    rogue = await country.rogue()
    await rogue.publish(rogue.bundle([rogue.packet(ROOT)], 1, WRONG))
    assert await send_and_close(rogue, rogue.packet(ROOT)) == ["accepted"]


async def test_a_bundle_signed_by_another_key_is_kept_and_not_taken(country):
    """A bundle under the key of another node proves nothing: an incident, and no number moves."""
    rogue = await country.rogue()
    entry = rogue.packet(ROOT)
    other = signer_of(country.network, f"{rogue.address}.b")
    raw = rogue.bundle([entry], 1, chain_over(bytes(32), 1, [entry]), signer=other)
    await rogue.publish(raw)
    await until_incident(country, "message_unreadable", rogue)
    assert await send_and_close(rogue, rogue.packet(ROOT)) == ["accepted"]


async def test_a_bundle_with_a_spoilt_signature_is_kept_and_not_taken(country):
    """A bundle whose body was changed after signing is an incident, and no number moves."""
    rogue = await country.rogue()
    entry = rogue.packet(ROOT)
    raw = rogue.bundle([entry], 1, chain_over(bytes(32), 1, [entry]))
    await rogue.publish(raw[:-1] + bytes([raw[-1] ^ 1]))
    await until_incident(country, "message_unreadable", rogue)
    assert await send_and_close(rogue, rogue.packet(ROOT)) == ["accepted"]


async def test_numbers_and_entries_must_agree(country):
    """A bundle that claims more numbers than it has entries is an incident, and nothing moves."""
    rogue = await country.rogue()
    entry = rogue.packet(ROOT)
    raw = rogue.bundle([entry], 1, chain_over(bytes(32), 1, [entry]), last=7)
    await rogue.publish(raw)
    await until_incident(country, "message_unreadable", rogue)
    assert await send_and_close(rogue, rogue.packet(ROOT)) == ["accepted"]


async def test_a_bundle_under_an_epoch_that_is_not_open_is_not_taken(country):
    """Its neighbour's card may be on its way: it is asked for, and no number moves."""
    rogue = await country.rogue()
    entry = rogue.packet(ROOT)
    raw = rogue.bundle([entry], 1, chain_over(bytes(32), 1, [entry]), epoch=2)
    await rogue.publish(raw)
    await rogue.until(lambda: any(is_ask_for_card(each, rogue) for each in rogue.objects))
    assert not await country.at[RELAY].incidents("link_suspended", rogue.address)
    assert await send_and_close(rogue, rogue.packet(ROOT)) == ["accepted"]


def is_ask_for_card(header, rogue):
    return isinstance(header, Ask) and (header.what, header.address) == ("card", rogue.address)


async def test_a_fork_suspends_the_link(country):
    """A known number with another chain value is kept as evidence, and the link stands still."""
    rogue = await country.rogue()
    await send_and_close(rogue, rogue.packet(ROOT))
    other = rogue.packet(ROOT)
    raw = rogue.bundle([other], 1, chain_over(bytes(32), 1, [other]))
    await rogue.publish(raw)
    await until_incident(country, "link_suspended", rogue)
    (row,) = await country.at[RELAY].quarantine_of(raw)
    await rogue.send(frame := rogue.packet(ROOT))
    await asyncio.sleep(0.5)
    assert (row.state, rogue.receipts_on(frame)) == ("incident", [])


async def test_a_fork_in_the_middle_of_a_bundle_suspends_the_link(country):
    """A bundle that repeats a known number under other bytes, and goes on, is a fork too."""
    rogue = await country.rogue()
    await send_and_close(rogue, rogue.packet(ROOT))
    two = [rogue.packet(ROOT), rogue.packet(ROOT)]
    await rogue.publish(rogue.bundle(two, 1, chain_over(bytes(32), 1, two)))
    assert await until_incident(country, "link_suspended", rogue)


async def test_a_suspended_link_stays_so_when_the_daemon_restarts(country):
    """Only an operator lifts a suspension, not a restart."""
    rogue = await country.rogue()
    await rogue.note("bulk", up_to=99, chain=WRONG.hex(), seen=99)
    await until_incident(country, "link_suspended", rogue)
    await restart(country)
    frame = rogue.packet(ROOT)
    await rogue.send(frame)
    await asyncio.sleep(1.0)
    assert rogue.receipts_on(frame) == []


@pytest.mark.parametrize("restarts", [False, True], ids=["at once", "after a restart"])
async def test_a_lifted_link_goes_on(country, restarts):
    """Once an operator lifts the suspension, the link takes up where it stood."""
    rogue = await country.rogue()
    await rogue.note("bulk", up_to=99, chain=WRONG.hex(), seen=99)
    await until_incident(country, "link_suspended", rogue)
    if restarts:
        await restart(country)
    reading = await country.at[RELAY].reading()
    await reading.mark_link(LinkMark(rogue.address, now(), "lifted", "looked at"))
    await asyncio.sleep(1.0)
    assert await send_and_close(rogue, rogue.packet(ROOT)) == ["accepted"]


async def test_siblings_do_not_feel_a_suspension(country):
    """While one child's link is suspended, another's goes on."""
    rogue, sibling = await country.rogue(), await country.rogue()
    await rogue.note("fast", up_to=99, chain=WRONG.hex(), seen=99)
    await until_incident(country, "link_suspended", rogue)
    assert await send_and_close(sibling, sibling.packet(ROOT)) == ["accepted"]


async def test_a_note_for_numbers_never_sent_suspends_that_link(country):
    """A custody note beyond our last number suspends the link that it came over."""
    rogue = await country.rogue()
    await rogue.note("bulk", up_to=5, chain=WRONG.hex(), seen=5)
    (incident,) = await until_incident(country, "link_suspended", rogue)
    beyond = "note for 5, last number 0: shows numbers beyond ours"
    assert incident.detail == f"{rogue.address}/bulk: {beyond}"


async def test_a_note_with_another_chain_suspends_that_link(country):
    """A custody note whose chain is not ours at its number suspends the link."""
    rogue = await country.rogue()
    rogue.takes = False
    frame = rogue.packet(ROOT)
    await rogue.send(frame)
    await country.at[ROOT].until(lambda: is_there(country, frame))
    await rogue.until(lambda: any(map(is_fast, bundles(rogue))))
    await rogue.note("fast", up_to=1, chain=WRONG.hex(), seen=1)
    assert await until_incident(country, "link_suspended", rogue)


async def test_an_old_note_is_dropped(country):
    """A note of an earlier connection moves no cursor, whatever it says: it may be lost since."""
    rogue = await country.rogue()
    rogue.takes = False
    await rogue.send(frame := rogue.packet(ROOT))
    await country.at[ROOT].until(lambda: is_there(country, frame))
    raw = await rogue.until(lambda: next(filter(is_fast, bundles(rogue)), None))
    chain = cut_object(raw).header.chain
    for nonce, cursors in ((rogue.shake.nonce, []), (rogue.shake.heard, [1])):
        position = StreamPosition("fast", 1, 1, chain, 1)
        await rogue.say(CustodyNote(**rogue.stamp(), position=position, hello=nonce))
        await country.at[RELAY].until(lambda cursors=cursors: stands_at(country, rogue, cursors))
        await asyncio.sleep(0.5)
        assert await stands_at(country, rogue, cursors)


async def test_beyond_a_gap_nothing_is_taken_and_the_note_says_so(country):
    """Entries beyond a gap are settled, not taken; `seen` tells how far they went."""
    rogue = await country.rogue()
    first, second, third = (rogue.packet(ROOT) for _ in range(3))
    chain = chain_over(bytes(32), 1, [first, second, third])
    await rogue.publish(rogue.bundle([third], 3, chain))
    position = await rogue.until(lambda: rogue.noted["bulk"] if rogue.noted["bulk"].seen else None)
    assert (position.up_to, position.seen) == (0, 3)


async def test_a_gap_is_filled_by_sending_again(country):
    """Sent again from the gap on, all of it is taken and delivered."""
    rogue = await country.rogue()
    first, second = rogue.packet(ROOT), rogue.packet(ROOT)
    await rogue.publish(rogue.bundle([second], 2, chain_over(bytes(32), 1, [first, second])))
    assert await send_and_close(rogue, first, second) == ["accepted", "accepted"]


async def test_a_repeated_bundle_changes_nothing(country):
    """The same bundle again is settled and noted, and its packet is kept once."""
    rogue = await country.rogue()
    frame = rogue.packet(ROOT)
    raw = rogue.bundle([frame], 1, chain_over(bytes(32), 1, [frame]))
    await rogue.publish(raw)
    await rogue.until_noted(1)
    await rogue.publish(raw)
    await rogue.until(lambda: len(notes_of(rogue, 1)) == 2)
    rows = await country.at[RELAY].rows("SELECT record FROM leaf WHERE kind = 'relayed'")
    told = [read_leaf(unpack(row["record"]))["frame-sha256"] for row in rows]
    assert told.count(sha256(frame).hex()) == 1


async def test_a_bundle_that_overlaps_is_taken_from_where_it_is_new(country):
    """Of a bundle that begins with known numbers only the new entries are taken."""
    rogue = await country.rogue()
    first, second = rogue.packet(ROOT), rogue.packet(ROOT)
    await send_and_close(rogue, first)
    await rogue.publish(rogue.bundle([first, second], 1, chain_over(bytes(32), 1, [first, second])))
    _, receipt = await rogue.receipt_on(second)
    assert (receipt.verdict, rogue.noted["bulk"].up_to) == ("accepted", 2)


async def test_a_void_entry_takes_its_number(country):
    """A signed void stands for a destroyed entry: the chain goes on, and an incident says so."""
    rogue = await country.rogue()
    gone = rogue.packet(ROOT)
    void = Void(
        **rogue.stamp(), lane="bulk", entry=1, entry_sha256=sha256(gone).hex(), detail="expired"
    )
    chain = chain_over(bytes(32), 1, [gone])
    raw = rogue.bundle([sign_object(void, rogue.signer)], 1, chain)
    await rogue.publish(raw)
    rogue.sent["bulk"].number, rogue.sent["bulk"].chain = 1, chain
    assert await send_and_close(rogue, rogue.packet(ROOT)) == ["accepted"]
    assert await until_incident(country, "void_entry", rogue)


@pytest.mark.parametrize("garbage", [b"", b"x", b"BBAL", bytes(range(256)) * 40], ids=len)
async def test_garbage_as_a_message_is_kept_and_the_link_goes_on(country, garbage):
    """Bytes that are no link object become an incident, and the next bundle is taken."""
    rogue = await country.lasting_rogue("garbage")
    await rogue.publish(garbage)
    await until_incident(country, "message_unreadable", rogue)
    assert await send_and_close(rogue, rogue.packet(ROOT)) == ["accepted"]


async def test_an_object_to_somebody_else_is_kept_and_the_link_goes_on(country):
    """An object that names another addressee is no word to us."""
    rogue = await country.rogue()
    bad = rogue.hello()
    await rogue.say(type(bad)(**{**as_dict(bad), "to": ROOT}))
    await until_incident(country, "message_unreadable", rogue)
    assert await send_and_close(rogue, rogue.packet(ROOT)) == ["accepted"]


async def test_many_bad_frames_make_a_bounded_number_of_answers(country):
    """However many bad frames one link brings in a minute, the answers are limited."""
    rogue = await country.rogue()
    limits = country.network.nodes[RELAY].config().limits
    allowed = limits.answers_per_minute_per_link
    await rogue.send(*(b"bad frame %d" % number for number in range(2 * allowed)))
    await until_incident(country, "answers_limited", rogue)
    await rogue.until(lambda: len(rogue.refusals) >= allowed)
    await asyncio.sleep(0.5)
    assert len(rogue.refusals) == allowed


async def test_a_flood_of_bad_frames_suspends_the_link(country):
    """Past ten times what is answered, the link stands still; its siblings go on."""
    rogue, sibling = await country.rogue(), await country.rogue()
    allowed = country.network.nodes[RELAY].config().limits.answers_per_minute_per_link
    numbers = range(11 * allowed)
    for at in range(0, len(numbers), 500):
        await rogue.send(*(b"flood %d" % number for number in numbers[at : at + 500]))
    await until_incident(country, "link_suspended", rogue)
    assert await send_and_close(sibling, sibling.packet(ROOT)) == ["accepted"]


async def test_past_the_quota_only_digests_of_refused_frames_are_kept(country):
    """Bad frames beyond so many bytes are counted and named by digest, and not stored."""
    rogue = await country.rogue()
    quota = country.network.nodes[RELAY].config().limits.refused_bytes_kept_per_link
    frames = [bytes([number]) * 1_000_000 for number in range(quota // 1_000_000 + 1)]
    for frame in frames:
        await rogue.send(frame)
    await rogue.refusal_of(frames[-1])
    rows = [(await country.at[RELAY].quarantine_of(frame))[0] for frame in frames]
    assert [row.kept for row in rows] == [True] * (len(rows) - 1) + [False]


# --- greetings ------------------------------------------------------------------------------------


async def test_before_hello_nothing_is_sent(country):
    """To a child that has never greeted, the parent sends no numbered entry."""
    rogue = await country.silent_rogue()
    frame = rogue.packet(ROOT)
    await rogue.send(frame)
    await country.at[ROOT].until(lambda: is_there(country, frame))
    await asyncio.sleep(0.3)
    assert bundles(rogue) == []


async def test_a_late_hello_brings_what_has_waited(country):
    """Once the child greets, what waited for it comes."""
    rogue = await country.silent_rogue()
    frame = rogue.packet(ROOT)
    await rogue.send(frame)
    await country.at[ROOT].until(lambda: is_there(country, frame))
    rogue.greets = True
    await rogue.greet()
    _, receipt = await rogue.receipt_on(frame)
    assert receipt.verdict == "accepted"


async def test_a_stale_hello_lowers_nothing(country):
    """A hello of an earlier connection, played again, does not move our cursor back."""
    rogue = await country.rogue()
    stale = sign_object(rogue.hello(), rogue.signer)
    await rogue.stop()
    await rogue.start()
    await send_and_close(rogue, rogue.packet(ROOT))
    await rogue.publish(stale)
    await asyncio.sleep(0.5)
    assert await country.at[RELAY].incidents("neighbour_lost_custody", rogue.address) == []


async def test_after_a_stale_hello_both_greet_again_and_go_on(country):
    """A hello out of turn costs one more round, and the link goes on."""
    rogue = await country.rogue()
    stale = sign_object(rogue.hello(), rogue.signer)
    await rogue.stop()
    await rogue.start()
    await rogue.publish(stale)
    assert await send_and_close(rogue, rogue.packet(ROOT)) == ["accepted"]


async def test_a_child_that_lost_its_record_gets_everything_again(country):
    """A fresh hello that names less than was noted brings the rest again, and an incident."""
    rogue = await country.rogue()
    frame = rogue.packet(ROOT)
    await send_and_close(rogue, frame)
    await rogue.stop()
    rogue.unlearn()
    await rogue.start()
    _, receipt = await rogue.receipt_on(frame)
    assert receipt.verdict == "accepted"
    assert await until_incident(country, "neighbour_lost_custody", rogue)


@pytest.mark.parametrize("clock", ["9999-99-99T99:99:99.999999Z", "0000-00-00T00:00:00.000000Z"])
async def test_a_hello_with_an_impossible_clock_stops_nobody(country, clock):
    """A parent's hello whose clock is no moment does not end the child's daemon."""
    rogue = await country.lasting_rogue("kz.abai")
    await rogue.say(rogue.hello(clock=clock, echo=latest_nonce(rogue)))
    frame = rogue.packet("kz.abai.semey")
    assert await send_and_close(rogue, frame) == ["accepted"]


async def test_an_unknown_version_in_hello_does_no_harm(country):
    """A hello that offers more versions than we speak is answered as any other."""
    rogue = await country.rogue()
    await rogue.say(rogue.hello(versions=[1, 2, 77]))
    assert await send_and_close(rogue, rogue.packet(ROOT)) == ["accepted"]


# --- helpers --------------------------------------------------------------------------------------


async def is_there(country, frame):
    """Say whether the root has these very bytes."""
    query = "SELECT 1 FROM packet WHERE frame_sha256 = $1"
    return bool(await country.at[ROOT].rows(query, sha256(frame)))


def bundles(rogue):
    return [raw for raw in rogue.messages if raw[:6] == b"BBAL\x01\x01"]


def notes_of(rogue, up_to):
    return [
        one
        for one in rogue.objects
        if isinstance(one, CustodyNote)
        and (one.position.lane, one.position.up_to) == ("bulk", up_to)
    ]


def latest_nonce(rogue):
    return [one for one in rogue.objects if isinstance(one, Hello)][-1].nonce


def as_dict(header):
    return {name: getattr(header, name) for name in header.__struct_fields__}
