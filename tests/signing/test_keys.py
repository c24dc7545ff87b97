import stat

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509 import load_der_x509_crl
from hypothesis import given
from hypothesis import strategies as st

from harness.pki import SCHOOL
from schemas.errors import BbajError, Fatal, FormatError, OutcomeUnknown, Retryable
from signing import errors
from signing.errors import (
    CertificateError,
    KeyFileDamagedError,
    KeyFileExistsError,
    KeyFileMissingError,
    KeyPassphraseError,
)
from signing.keys import (
    P256_HALF_ORDER,
    JournalSigner,
    PacketSigner,
    load_certificate,
    load_crl,
    load_journal_signer,
    load_packet_signer,
    load_private_key,
    write_private_key,
)

KEYS = {
    "P-256": ec.generate_private_key(ec.SECP256R1()),
    "P-384": ec.generate_private_key(ec.SECP384R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys/node.key"


@pytest.mark.parametrize("passphrase", [None, b"correct horse"], ids=["plain", "encrypted"])
@pytest.mark.parametrize("kind", KEYS)
def test_key_comes_back(path, kind, passphrase):
    """A key that was written is loaded again, with its passphrase or without one."""
    write_private_key(path, KEYS[kind], passphrase)
    assert load_private_key(path, passphrase).public_key() == KEYS[kind].public_key()


def test_passphrase_for_a_key_without_one_is_passed_over(path):
    """A key without passphrase is loaded although one is given."""
    write_private_key(path, KEYS["P-256"], None)
    assert load_private_key(path, b"unused").public_key() == KEYS["P-256"].public_key()


def test_key_file_is_for_its_owner_only(path):
    """A key file is readable and writable by its owner alone, and its folder too."""
    write_private_key(path, KEYS["P-256"], None)
    modes = [stat.S_IMODE(each.stat().st_mode) for each in (path, path.parent)]
    assert modes == [0o600, 0o700]


def test_passphrase_encrypts_the_file(path):
    """With a passphrase the file is an encrypted PKCS#8 key."""
    write_private_key(path, KEYS["P-256"], b"correct horse")
    assert path.read_text().startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")


def test_key_is_never_written_over(path):
    """A second key under one name is refused, and the first one stays."""
    write_private_key(path, KEYS["P-256"], None)
    with pytest.raises(KeyFileExistsError, match="move it away"):
        write_private_key(path, KEYS["P-384"], None)
    assert load_private_key(path).public_key() == KEYS["P-256"].public_key()


def test_nothing_else_stays_behind(path):
    """Writing a key, or failing to, leaves no draft behind."""
    write_private_key(path, KEYS["P-256"], None)
    with pytest.raises(KeyFileExistsError):
        write_private_key(path, KEYS["P-256"], None)
    assert [each.name for each in path.parent.iterdir()] == ["node.key"]


def test_missing_file_is_told_apart(path):
    """A missing file is named, and what to do."""
    with pytest.raises(KeyFileMissingError, match=r"node\.key is missing: restore"):
        load_private_key(path)


def test_unreadable_file_is_told_apart(tmp_path):
    """What cannot be read says why."""
    with pytest.raises(KeyFileMissingError, match="cannot be read"):
        load_private_key(tmp_path)


def test_wrong_passphrase_is_told_apart(path):
    """A wrong passphrase is neither a missing nor a damaged file."""
    write_private_key(path, KEYS["P-256"], b"correct horse")
    with pytest.raises(KeyPassphraseError, match="does not open"):
        load_private_key(path, b"wrong horse")


def test_missing_passphrase_is_told_apart(path):
    """A key with a passphrase says that one is needed."""
    write_private_key(path, KEYS["P-256"], b"correct horse")
    with pytest.raises(KeyPassphraseError, match="name the file that holds it"):
        load_private_key(path)


@pytest.mark.parametrize("keep", [0, 100])
@pytest.mark.parametrize("passphrase", [None, b"correct horse"])
def test_damaged_file_is_told_apart(path, keep, passphrase):
    """A truncated key file is damaged, whatever the passphrase."""
    write_private_key(path, KEYS["P-256"], passphrase)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(KeyFileDamagedError, match="restore it"):
        load_private_key(path, passphrase)


def test_other_keys_are_refused(path):
    """An RSA key is no key of ours."""
    pem = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.parent.mkdir()
    path.write_bytes(pem)
    with pytest.raises(KeyFileDamagedError, match="RSA"):
        load_private_key(path)


@given(data=st.binary(max_size=100))
def test_packet_signatures_are_deterministic_with_low_s(network, data):
    """One key and one text give one signature, with a low S."""
    signer = network.nodes[SCHOOL].packet
    signature = signer.sign(data)
    _, s = decode_dss_signature(signature)
    assert (signature == signer.sign(data), s <= P256_HALF_ORDER) == (True, True)


def test_journal_signatures_verify(network):
    """A journal signer makes Ed25519 signatures under its own public key."""
    signer = network.nodes[SCHOOL].journal
    key = ed25519.Ed25519PublicKey.from_public_bytes(signer.public_bytes)
    assert key.verify(signer.sign(b"checkpoint"), b"checkpoint") is None


def test_signers_come_from_files(network, tmp_path):
    """Key and certificate files make the signer whose certificate they are, PEM or DER."""
    node = network.nodes[SCHOOL]
    write_private_key(tmp_path / "packet.key", node.packet_key, None)
    write_private_key(tmp_path / "journal.key", node.journal_key, None)
    (tmp_path / "packet.der").write_bytes(node.packet.certificate)
    (tmp_path / "journal.der").write_bytes(node.journal.certificate)
    packet = load_packet_signer(tmp_path / "packet.key", tmp_path / "packet.der", None)
    journal = load_journal_signer(tmp_path / "journal.key", tmp_path / "journal.der", None)
    assert (packet.fingerprint, journal.fingerprint) == (
        node.packet.fingerprint,
        node.journal.fingerprint,
    )


def test_signers_of_the_wrong_file_are_refused(network, tmp_path):
    """A journal key is no packet key, and the reverse."""
    node = network.nodes[SCHOOL]
    write_private_key(tmp_path / "packet.key", node.packet_key, None)
    write_private_key(tmp_path / "journal.key", node.journal_key, None)
    with pytest.raises(KeyFileDamagedError, match="name the packet key"):
        load_packet_signer(tmp_path / "journal.key", tmp_path / "x", None)
    with pytest.raises(KeyFileDamagedError, match="name the journal key"):
        load_journal_signer(tmp_path / "packet.key", tmp_path / "x", None)


def test_certificate_of_another_key_is_refused(network):
    """Key and certificate must belong together."""
    with pytest.raises(KeyFileDamagedError, match="another key"):
        PacketSigner(KEYS["P-256"], network.nodes[SCHOOL].packet.certificate)


def test_certificate_that_is_none_is_refused():
    """Bytes that are no certificate make no signer."""
    with pytest.raises(KeyFileDamagedError, match="cannot be read"):
        JournalSigner(KEYS["Ed25519"], b"junk")


def test_packet_key_is_on_p256(network):
    """A root's own pair is no packet signer: its curve is another."""
    root = network.root
    with pytest.raises(KeyFileDamagedError, match="P-256"):
        PacketSigner(root.key, root.der)


def test_certificate_file_that_is_none(tmp_path):
    """A file without a certificate is named, and what to do."""
    (tmp_path / "cert.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    with pytest.raises(KeyFileDamagedError, match="fetch it again"):
        load_certificate(tmp_path / "cert.pem")


def test_crl_comes_from_its_file(network, tmp_path):
    """A revocation list is read from PEM or DER."""
    der = network.crls()[0]
    pem = load_der_x509_crl(der).public_bytes(serialization.Encoding.PEM)
    (tmp_path / "crl.pem").write_bytes(pem)
    (tmp_path / "crl.der").write_bytes(der)
    assert [load_crl(tmp_path / name) for name in ("crl.pem", "crl.der")] == [der, der]


def test_crl_file_that_is_none(tmp_path):
    """A file without a revocation list is named, and what to do."""
    (tmp_path / "crl.pem").write_text("junk")
    with pytest.raises(KeyFileDamagedError, match="fetch it again"):
        load_crl(tmp_path / "crl.pem")


def leaves(kind):
    below = kind.__subclasses__()
    return {kind} if not below else set().union(*(leaves(each) for each in below))


DISPOSITIONS = (FormatError, Retryable, Fatal, OutcomeUnknown)


def test_each_error_has_one_disposition():
    """A bad certificate is the peer's fault, want of room the world's; all others are fatal."""
    ours = {kind for kind in leaves(BbajError) if kind.__module__ == errors.__name__}
    found = {kind: [each for each in DISPOSITIONS if issubclass(kind, each)] for kind in ours}
    assert found.pop(CertificateError) == [FormatError]
    worlds = (errors.BucketKeyUnwritableError, errors.KeyFolderUnwritable, errors.TokenLost)
    assert [found.pop(each) for each in worlds] == [[Retryable]] * len(worlds)
    assert set(map(tuple, found.values())) == {(Fatal,)}


def test_each_fatal_error_has_its_exit_code():
    """Exit codes tell a wrong passphrase from a missing, damaged or existing file."""
    kinds = (KeyPassphraseError, KeyFileMissingError, KeyFileDamagedError, KeyFileExistsError)
    assert [kind.exit_code for kind in kinds] == [77, 66, 65, 71]


@pytest.mark.parametrize("form", ["TraditionalOpenSSL", "OpenSSH"])
def test_keys_are_pkcs8_only(tmp_path, form):
    """A key in another form is refused, with the command that rewrites it."""
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        getattr(serialization.PrivateFormat, form),
        serialization.NoEncryption(),
    )
    (tmp_path / "packet.key").write_bytes(pem)
    with pytest.raises(KeyFileDamagedError, match="openssl pkcs8 -topk8"):
        load_private_key(tmp_path / "packet.key")
