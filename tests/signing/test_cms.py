"""Detached CMS has one form: the signature comes out of it, or nothing does."""

import pytest

from harness.forging import flipped
from harness.pki import NOW, OBLAST, SCHOOL, make_network
from signing.cms import detached_cms, raw_signature


@pytest.fixture(scope="module")
def parts():
    network = make_network([OBLAST, SCHOOL], NOW)
    node = network.nodes[SCHOOL].packet
    return node.sign(b"signed"), node.certificate, network.authority_for(SCHOOL).der


def test_the_signature_comes_out_as_it_went_in(parts):
    """What was put in is found, whatever its length."""
    signature, signer, authority = parts
    assert raw_signature(detached_cms(signature, signer, authority), signer, authority) == signature


def test_any_changed_bit_around_it_is_another_form(parts):
    """Nothing in the skeleton, and no certificate in it, can be changed."""
    signature, signer, authority = parts
    cms = detached_cms(signature, signer, authority)
    around = range(0, 8 * (len(cms) - len(signature)), 3)
    assert {raw_signature(flipped(cms, bit), signer, authority) for bit in around} == {None}


def test_other_certificates_are_another_form(parts):
    """A CMS of one certificate is none of two."""
    signature, signer, authority = parts
    cms = detached_cms(signature, signer)
    assert raw_signature(cms, signer) == signature
    assert raw_signature(cms, signer, authority) is None
    assert raw_signature(b"", signer) is None
