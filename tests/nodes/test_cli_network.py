"""Every command against a network of two real daemons: a ministry, and an oblast without a broker.

The tests share the network and come in any order: each sends packets of its own.
"""

import asyncio
import hashlib
import itertools
import json
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from exchange.signed_size import SIZE_FILE, SignedSize, SizeFile
from harness.cli_run import Done, bbaj, start_bbaj
from harness.network import private_network
from harness.printouts import pdf_text
from harness.tile_audit import audit
from nodes import samples
from nodes.cli import inboxes, lists, opening, searching
from nodes.cli.journal_shapes import JournalStory
from nodes.cli.printouts import Printed
from nodes.cli.recovering import HeldNote
from nodes.cli.shapes import (
    EvidenceFile,
    Exported,
    Failure,
    FoundList,
    InboxLine,
    LinkStanding,
    NodeCheck,
    Overdue,
    PacketList,
    Quarantined,
    QuarantineEntry,
    Rebuilding,
    Sending,
    Steps,
    StoreCheck,
    Story,
    TakenDocument,
    TilesExport,
    Topology,
)
from nodes.cli.stores import verify_record
from nodes.clock import now
from nodes.config import LANGUAGE_NAME, load_config
from nodes.cosigned import ed25519_key
from nodes.sandbox.network import NodeSpec, PrivateNetwork
from nodes.sandbox.processes import free_ports
from schemas.addresses import dns_name
from signing.keys import load_certificate
from signing.notes import KeyType, VerifierKey, checkpoint_of, open_note
from store.faults import Kind

TOP, BELOW, NOWHERE = "kz", "kz.akmola", "kz.nowhere"
TYPE = "attendance.daily/1"
WITNESSED_S = 30.0

_numbers = itertools.count(1000)


class Desk:
    """The commands at one node."""

    def __init__(self, network: PrivateNetwork, address: str) -> None:
        self.address = address
        self.path = network.nodes[address].config_path

    async def __call__(self, *words: str, given: bytes = b"") -> Done:
        return await bbaj(*words, config=self.path, given=given)

    async def send(self, to: str, *more: str) -> Done:
        """Send a document that nobody has sent before."""
        body = samples.tiny(next(_numbers))
        return await self("send", "-", "--type", TYPE, "--to", to, "--json", *more, given=body)

    async def send_to_nobody(self) -> Done:
        """Send an order, which is no personal document, to an address that nobody has."""
        body = samples.order(next(_numbers), 1)
        words = ("send", "-", "--type", "admin.order/1", "--section", "S01", "--to", NOWHERE)
        return await self(*words, "--json", "--wait=30", given=body)

    async def deliver(self, to: str) -> str:
        """Send a document and wait; return the packet's id."""
        sent = (await self.send(to, "--wait=30")).shape(Sending)
        assert sent.state == "delivered"
        assert sent.packet is not None
        return sent.packet


@pytest.fixture(scope="module")
async def network() -> AsyncIterator[PrivateNetwork]:
    specs = [NodeSpec(TOP, systems=("ministry",)), NodeSpec(BELOW)]
    limits = {"receipt_overdue_fast_us": 2_000_000}
    async with private_network(specs, limits=limits) as network:
        await network.start(TOP, BELOW)
        yield network


@pytest.fixture(scope="module")
def top(network) -> Desk:
    return Desk(network, TOP)


@pytest.fixture(scope="module")
def below(network) -> Desk:
    return Desk(network, BELOW)


@pytest.fixture(scope="module")
async def delivered(below) -> str:
    """Return the id of a packet that was delivered from below to the top."""
    return await below.deliver(TOP)


def altered(desk: Desk, folder: Path, *changes: str) -> Path:
    """Write a node's configuration with pieces replaced (old, new, old, new ...)."""
    text = desk.path.read_text(encoding="utf-8")
    text = (
        re.sub(r"^ctl = .*\n", "", text, flags=re.MULTILINE)
        if "ctl = " in "".join(changes)
        else text
    )
    for old, new in zip(changes[::2], changes[1::2], strict=True):
        assert old in text, old
        text = text.replace(old, new, 1)
    path = folder / "altered.toml"
    home = f'password_file = "{desk.path.parent}/'
    path.write_text(text.replace('password_file = "', home), encoding="utf-8")
    return path


def without_database(desk: Desk, folder: Path) -> Path:
    """Write a node's configuration whose database does not answer."""
    text = desk.path.read_text(encoding="utf-8")
    ports = re.findall(r"@127\.0\.0\.1:[0-9]+/", text)
    return altered(desk, folder, *(word for port in ports for word in (port, "@127.0.0.1:1/")))


# ------------------------------------------------------------------ send


async def test_send_waits_for_delivery(below):
    """With --wait a document is followed until its addressee has accepted it."""
    sent = (await below.send(TOP, "--wait=30")).shape(Sending)
    assert (sent.state, sent.known_before, sent.holder) == ("delivered", False, TOP)


async def test_send_returns_at_once_without_wait(below):
    """Without --wait a command ends when the document is handed over, and names its drop."""
    sent = (await below.send(TOP)).shape(Sending)
    assert sent.state in {"handed over", "sent", "in custody", "delivered"}
    assert sent.drop_id.startswith("sha256-")


async def test_the_same_document_again_is_one_packet(below):
    """Repeating a command makes no second packet, and says what became of the first."""
    words = ("send", "-", "--type", TYPE, "--to", TOP, "--json", "--wait=30")
    body = samples.tiny(next(_numbers))
    first = (await below(*words, given=body)).shape(Sending)
    second = (await below(*words, given=body)).shape(Sending)
    assert second.packet == first.packet
    assert second.known_before


async def test_a_drop_id_names_the_drop(below):
    """Two documents under one drop id are one drop: the second is not sent."""
    name = f"daily-{next(_numbers)}"
    first = (await below.send(TOP, "--drop-id", name, "--wait=30")).shape(Sending)
    second = (await below.send(TOP, "--drop-id", name, "--wait=30")).shape(Sending)
    assert (second.drop_id, second.packet) == (name, first.packet)


async def test_a_faulty_document_is_not_handed_over(below):
    """A document that its type does not allow ends with 67, and the field is named."""
    done = await below("send", "-", "--type", TYPE, "--to", TOP, given=b'{"period":"2026-13-01"}')
    assert done.code == 67
    assert done.err.startswith("bbaj: $.")


async def test_a_large_file_of_standard_input_is_told_the_way(below):
    """Parts are read twice, which standard input cannot be: the file is to be named."""
    words = ("send", "-", "--type", "document.file/1", "--section", "S01", "--to", TOP)
    done = await below(*words, given=os.urandom(2_000_000))
    assert done.code == 67
    assert "limit 1048576: name the file, not -, and it goes in parts" in done.err


async def test_a_refused_packet_ends_with_its_reason(below):
    """A packet to nobody is refused: exit code 68, the reason, and what to do next."""
    done = await below.send_to_nobody()
    sent = done.read(Sending)
    assert (done.code, sent.state, sent.reason) == (68, "refused", "recipient-unknown")
    assert sent.next_step == "correct the address"
    assert json.loads(done.err)["exit_code"] == 68


async def test_a_wait_without_a_daemon_ends_in_time(network, below):
    """Nobody seals: the wait ends with 75, and the drop is kept for later."""
    await network.stop(BELOW)
    try:
        done = await below.send(TOP, "--wait=1")
    finally:
        await network.start(BELOW)
    assert (done.code, done.read(Sending).state) == (75, "handed over")


async def test_an_overdue_packet_is_listed_with_its_holder(network, below):
    """Without a receipt past the deadline, a packet is overdue, and its last holder is named."""
    await below("ping", TOP, "--wait")  # once greeted, the node seals without its parent
    await network.stop(TOP)
    try:
        done = await below.send(TOP, "--wait=30")
        sent = done.read(Sending)
        listed = (await below("overdue", "--json")).shape(list[Overdue])
        page = (await below("list", "--overdue", "--json")).shape(PacketList)
    finally:
        await network.start(TOP)
    assert (done.code, sent.overdue) == (75, True)
    row = next(row for row in listed if row.id == sent.packet)
    assert (row.to, row.holder) == (TOP, BELOW)
    assert row.age_s >= 2
    assert sent.packet in {line.id for line in page.packets}


# ------------------------------------------------------------------ ping, return, resend


async def test_ping_is_answered(below):
    """A ping goes to the node named and comes back as delivered."""
    assert (await below("ping", TOP, "--wait", "--json")).shape(Sending).state == "delivered"


async def test_ping_reaches_nobodys_inbox(top, below):
    """A ping is released to no local system."""
    sent = (await below("ping", TOP, "--wait", "--json")).shape(Sending)
    lines = (await top("inbox", "list", "--taken", "--json")).shape(list[InboxLine])
    assert sent.packet not in {line.id for line in lines}


async def test_return_sends_a_notice(top, below, delivered):
    """A returned document comes back as a notice that names packet, reason and fields."""
    done = await top(
        "return", delivered, "--reason", "period-wrong", "--field", "$.period=a Sunday",
        "--wait=30", "--json",
    )  # fmt: skip
    packet = done.shape(Sending).packet
    taken = await below("inbox", "take", packet, "--to", "-", "--again")
    notice = json.loads(taken.out)
    assert notice["packet"]["id"] == delivered
    assert notice["reason"] == "period-wrong"
    assert notice["fields"] == [{"field": "$.period", "problem": "a Sunday"}]


async def test_return_wants_a_reason_of_the_list(top, delivered):
    """A reason that is on no list is a fault of the command line, and the list is shown."""
    done = await top("return", delivered, "--reason", "ugly")
    assert done.code == 64
    assert "period-wrong" in done.err


async def test_only_what_came_to_us_is_returned(below, delivered):
    """The sender of a document cannot return it."""
    done = await below("return", delivered, "--reason", "other")
    assert done.code == 66


async def test_resend_seals_a_refused_document_again(below):
    """A refused document goes out as a new packet with the same content; once for each refusal."""
    refused = (await below.send_to_nobody()).read(Sending)
    first = (await below("resend", refused.packet, "--wait=30", "--json")).read(Sending)
    second = (await below("resend", refused.packet, "--wait=30", "--json")).read(Sending)
    assert first.packet not in {None, refused.packet}
    assert second.packet == first.packet


async def test_resend_leaves_delivered_packets_alone(below, delivered):
    """A delivered document is not sealed again."""
    assert (await below("resend", delivered)).code == 64


# ------------------------------------------------------------------ the record


async def test_list_shows_both_times(below, delivered):
    """A delivered packet shows when it was sent, and when its addressee received it."""
    page = (await below("list", "--to", TOP, "--state", "delivered", "--json")).shape(PacketList)
    line = next(line for line in page.packets if line.id == delivered)
    assert line.sent < line.received
    assert line.transit_s > 0


async def test_list_narrows_by_subtree(below, delivered):
    """Addresses stand for their subtrees, and receipts are left out unless asked for."""
    under = (await below("list", "--from", BELOW, "--limit", "1000", "--json")).shape(PacketList)
    none = (await below("list", "--from", "kz.other", "--json")).shape(PacketList)
    every = (await below("list", "--all", "--limit", "1000", "--json")).shape(PacketList)
    assert delivered in {line.id for line in under.packets}
    assert not any(line.type_ == "receipt/1" for line in under.packets)
    assert none.packets == []
    assert any(line.type_ == "receipt/1" for line in every.packets)


async def test_list_goes_on_behind_a_page(below):
    """`next_after` leads from page to page, and no packet comes twice."""
    await asyncio.gather(*(below.deliver(TOP) for _ in range(4)))
    first = (await below("list", "--limit", "2", "--json")).shape(PacketList)
    second = (
        await below("list", "--limit", "2", "--after", str(first.next_after), "--json")
    ).shape(PacketList)
    ids = [line.id for line in [*first.packets, *second.packets]]
    assert len(set(ids)) == 4


async def test_list_sorts_by_organisation(top, delivered):
    """Sorted by organisation, each sender's packets stand together; pages go on where one ends."""
    config = opening.load(top.path)
    query = lists.Query(sort=lists.Sort.ORGANISATION, type_=TYPE, limit=1000)
    whole = await lists.list_packets(config, query)
    found, after = [], None
    while len(found) < len(whole.packets):
        one = msgspec.structs.replace(query, limit=1, after=after)
        page = await lists.list_packets(config, one)
        found, after = found + page.packets, page.next_after
    assert found == whole.packets
    assert after is None or after.startswith(f"{BELOW}/")


async def test_list_writes_itself_to_a_file(below, delivered, tmp_path):
    """A list goes to a file whole, as lines of JSON."""
    file = tmp_path / "list.jsonl"
    done = (await below("list", "--export", str(file), "--json")).shape(Exported)
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert done.packets == len(lines)
    assert delivered in {line["id"] for line in lines}


async def test_search_finds_a_document_by_whom_it_is_about(top, below, tmp_path):
    """The recipient finds a delivered document by a pupil's number, and says so nowhere."""
    body = samples.tiny(next(_numbers))
    number = json.loads(body)["pupils"][0]["iin"]
    words = ("send", "-", "--type", TYPE, "--to", TOP, "--json", "--wait=30")
    sent = (await below(*words, given=body)).shape(Sending)
    asked = searching.Asked(subject=number)
    async with asyncio.timeout(30):
        found = await searching.search(opening.load(top.path), asked, lists.Query())
        while not found.packets:  # the index follows delivery by itself
            found = await searching.search(opening.load(top.path), asked, lists.Query())
    assert [line.id for line in found.packets] == [sent.packet]
    done = await top("search", "--subject-file", "-", "--json", given=number.encode())
    assert done.shape(FoundList).packets == found.packets
    assert number not in done.out.decode() + done.err
    here = await searching.search(opening.load(below.path), asked, lists.Query())
    assert here.packets == []
    exported = await searching.export_search(
        opening.load(top.path), asked, lists.Query(), tmp_path / "found.csv"
    )
    assert exported.packets == 1


async def test_list_for_people_shows_utc_and_zone(below, delivered):
    """The table shows moments in UTC and in the local zone with its offset."""
    out = (await below("list", "--limit", "1000")).out.decode()
    assert delivered in out
    assert " UTC" in out
    assert "+05:00" in out


async def test_show_tells_the_whole_story(top, below):
    """From sealing to the closing: leaves, places, custody notes, answers."""
    packet = await below.deliver(TOP)
    sent = (await below("show", packet, "--json")).shape(Story)
    received = (await top("show", packet, "--json")).shape(Story)
    assert {"sent", "placed", "custody", "confirmed", "answer"} <= {
        happening.what for happening in sent.happenings
    }
    assert {"received", "released", "closed"} <= {each.what for each in received.happenings}
    assert [line.type_ for line in sent.answers] == ["receipt/1", "closing/1"]
    assert sent.happenings == sorted(sent.happenings, key=lambda each: each.at)


async def test_show_for_people_says_what_to_do(below):
    """A refusal is shown with its reason and the next step."""
    refused = (await below.send_to_nobody()).read(Sending)
    out = (await below("show", refused.packet)).out.decode()
    assert "recipient-unknown" in out
    assert "correct the address" in out


async def test_show_of_nothing_is_not_found(below):
    """An id that is not in the record ends with 66 and one line."""
    done = await below("show", "01a00000-0000-7000-8000-000000000000")
    assert done.code == 66
    assert len(done.err.splitlines()) == 1


async def test_a_packet_is_printed_with_its_document(below, delivered, tmp_path):
    """Both ends print what they may read: content, receipt, closing, and who vouches for it."""
    file = tmp_path / "packet.pdf"
    words = ("print", delivered, "-o", str(file), "--lang", "ru", "--json")
    printed = (await below(*words)).shape(Printed)
    assert (printed.id, printed.language, printed.size) == (delivered, "ru", file.stat().st_size)
    assert file.stat().st_mode & 0o777 == 0o600
    text = pdf_text(file)
    for said in (delivered, "квитанция", "принят", "присутствовал", "1А", "CN="):
        assert said in text
    assert (await below(*words)).code == 71


async def test_a_document_is_shown_on_the_terminal(top, delivered):
    """`show --content` has the document itself, in Kazakh where nobody says otherwise."""
    shown = await bbaj(
        "show", delivered, "--content", config=top.path, variables={LANGUAGE_NAME: ""}
    )
    assert shown.code == 0, shown.err
    assert "Күнделікті сабаққа қатысу" in shown.out.decode()
    assert "қатысты" in shown.out.decode()


async def test_a_refused_frame_is_printed_as_such(top, below, tmp_path):
    """The node that refused a frame prints why, and that it is no document."""
    sent = (await below.send_to_nobody()).read(Sending)
    file = tmp_path / "frame.html"
    done = await top("print", sent.packet, "-o", str(file), "--lang", "en")
    assert done.code == 0, done.err
    page = file.read_text(encoding="utf-8")
    assert "Quarantined frame" in page
    assert "recipient-unknown: there is no such recipient" in page


async def test_print_wants_a_name_that_it_can_write(top, delivered, tmp_path):
    """Neither another kind of file, nor an unknown language, nor an unknown packet is guessed."""
    assert (await top("print", delivered, "-o", str(tmp_path / "a.doc"))).code == 64
    assert (await top("print", delivered, "-o", str(tmp_path / "a.pdf"), "--lang", "de")).code == 64
    assert (await top("print", "nothing", "-o", str(tmp_path / "a.pdf"))).code == 66
    assert list(tmp_path.iterdir()) == []


async def test_quarantine_keeps_the_exact_bytes(top, below, tmp_path):
    """A refused frame is listed with what to do, and written out byte for byte."""
    sent = (await below.send_to_nobody()).read(Sending)
    rows = (await top("quarantine", "list", "--json")).shape(list[Quarantined])
    row = next(row for row in rows if row.id == sent.packet)
    assert (row.reason, row.next_step) == ("recipient-unknown", "correct the address")
    raw = tmp_path / "frame.bin"
    shown = await top("quarantine", "show", sent.packet, "--raw", str(raw), "--json")
    assert shown.shape(QuarantineEntry).raw == str(raw)
    assert hashlib.sha256(raw.read_bytes()).hexdigest() == row.sha256
    assert raw.read_bytes().startswith(b"BBAJ")


async def test_quarantine_never_overwrites(top, below, tmp_path):
    """A file that is there stays: exit code 71."""
    sent = (await below.send_to_nobody()).read(Sending)
    path = tmp_path / "frame.bin"
    path.write_bytes(b"mine")
    done = await top("quarantine", "show", sent.packet, "--raw", str(path))
    assert (done.code, path.read_bytes()) == (71, b"mine")


async def test_incidents_are_listed(top):
    """Incidents come as one JSON array."""
    done = await top("incidents", "--json")
    assert isinstance(json.loads(done.out), list)


# ------------------------------------------------------------------ the journal


async def until_witnessed(desk: Desk) -> JournalStory:
    """Return a node's journal once its uplink has cosigned all that counts, and shown its own."""
    async with asyncio.timeout(WITNESSED_S):
        while True:
            story = (await desk("journal", "show", "--json")).shape(JournalStory)
            if story.neighbours and story.waits_s is None and story.size:
                return story
            await asyncio.sleep(0.5)


async def test_the_journal_is_shown_with_who_vouches_for_it(below, delivered):
    """Epoch, checkpoint, the uplink's cosignature, and the uplink's own journal as it is held."""
    assert delivered
    story = await until_witnessed(below)
    assert (story.epoch, story.witnesses_needed) == (1, 1)
    assert story.origin == f"{dns_name(BELOW)}/1"
    assert [(row.witness, row.size) for row in story.witnesses] == [(TOP, story.witnessed)]
    assert checkpoint_of(story.checkpoint or "").size == story.size <= story.leaves
    assert [each.origin for each in story.neighbours] == [f"{dns_name(TOP)}/1"]
    drawn = (await below("journal", "show")).out.decode()
    for text in (story.origin, "cosigned by", "neighbour's journal"):
        assert text in drawn


async def test_the_checkpoint_held_of_a_neighbour_is_printed_cosigned(top, below, delivered):
    """What the uplink has witnessed, signed by the child, with the uplink's own cosignature."""
    assert delivered
    await until_witnessed(below)
    held = (await top("journal", "note", BELOW, "--json")).shape(HeldNote)
    child, uplink = opening.load(below.path).keys.folder, opening.load(top.path).keys.folder
    keys = [
        VerifierKey(name, type_, ed25519_key(load_certificate(path)) or b"")
        for name, type_, path in (
            (f"{dns_name(BELOW)}/1", KeyType.ED25519, child / "journal.pem"),
            (dns_name(TOP), KeyType.COSIGNATURE_V1, uplink / "witness.pem"),
        )
    ]
    opened = open_note(held.note, keys)
    assert [each.name for each in opened.signatures] == [key.name for key in keys]
    assert (held.address, held.size) == (BELOW, checkpoint_of(held.note).size)
    printed = (await top("journal", "note", BELOW, "--size", str(held.size))).out.decode()
    assert checkpoint_of(printed) == checkpoint_of(held.note)


@pytest.mark.parametrize("words", [(BELOW, "--size", "999999999"), (NOWHERE,)])
async def test_a_checkpoint_that_nobody_showed_is_declined(top, words):
    """A size that was never shown, and a node that is no neighbour: named, with nothing printed."""
    done = await top("journal", "note", *words)
    assert (done.code, done.out) == (80, b"")
    assert f"{words[0]} has shown us no such checkpoint of its journal" in done.err


# ------------------------------------------------------------------ inbox


async def test_a_document_is_taken_once(top, below, tmp_path):
    """The second command that takes a document finds nothing; the file holds what was sent."""
    body = samples.tiny(next(_numbers))
    words = ("send", "-", "--type", TYPE, "--to", TOP, "--json", "--wait=30")
    packet = (await below(*words, given=body)).shape(Sending).packet
    take = ("inbox", "take", packet, "--to", str(tmp_path), "--json")
    taken = (await top(*take)).shape(list[TakenDocument])
    again = await top(*take)
    assert taken[0].path == str(tmp_path / f"{packet}.json")
    assert (tmp_path / f"{packet}.json").read_bytes() == body
    assert (again.code, again.out) == (66, b"")


async def test_many_takers_take_each_document_once(top, below, tmp_path):
    """Commands that run at once share the documents out; none comes twice, none is left."""
    await top("inbox", "take", "--all", "--to", str(tmp_path))
    sent = await asyncio.gather(*(below.deliver(TOP) for _ in range(4)))
    folders = [tmp_path / str(number) for number in range(3)]
    for folder in folders:
        folder.mkdir()
    await asyncio.gather(
        *(top("inbox", "take", "--all", "--to", str(folder)) for folder in folders)
    )
    taken = [path.stem for folder in folders for path in folder.iterdir()]
    assert set(sent) <= set(taken)  # what another test has sent may only now have come
    assert len(taken) == len(set(taken))


async def test_a_taken_document_survives_a_crash(top, below, tmp_path):
    """What was marked as taken, and not named yet, gets its name from the next command."""
    packet = await below.deliver(TOP)
    config = opening.load(top.path)
    async with opening.reading(config) as desk:
        items = await desk.inbox()
        item = next(item for item in items if item.packet.id == packet)
        token = "0123456789abcdef"
        draft = tmp_path / f".{item.packet.frame}.{token}.{packet}.json.taking"
        draft.write_bytes(b"written before the crash")
        assert await desk.take(item.packet.frame, f"uid-0 {token}", now())
    await top("inbox", "take", "--all", "--to", str(tmp_path))
    assert (tmp_path / f"{packet}.json").read_bytes() == b"written before the crash"
    assert not draft.exists()


async def test_a_draft_that_was_never_marked_is_no_document(top, below, tmp_path):
    """A crash before the mark leaves the document in the inbox, and it is taken as a whole."""
    packet = await below.deliver(TOP)
    config = opening.load(top.path)
    async with opening.reading(config) as desk:
        frame = next(item for item in await desk.inbox() if item.packet.id == packet).packet.frame
    (tmp_path / f".{frame}.0123456789abcdef.{packet}.json.taking").write_bytes(b"half")
    done = await top("inbox", "take", packet, "--to", str(tmp_path))
    assert done.code == 0
    assert (tmp_path / f"{packet}.json").read_bytes().startswith(b"{")


async def test_standard_output_holds_the_document_alone(top, below):
    """With --to - the document's bytes are all that is printed."""
    body = samples.tiny(next(_numbers))
    words = ("send", "-", "--type", TYPE, "--to", TOP, "--json", "--wait=30")
    packet = (await below(*words, given=body)).shape(Sending).packet
    assert (await top("inbox", "take", packet, "--to", "-")).out == body


async def test_a_folder_that_is_not_there_leaves_the_document(top, below, tmp_path):
    """Where the file cannot be written, nothing is marked: exit code 71, and the document waits."""
    packet = await below.deliver(TOP)
    done = await top("inbox", "take", packet, "--to", str(tmp_path / "nowhere"))
    lines = (await top("inbox", "list", "--limit", "1000", "--json")).shape(list[InboxLine])
    assert done.code == 71
    assert packet in {line.id for line in lines}


# ------------------------------------------------------------------ links


async def test_a_link_is_suspended_and_lifted(top):
    """A link shows what was last done to it, and why; nobody but a neighbour has one."""
    before = (await top("link", "list", "--json")).shape(list[LinkStanding])
    await top("link", "suspend", BELOW, "--why", "a drill")
    during = (await top("link", "list", "--json")).shape(list[LinkStanding])
    lifted = (await top("link", "lift", BELOW, "--why", "the drill is over", "--json")).shape(
        LinkStanding
    )
    stranger = await top("link", "lift", "kz.nobody", "--why", "x")
    assert [(link.neighbour, link.state) for link in before] == [(BELOW, "in use")]
    assert [(link.state, link.why) for link in during] == [("suspended", "a drill")]
    assert (lifted.state, stranger.code) == ("in use", 64)


# ------------------------------------------------------------------ evidence


@pytest.mark.parametrize("at", ["top", "below"])
async def test_evidence_of_a_real_exchange_holds(request, delivered, tmp_path, at):
    """Either end exports the exchange; it holds by our own word, by another's, by stock tools."""
    desk = request.getfixturevalue(at)
    file = await exported(desk, delivered, tmp_path)
    assert (file.frames, bool(file.custody)) == ([".", "receipt", "closing"], True)
    other = Path(__file__).resolve().parents[2] / "deploy/verify/verify_evidence.py"
    stock = "awk '/^```$/{on=0} on; /^```sh$/{on=1}' VERIFY.md | env -i PATH=/usr/bin:/bin sh -eu"
    ours, second, third = await asyncio.gather(
        bbaj("evidence", "verify", file.folder, "--json"),
        ended(file.folder, sys.executable, str(other), ".", "--json"),
        ended(file.folder, "sh", "-c", stock),
    )
    assert json.loads(ours.out)["existed_by"] == json.loads(second)["existed_by"] == "witness"
    assert third.endswith(b"evidence: holds\n")


async def test_evidence_of_a_refusal_holds(below, tmp_path):
    """The sender of a refused packet proves who refused it, and why."""
    sent = (await below.send_to_nobody()).read(Sending)
    file = await exported(below, sent.packet, tmp_path)
    verdict = await bbaj("evidence", "verify", file.folder, "--json")
    assert (file.frames, verdict.code) == ([".", "receipt"], 0)
    assert b'"verdict":"refused"' in (Path(file.folder) / "receipt/content").read_bytes()


async def ended(folder: str, *command: str) -> bytes:
    """Return what a program has printed that ended well."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, out[-1000:] + err[-1000:]
    return out


async def exported(desk: Desk, packet: str, parent: Path) -> EvidenceFile:
    """Export a packet again until its leaves are under a checkpoint, and the frames' cosigned."""
    for attempt in itertools.count():
        folder = parent / f"evidence-{attempt}"
        done = await desk("evidence", "export", packet, "--to", str(folder), "--json")
        file = done.shape(EvidenceFile)
        if file.leaves == file.leaves_proven and not file.leaves_uncosigned:
            return file
    raise AssertionError


async def test_evidence_is_not_written_over(below, delivered, tmp_path):
    """A folder that is there stays: exit code 71."""
    assert (await below("evidence", "export", delivered, "--to", str(tmp_path))).code == 71


# ------------------------------------------------------------------ node, store, topology


@pytest.mark.usefixtures("delivered")
async def test_store_verify_holds(below):
    """A sound record verifies, the signature of its checkpoint included."""
    for _ in itertools.count():
        found = (await below("store", "verify", "--json")).shape(StoreCheck)
        assert (found.holds, found.faults_found) == (True, 0)
        if found.checkpoint is not None:
            break


@pytest.mark.usefixtures("delivered")
async def test_what_is_signed_meanwhile_is_no_loss(below, tmp_path):
    """A daemon that signs more leaves while the record is verified has lost none of them."""
    config, data = load_config(below.path), tmp_path / "data"
    shutil.copytree(config.data / "at-rest", data / "at-rest")
    file = SizeFile(data / SIZE_FILE)

    def signs(stage, _done, _total):
        if stage == "frames":
            file.write(SignedSize(epoch=1, size=1_000_000))

    beside = msgspec.structs.replace(config, data=data)
    found = await verify_record(beside, incremental=False, anew=True, on_progress=signs)
    assert (found.holds, found.faults) == (True, [])
    later = await verify_record(beside, incremental=False, anew=True, on_progress=signs)
    assert [(fault.table, fault.kind) for fault in later.faults] == [("leaf", Kind.CUT)]


@pytest.mark.usefixtures("delivered")
async def test_nightly_scrub_begins_at_the_witness(below):
    """Once the parent has cosigned, an incremental run builds on the run before; both hold."""
    for _ in itertools.count():
        found = (await below("store", "verify", "--incremental", "--json")).shape(StoreCheck)
        assert (found.holds, found.faults) == (True, [])
        if found.begun_at:
            break
    assert found.witnesses == [TOP]
    assert found.cosigned is not None
    assert 0 < found.begun_at <= found.cosigned <= found.leaves
    whole = (await below("store", "verify", "--json")).shape(StoreCheck)
    assert (whole.holds, whole.begun_at) == (True, 0)


@pytest.mark.usefixtures("delivered")
async def test_exported_tiles_are_audited(below, tmp_path):
    """The exported journal gives its checkpoint's root, which the policy's keys have signed."""
    for _ in itertools.count():
        done = await below("journal", "export-tiles", str(tmp_path), "--json")
        export = done.shape(TilesExport)
        if export.cosigned_by:
            break
    assert export.cosigned_by == [TOP]
    assert audit(tmp_path)[0] == export.leaves
    log, witness, *rest = (tmp_path / "policy.txt").read_text().splitlines()
    keys = [log.split(" ")[1], witness.split(" ")[2]]
    opened = open_note((tmp_path / "checkpoint").read_text(), keys)
    assert [each.name for each in opened.signatures] == [export.origin, dns_name(TOP)]
    assert rest == [f"group witnesses all {dns_name(TOP)}", "quorum witnesses"]


async def test_store_migrate_and_partitions_repeat(below):
    """Both commands do nothing where nothing is to do."""
    await below("store", "partitions", "--months", "5")
    for words in (("store", "migrate"), ("store", "partitions", "--months", "5")):
        assert (await below(*words, "--json")).shape(Steps).done == []


async def test_store_rebuild_wants_the_daemon_stopped(network, below):
    """Beside the daemon the command ends with 69; without it, with counts."""
    beside = await below("store", "rebuild")
    await network.stop(BELOW)
    try:
        done = (await below("store", "rebuild", "--json")).shape(Rebuilding)
    finally:
        await network.start(BELOW)
    assert beside.code == 69
    assert done.held == 0


async def test_node_check_finds_a_sound_node(top):
    """Keys, certificates, database, partitions, clock and broker are looked at, and hold."""
    found = (await top("node", "check", "--json")).shape(NodeCheck)
    names = {check.name for check in found.checks if check.state == "ok"}
    assert found.holds
    assert {"keys", "packet certificate", "database", "partitions", "clock"} <= names
    assert "broker bbaj-kz" in names


async def test_node_run_serves_until_told_to_stop(network, below, tmp_path):
    """The daemon runs under `bbaj node run`, `node check` sees it and its link, SIGTERM ends it."""
    port = free_ports(1)[0]
    path = altered(below, tmp_path, "port = 0", f"port = {port}")
    await network.stop(BELOW)
    process = await start_bbaj("node", "run", "--config", str(path))
    try:
        async with asyncio.timeout(30):
            found: dict[str, str] = {}
            while found.get(f"connection {TOP}") != "ok":
                checked = (await bbaj("node", "check", "--json", config=path)).read(NodeCheck)
                found = {check.name: check.state for check in checked.checks}
        process.terminate()
        _, log = await process.communicate()
    finally:
        await network.start(BELOW)
    assert found["daemon"] == "ok"
    assert process.returncode == 0
    assert all(json.loads(line) for line in log.splitlines())


async def test_node_run_needs_its_database(below, tmp_path):
    """Without its database the daemon does not start: exit code 69, for a supervisor to retry."""
    done = await bbaj("node", "run", config=without_database(below, tmp_path))
    assert done.code == 69


async def test_node_check_names_every_fault_of_the_configuration(below, tmp_path):
    """All faults of a configuration file come at once, and the exit code is 1."""
    path = tmp_path / "node.toml"
    text = below.path.read_text(encoding="utf-8")
    path.write_text(f"colour = 1\n{text}\n[log]\nlevel = 7\n", encoding="utf-8")
    done = await bbaj("node", "check", "--json", config=path)
    details = [check.detail for check in done.read(NodeCheck).checks]
    assert done.code == 1
    assert any("colour" in detail for detail in details)
    assert any("log" in detail for detail in details)


async def test_node_check_goes_on_behind_a_fault(below, tmp_path):
    """With the database away, keys and certificates are looked at all the same."""
    path = without_database(below, tmp_path)
    done = await bbaj("node", "check", "--json", config=path)
    states = {check.name: check.state for check in done.read(NodeCheck).checks}
    assert (states["database"], states["keys"]) == ("fault", "ok")
    assert done.code == 1


async def test_an_unreachable_database_is_one_line(below, tmp_path):
    """A command without its database ends with 69 and one line that says what to do."""
    done = await bbaj("list", config=without_database(below, tmp_path))
    assert done.code == 69
    assert len(done.err.splitlines()) == 1
    assert "node check" in done.err


async def test_an_unprepared_database_is_a_matter_of_configuration(network, below, tmp_path):
    """A database without our schema ends with 78 and names the command that makes it."""
    urls = await network._postgres.create_database(f"empty_{next(_numbers)}")
    config = opening.load(below.path)
    path = altered(below, tmp_path, f'url = "{config.database.url}"', f'url = "{urls.daemon_url}"')
    done = await bbaj("list", config=path)
    assert done.code == 78
    assert "bbaj store migrate" in done.err


async def test_topology_of_a_leaf_needs_no_broker(below):
    """A leaf shows the way to the root, and has no plan to apply."""
    shown = (await below("topology", "--json")).shape(Topology)
    applied = await below("topology", "--apply")
    assert [(node.address, node.here) for node in shown.tree] == [(TOP, False), (BELOW, True)]
    assert (shown.broker, applied.code) == (None, 78)


async def test_topology_prints_what_a_broker_imports(top):
    """--print gives the definitions as JSON, users and queues among them."""
    definitions = json.loads((await top("topology", "--print")).out)
    assert {queue["name"] for queue in definitions["queues"]} >= {"up.akmola", "down.akmola"}


async def test_topology_compares_with_the_broker(top):
    """A broker that was provisioned is as planned, and applying the plan again changes nothing."""
    checked = (await top("topology", "--check", "--json")).shape(Topology)
    applied = (await top("topology", "--apply", "--json")).shape(Topology)
    assert (checked.applied, checked.differences) == (False, [])
    assert (applied.applied, applied.differences) == (True, [])


async def test_topology_names_what_is_missing(network, top, tmp_path):
    """A child that the broker does not know yet is a difference: --check ends with 1."""
    cards = shutil.copytree(network.cards, tmp_path / "cards")
    network.keys_of(f"{TOP}.abai")
    for path in network.authority.cards.folder.glob(f"{TOP}.abai.*"):
        shutil.copy(path, cards)
    path = altered(top, tmp_path, f'cards = "{network.cards}"', f'cards = "{cards}"')
    done = await bbaj("topology", "--check", "--json", config=path)
    assert done.code == 1
    assert any("up.abai" in difference for difference in done.read(Topology).differences)


async def test_topology_without_an_answer_still_shows_the_tree(top, tmp_path):
    """Where the administration command fails, the tree is shown, and the exit code is 74."""
    path = altered(top, tmp_path, "[broker]\n", '[broker]\nctl = ["/bin/false"]\n')
    done = await bbaj("topology", "--json", config=path)
    shown = done.read(Topology)
    assert done.code == 74
    assert [node.address for node in shown.tree] == [TOP, BELOW]
    assert shown.unanswered


async def test_options_before_the_command_count_too(below):
    """`bbaj --config FILE --json list` is `bbaj list --config FILE --json`."""
    done = await bbaj("--config", str(below.path), "--json", "list")
    assert done.shape(PacketList)


async def test_the_environment_names_the_configuration(below):
    """BBAJ_CONFIG names the node where --config does not."""
    done = await bbaj("list", "--json", variables={"BBAJ_CONFIG": str(below.path)})
    assert done.shape(PacketList)


async def test_errors_as_json_have_a_shape(below):
    """With --json an error is one JSON object on standard error."""
    done = await below("show", "nothing", "--json")
    failure = json.loads(done.err)
    assert failure["name"] == "not-found"
    assert set(failure) == set(Failure.__struct_fields__)


def test_drafts_are_told_from_other_files():
    """Only files that this command wrote are taken for drafts."""
    draft = inboxes._DRAFT.fullmatch(".17.0123456789abcdef.name.json.taking")
    assert inboxes._DRAFT.fullmatch(".1.xyz.taking") is None
    assert (draft["frame"], draft["name"]) == ("17", "name.json")
