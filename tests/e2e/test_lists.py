"""Revocation lists that do not count: each gets an incident of its own and changes nothing."""

import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from nodes.clock import now
from schemas.moments import DAY, as_datetime
from signing.authority import Revoked, issue_authority, issue_crl, load_issuer, make_root

AUTHORITY, RELAY = "kz", "kz.zhambyl"
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")


def issuer_of(country):
    folder = country.network.folder / "ca" / "authorities" / AUTHORITY
    return load_issuer(folder / "key.pem", folder / "cert.pem")


def lower(country):
    """Return a sound list with a number below the one that counts, revoking what is in use."""
    return issue_crl(issuer_of(country), [Revoked(7, now())], 0, now())


def of_another_key(country):
    """Return a list in the authority's name, signed by a key that is not its own."""
    own = issuer_of(country)
    root = make_root(ec.generate_private_key(ec.SECP384R1()), now())
    key = ec.generate_private_key(ec.SECP256R1())
    other = type(own)(issue_authority(root, AUTHORITY, key.public_key(), now()), key)
    return issue_crl(other, [Revoked(7, now())], 1_000, now())


def forged(country):
    """Return a list that names the authority's key, signed by another."""
    own = issuer_of(country)
    return build(own, ec.generate_private_key(ec.SECP256R1()), 1_000, ())


def with_unknown_extension(country):
    """Return a list of the authority's own with a critical extension that nobody knows."""
    own = issuer_of(country)
    return build(own, own.key, 1_000, ((UNKNOWN, True),))


def forked(country):
    """Return another list under the number of the one that counts."""
    path = country.network.folder / "ca" / "crls" / f"{AUTHORITY}.pem"
    current = x509.load_pem_x509_crl(path.read_bytes())
    number = current.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    return issue_crl(issuer_of(country), [Revoked(7, now())], number, now())


def build(issuer, key, number, extra):
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(as_datetime(now() // 1_000_000 * 1_000_000))
        .next_update(as_datetime((now() + DAY) // 1_000_000 * 1_000_000))
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()),
            critical=False,
        )
    )
    for value, critical in extra:
        builder = builder.add_extension(value, critical=critical)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


async def lists_at(country):
    """Return what the relay keeps of lists, and what its journal says of them."""
    rows = await country.at[RELAY].rows("SELECT sha256 FROM crl ORDER BY sha256")
    leaves = await country.at[RELAY].rows("SELECT record FROM leaf WHERE kind = 'crl'")
    return [row["sha256"] for row in rows], len(leaves)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lower, "crl_older"),
        (of_another_key, "crl_issuer_unknown"),
        (forged, "crl_refused"),
        (with_unknown_extension, "crl_refused"),
        (forked, "crl_forked"),
    ],
)
async def test_a_bad_list_changes_nothing_and_is_raised(country, make, kind):
    """A list with a lower number, of a wrong issuer or with an unknown extension is an incident."""
    rogue = await country.rogue()
    before = await lists_at(country)
    der = make(country)
    digest = hashlib.sha256(der).hexdigest()
    await rogue.bring_crl(der)

    async def raised():
        found = await country.at[RELAY].incidents(kind, rogue.address)
        return [one for one in found if digest in one.detail]

    (incident,) = await country.at[RELAY].until(raised)
    if make is with_unknown_extension:
        assert "unknown critical extension 1.2.3.4" in incident.detail
    frame = rogue.packet(AUTHORITY)
    await rogue.send(frame)
    assert (await rogue.answer_to(frame)).verdict == "accepted"
    assert await lists_at(country) == before
