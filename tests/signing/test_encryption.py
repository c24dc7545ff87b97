"""Encryption keys: files, ids, and what is fit to be encrypted to."""

import base64
import hashlib
import stat

import pytest

from schemas.cards import EncryptionKey
from schemas.errors import FormatError
from signing.encryption import (
    MLKEM_PUBLIC_BYTES,
    NEWEST,
    PUBLIC_BYTES,
    EncryptionKeyring,
    HybridKey,
    encode_private,
    load_encryption_key,
    make_encryption_key,
    older_name,
    public_bytes,
    wrap,
    write_encryption_key,
)
from signing.errors import (
    KeyFileDamagedError,
    KeyFileExistsError,
    KeyFileMissingError,
    KeyPassphraseError,
)

PASSPHRASE = b"correct horse"


@pytest.fixture(scope="module")
def key():
    return HybridKey.generate()


def stated(public: bytes) -> EncryptionKey:
    """Return a card's words for any bytes."""
    text = base64.b64encode(public).decode()
    return EncryptionKey(id=hashlib.sha256(public).hexdigest(), kem="MLKEM768_X25519", public=text)


def test_what_is_wrapped_for_a_key_it_unwraps(key):
    """A secret comes out as it went in, under the same info only."""
    wrapped = wrap(b"secret", key.public, b"info")
    assert key.unwrap(wrapped, b"info") == b"secret"


def test_an_id_is_the_digest_of_both_halves(key):
    """Id and length of the public bytes are what a card states."""
    assert len(key.public) == PUBLIC_BYTES
    assert key.facts.id == key.id.hex() == hashlib.sha256(key.public).hexdigest()
    assert public_bytes(key.facts) == key.public


@pytest.mark.parametrize("passphrase", [None, PASSPHRASE])
def test_a_key_file_gives_back_its_key(key, tmp_path, passphrase):
    """Both halves survive the file, with a passphrase and without."""
    write_encryption_key(tmp_path / NEWEST, key, passphrase)
    assert load_encryption_key(tmp_path / NEWEST, passphrase).public == key.public
    assert load_encryption_key(tmp_path / NEWEST, passphrase).unwrap(
        wrap(b"x", key.public, b""), b""
    )


def test_a_key_file_is_its_owners_alone(key, tmp_path):
    """Mode 0600, and no half of the key in clear where there is a passphrase."""
    write_encryption_key(tmp_path / NEWEST, key, PASSPHRASE)
    path = tmp_path / NEWEST
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert b"-----BEGIN PRIVATE KEY" not in path.read_bytes()


def test_a_key_is_never_written_over(key, tmp_path):
    """The file that is there stays."""
    write_encryption_key(tmp_path / NEWEST, key, None)
    with pytest.raises(KeyFileExistsError):
        write_encryption_key(tmp_path / NEWEST, HybridKey.generate(), None)
    assert load_encryption_key(tmp_path / NEWEST).id == key.id


def test_a_wrong_passphrase_is_told_apart(key, tmp_path):
    """Wrong or missing, it is the passphrase's fault and not the file's."""
    write_encryption_key(tmp_path / NEWEST, key, PASSPHRASE)
    for passphrase in (None, b"wrong"):
        with pytest.raises(KeyPassphraseError):
            load_encryption_key(tmp_path / NEWEST, passphrase)


def test_a_missing_key_says_what_is_lost(tmp_path):
    """The text names the file and what cannot be read without it."""
    with pytest.raises(KeyFileMissingError, match=r"encryption\.key is missing: restore it"):
        load_encryption_key(tmp_path / NEWEST)


def test_damaged_key_files_are_refused(key, tmp_path):
    """One half only, the halves the other way round, or no PEM: damaged."""
    pem = encode_private(key, None)
    half = pem.index(b"-----BEGIN", 1)
    for number, data in enumerate((pem[:half], pem[half:] + pem[:half], b"", pem + pem)):
        path = tmp_path / f"{number}.key"
        path.write_bytes(data)
        with pytest.raises(KeyFileDamagedError):
            load_encryption_key(path)


def test_the_next_key_keeps_the_one_before(tmp_path):
    """After two renewals three keys open, the newest is stated first."""
    keys = [make_encryption_key(tmp_path, PASSPHRASE) for _ in range(3)]
    keyring = EncryptionKeyring.load(tmp_path, PASSPHRASE)
    assert keyring.newest.id == keys[-1].id
    assert {fact.id for fact in keyring.facts} == {each.id.hex() for each in keys}
    assert keyring.facts[0].id == keys[-1].id.hex()
    assert all(keyring.find(each.id) for each in keys)
    assert keyring.find(bytes(32)) is None


def test_a_renewal_that_was_cut_off_loses_nothing(tmp_path):
    """With the old key under both names, it counts once and the next renewal goes through."""
    before = make_encryption_key(tmp_path)
    (tmp_path / older_name(before)).hardlink_to(tmp_path / NEWEST)
    (tmp_path / f".{NEWEST}.next").write_bytes(b"half a key")
    assert len(EncryptionKeyring.load(tmp_path).facts) == 1
    make_encryption_key(tmp_path)
    assert EncryptionKeyring.load(tmp_path).find(before.id) is not None


def test_a_key_is_not_shown(key):
    """The text of a key is its id."""
    assert repr(key) == f"<encryption key {key.id.hex()}>"


def test_unfit_public_keys_are_refused(key):
    """Wrong length, no lattice, no point, another id, other Base64: not to be encrypted to."""
    whole = key.facts
    unfit = [
        stated(key.public[:-1]),
        stated(b"\xff" * PUBLIC_BYTES),
        stated(key.public[:MLKEM_PUBLIC_BYTES] + bytes(32)),
        EncryptionKey(id="ab" * 32, kem=whole.kem, public=whole.public),
        EncryptionKey(id=whole.id, kem=whole.kem, public=whole.public[:-4] + "===="),
        EncryptionKey(id=whole.id, kem=whole.kem, public=""),
    ]
    for each in unfit:
        with pytest.raises(FormatError, match="encryption key"):
            public_bytes(each)
