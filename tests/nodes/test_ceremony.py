"""Great changes with the root's key at hand: on line, replaced, and the genesis file."""

import subprocess

import pytest
from cryptography import x509

from harness.key_node import PASSPHRASE, make_key_node
from harness.pki import NOW
from nodes.ceremony import Ceremony
from nodes.config import load_config
from nodes.wiring import load_genesis, open_issuer, open_keys, open_trust
from schemas.limits import Limits
from schemas.moments import HOUR
from signing.authority import IssueError, authority_address
from signing.chain import Trusted, TrustStore, Untrusted
from signing.errors import KeyFileDamagedError, KeyFileExistsError
from signing.genesis import read_genesis
from signing.keys import fingerprint, load_certificate, load_crl
from signing.profiles import Purpose

LATER = NOW + HOUR


@pytest.fixture
def files(tmp_path):
    made = Ceremony(tmp_path, b"root and authorities")
    made.init_root(NOW)
    for address in ("kz", "kz.akmola"):
        made.issue_authority(address, NOW)
        made.issue_node(address, NOW)
    made.issue_node("kz.akmola.burabay", NOW)
    return made


def trust_in(folder):
    """Return what a node trusts that has the folder's certificates and lists."""
    trust = TrustStore(load_certificate(folder / "root.pem"))
    paths = [*folder.glob("authorities/*/cert.pem"), *folder.glob("authorities/.*/cert.pem")]
    paths += folder.glob("nodes/*/packet.pem")
    trust.add_certificates([load_certificate(path) for path in paths])
    for path in folder.glob("crls/*.pem"):
        trust.add_crl(load_crl(path))
    return trust


def judged(folder, address):
    name = fingerprint(load_certificate(folder / "nodes" / address / "packet.pem"))
    return trust_in(folder).judge(name, address, Purpose.PACKET, LATER, LATER, Limits())


# ------------------------------------------------------------------ on line


def test_a_node_is_handed_its_authority(tmp_path):
    """The node opens the key with its own passphrase, and knows what was given before."""
    path = make_key_node(tmp_path, "kz")
    path.write_text(path.read_text(encoding="utf-8").partition("[parent]")[0], encoding="utf-8")
    config = load_config(path)
    path = Ceremony(tmp_path / "ca").hand_over("kz", PASSPHRASE.encode())
    assert path.stat().st_mode & 0o777 == 0o600
    issuer = open_issuer(config, open_keys(config).journal_signer())
    assert issuer.subtree == "kz"
    packet = load_certificate(config.keys.folder / "packet.pem")
    assert issuer.has_issued(packet)
    given = {load_certificate(each) for each in (config.keys.folder / "given").glob("*.pem")}
    assert given == {
        load_certificate(config.keys.folder / f"{purpose}.pem")
        for purpose in ("packet", "journal", "link")
    }
    known = open_trust(config).fingerprints()
    assert {fingerprint(der) for der in given} <= set(known)


def test_a_node_without_the_key_has_no_authority(tmp_path):
    """Most nodes have none."""
    config = load_config(make_key_node(tmp_path))
    assert open_issuer(config, open_keys(config).journal_signer()) is None


def test_the_key_of_another_nodes_authority_is_refused(tmp_path):
    """An authority's key belongs to the node of its subtree."""
    config = load_config(make_key_node(tmp_path, "kz.akmola"))
    files = Ceremony(tmp_path / "ca")
    files.issue_node("kz", NOW)
    key = files.hand_over("kz", PASSPHRASE.encode())
    for name in ("authority.key", "authority.pem"):
        (config.keys.folder / name).write_bytes((key.parent / name).read_bytes())
    with pytest.raises(KeyFileDamagedError, match="belongs to that node"):
        open_issuer(config, open_keys(config).journal_signer())


def test_an_authority_without_a_node_stays_off_line(files):
    """There must be a folder to put the key in."""
    files.issue_authority("kz.abai", NOW)
    with pytest.raises(IssueError, match="run `bbaj ca node`"):
        files.hand_over("kz.abai")


# ------------------------------------------------------------------ replaced


def test_a_replaced_authority_ends_what_it_gave(files, tmp_path):
    """The root's next list has the old one; the new one is for the same subtree."""
    before = load_certificate(tmp_path / "authorities" / "kz.akmola" / "cert.pem")
    assert isinstance(judged(tmp_path, "kz.akmola.burabay"), Trusted)
    folder = files.replace_authority("kz.akmola", LATER)
    after = load_certificate(folder / "cert.pem")
    parsed = x509.load_der_x509_certificate(after)
    assert after != before
    assert authority_address(parsed) == "kz.akmola"
    standing = judged(tmp_path, "kz.akmola.burabay")
    assert isinstance(standing, Untrusted)
    assert standing.reason == "key-revoked"
    assert isinstance(judged(tmp_path, "kz"), Trusted)
    assert files.authorities() == ["kz", "kz.akmola"]


def test_the_next_authority_gives_certificates_that_count(files, tmp_path):
    """Whoever joins afterwards joins under the new key."""
    files.replace_authority("kz.akmola", LATER)
    files.issue_node("kz.akmola.esil", LATER)
    assert isinstance(judged(tmp_path, "kz.akmola.esil"), Trusted)


def test_an_authority_can_be_replaced_twice(files, tmp_path):
    """Each of the earlier ones keeps its files under a name of its own."""
    files.replace_authority("kz.akmola", LATER)
    files.replace_authority("kz.akmola", LATER + HOUR)
    assert len(list((tmp_path / "authorities").glob(".kz.akmola.*"))) == 2


def test_a_key_on_line_is_not_written_over(files):
    """The operator moves the stolen key away first."""
    files.hand_over("kz.akmola")
    files.replace_authority("kz.akmola", LATER)
    with pytest.raises(KeyFileExistsError, match="move it away"):
        files.hand_over("kz.akmola")


# ------------------------------------------------------------------ genesis


def test_the_genesis_file_lists_what_came_first(files, tmp_path):
    """Authorities and the republic's node stand in it, and no other node."""
    path = files.write_genesis()
    text, signature = path.read_bytes(), path.with_suffix(".sig").read_bytes()
    found = read_genesis(text, signature, load_certificate(tmp_path / "root.pem"))
    listed = {digest.hex() for digest in found.first}
    named = [tmp_path / "authorities" / name / "cert.pem" for name in ("kz", "kz.akmola")]
    named += [tmp_path / "nodes" / "kz" / f"{name}.pem" for name in ("packet", "journal", "link")]
    assert listed == {fingerprint(load_certificate(each)) for each in named}


def test_stock_tools_verify_the_genesis_file(files, tmp_path):
    """The command of the protocol says yes."""
    files.write_genesis()
    run(tmp_path, "openssl x509 -in root.pem -pubkey -noout -out root.pub")
    command = "openssl dgst -sha384 -verify root.pub -signature genesis.sig genesis.txt"
    assert run(tmp_path, command) == "Verified OK\n"


def run(folder, command):
    done = subprocess.run(command.split(), cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


def test_a_node_reads_the_genesis_file(tmp_path):
    """Its configuration names it; one that the root has not signed stops the node."""
    path = make_key_node(tmp_path)
    genesis = Ceremony(tmp_path / "ca").write_genesis()
    named = f'[keys]\ngenesis = "{genesis}"\n'
    path.write_text(path.read_text(encoding="utf-8").replace("[keys]\n", named), encoding="utf-8")
    config = load_config(path)
    assert len(load_genesis(config).first) == 1
    genesis.write_bytes(genesis.read_bytes().replace(b"crl 1", b"crl 2"))
    with pytest.raises(KeyFileDamagedError, match="signature does not hold"):
        load_genesis(config)
