"""Lists by organisation, type, period and state: what they hold, in pages that nothing shifts."""

import pytest

from harness.record_rows import HERE, PARENT, Scribe
from schemas.kazakh import ALPHABET, sort_key
from schemas.leaves import LeafKind
from store.postgres import PostgresArchive, lists
from store.reading import Filters, Reading
from store.standing import State

ORDER, REPORT = "admin.order/1", "attendance.daily/1"
SCHOOLS = [f"kz.akmola.burabay.school-{number}" for number in range(80)]
DAY = "2026-11-23"


@pytest.fixture
async def reading(record):
    async with Reading(record.daemon) as opened:
        yield opened


@pytest.fixture(scope="module")
async def district(module_record):
    """Fill the record of a district: 80 schools report, some twice, and the ministry orders."""
    scribe = Scribe(PARENT)
    for number, school in enumerate(SCHOOLS):
        scribe.packet(school, PARENT, via=school, type_=REPORT, period=DAY, section="S15")
        if number % 20 == 0:
            scribe.packet(school, "kz", via=school, type_="document.file/1", section="S09")
            scribe.packet(school, "kz", via=school, type_="part/1", section="S09")
    for school in SCHOOLS[:3]:
        scribe.packet("kz", school, via="kz", type_=ORDER, section="S05", flow="admin")
        scribe.packet(school, "kz", via=school, type_="receipt/1", section="net", flow="oper")
    scribe.packet("kz.akmola.burabay-2.school-1", PARENT, via="kz.akmola", type_=REPORT, period=DAY)
    archive = PostgresArchive(module_record.daemon)
    await archive.open()
    await archive.commit(scribe.changes)
    await archive.close()
    return scribe.changes.packets


@pytest.fixture
async def below(district, module_record):
    """Lend a desk at the district's record, which nobody changes."""
    async with Reading(module_record.daemon) as opened:
        yield opened


async def all_pages(reading, filters, limit=7):
    found, after = [], None
    while True:
        page = await reading.list_packets(filters, after, limit)
        found += [line.packet for line in page.packets]
        if page.next_after is None:
            return found
        after = page.next_after


def within(address, root):
    return address == root or address.startswith(f"{root}.")


def is_document(packet):
    return packet.type not in {"receipt/1", "part/1"}


CASES = {
    "everything": (Filters(), lambda _: True),
    "documents": (Filters(documents=True), is_document),
    "a school sends": (
        Filters(sender_under=SCHOOLS[1], documents=True),
        lambda p: p.sender == SCHOOLS[1] and is_document(p),
    ),
    "a school sends, answers too": (
        Filters(sender_under=SCHOOLS[1]),
        lambda p: p.sender == SCHOOLS[1],
    ),
    "to a school": (
        Filters(recipient_under=SCHOOLS[2], documents=True),
        lambda p: p.recipient == SCHOOLS[2],
    ),
    "either end": (
        Filters(under=SCHOOLS[1], documents=True),
        lambda p: SCHOOLS[1] in {p.sender, p.recipient} and is_document(p),
    ),
    "a wide subtree": (
        Filters(sender_under=PARENT, documents=True),
        lambda p: within(p.sender, PARENT) and is_document(p),
    ),
    "a wide subtree and a type": (
        Filters(sender_under=PARENT, type_="document.file/1"),
        lambda p: p.type == "document.file/1",
    ),
    "both ends": (
        Filters(sender_under="kz.akmola", recipient_under="kz", type_=REPORT),
        lambda p: p.type == REPORT,
    ),
    "both ends, one of them narrow": (
        Filters(sender_under="kz", recipient_under=SCHOOLS[0], type_=ORDER),
        lambda p: p.recipient == SCHOOLS[0] and p.type == ORDER,
    ),
    "a type": (Filters(type_=ORDER), lambda p: p.type == ORDER),
    "an answer's type": (Filters(type_="receipt/1"), lambda p: p.type == "receipt/1"),
    "parts": (Filters(type_="part/1"), lambda p: p.type == "part/1"),
    "a period": (Filters(period=DAY, documents=True), lambda p: p.period == DAY),
    "a period, a type and a subtree": (
        Filters(sender_under=PARENT, type_=REPORT, period=DAY),
        lambda p: p.period == DAY and within(p.sender, PARENT),
    ),
    "a period and either end": (
        Filters(under="kz.akmola.burabay-2", period=DAY, documents=True),
        lambda p: p.sender == "kz.akmola.burabay-2.school-1",
    ),
    "a section": (Filters(section="S05", documents=True), lambda p: p.section == "S05"),
    "a flow": (Filters(flow="admin"), lambda p: p.flow == "admin"),
    "a section of an organisation": (
        Filters(sender_under=SCHOOLS[0], section="S09", documents=True),
        lambda p: p.sender == SCHOOLS[0] and p.section == "S09" and is_document(p),
    ),
    "nothing": (Filters(sender_under="kz.nowhere", documents=True), lambda _: False),
}


async def test_each_filter_lists_what_fits(district, below):
    """Whatever a list is narrowed to, it holds what fits, newest first, and nothing else."""
    for name, (filters, fits) in CASES.items():
        wanted = [row for row in reversed(district) if fits(row)]
        assert await all_pages(below, filters) == wanted, name


async def test_lists_are_the_same_however_little_is_walked(district, below, monkeypatch):
    """Where a walk ends early, and where few routes count as many, the same is listed."""
    monkeypatch.setattr(lists, "WALKED_MAX", 5)
    monkeypatch.setattr(lists, "ROUTES_FEW", 1)
    monkeypatch.setattr(lists, "CANDIDATES_MAX", 1)
    for name, (filters, fits) in CASES.items():
        wanted = [row for row in reversed(district) if fits(row)]
        assert await all_pages(below, filters) == wanted, name


async def test_a_sibling_by_name_is_no_part_of_a_subtree(below):
    """`burabay-2` does not lie below `burabay`, though it begins like it."""
    found = await all_pages(below, Filters(sender_under=PARENT, documents=True))
    assert not any(row.sender.startswith("kz.akmola.burabay-2") for row in found)


async def test_new_packets_shift_no_page(archive, reading, scribe):
    """What comes between two pages is on neither, and nothing comes twice."""
    rows = [scribe.send() for _ in range(6)]
    await archive.commit(scribe.renew())
    first = await reading.list_packets(Filters(sender=HERE, documents=True), None, 3)
    scribe.send()
    await archive.commit(scribe.renew())
    second = await reading.list_packets(Filters(sender=HERE, documents=True), first.next_after, 3)
    listed = [line.packet for line in [*first.packets, *second.packets]]
    assert listed == rows[::-1]


async def test_states_and_reasons(archive, reading, scribe):
    """A list by state or reason names its packets, whichever index it comes from."""
    sent, delivered, refused, expired, overdue = (scribe.send() for _ in range(5))
    scribe.confirm(delivered)
    scribe.confirm(refused, "refused")
    scribe.packet_leaf(LeafKind.EXPIRED, expired)
    scribe.changes.closed.append(expired.frame)
    scribe.packet_leaf(LeafKind.OVERDUE, overdue)
    came, barred = scribe.receive(), scribe.packet(PARENT, HERE, via=PARENT)
    scribe.leaf(LeafKind.REFUSED, barred.frame, reason="type-not-allowed", verdict="refused")
    passed = scribe.relay("kz.a", "kz.b", "kz.b/bulk")
    await archive.commit(scribe.renew())

    async def found(**wanted):
        return await all_pages(reading, Filters(documents=True, **wanted), 1)

    assert await found(state=State.SENT) == [overdue, sent]
    assert await found(state=State.DELIVERED) == [delivered]
    assert await found(state=State.REFUSED) == [barred, refused]
    assert await found(reason="type-not-allowed") == [barred, refused]
    assert await found(reason="sig-invalid") == []
    assert await found(reason="type-not-allowed", sender=HERE) == [refused]
    assert await found(state=State.EXPIRED) == [expired]
    assert await found(state=State.RELEASED) == [came]
    assert await found(state=State.RELAYED) == [passed]
    assert await found(overdue=True) == [overdue]


async def test_senders(below):
    """The organisations of a list are named once each, by subtree or by period."""
    found = await below.senders(Filters(sender_under=PARENT, documents=True))
    assert sorted(found) == sorted(SCHOOLS)
    reported = await below.senders(Filters(period=DAY, documents=True))
    assert sorted(reported) == sorted([*SCHOOLS, "kz.akmola.burabay-2.school-1"])
    assert len(await below.senders(Filters(documents=True))) == len(SCHOOLS) + 2


async def test_the_order_is_that_of_icu(superuser):
    """Names sort here as PostgreSQL sorts them with ICU's rules for Kazakh."""
    pairs = [one + other for one in ALPHABET + ALPHABET.upper() for other in "аәТң -1«№("]
    names = [*pairs, "Абай мектебі", "абай Мектебі", "№5 мектеп", "5-мектеп", "Zeta", "ель", "ёлка"]
    found = await superuser.fetch(
        "SELECT name FROM unnest($1::text[]) AS name "
        'ORDER BY name COLLATE "kk-x-icu", name COLLATE "C"',
        names,
    )
    assert [row["name"] for row in found] == sorted(names, key=sort_key)
