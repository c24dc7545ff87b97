"""No IIN and no name from a document stands where operators, monitoring and the broker look."""

import msgspec
import pytest

from nodes import samples
from nodes.gauntlet.party import JSON
from schemas.identifiers import artificial_iin
from store.packing import unpack

NEWEST = "SELECT sealed FROM payload ORDER BY frame DESC LIMIT 50"
ROOT, RELAY, SENDER, RECIPIENT = "kz", "kz.zhambyl", "kz.zhambyl.taraz", "kz.zhambyl.shu"


@pytest.fixture
async def personal(country) -> set[str]:
    """Send documents full of people, good and bad; return what names them."""
    name, iin = samples.person_name(4711), artificial_iin(4711)
    wrong = iin[:-1] + str((int(iin[-1]) + 1) % 10)
    await country.sender.drop(
        "private-file", b"%PDF " + name.encode(), type="document.file/1", to=RECIPIENT,
        section="S06", title=f"Анықтама: {name}, {iin}",
    )  # fmt: skip
    order = samples.order(4711, 4711)
    await country.sender.drop(
        "private-order", order, type="admin.order/1", to=RECIPIENT, section="S06"
    )
    for drop_id in ("private-file", "private-order"):
        await country.sender.until_status(drop_id, "delivered")
    spoilt = country.document().replace(_iins(country)[-1].encode(), wrong.encode())
    await country.sender.drop("private-fault", spoilt, type="attendance.daily/1", to=RECIPIENT)
    await country.sender.until_status("private-fault", "fault")
    await country.sender.drop("private-garbage", name.encode(), type="attendance.daily/1", to=iin)
    await country.sender.until_status("private-garbage", "fault")
    rogue = await country.lasting_rogue("privacy")
    bad = rogue.packet(ROOT, f'{{"iin":"{iin}","name":"{name}"}}'.encode(), media_type=JSON)
    await rogue.send(bad[:-1])
    await rogue.receipt_on(bad[:-1], "refused")
    signatory = msgspec.json.decode(order)["signed_by"]["name"]
    return {name, iin, wrong, signatory, *_iins(country)}


def _iins(country) -> list[str]:
    documents = [msgspec.json.decode(one) for one in country.dropped if one.startswith(b"{")]
    return [pupil["iin"] for one in documents for pupil in one.get("pupils", ())]


def found_in(text: str, personal: set[str]) -> set[str]:
    """Return what of it stands in a text, escaped or not."""
    escaped = {one: one.encode("unicode_escape").decode() for one in personal}
    return {one for one in personal if one in text or escaped[one] in text}


async def test_logs_hold_nobody(country, personal):
    """The daemons' logs name no person."""
    logs = "".join(eyes.log for eyes in country.at.values() if eyes.node.log_path.exists())
    assert found_in(logs, personal) == set()


async def test_metrics_hold_nobody(country, personal):
    """What monitoring scrapes names no person."""
    nodes = [country.at[address] for address in (ROOT, RELAY, SENDER, RECIPIENT)]
    pages = "".join([await eyes.fetch("/metrics") for eyes in nodes])
    assert found_in(pages, personal) == set()


async def test_queues_and_their_properties_name_nobody(country, personal):
    """Queues, users, virtual hosts and connections at the broker name no person."""
    broker = country.network._brokers[ROOT]
    said = [
        await broker.ctl("eval", "rabbit_amqqueue:list()."),
        await broker.ctl("list_connections", "user", "client_properties"),
    ]
    assert all("sis-shu" in one for one in said), "the broker was asked for nothing"
    assert found_in("".join(said), personal) == set()


async def test_file_names_hold_nobody(country, personal):
    """No file of a node or its services is named after a person."""
    names = "\n".join(str(path) for path in country.network.folder.rglob("*"))
    assert found_in(names, personal) == set()


async def test_headers_and_journal_hold_nobody(country, personal):
    """What stays for ever and passes every tier, heads and leaves, names no person."""
    kept = []
    for address in (ROOT, RELAY, SENDER, RECIPIENT):
        rows = await country.at[address].rows("SELECT head AS raw FROM packet")
        rows += await country.at[address].rows("SELECT record AS raw FROM leaf")
        kept += [unpack(row["raw"]).decode("latin-1") for row in rows]
    assert found_in("".join(kept), personal) == set()


async def test_what_is_kept_of_documents_is_encrypted(country, personal):
    """Payloads and quarantined bytes lie in the database encrypted: no person in clear."""
    clear = {one.encode() for one in personal}
    rows = []
    for address in (RELAY, SENDER, RECIPIENT):
        rows += await country.at[address].rows(NEWEST)
    assert not any(one in row["sealed"] for row in rows for one in clear)
