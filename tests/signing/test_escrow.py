"""Encryption keys in escrow: what is brought back opens what was encrypted before the loss."""

import os

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.pki import NOW, SCHOOL
from signing.encryption import EncryptionKeyring, HybridKey, wrap
from signing.errors import KeyFileDamagedError, KeyFileError, KeyPassphraseError
from signing.escrow import MAGIC, open_escrow, seal_escrow
from signing.sealed_file import SealedHeader

PASSPHRASE = b"correct horse"
OLD, NEWEST = HybridKey.generate(), HybridKey.generate()
SEALED = seal_escrow(SCHOOL, EncryptionKeyring(NEWEST, [OLD]), PASSPHRASE, NOW)


def test_all_keys_come_back():
    """Old keys and new come back, the newest first, and open what was wrapped for them."""
    secrets = {key.id: os.urandom(32) for key in (OLD, NEWEST)}
    wrapped = {key.id: wrap(secrets[key.id], key.public, b"info") for key in (OLD, NEWEST)}
    opened = open_escrow(SEALED, PASSPHRASE)
    assert opened.address == SCHOOL
    assert [key.id for key in opened.keys] == [NEWEST.id, OLD.id]
    assert {key.id: key.unwrap(wrapped[key.id], b"info") for key in opened.keys} == secrets


def test_the_header_is_for_everybody_and_shows_no_key():
    """Whose keys they are stands in clear; no half of a key does."""
    line = SEALED.removeprefix(MAGIC).partition(b"\n")[0]
    assert msgspec.json.decode(line, type=SealedHeader).address == SCHOOL
    for key in (OLD, NEWEST):
        for half in (key.mlkem.private_bytes_raw(), key.x25519.private_bytes_raw()):
            assert half not in SEALED
            assert half[:16] not in SEALED


def test_another_passphrase_opens_nothing():
    """A wrong passphrase is told apart, and never repeated."""
    with pytest.raises(KeyPassphraseError) as caught:
        open_escrow(SEALED, b"hoarse")
    assert "hoarse" not in str(caught.value)


@settings(max_examples=40, deadline=None)
@given(at=st.integers(0, len(SEALED) - 1), bit=st.integers(0, 7))
def test_one_flipped_bit_is_found(at, bit):
    """Nothing comes back from a damaged escrow."""
    damaged = bytearray(SEALED)
    damaged[at] ^= 1 << bit
    with pytest.raises(KeyFileError):
        open_escrow(bytes(damaged), PASSPHRASE)


@pytest.mark.parametrize(
    "raw",
    [b"", MAGIC, b"junk\n{}\n", SEALED.replace(b'"cost":32768', b'"cost":99999999999')],
    ids=["empty", "magic", "junk", "cost"],
)
def test_what_is_no_escrow_is_told(raw):
    """Another file, or one that would cost an hour, is refused before any work."""
    with pytest.raises(KeyFileDamagedError, match="fetch"):
        open_escrow(raw, PASSPHRASE)
