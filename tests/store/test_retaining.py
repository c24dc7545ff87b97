"""What retention reads: which payloads are held, where each lies, what is in a bucket."""

import pytest

from harness.record_rows import HERE, MONTH, PARENT
from schemas.records import DestroyedRow, HoldLifted, KnownHold, LegalHold, PayloadRow

CHILD = f"{HERE}.child"
BUCKET = f"R5-{MONTH}"


def hold(number=1, **facts):
    """Return a legal hold on what `facts` say."""
    given = {"packet": None, "organisation": None, "below": False, "period": None, "dispute": None}
    return LegalHold(number=number, at=1, who="op-1", **given | facts)


async def held(archive, bucket=BUCKET):
    """Return the frames of a bucket that are held, as destruction asks for them."""
    return {row["frame"] for row in await archive._rows("SELECT * FROM held_frames($1)", bucket)}


@pytest.fixture
async def written(archive, scribe):
    """Commit what happens; return the frames by what they are."""
    frames = {}
    for name, period in (("day", "2026-11-23"), ("quarter", "2026-Q4"), ("year", "2025")):
        frames[name] = scribe.send(period=period).frame
    frames["none"] = scribe.send().frame
    sent = scribe.send(period="2024-01")
    receipt = scribe.confirm(sent)
    frames |= {"sent": sent.frame, "receipt": receipt.frame, "closing": receipt.frame + 1}
    frames["from-child"] = scribe.relay(CHILD, PARENT, f"{PARENT}/bulk", period="2020").frame
    scribe.quarantine()
    frames["quarantined"] = scribe.frame
    await archive.commit(scribe.renew())
    frames["id"] = sent.id
    return frames


async def names_held(archive, scribe, frames, one):
    """Return the names of the frames that a hold covers, by bucket and by frame alike."""
    scribe.changes.legal_holds = [one]
    await archive.commit(scribe.renew())
    by_bucket = await held(archive) | await held(archive, f"QRN-{MONTH}")
    numbers = [frame for frame in frames.values() if isinstance(frame, int)]
    assert set(await archive.holds_on(numbers)) == by_bucket
    return {name for name, frame in frames.items() if frame in by_bucket}


@pytest.mark.parametrize(
    ("period", "names"),
    [
        ("2026-11", {"day", "quarter", "none", "quarantined", "receipt", "closing"}),
        ("2026-11-23", {"day", "quarter", "none", "quarantined", "receipt", "closing"}),
        ("2026-12-31", {"quarter"}),
        ("2026-Q3", set()),
        ("2025-Q4", {"year"}),
        ("2024", {"sent"}),
        ("2020-02-29", {"from-child"}),
    ],
)
async def test_a_period_holds_what_reports_on_a_part_of_it(archive, scribe, written, period, names):
    """And what names none, by the day it was received."""
    assert await names_held(archive, scribe, written, hold(period=period)) == names


async def test_a_packet_holds_its_answers_too(archive, scribe, written):
    """Receipt and closing prove what became of it."""
    found = await names_held(archive, scribe, written, hold(packet=written["id"]))
    assert found == {"sent", "receipt", "closing"}


async def test_an_organisation_holds_what_it_sends_and_is_sent(archive, scribe, written):
    """A child's only where those below are named; unproven frames by who brought them."""
    assert await names_held(archive, scribe, written, hold(organisation=CHILD)) == {"from-child"}
    lifted = HoldLifted(1, 2, "op-2")
    scribe.changes.lifted_holds = [lifted]
    every = {name for name, frame in written.items() if isinstance(frame, int)}
    below = await names_held(archive, scribe, written, hold(2, organisation="kz", below=True))
    assert below == every
    known = await archive.legal_holds()
    assert known[0] == KnownHold(hold(organisation=CHILD), lifted)
    assert known[1].lifted is None


async def test_all_that_a_hold_names_must_fit(archive, scribe, written):
    """One organisation's reports on one period."""
    one = hold(organisation=PARENT, period="2025")
    assert await names_held(archive, scribe, written, one) == {"year"}


async def test_nothing_is_held_without_a_hold(archive, scribe, written):
    """A lifted one holds nothing either."""
    assert await held(archive) == set()
    scribe.changes.legal_holds = [hold(organisation=PARENT)]
    scribe.changes.lifted_holds = [HoldLifted(1, 2, "op-1")]
    await archive.commit(scribe.renew())
    assert await held(archive) == set()
    assert await archive.holds_on([written["day"]]) == {}


async def test_a_bucket_is_counted_by_section(archive, scribe, written):
    """Payloads, their bytes, and how many of them are held."""
    scribe.changes.legal_holds = [hold(period="2025")]
    await archive.commit(scribe.renew())
    fill = await archive.fill_of(BUCKET)
    assert (fill.sections, fill.held) == ({"S01": 8}, 1)
    assert fill.packets == 8
    assert fill.size > 8 * 1000
    assert (await archive.fill_of(f"QRN-{MONTH}")).sections == {"": 1}
    assert (await archive.fill_of("R5-1999-08")).packets == 0


async def test_a_payload_lies_in_the_bucket_it_was_put_into_last(archive, scribe, written):
    """That of its own class, and the last hold partition it was moved to."""
    frame = written["day"]
    apart = PayloadRow(written["year"], f"{BUCKET}-h10", b"moved")
    scribe.changes.payloads = [
        PayloadRow(frame, f"QRN-{MONTH}", b"held"),
        PayloadRow(written["year"], f"{BUCKET}-h9", b"moved"),
        apart,
    ]
    scribe.changes.destroyed = [DestroyedRow(f"{BUCKET}-h9", 1, "act", "p", 1, 1, bytes(32))]
    await archive.commit(scribe.renew())
    found = await archive.buckets_of([frame, written["year"], written["quarantined"], 999])
    assert found == {
        frame: BUCKET,
        written["year"]: apart.bucket,
        written["quarantined"]: f"QRN-{MONTH}",
    }
