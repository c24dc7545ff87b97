"""What a certificate is judged by: its authority, the lists of then, and the first ones after."""

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from harness.pki import DISTRICT, NOW, OBLAST, SCHOOL, make_network
from nodes.evidence.chains import Chain, Chains
from nodes.evidence.model import Trust
from schemas.moments import DAY, HOUR
from signing.authority import issue_authority
from signing.keys import fingerprint


@pytest.fixture(scope="module")
def network():
    return make_network([OBLAST, DISTRICT, SCHOOL], NOW)


@pytest.fixture(scope="module")
def lists(network):
    """Return the lists of three days, the root's and the authority's of each."""
    return [network.crls(NOW + day * DAY) for day in range(3)]


def trust_of(network, crls, *more: bytes) -> Trust:
    certificates = [*network.certificates, *more]
    return Trust(network.root.der, {fingerprint(der): der for der in certificates}, crls)


def chain_of(network, crls, moment) -> Chain:
    signer = network.nodes[SCHOOL].packet.certificate
    found = Chains(trust_of(network, crls)).find(signer, moment)
    assert isinstance(found, Chain)
    return found


def test_the_lists_in_force_and_the_first_after(network, lists):
    """At an hour of the second day, that day's lists count and the third day's follow."""
    every = [der for day in lists for der in day]
    found = chain_of(network, every, NOW + DAY + HOUR)
    assert (found.crls, found.after, found.fault) == (lists[1], lists[2], "")


def test_the_nearest_lists_where_none_was_in_force(network, lists):
    """Between two lists that are far apart the last one before stands there, and it is said."""
    found = chain_of(network, [*lists[0], *lists[2]], NOW + DAY + 12 * HOUR)
    assert found.crls == lists[0]
    assert "no revocation list in force at the moment" in found.fault


def test_a_first_list_that_came_later_is_the_nearest(network, lists):
    """Before any list was signed, the first one stands there, and it is said."""
    found = chain_of(network, lists[0], NOW - HOUR)
    assert (found.crls, found.after) == (lists[0], lists[0])
    assert found.fault


def test_a_list_of_somebody_else_under_the_same_name_does_not_count(network, lists):
    """A list counts by its issuer's key, not by the name in it."""
    other = make_network([SCHOOL], NOW)
    found = chain_of(network, [*other.crls(NOW + HOUR), *lists[0]], NOW + 2 * HOUR)
    assert found.crls == lists[0]


def test_what_is_missing_is_named(network, lists):
    """Whose list is missing is said, and so is an authority that is not known."""
    signer = network.nodes[SCHOOL].packet.certificate
    trust = trust_of(network, lists[0])
    root, authority = lists[0]

    def said(**changed: object) -> object:
        return Chains(msgspec.structs.replace(trust, **changed)).find(signer, NOW + HOUR)

    assert said(crls=[root]) == "no revocation list of the authority is in the record"
    assert said(crls=[authority]) == "no revocation list of the root is in the record"
    assert said(certificates={}) == "the authority's certificate is not in the record"


def test_of_two_certificates_of_one_authority_the_one_in_force_counts(network, lists):
    """An authority certified anew for the same key is judged by its certificate of then."""
    issuer = network.authority_for(SCHOOL)
    later = issue_authority(network.root, OBLAST, issuer.key.public_key(), NOW + 400 * DAY)
    signer = network.nodes[SCHOOL].packet.certificate
    chains = Chains(trust_of(network, lists[0], later.public_bytes(Encoding.DER)))
    found = chains.find(signer, NOW + HOUR)
    assert isinstance(found, Chain)
    assert found.authority == issuer.der


def test_what_cannot_be_read_is_passed_over(network, lists):
    """Damaged lists and certificates of a record harm nothing else in it."""
    certificates = {"00" * 32: b"damaged", **trust_of(network, []).certificates}
    trust = Trust(network.root.der, certificates, [b"damaged", *lists[0]])
    found = Chains(trust).find(network.nodes[SCHOOL].packet.certificate, NOW + HOUR)
    assert isinstance(found, Chain)
