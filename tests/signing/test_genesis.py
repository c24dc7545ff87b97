import hashlib
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from harness.pki import NOW, OBLAST, make_network
from schemas.errors import FormatError
from signing.genesis import make_genesis, read_genesis, sign_genesis
from signing.keys import fingerprint


@pytest.fixture(scope="module")
def network():
    return make_network(["kz", OBLAST], NOW)


@pytest.fixture(scope="module")
def text(network):
    authorities = [(name, issuer.der) for name, issuer in network.authorities.items()]
    node = network.nodes["kz"]
    own = [("kz", "packet", node.packet.certificate), ("kz", "journal", node.journal.certificate)]
    return make_genesis(network.root.der, authorities, own, 3)


def test_a_signed_file_says_which_certificates_came_first(network, text):
    """What was written is read: digests of the authorities and of the republic's node."""
    found = read_genesis(text, sign_genesis(text, network.root.key), network.root.der)
    node = network.nodes["kz"]
    first = [each.der for each in network.authorities.values()]
    first += [node.packet.certificate, node.journal.certificate]
    assert found.first == {hashlib.sha256(der).digest() for der in first}
    assert (found.root, found.crl) == (fingerprint(network.root.der), 3)


def test_stock_tools_verify_the_signature(network, text, tmp_path):
    """`openssl dgst` says yes with the root's public key."""
    key = x509.load_der_x509_certificate(network.root.der).public_key()
    (tmp_path / "root.pub").write_bytes(
        key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    (tmp_path / "genesis.txt").write_bytes(text)
    (tmp_path / "genesis.sig").write_bytes(sign_genesis(text, network.root.key))
    command = ["openssl", "dgst", "-sha384", "-verify", "root.pub"]
    command += ["-signature", "genesis.sig", "genesis.txt"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "Verified OK\n")


def test_another_roots_signature_is_refused(network, text):
    """Only the root that a node trusts says what came first."""
    other = make_network([], NOW).root
    with pytest.raises(FormatError, match="signature does not hold"):
        read_genesis(text, sign_genesis(text, other.key), network.root.der)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(b"bbaj-genesis/1", b"bbaj-genesis/2"),
        lambda text: text[:-1],
        lambda text: text.replace(b"authority kz ", b"authority  kz "),
        lambda text: text.replace(b"crl 3", b"crl three"),
        lambda text: text.replace(b"crl 3\n", b"") + b"owner nobody\n",
        lambda text: text[: text.index(b"root")] + b"root " + b"0" * 64 + b"\ncrl 1\n",
    ],
)
def test_a_line_that_is_none_of_the_format_is_refused(network, text, change):
    """What the root signed is read in one way or not at all."""
    bad = change(text)
    with pytest.raises(FormatError, match="genesis"):
        read_genesis(bad, sign_genesis(bad, network.root.key), network.root.der)
