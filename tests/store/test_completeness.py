"""What completeness is judged by, read from a real record."""

from hashlib import sha256

import pytest

from harness.record_rows import HERE, PARENT, START, Scribe
from nodes.seq_gaps import Why, missing_numbers, unexplained
from schemas.documents.periods import texts_within
from schemas.leaves import LeafKind
from schemas.limits import Limits
from schemas.moments import DAY, HOUR
from schemas.records import IncidentRow, QuarantineRow
from store.reading import Reading

OTHER = "kz.akmola.burabay.school-70"
LIMITS = Limits()


@pytest.fixture
async def reading(record):
    async with Reading(record.daemon) as opened:
        yield opened


class District(Scribe):
    """Takes from schools; leaves out numbers as asked."""

    def skip(self, sender: str, count: int = 1) -> None:
        """Leave numbers of a sender's packets out."""
        self.seqs[sender, self.address] = self.seqs.get((sender, self.address), 0) + count

    def take_from(self, sender: str, period: str = "2026-11-23", **facts):
        """Keep a packet from below."""
        return self.packet(sender, self.address, via=sender, period=period, **facts)

    def refuse(self, sender: str, seq: int, reason: str) -> None:
        """Refuse a frame whose signature has held."""
        self.frame += 1
        digest = sha256(f"{sender} {seq}".encode()).digest()
        named = {"from_": sender, "to": self.address, "epoch": "1", "seq": str(seq)}
        self.changes.quarantine.append(
            QuarantineRow(
                self.frame, digest, "refused", reason, "", sender, self.now, 100, False, "id",
                sender, self.address,
            )
        )  # fmt: skip
        self.leaf(
            LeafKind.REFUSED, self.frame, **named, id="id", via=sender, verdict="refused",
            reason=reason, frame_sha256=digest.hex(),
        )  # fmt: skip


@pytest.fixture
def district():
    return District(PARENT)


async def told(reading, district, later=2 * DAY, **narrowed):
    """Return what is missing, as sender, range and why."""
    now = district.now + later
    found = await missing_numbers(reading, district.address, now, LIMITS, **narrowed)
    return [(each.gap.sender, each.first, each.last, each.why) for each in found]


# ------------------------------------------------------------------ gaps


async def test_each_missing_number_is_named_with_what_explains_it(archive, reading, district):
    """A refusal explains one number; its neighbours stay unexplained."""
    district.take_from(HERE)
    district.refuse(HERE, 3, "expired")
    district.skip(HERE, 3)
    district.take_from(HERE)
    district.skip(OTHER)
    district.take_from(OTHER)
    await archive.commit(district.renew())
    assert await told(reading, district) == [
        (HERE, 2, 2, Why.UNEXPLAINED),
        (HERE, 3, 3, Why.REFUSED),
        (HERE, 4, 4, Why.UNEXPLAINED),
        (OTHER, 1, 1, Why.UNEXPLAINED),
    ]
    assert await told(reading, district, under=OTHER) == [(OTHER, 1, 1, Why.UNEXPLAINED)]
    assert await told(reading, district, under=PARENT) == await told(reading, district)


async def test_a_number_may_still_be_on_its_way(archive, reading, district):
    """A later number that has just come overtakes, by another lane or after a resend."""
    district.take_from(HERE)
    district.skip(HERE)
    district.take_from(HERE)
    await archive.commit(district.renew())
    assert await told(reading, district, later=HOUR) == [(HERE, 2, 2, Why.ON_ITS_WAY)]
    assert await told(reading, district, later=DAY) == [(HERE, 2, 2, Why.UNEXPLAINED)]


async def test_a_void_entry_of_the_sender_explains_as_many_numbers(archive, reading, district):
    """Who has said that something was destroyed before it went has said so by void entries."""
    district.take_from(HERE)
    district.skip(HERE, 2)
    district.take_from(HERE)
    void = IncidentRow(district.now, "void_entry", HERE, "bulk 7: destroyed", None)
    district.changes.incidents.append(void)
    await archive.commit(district.renew())
    assert await told(reading, district) == [(HERE, 2, 3, Why.UNEXPLAINED)]
    district.changes.incidents.append(void)
    await archive.commit(district.renew())
    assert await told(reading, district) == [(HERE, 2, 3, Why.VOIDED)]


async def test_a_gap_belongs_to_the_periods_in_which_it_may_have_been_sealed(
    archive, reading, district
):
    """What lies between two packets of November is no gap of December's."""
    district.take_from(HERE)
    district.skip(HERE)
    district.now += DAY
    district.take_from(HERE)
    await archive.commit(district.renew())
    for between, count in (
        ((START - DAY, START + DAY), 1),
        ((START + DAY // 2, START + 3 * DAY), 1),
        ((START + 2 * DAY, START + 3 * DAY), 0),
        ((START - 3 * DAY, START - 2 * DAY), 0),
    ):
        assert len(await told(reading, district, between=between)) == count, between


async def test_a_huge_gap_is_one_range(archive, reading, district):
    """A sender that jumps far ahead costs nobody a walk through the numbers."""
    district.take_from(HERE)
    district.take_from(HERE)
    await archive.commit(district.renew())
    assert await told(reading, district) == []
    district.skip(HERE, 10**12)
    district.take_from(HERE)
    await archive.commit(district.renew())
    found = await missing_numbers(reading, PARENT, district.now + 2 * DAY, LIMITS)
    assert unexplained(found) == 10**12


# ------------------------------------------------------------------ arrivals and counts


async def test_the_first_arrival_of_a_report_counts(archive, reading, district):
    """A correction later does not make a report late."""
    first = district.take_from(HERE)
    district.now += DAY
    district.take_from(HERE)
    other = district.take_from(OTHER)
    district.take_from(OTHER, period="2026-11-24")
    await archive.commit(district.renew())
    assert await reading.first_arrivals("attendance.daily/1", "2026-11-23") == {
        HERE: first.received, OTHER: other.received,
    }  # fmt: skip


async def test_a_period_has_all_periods_in_it(archive, reading, district):
    """A quarter has itself, its months and their days; a year everything in it."""
    form = "attendance.daily/1"
    for each in ("2026-11-23", "2026-11-23", "2026-11", "2026-Q4", "2026", "2026-Q1"):
        district.take_from(HERE, period=each)
    await archive.commit(district.renew())
    expected = {"2026-11-23": 2, "2026-11": 3, "2026-Q4": 4, "2026": 6, "2026-1": 0, "2025": 0}
    for period, count in expected.items():
        ranges = texts_within(period)
        rows = await reading.archive_counts(ranges)
        assert sum(row.packets for row in rows) == count, period
        assert len(await reading.forms(form, ranges, 0, 100)) == count, period
        assert await reading.forms_count(form, ranges) == count, period


async def test_counts_are_by_section_region_type_and_period(archive, reading, district):
    """What the republic sends down counts for the region it goes to; answers and parts do not."""
    taken = [district.take_from(HERE), district.take_from(OTHER)]
    district.packet("kz", "kz.abai.x", via="kz", type_="admin.order/1")
    district.packet(PARENT, HERE, via=PARENT, type_="receipt/1")
    district.packet(HERE, PARENT, via=HERE, type_="part/1")
    await archive.commit(district.renew())
    rows = await reading.archive_counts(None)
    assert [(row.section, row.region, row.type, row.period, row.packets) for row in rows] == [
        ("S01", "kz.abai", "admin.order/1", None, 1),
        ("S01", "kz.akmola", "attendance.daily/1", "2026-11-23", 2),
    ]
    assert rows[1].bytes == sum(row.size for row in taken)
    reported = await reading.archive_reported(texts_within("2026-11"), PARENT)
    assert [(row.region, row.packets, row.senders) for row in reported] == [("kz.akmola", 2, 2)]


async def test_the_packet_under_a_number_is_found_at_either_end(archive, reading):
    """By the place it was given, or by the digest it was taken with."""
    school = Scribe()
    sent, received = school.send(), school.receive()
    await archive.commit(school.renew())
    stream = f"{PARENT}/bulk"
    assert await reading.packet_placed(stream, 1, 1) == sent.id
    assert await reading.packet_placed(stream, 1, 2) is None
    assert await reading.packet_placed(stream, 1, 1, incoming=True) == received.id
