"""The policy table: what it names is good until its end, what it does not name never was."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa

from schemas.errors import FormatError
from schemas.moments import parse_instant
from signing.algorithms import (
    DEFAULT,
    JOURNAL,
    PACKET,
    TREE,
    AlgorithmPolicy,
    algorithms_of,
    decode_policy,
    digest_name,
    encode_policy,
)

END = parse_instant("2031-01-01T00:00:00.000000Z")
TABLE = (
    b'{"algorithms":{"ed25519":{"until":null},"sha-256":{"until":"2031-01-01T00:00:00.000000Z"}}}'
)


def test_an_algorithm_is_good_before_its_end_and_not_at_it():
    """The end is the first moment at which it no longer counts."""
    policy = decode_policy(TABLE)
    assert policy.allowed(TREE, END - 1)
    assert not policy.allowed(TREE, END)
    assert policy.allowed(JOURNAL, END)
    assert policy.end_of(TREE) == END
    assert policy.first_end([JOURNAL, TREE]) == END
    assert policy.first_end([JOURNAL]) is None


def test_what_the_table_does_not_name_is_not_allowed():
    """An algorithm that nobody has thought of is none to rely on."""
    policy = decode_policy(TABLE)
    assert not policy.allowed("sha-1", 0)
    assert policy.end_of("sha-1") == 0


def test_the_default_allows_what_this_network_uses():
    """Without a table of its own a node relies on all that the protocol names."""
    assert all(DEFAULT.allowed(name, END) for name in (PACKET, JOURNAL, TREE, "ml-dsa-44"))
    assert decode_policy(encode_policy(DEFAULT)) == DEFAULT


def test_a_table_is_read_back_as_written():
    """With its ends."""
    policy = AlgorithmPolicy({TREE: END, PACKET: None})
    assert decode_policy(encode_policy(policy)) == policy


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "truncated"),
        (b"[]", "Expected `object`"),
        (b"{}", "missing required field `algorithms`"),
        (b'{"algorithms":{"SHA 1":{}}}', "matching regex"),
        (b'{"algorithms":{"sha-1":{"until":"soon"}}}', "matching regex"),
        (b'{"algorithms":{"sha-1":{"until":"2031-02-31T00:00:00.000000Z"}}}', "no such moment"),
        (b'{"algorithms":{"sha-1":{"til":null}}}', "unknown field `til`"),
        (b" " * 70_000, "limit 65536"),
    ],
)
def test_a_table_that_is_wrong_is_named(raw, said):
    """Whoever wrote it learns what to correct."""
    with pytest.raises(FormatError) as caught:
        decode_policy(raw)
    assert said in caught.value.detail


def test_keys_have_the_names_that_the_table_has():
    """RSA goes by the size that it reaches, and names its hash apart."""
    p256 = ec.generate_private_key(ec.SECP256R1()).public_key()
    p384 = ec.generate_private_key(ec.SECP384R1()).public_key()
    assert algorithms_of(p256, "sha256") == (PACKET,)
    assert algorithms_of(p384, "sha384") == ("ecdsa-p384-sha384",)
    assert algorithms_of(ed25519.Ed25519PrivateKey.generate().public_key(), None) == (JOURNAL,)
    assert algorithms_of(mldsa.MLDSA44PrivateKey.generate().public_key(), None) == ("ml-dsa-44",)
    small = rsa.generate_private_key(65537, 2048).public_key()
    assert algorithms_of(small, "sha256") == ("rsa-2048", "sha-256")
    assert algorithms_of(small, "sha1") == ("rsa-2048", "sha-1")
    assert not DEFAULT.allowed("sha-1", 0)
    assert digest_name("nothing") == ""
