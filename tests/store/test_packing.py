"""How heads and leaves lie in their tables, and that only exact bytes come back."""

from hashlib import sha256

import zstandard

from schemas.leaves import LeafKind, leaf_record, read_leaf
from store.packing import DICTIONARY, PACKED_LEAVES, VALUE_BYTES_MAX, pack, unpack

LEAF = leaf_record(
    LeafKind.RECEIVED,
    at="2026-11-23T03:32:06.000000Z",
    id="01a2095a-9fd1-7b47-861a-c68c9513f76b",
    type="attendance.daily/1",
    from_="kz.zhambyl.taraz.school-7",
    to="kz",
    epoch="1",
    seq="8271",
    frame_sha256=sha256(b"frame").hexdigest(),
    head_sha512=2 * sha256(b"head").hexdigest(),
)


def test_exact_bytes_come_back():
    """What was packed is smaller, and comes back to the byte and in order, long or short."""
    values = [LEAF, 40 * LEAF, b"x", bytes(range(256)), LEAF]
    packed = pack(values)
    assert [unpack(each) for each in packed] == values
    assert len(packed[0]) < 0.6 * len(LEAF)
    assert pack([]) == []


def test_plain_bytes_are_themselves():
    """Rows of older programs stand as they are."""
    for plain in (LEAF, b"BBAJ\x01\x01\x00\x02{}", b""):
        assert unpack(plain) == plain


def test_damage_is_never_taken_for_something_else():
    """Bytes cut, grown, of another dictionary or too large come back as they stand."""
    (packed,) = pack([LEAF])
    other = zstandard.ZstdCompressor().compress(LEAF)
    bomb = zstandard.ZstdCompressor().compress(bytes(VALUE_BYTES_MAX + 1))
    for damaged in (packed[:-1], packed[:5], packed + b"\0", 2 * packed, bomb):
        assert unpack(damaged) == damaged
    assert unpack(other) in (other, LEAF)


async def test_a_dump_explains_itself(archive, scribe, superuser):
    """The table of dictionaries has what opens the stored bytes, without this program."""
    row = scribe.send()
    await archive.commit(scribe.renew())
    stored = await superuser.fetchrow("SELECT head, record FROM packet JOIN leaf USING (frame)")
    found = {row["id"]: row["content"] for row in await superuser.fetch("SELECT * FROM dictionary")}
    assert DICTIONARY.read_bytes() in found.values()
    for packed, plain in ((stored["head"], row.head), (stored["record"], None)):
        number = zstandard.get_frame_parameters(packed).dict_id
        dictionary = zstandard.ZstdCompressionDict(found[number])
        opened = zstandard.ZstdDecompressor(dict_data=dictionary).decompress(packed)
        assert opened == plain or read_leaf(opened)["kind"] == LeafKind.SENT


async def test_rows_of_older_programs_are_read(archive, scribe, superuser):
    """A head and a leaf that stand plain are the same to every reader."""
    row = scribe.send()
    await archive.commit(scribe.renew())
    (leaf,) = await archive.leaf_records(0, 1)
    await superuser.execute("SET session_replication_role = replica")
    await superuser.execute("UPDATE packet SET head = $1", row.head)
    await superuser.execute("UPDATE leaf SET record = $1", leaf)
    await superuser.execute("RESET session_replication_role")
    name = (row.sender, row.epoch, row.id)
    assert (await archive.known([name]))[name].packet == row
    assert await archive.leaf_records(0, 1) == [leaf]


async def test_leaves_that_the_database_looks_into_stand_plain(archive, scribe, superuser):
    """What is searched by its bytes is not packed: refusals among confirmations, custody notes."""
    sent = scribe.send()
    scribe.confirm(sent)
    await archive.commit(scribe.renew())
    rows = await superuser.fetch("SELECT kind, record FROM leaf")
    plain = {row["kind"] for row in rows if row["record"].startswith(b"bbaj-leaf/1")}
    assert plain == {row["kind"] for row in rows} - PACKED_LEAVES
