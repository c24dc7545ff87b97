"""A node whose packet key is in a token: opened by its configuration, renewed inside the token."""

import pytest
from cryptography import x509

from harness.key_node import PASSPHRASE, config_of, make_key_node
from harness.pki import make_network
from harness.softhsm import PIN, import_key, the_token
from nodes.clock import now
from nodes.wiring import open_keys, open_vault
from schemas.moments import DAY
from signing.authority import der_of, issue_node
from signing.errors import KeyFileMissingError, KeyPassphraseError
from signing.keys import load_private_key, write_private_key
from signing.pkcs11 import TokenKey
from signing.profiles import Purpose
from signing.seal import check_signature


@pytest.fixture
def node(tmp_path):
    """Make a node whose configuration names the token; its packet key is in a file yet."""
    place = the_token()
    pin = tmp_path / "pin"
    pin.touch(mode=0o600)
    pin.write_text(f"{PIN}\n")
    more = f"""
[keys.pkcs11]
module = "{place.module}"
token = "{place.token}"
pin_file = "{pin}"
label = "{place.label}"
"""
    return make_key_node(tmp_path, more=more)


def moved_into_token(node):
    """Bring the packet key into the token and remove its file, as an operator does."""
    path = config_of(node).keys.folder / "packet.key"
    clear = path.with_name("clear.key")
    write_private_key(clear, load_private_key(path, PASSPHRASE.encode()), None)
    import_key(clear)
    clear.unlink()
    path.unlink()
    return node


def test_a_node_signs_with_its_token(node):
    """The gate's signatures are the token's, and hold under the certificate."""
    vault = open_vault(config_of(moved_into_token(node)))
    signer = vault.keys.packet_signer()
    key = x509.load_der_x509_certificate(signer.certificate).public_key()
    assert isinstance(signer._key, TokenKey)
    assert check_signature(key, signer.sign(b"data"), b"data") is None
    assert {state.where for state in vault.keys.states() if state.purpose == "packet"} == {"token"}


def test_a_key_in_a_file_serves_until_its_renewal(node):
    """Naming a token changes nothing at once: the next key is made there."""
    keys = open_keys(config_of(node))
    assert not isinstance(keys.packet_signer()._key, TokenKey)


@pytest.mark.parametrize("begin", [lambda node: node, moved_into_token], ids=["file", "token"])
def test_the_next_key_is_made_in_the_token(node, begin):
    """A renewal makes the packet key in the token, wherever the last one was; no file is left."""
    config = config_of(begin(node))
    keys = open_keys(config)
    before = keys.packet_signer().fingerprint
    requests = keys.prepare([Purpose.PACKET, Purpose.JOURNAL])
    assert open_keys(config).prepare([Purpose.PACKET])[Purpose.PACKET] != b""
    public = x509.load_der_x509_csr(requests[Purpose.PACKET]).public_key()
    network = make_network([config.address], now())
    authority = network.authority_for(config.address)
    der = der_of(issue_node(authority, config.address, Purpose.PACKET, public, now() + DAY))
    assert keys.owner_of(der) is Purpose.PACKET
    keys.grant(Purpose.PACKET, [der])
    keys.switch(Purpose.PACKET)
    again = open_keys(config)
    signer = again.packet_signer()
    assert isinstance(signer._key, TokenKey)
    assert signer.fingerprint != before
    assert check_signature(public, signer.sign(b"data"), b"data") is None
    assert not (config.keys.folder / "packet.key").exists()
    assert again.asked() == [Purpose.JOURNAL]
    assert (config.keys.folder / "next" / "journal.key").exists()


def test_a_key_that_is_nowhere_is_told(node):
    """Neither token nor file: the certificate is named, and what to do."""
    config = config_of(node)
    (config.keys.folder / "packet.key").unlink()
    with pytest.raises(KeyFileMissingError, match="plug in the right token"):
        open_vault(config)


def test_an_open_pin_file_is_refused(node, tmp_path):
    """A PIN that others may read protects nothing."""
    (tmp_path / "pin").chmod(0o640)
    with pytest.raises(KeyPassphraseError, match="chmod 600"):
        open_keys(config_of(node))
