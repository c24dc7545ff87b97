"""Packet keys in a token, against SoftHSM: `make setup` installs it."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from harness.pki import NOW, SCHOOL, make_network
from harness.softhsm import PIN, import_key, the_token
from signing.authority import der_of, issue_node, make_request
from signing.errors import (
    KeyFileDamagedError,
    KeyFileMissingError,
    KeyPassphraseError,
)
from signing.keys import P256_HALF_ORDER, PacketSigner, low_s
from signing.pkcs11 import Token, TokenPlace
from signing.profiles import Purpose
from signing.seal import check_signature, is_one_encoding

SIGNATURES = 40
"""Half of what a token signs has a high S: that none of so many is one would be a wonder."""


OPEN = """
import sys
from pathlib import Path
from signing.pkcs11 import Token, TokenPlace
Token(TokenPlace(Path(sys.argv[1]), *sys.argv[2:4]), sys.argv[4])
"""
"""A process that opens a token: whoever has logged in keeps its process logged in."""


@pytest.fixture(scope="module")
def place() -> TokenPlace:
    return the_token()


@pytest.fixture
def token(place):
    token = Token(place, PIN)
    yield token
    token.close()


@pytest.fixture(scope="module")
def network():
    return make_network([SCHOOL], NOW)


def signer_of(network, key) -> PacketSigner:
    authority = network.authority_for(SCHOOL)
    return PacketSigner(
        key, der_of(issue_node(authority, SCHOOL, Purpose.PACKET, key.public_key(), NOW))
    )


def test_what_a_token_signs_holds(network, token):
    """Signatures verify, in their one encoding: S is low although the token does not care."""
    key = token.make()
    signer = signer_of(network, key)
    data = [bytes([number]) * 100 for number in range(SIGNATURES)]
    signatures = [signer.sign(each) for each in data]
    found = {
        check_signature(key.public_key(), signature, each)
        for each, signature in zip(data, signatures, strict=True)
    }
    assert found == {None}
    assert all(map(is_one_encoding, signatures))
    raw = [decode_dss_signature(key.sign(each, ec.ECDSA(hashes.SHA256())))[1] for each in data]
    assert any(s > P256_HALF_ORDER for s in raw), "the signer had nothing to mend"


def test_a_key_is_found_by_its_public_half(place, token):
    """Of several keys under one label, the certificate's is found, by another session too."""
    first, second = token.make(), token.make()
    other = Token(place, PIN)
    for key in (second, first):
        found = other.find(key.public_key())
        assert found is not None
        assert check_signature(key.public_key(), signed_by(found, b"data"), b"data") is None
    assert other.find(ec.generate_private_key(ec.SECP256R1()).public_key()) is None
    other.close()


def signed_by(key, data: bytes) -> bytes:
    return low_s(key.sign(data, ec.ECDSA(hashes.SHA256())))


def test_a_request_is_proven_by_the_token(token):
    """A certificate request bears the token's own signature."""
    key = token.make()
    request = x509.load_pem_x509_csr(make_request(key, SCHOOL, Purpose.PACKET))
    assert request.is_signature_valid
    assert request.public_key() == key.public_key()


def test_an_imported_key_signs(network, token, tmp_path):
    """A key that was made in a file and imported into the token goes on signing."""
    key = network.nodes[SCHOOL].packet_key
    path = tmp_path / "packet.key"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    import_key(path)
    found = token.find(key.public_key())
    assert found is not None
    signer = PacketSigner(found, network.nodes[SCHOOL].packet.certificate)
    assert check_signature(key.public_key(), signer.sign(b"data"), b"data") is None


def test_the_key_stays_inside(token):
    """Nobody gets the key out, nor does its text show anything."""
    key = token.make()
    with pytest.raises(KeyFileDamagedError, match="only signs"):
        key.private_numbers()
    with pytest.raises(KeyFileDamagedError, match="only signs"):
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    assert repr(key) == "<packet key in a token>"


def test_threads_share_a_session(network, token):
    """Several threads sign at once, and every signature holds."""
    key = token.make()
    signer = signer_of(network, key)
    made: list[tuple[bytes, bytes]] = []

    def work(number: int) -> None:
        for turn in range(20):
            data = f"{number}-{turn}".encode()
            made.append((data, signer.sign(data)))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 80
    assert {check_signature(key.public_key(), sig, data) for data, sig in made} == {None}


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"pin": "0000"}, KeyPassphraseError, "pin_file"),
        ({"token": "another"}, KeyFileMissingError, "plug it in"),
        ({"module": Path("/none.so")}, KeyFileDamagedError, "its own tools"),
    ],
    ids=["pin", "token", "module"],
)
def test_what_is_wrong_with_a_token_is_told(place, change, error, says):
    """Each fault of a token's configuration says what to do, and never the PIN."""
    pin = change.get("pin", PIN)
    words = (change.get("module", place.module), change.get("token", place.token), place.label)
    done = subprocess.run(
        [sys.executable, "-c", OPEN, *map(str, words), pin],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert f".{error.__name__}: " in done.stderr
    assert says in done.stderr
    assert pin not in done.stderr
