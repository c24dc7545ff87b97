"""Journals cosigned between running daemons, within seconds of quiet."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from harness.daemons import daemon
from schemas.addresses import dns_name
from schemas.objects import cut_object
from signing.certificates import parse_certificate
from signing.keys import load_certificate
from signing.notes import KeyType, open_note, read_vkey, vkey

ROOT, OBLAST, SCHOOL, SECOND_OBLAST = "kz", "kz.zhambyl", "kz.zhambyl.taraz", "kz.turkestan"
WITHIN_S = 20.0
"""The network signs a second after a leaf; a loaded machine takes its time."""


def witness_key(country, address):
    """Return the verifier key of a node's witness certificate."""
    der = load_certificate(country.network.keys_of(address) / "witness.pem")
    public = parse_certificate(der).public_key()
    assert isinstance(public, Ed25519PublicKey)
    return vkey(dns_name(address), public.public_bytes_raw(), KeyType.COSIGNATURE_V1)


async def until_cosigned(country, address, *witnesses):
    """Return rows once all these have cosigned a checkpoint of all leaves that there are now."""
    (stands,) = await country.at[address].rows("SELECT count(*) AS leaves FROM leaf")

    async def look():
        rows = await country.at[address].rows(
            "SELECT witness, lines, object, note FROM cosignature JOIN checkpoint USING (size) "
            "WHERE size = (SELECT max(size) FROM checkpoint) AND size >= $1",
            stands["leaves"],
        )
        return rows if {row["witness"] for row in rows} >= set(witnesses) else None

    return await country.at[address].until(look, WITHIN_S)


async def test_a_checkpoint_is_cosigned_within_seconds_of_quiet(country):
    """A node that has just sent a packet holds its uplink's cosignature of it, in both forms."""
    await country.drop()
    (row,) = await until_cosigned(country, SCHOOL, OBLAST)
    beside = read_vkey(cut_object(row["object"]).header.keys[1])
    assert beside.type is KeyType.MLDSA44_COSIGNATURE
    for key in (witness_key(country, OBLAST), beside):
        (signature,) = open_note(row["note"] + row["lines"], [key]).signatures
        assert signature.name == dns_name(OBLAST)


async def test_two_oblasts_witness_the_republic(country):
    """The root's newest checkpoint is cosigned by both, and its metric says that it is."""
    spare = country.network.nodes[SECOND_OBLAST].config_path
    async with daemon(spare):
        await country.drop(to=ROOT)
        rows = await until_cosigned(country, ROOT, OBLAST, SECOND_OBLAST)
        keys = [witness_key(country, each) for each in (OBLAST, SECOND_OBLAST)]
        cosigned = rows[0]["note"] + "".join(row["lines"] for row in rows)
        names = {each.name for each in open_note(cosigned, keys).signatures}
        assert names == {dns_name(OBLAST), dns_name(SECOND_OBLAST)}

        async def is_witnessed():
            return await country.at[ROOT].metric("bbaj_witness_lag_leaves") == 0

        await country.at[ROOT].until(is_witnessed, WITHIN_S)
