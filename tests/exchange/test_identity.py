"""Fresh names: packet ids that sort by time, and nonces."""

import hashlib
import hmac
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.identity import bears_mark, is_packet_id, marked_id, new_nonce, new_packet_id
from harness.drafts import NOW, PACKET_ID
from schemas.moments import parse_instant

LAST = parse_instant("9999-12-31T23:59:59.999999Z")


@given(st.integers(0, LAST))
def test_a_new_id_is_a_packet_id(now):
    """Whatever the moment, the id has version 7 and the variant of RFC 9562."""
    assert is_packet_id(new_packet_id(now))


@given(st.integers(0, LAST))
def test_an_id_begins_with_its_millisecond(now):
    """The first 48 bits are the milliseconds since 1970."""
    packet_id = new_packet_id(now)
    assert int(packet_id.replace("-", "")[:12], 16) == now // 1000


@given(st.binary(min_size=16, max_size=16), st.binary(), st.binary())
def test_an_id_bears_the_mark_of_one_drop(salt, drop, other):
    """It stays a packet id of its moment; another drop, or another salt, has another mark."""
    plain = new_packet_id(NOW)
    marked = marked_id(plain, salt, drop)
    assert is_packet_id(marked)
    assert marked[:18] == plain[:18]
    assert bears_mark(marked, salt, drop)
    assert bears_mark(marked, salt, other) == (drop == other)
    assert not bears_mark(marked, bytes(each ^ 1 for each in salt), drop)


def test_the_mark_is_the_first_62_bits_of_the_mac():
    """As clause 17.2 says, by what the standard library and openssl make of it alike."""
    mac = hmac.new(bytes(16), b"kz\nsis\nd-1", hashlib.sha256).digest()
    bits = int(marked_id(PACKET_ID, bytes(16), b"kz\nsis\nd-1").replace("-", ""), 16)
    assert bits % 2**62 == int.from_bytes(mac[:8]) >> 2


def test_ids_of_one_moment_differ():
    """A thousand packets of one group have a thousand ids."""
    assert len({new_packet_id(NOW) for _ in range(1000)}) == 1000


@given(st.integers(0, LAST - 1000), st.integers(1000, 10**12))
def test_later_ids_sort_later(now, later):
    """Ids of different milliseconds sort by time."""
    assert new_packet_id(now) < new_packet_id(min(now + later, LAST)) or now + later > LAST


@pytest.mark.parametrize("text", ["", PACKET_ID.upper(), PACKET_ID[:-1], PACKET_ID + "\n", "x"])
def test_what_is_no_packet_id(text):
    """Upper case, other lengths and a last newline are no ids."""
    assert not is_packet_id(text)


def test_nonces_are_32_hex_digits_and_differ():
    """A nonce is 16 random bytes."""
    nonces = {new_nonce() for _ in range(1000)}
    assert len(nonces) == 1000
    assert all(re.fullmatch("[0-9a-f]{32}", nonce) for nonce in nonces)
