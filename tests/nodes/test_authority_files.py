import stat
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from harness.pki import DISTRICT, NODE_PURPOSES, NOW, OBLAST, SCHOOL
from nodes.authority_files import AuthorityFiles
from schemas.limits import Limits
from schemas.moments import DAY
from schemas.reasons import Reason
from signing.chain import CrlLearned, Trusted, TrustStore, Untrusted
from signing.errors import (
    IssueError,
    KeyFileDamagedError,
    KeyFileExistsError,
    KeyFileMissingError,
    KeyPassphraseError,
)
from signing.keys import (
    fingerprint,
    load_certificate,
    load_journal_signer,
    load_packet_signer,
    load_private_key,
)
from signing.profiles import Purpose


@pytest.fixture
def files(tmp_path):
    """Make a folder with a root and an authority for the oblast."""
    made = AuthorityFiles(tmp_path / "ca")
    made.init_root(NOW)
    made.issue_authority(OBLAST, NOW)
    return made


@pytest.fixture
def folder(files, tmp_path):
    assert files.authorities() == [OBLAST]
    return tmp_path / "ca"


def crl(folder, name):
    parsed = x509.load_pem_x509_crl((folder / f"crls/{name}.pem").read_bytes())
    return parsed.public_bytes(Encoding.DER)


def trust(folder, files):
    store = TrustStore(load_certificate(folder / "root.pem"))
    store.add_certificates(files.certificates())
    for name in ("root", *files.authorities()):
        assert isinstance(store.add_crl(crl(folder, name)), CrlLearned)
    return store


def judge(store, certificate, address=SCHOOL, purpose=Purpose.PACKET):
    der = load_certificate(certificate)
    store.add_certificates([der])
    return store.judge(fingerprint(der), address, purpose, NOW, NOW, Limits())


@pytest.mark.parametrize("purpose", NODE_PURPOSES)
def test_issued_node_is_trusted(files, folder, purpose):
    """Each certificate of a node that was issued counts for its purpose."""
    node = files.issue_node(SCHOOL, NOW, True)
    assert isinstance(
        judge(trust(folder, files), node / f"{purpose}.pem", purpose=purpose), Trusted
    )


def test_signers_come_from_the_nodes_folder(files):
    """A node's daemon loads its packet and journal keys from what was issued."""
    node = files.issue_node(SCHOOL, NOW)
    packet = load_packet_signer(node / "packet.key", node / "packet.pem", None)
    journal = load_journal_signer(node / "journal.key", node / "journal.pem", None)
    assert packet.fingerprint != journal.fingerprint


def test_only_parents_get_a_witness_key(files):
    """A node without children has no witness key."""
    nodes = files.issue_node(SCHOOL, NOW, False), files.issue_node(DISTRICT, NOW, True)
    assert [(node / "witness.key").exists() for node in nodes] == [False, True]


def test_link_file_brings_its_authority(files):
    """TLS needs the authority's certificate behind the link's own."""
    node = files.issue_node(SCHOOL, NOW)
    chain = x509.load_pem_x509_certificates((node / "link.pem").read_bytes())
    assert chain[1].public_bytes(Encoding.DER) == load_certificate(node / "authority.pem")


def test_node_folder_has_the_root(files, folder):
    """A node's folder brings the root that it begins to trust with."""
    node = files.issue_node(SCHOOL, NOW)
    assert (node / "root.pem").read_bytes() == (folder / "root.pem").read_bytes()


def test_keys_are_for_their_owner_only(files, folder):
    """Every key file has mode 0600, every folder of keys 0700."""
    node = files.issue_node(SCHOOL, NOW)
    keys = [folder / "root.key", folder / f"authorities/{OBLAST}/key.pem", *node.glob("*.key")]
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}
    assert {stat.S_IMODE(key.parent.stat().st_mode) for key in keys} == {0o700}


def test_nearest_authority_issues(files, folder):
    """The authority of the longest subtree issues."""
    files.issue_authority("kz", NOW)
    nodes = [files.issue_node(address, NOW) for address in (SCHOOL, "kz.abai")]
    authorities = [load_certificate(node / "authority.pem") for node in nodes]
    expected = [
        load_certificate(folder / f"authorities/{name}/cert.pem") for name in (OBLAST, "kz")
    ]
    assert authorities == expected


def test_nothing_is_issued_without_an_authority(files):
    """An address that no authority covers says what to run."""
    with pytest.raises(IssueError, match="bbaj ca authority"):
        files.issue_node("kz.abai.semey", NOW)


@pytest.mark.parametrize("address", ["", "KZ", "kz..akmola", "../kz", "kz/akmola", "kz.akmola."])
def test_only_addresses_are_names(files, address):
    """What is no address can become no folder."""
    with pytest.raises(IssueError, match="no address"):
        files.issue_node(address, NOW)
    with pytest.raises(IssueError, match="no address"):
        files.issue_authority(address, NOW)


def test_nothing_is_issued_twice(files):
    """Root, authority and node are made once; a second try changes nothing."""
    files.issue_node(SCHOOL, NOW)
    before = files.issued()
    with pytest.raises(KeyFileExistsError):
        files.init_root(NOW)
    with pytest.raises(KeyFileExistsError):
        files.issue_authority(OBLAST, NOW)
    with pytest.raises(KeyFileExistsError):
        files.issue_node(SCHOOL, NOW)
    assert files.issued() == before


def test_everything_issued_is_listed(files):
    """The index names every certificate, the authorities first."""
    node = files.issue_node(SCHOOL, NOW, True)
    listed = {(entry.address, entry.purpose): entry.fingerprint for entry in files.issued()}
    packet = fingerprint(load_certificate(node / "packet.pem"))
    assert (len(listed), listed[SCHOOL, "packet"], (OBLAST, "authority") in listed) == (
        5,
        packet,
        True,
    )


def test_revoking_an_address_revokes_all_of_it(files, folder):
    """All of a node's certificates go on the next list."""
    node = files.issue_node(SCHOOL, NOW)
    revoked = files.revoke(SCHOOL, "keyCompromise", NOW)
    files.write_crls(NOW)
    standing = judge(trust(folder, files), node / "packet.pem")
    assert isinstance(standing, Untrusted)
    assert (len(revoked), standing.reason) == (3, Reason.KEY_REVOKED)


def test_revoking_a_fingerprint_revokes_one(files, folder):
    """One certificate can be revoked by its SHA-256, as openssl prints it too."""
    node = files.issue_node(SCHOOL, NOW)
    name = fingerprint(load_certificate(node / "journal.pem")).upper()
    printed = ":".join(name[at : at + 2] for at in range(0, 64, 2))
    revoked = files.revoke(printed, "superseded", NOW)
    files.write_crls(NOW)
    assert [entry.purpose for entry in revoked] == ["journal"]
    assert isinstance(judge(trust(folder, files), node / "packet.pem"), Trusted)


def test_revoking_an_authority(files, folder):
    """An authority is revoked by its SHA-256 on the root's list, and all it issued with it."""
    node = files.issue_node(SCHOOL, NOW)
    name = fingerprint(load_certificate(folder / f"authorities/{OBLAST}/cert.pem"))
    files.revoke(name, "cACompromise", NOW)
    files.write_crls(NOW)
    standing = judge(trust(folder, files), node / "packet.pem")
    assert isinstance(standing, Untrusted)
    assert standing.reason is Reason.KEY_REVOKED


def test_revoking_an_oblasts_address_spares_its_authority(files, folder):
    """The oblast's node and the oblast's authority bear one address: only the node is revoked."""
    files.issue_node(OBLAST, NOW)
    school = files.issue_node(SCHOOL, NOW)
    files.revoke(OBLAST, "unspecified", NOW)
    files.write_crls(NOW)
    assert isinstance(judge(trust(folder, files), school / "packet.pem"), Trusted)


def test_entries_are_never_dropped(files, folder):
    """What was revoked once is on every later list."""
    files.issue_node(SCHOOL, NOW)
    files.revoke(SCHOOL, "superseded", NOW)
    counts = []
    for day in range(3):
        files.write_crls(NOW + day * DAY)
        counts.append(len(x509.load_der_x509_crl(crl(folder, OBLAST))))
    assert counts == [3, 3, 3]


def test_numbers_rise(files, folder):
    """Each list has a higher number than the one before."""
    numbers = []
    for day in range(3):
        files.write_crls(NOW + day * DAY)
        parsed = x509.load_der_x509_crl(crl(folder, OBLAST))
        numbers.append(parsed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number)
    assert numbers == [2, 3, 4]


@pytest.mark.parametrize("what", ["kz.akmola.nobody", "0" * 64])
def test_nothing_to_revoke_is_told(files, what):
    """Revoking what was never issued says so."""
    with pytest.raises(IssueError, match="no certificate in force"):
        files.revoke(what, "unspecified", NOW)


def test_revoking_twice_is_told(files):
    """What is revoked already is no longer in force."""
    files.issue_node(SCHOOL, NOW)
    files.revoke(SCHOOL, "unspecified", NOW)
    with pytest.raises(IssueError, match="no certificate in force"):
        files.revoke(SCHOOL, "unspecified", NOW)


def test_unknown_reason_is_told(files):
    """Only RFC 5280's lasting reasons can be given."""
    with pytest.raises(IssueError, match="keyCompromise"):
        files.revoke(SCHOOL, "certificateHold", NOW)


def test_root_key_off_line(files, folder):
    """Without the root's key the authorities' lists are written, and the root's stays."""
    before = crl(folder, "root")
    (folder / "root.key").unlink()
    written = [path.name for path in files.write_crls(NOW + DAY)]
    assert (written, crl(folder, "root")) == ([f"{OBLAST}.pem"], before)
    with pytest.raises(KeyFileMissingError, match=r"root\.key"):
        files.issue_authority("kz.abai", NOW)


def test_passphrase_opens_the_issuers(tmp_path):
    """With a passphrase, nobody issues without it."""
    AuthorityFiles(tmp_path, b"horse").init_root(NOW)
    with pytest.raises(KeyPassphraseError):
        AuthorityFiles(tmp_path).issue_authority(OBLAST, NOW)
    with pytest.raises(KeyPassphraseError):
        AuthorityFiles(tmp_path, b"hoarse").issue_authority(OBLAST, NOW)
    assert AuthorityFiles(tmp_path, b"horse").issue_authority(OBLAST, NOW).is_dir()


def test_nodes_have_a_passphrase_of_their_own(files):
    """A node's keys open under its own passphrase, not under the authority's."""
    node = files.issue_node(SCHOOL, NOW, False, b"school")
    with pytest.raises(KeyPassphraseError):
        load_private_key(node / "packet.key")
    assert load_private_key(node / "packet.key", b"school") is not None


def test_without_init_it_is_told(tmp_path):
    """An empty folder says what to run first."""
    with pytest.raises(KeyFileMissingError):
        AuthorityFiles(tmp_path).issue_authority(OBLAST, NOW)
    with pytest.raises(KeyFileMissingError, match="bbaj ca init"):
        AuthorityFiles(tmp_path).issued()


def test_damaged_index_is_told(files, folder):
    """A damaged index stops issuing: what it lists must not be forgotten."""
    (folder / f"authorities/{OBLAST}/index.json").write_text("{")
    with pytest.raises(KeyFileDamagedError, match="restore it"):
        files.issue_node(SCHOOL, NOW)


def test_failed_issue_leaves_no_folder(files, folder):
    """Where issuing fails, no half of a node stays behind, and it can be tried again."""
    index = folder / f"authorities/{OBLAST}/index.json"
    good = index.read_bytes()
    index.write_text("{")
    with pytest.raises(KeyFileDamagedError):
        files.issue_node(SCHOOL, NOW)
    index.write_bytes(good)
    assert files.issue_node(SCHOOL, NOW).is_dir()


def test_two_processes_do_not_mix(files):
    """Issuing at once from several places loses no entry of the index."""
    names = [f"{DISTRICT}.school-{number}" for number in range(6)]
    threads = [threading.Thread(target=files.issue_node, args=(name, NOW)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {entry.address for entry in files.issued()} == {OBLAST, *names}
