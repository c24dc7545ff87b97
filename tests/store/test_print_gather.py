"""What a print says is what the record has: gathered from a real one, said in three languages."""

import msgspec
import pytest

from harness.evidence import make_exchange
from harness.evidence_record import keep
from harness.pki import DISTRICT, NOW, SCHOOL
from nodes.errors import NotFound
from nodes.printing.blocks import Facts, Table
from nodes.printing.dossier import Absent, Opened
from nodes.printing.gather import gather
from nodes.printing.printout import make_printout
from nodes.printing.speaker import Speaker
from nodes.texts import catalogue
from schemas.answers import CLOSING, RECEIPT
from schemas.codes import Language
from schemas.moments import HOUR, MINUTE
from schemas.records import Changes, IncidentRow, QuarantineRow
from store.merkle import leaf_hash
from store.postgres import PostgresArchive
from store.reading import Reading

PRINTED = NOW + 3 * HOUR
FORGED = 77


@pytest.fixture(scope="module")
def exchange(tmp_path_factory):
    return make_exchange(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
async def desk(module_record, exchange):
    archive = PostgresArchive(module_record.daemon)
    await archive.open()
    await keep(archive, exchange)
    refused = QuarantineRow(
        FORGED, b"\x07" * 32, "refused", "sig-invalid", "does not hold", DISTRICT, NOW, 9, True,
        None, None, None,
    )  # fmt: skip
    far, near = (
        IncidentRow(NOW + each, "clock_disagrees", DISTRICT, f"off by {each}", None)
        for each in (200 * HOUR, MINUTE)
    )
    await archive.commit(Changes(quarantine=[refused], incidents=[near, far]))
    await archive.close()
    async with Reading(module_record.daemon) as lent:
        yield lent


def opening(exchange):
    """Return what opens the exchange's frames, and nothing that is in quarantine."""

    async def open_frame(frame: int) -> Opened:
        if frame == FORGED:
            return Opened(b"no frame at all")
        sealed = exchange.frames[frame - 1][1]
        return Opened(sealed.frame.raw, exchange.content_of(sealed))

    return open_frame


@pytest.fixture(scope="module")
def packet(exchange) -> str:
    return exchange.frames[0][1].frame.header.id


@pytest.fixture(scope="module")
async def gathered(desk, exchange, packet):
    return await gather(desk, packet, SCHOOL, opening(exchange), PRINTED)


async def test_the_answers_are_those_of_the_record(gathered, exchange):
    """Receipt and closing are there, read, and the receipt says when the addressee had it."""
    said = {each.packet.type: each.said for each in gathered.answers}
    assert set(said) == {RECEIPT, CLOSING}
    assert said[RECEIPT].verdict == "accepted"
    assert gathered.received_there is not None
    assert {each.what for each in gathered.happened} >= {"sent", "confirmed", "custody", "answer"}


async def test_the_seal_is_that_of_the_record(gathered, exchange):
    """Certificate, leaf and checkpoint are the ones by which the packet is proven."""
    sealed = exchange.frames[0][1]
    assert gathered.signer.sha256 == sealed.frame.header.certificate
    assert gathered.signer.subject
    index = exchange.frames[0][2][0][0]
    digest = leaf_hash(exchange.records[index]).hex()
    assert (gathered.leaf.index, gathered.leaf.sha256) == (index, digest)
    first = min(each.size for each in exchange.checkpoints if each.size > index)
    assert gathered.vouched.size == first
    assert {name for name, _ in gathered.vouched.stamped} == {"national", "outside"}


async def test_doubts_about_the_clock_are_those_of_that_day(gathered):
    """An incident near the receipt is told, one of another week is not."""
    assert [each.detail for each in gathered.doubts] == [f"off by {MINUTE}"]


async def test_a_frame_is_found_by_its_number_too(desk, exchange, gathered):
    """The number of a packet's frame names the same packet."""
    assert await gather(desk, "1", SCHOOL, opening(exchange), PRINTED) == gathered


@pytest.mark.parametrize("language", Language)
async def test_a_print_has_all_of_it(gathered, language):
    """Every confirmation and every event stand in the print."""
    sheet = make_printout(gathered, Speaker(language))
    said = catalogue(language)
    parts = {part.title: part.blocks for part in sheet.parts}
    (confirmations,) = parts[said["print.part.confirmations"]]
    (course,) = parts[said["print.part.course"]]
    assert isinstance(confirmations, Table)
    assert len(confirmations.rows) == 3
    assert len(course.rows) == len(gathered.happened)
    (seal,) = parts[said["print.part.seal"]]
    assert isinstance(seal, Facts)
    values = {row.value for row in seal.rows}
    assert {gathered.leaf.sha256, gathered.signer.sha256, gathered.vouched.root} <= values


async def test_a_quarantined_frame_is_found_by_its_number(desk, exchange):
    """A frame of which nothing can be read is printed by its row."""
    found = await gather(desk, str(FORGED), SCHOOL, opening(exchange), PRINTED)
    assert (found.packet, found.header, found.signer) == (None, None, None)
    assert make_printout(found, Speaker(Language.KK)).name == str(FORGED)


async def test_a_packet_whose_content_is_gone_is_printed(desk, packet):
    """Nothing of a destroyed packet is left but head and leaves, and they are printed."""

    async def destroyed(_frame: int) -> Opened:
        return Opened(absent=Absent.DESTROYED)

    found = await gather(desk, packet, SCHOOL, destroyed, PRINTED)
    sheet = make_printout(found, Speaker(Language.EN))
    assert "destroyed" in sheet.notices[0].text
    assert all(each.said is None for each in found.answers)
    assert msgspec.json.encode(sheet)


@pytest.mark.parametrize("name", ["78", "nothing", "01a00000-0000-7000-8000-000000000001"])
async def test_what_is_not_there_is_not_found(desk, exchange, name):
    """Neither a packet nor a frame: the commands that list them are named."""
    with pytest.raises(NotFound, match="bbaj list"):
        await gather(desk, name, SCHOOL, opening(exchange), PRINTED)
