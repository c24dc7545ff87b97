"""The index over what is delivered, filled beside a service whose packets are really sealed."""

import itertools

import pytest

from exchange.dropped import Drop
from harness.drafts import OBLAST
from harness.pki import make_network
from harness.service_node import Eyes, Node, new_link, new_record
from nodes import clock, samples
from nodes.indexing import Indexing
from schemas.documents.findable import findable_of
from schemas.leaves import LeafKind, leaf_record
from schemas.moments import format_instant
from schemas.spellings import asked_stems
from store.postgres.findings import Findings, Wanted

TOP = "kz"
REPORT, ORDER = "attendance.daily/1", "admin.order/1"

_numbers = itertools.count()


class Archive:
    """The record of the top after two reports and an order have come, and its gate."""

    def __init__(self, nodes, frames, findings):
        self.top, self.below = nodes[TOP], nodes[OBLAST]
        self.frames = frames
        self.findings = findings
        self.execute = findings._rows
        self.gate = self.top.service.state.gate
        self.eyes = Eyes()

    async def begin_anew(self):
        """Index all there is from nothing; return the rows."""
        await self.execute("DELETE FROM finding")
        await self.execute("UPDATE finding_cursor SET frame = 0, leaf = -1")
        return await self.index()

    async def move(self, frame, bucket, into):
        """Move a payload, as a destruction does with what is under a legal hold."""
        [row] = await self.execute(
            "SELECT l.sealed, p.frame_sha256 FROM payload AS l JOIN packet AS p USING (frame) "
            "WHERE l.bucket = $1 AND l.frame = $2",
            bucket,
            frame,
        )
        sealed = self.gate.move_rest(bucket, into, row["frame_sha256"], row["sealed"])
        await self.execute("SELECT make_bucket($1)", into)
        await self.execute("INSERT INTO payload VALUES ($1, $2, $3)", frame, into, sealed)
        await self.execute("INSERT INTO kept VALUES ($1, $2)", frame, into)
        record = leaf_record(
            LeafKind.MOVED, at=format_instant(clock.now()), bucket=bucket, into=into
        )
        await self.execute(
            "INSERT INTO leaf SELECT max(index) + 1, 'moved', $1, $2 FROM leaf", frame, record
        )

    async def index(self):
        """Index all there is; return the rows."""
        return await indexed(self.top, self.findings, self.eyes)

    async def find(self, subject=None, text=""):
        """Return what the index names for whoever holds the keys."""
        buckets = {row["bucket"] for row in await self.execute("SELECT bucket FROM finding")}
        marks = {bucket: self.gate.marks(bucket) for bucket in buckets}
        wanted = [
            Wanted(
                bucket,
                None if subject is None else each.subject(subject),
                [[each.stem(stem) for stem in word] for word in asked_stems(text)],
            )
            for bucket, each in marks.items()
        ]
        return await self.findings.find(wanted)


async def indexed(node, findings, eyes):
    """Index all there is at a node; return the rows."""
    indexing = Indexing(node.archive._url, node.service.state.gate, eyes)
    while not await indexing.step(findings):
        pass
    rows = await findings._rows("SELECT * FROM finding ORDER BY frame, bucket")
    return [tuple(row) for row in rows]


@pytest.fixture(scope="module")
async def archive(server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("indexing")
    network = make_network((TOP, OBLAST), clock.now())
    nodes = {}
    for address in (TOP, OBLAST):
        (folder / address).mkdir()
        record = await new_record(server, f"indexing_{next(_numbers)}", address)
        nodes[address] = Node(address, network, folder / address, record)
    link = new_link(OBLAST)
    async with nodes[TOP].live(link), nodes[OBLAST].live(link):
        order = Drop(
            system="sis", drop_id="order", type=ORDER, to=TOP, section="S05",
            body=samples.order(17, 1),
        )  # fmt: skip
        drops = [nodes[OBLAST].document(TOP, number) for number in (1, 2)]
        sent = [each.packet for each in await nodes[OBLAST].service.drop([*drops, order])]
        for packet in sent:
            await nodes[TOP].until(OBLAST, packet, "closed")
        trails = [await nodes[TOP].trail(OBLAST, packet) for packet in sent]
    async with Findings(nodes[TOP].archive._url) as findings:
        yield Archive(nodes, [trail.packet.frame for trail in trails], findings)


async def test_a_document_is_found_by_its_subjects(archive):
    """A pupil's number names the one document that the pupil stands in."""
    await archive.begin_anew()
    for number, frame in zip((1, 2), archive.frames, strict=False):
        for subject in findable_of(REPORT, samples.tiny(number)).subjects:
            assert await archive.find(subject) == [frame]


async def test_a_document_is_found_by_its_words(archive):
    """All words must be there, in any of their forms and languages."""
    await archive.begin_anew()
    order = archive.frames[2]
    assert await archive.find(text="бұйрықтар") == []  # an ending that the title does not have
    assert await archive.find(text="бұйры үлгі") == [order]
    assert await archive.find(text="ОБРАЗЕЦ приказа 17") == [order]
    assert await archive.find(text="образец мұрағат") == []


async def test_subject_and_words_narrow_each_other(archive):
    """What is looked for by both has both."""
    await archive.begin_anew()
    [body] = findable_of(ORDER, samples.order(17, 1)).subjects
    pupil = next(iter(findable_of(REPORT, samples.tiny(1)).subjects))
    assert await archive.find(body, "приказ") == [archive.frames[2]]
    assert await archive.find(pupil, "приказ") == []


async def test_only_the_recipient_indexes(archive):
    """At the sender of the same documents nothing is found by persons."""
    assert {row[0] for row in await archive.begin_anew()} == set(archive.frames)
    async with Findings(archive.below.archive._url) as findings:
        assert await indexed(archive.below, findings, archive.eyes) == []


async def test_the_index_holds_no_number(archive):
    """No number, and no word, stands in the index in clear or as the same mark twice."""
    rows = await archive.begin_anew()
    text = str(rows)
    subjects = findable_of(REPORT, samples.tiny(1)).subjects
    assert not any(number in text or str(int(number)) in text for number in subjects)
    assert "приказ" not in text


async def test_what_a_crash_cut_off_is_done_again(archive):
    """An index that has lost its cursor, or all its rows, is the same when it has filled again."""
    rows = await archive.begin_anew()
    await archive.execute("UPDATE finding_cursor SET frame = 0, leaf = -1")
    assert await archive.index() == rows
    assert await archive.begin_anew() == rows


async def test_a_moved_payload_is_found_in_its_new_bucket(archive):
    """What a legal hold keeps is found when its old bucket is gone, though the cursor is beyond."""
    before = await archive.begin_anew()
    frame = archive.frames[0]
    [bucket] = [row[1] for row in before if row[0] == frame]
    into = f"{bucket}-h1"
    pupil = next(iter(findable_of(REPORT, samples.tiny(1)).subjects))
    await archive.move(frame, bucket, into)
    after = await archive.index()
    assert [row[:2] for row in after if row not in before] == [(frame, into)]
    await archive.execute("DELETE FROM finding WHERE bucket = $1", bucket)
    assert await archive.find(pupil) == [frame]
    assert await archive.index() == [row for row in after if row[1] != bucket]


async def test_documents_that_cannot_be_opened_stop_nothing(archive):
    """With a damaged key its documents are passed by and told of, and the others indexed."""
    rows = await archive.begin_anew()
    [bucket] = [row[1] for row in rows if row[0] == archive.frames[2]]
    key_file = archive.gate._at_rest.key_file(bucket)
    key = key_file.read_bytes()
    key_file.write_bytes(bytes(31))
    try:
        assert await archive.begin_anew() == [row for row in rows if row[1] != bucket]
    finally:
        key_file.write_bytes(key)
    assert "document_not_indexed" in archive.eyes.noticed_events
    assert await archive.begin_anew() == rows
