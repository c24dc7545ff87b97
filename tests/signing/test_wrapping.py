"""Encrypted payloads: who opens them, and what does not open at all."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import FormatError
from schemas.reasons import Reason
from signing.encryption import EncryptionKeyring, HybridKey
from signing.wrapping import decrypt, encrypt, overhead_bytes, readers_of

BINDING = bytes(range(32))
SENDER, RECIPIENT, STRANGER = (EncryptionKeyring(HybridKey.generate()) for _ in range(3))
READERS = (RECIPIENT.newest.public, SENDER.newest.public)
PAYLOAD = encrypt(b"plain", BINDING, READERS)


@settings(max_examples=20)
@given(plain=st.binary(max_size=3000))
def test_both_ends_open_it(plain):
    """Recipient and sender's archive get what went in, and it is as long as foreseen."""
    payload = encrypt(plain, BINDING, READERS)
    assert decrypt(payload, BINDING, RECIPIENT) == decrypt(payload, BINDING, SENDER) == plain
    assert len(payload) == len(plain) + overhead_bytes(2)


def test_it_names_its_readers():
    """The ids stand in the clear, the recipient's first."""
    assert readers_of(PAYLOAD) == [RECIPIENT.newest.id, SENDER.newest.id]


def test_an_old_key_still_opens():
    """What was encrypted before a renewal opens with the key of then."""
    renewed = EncryptionKeyring(HybridKey.generate(), older=[RECIPIENT.newest])
    assert decrypt(PAYLOAD, BINDING, renewed) == b"plain"


def test_equal_contents_do_not_show():
    """Each payload has a key and a nonce of its own."""
    assert len({encrypt(b"plain", BINDING, READERS)[-21:] for _ in range(10)}) == 10


def failure(payload: bytes, binding: bytes = BINDING, keys: EncryptionKeyring = RECIPIENT) -> str:
    with pytest.raises(FormatError) as refused:
        decrypt(payload, binding, keys)
    assert refused.value.reason is Reason.DECRYPT_FAILED
    return refused.value.detail


def test_a_stranger_does_not_open_it():
    """A keyring without any of its keys is told so."""
    assert failure(PAYLOAD, keys=STRANGER) == "payload is encrypted to no key of ours"


def test_another_header_does_not_open_it():
    """The digest of the header is bound to the wraps and to the content."""
    assert "does not open" in failure(PAYLOAD, bytes(32))


@pytest.mark.parametrize("size", range(0, len(PAYLOAD), 97))
def test_truncated_it_does_not_open(size):
    """Cut off anywhere, it is refused for one reason."""
    failure(PAYLOAD[:size])


@pytest.mark.parametrize("at", [0, 1, 33, 34, 40, 1200, -30, -20, -1])
def test_one_flipped_bit_is_found(at):
    """In the count, the id, the length, the wrapped key, the nonce, the content or the tag."""
    flipped = bytearray(PAYLOAD)
    flipped[at] ^= 1
    failure(bytes(flipped))


@pytest.mark.parametrize("count", [0, 9, 255])
def test_a_count_out_of_bounds_is_refused(count):
    """1 to 8 wrapped keys, no more work than that."""
    assert "wrapped keys" in failure(bytes([count]) + PAYLOAD[1:] * 8)


def test_bytes_behind_the_end_are_found():
    """The tag covers the end."""
    failure(PAYLOAD + b"\0")
