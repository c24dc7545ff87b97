"""The key folder: what is in use, what follows, and switches that are cut off at every line."""

import base64
import os
import shutil
import stat
import sys

import pytest
from cryptography import x509

from harness.key_folders import PASSPHRASE, make_key_folder
from harness.pki import NOW, SCHOOL, make_network
from nodes.key_switch import NODE_PURPOSES
from nodes.keyring import KeyFolder
from schemas.addresses import dns_name
from schemas.moments import DAY
from signing.authority import der_of, issue_node
from signing.errors import KeyFileDamagedError, KeyFolderUnwritable, KeyPassphraseError
from signing.keys import fingerprint, load_certificate
from signing.notes import open_note
from signing.profiles import Purpose

LATER = NOW + 210 * DAY


class PowerCut(BaseException):
    """The machine stops here."""


class Fuse:
    """Stops the machine before its n-th change of the disk, once armed."""

    def __init__(self) -> None:
        self.left: int | None = None
        sys.addaudithook(self._watch)

    def _watch(self, event: str, args: tuple) -> None:
        if self.left is None:
            return
        writes = event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if writes or event in {"os.link", "os.rename", "os.remove", "os.mkdir", "os.chmod"}:
            self.left -= 1
            if self.left < 0:
                self.left = None
                raise PowerCut(event)


FUSE = Fuse()


@pytest.fixture(scope="module")
def network():
    return make_network([SCHOOL], NOW)


@pytest.fixture
def folder(network, tmp_path):
    """Write a school's key folder, as it joined."""
    make_key_folder(network, SCHOOL, tmp_path / "keys")
    return tmp_path / "keys"


def keys_in(folder) -> KeyFolder:
    return KeyFolder(folder, SCHOOL, PASSPHRASE)


def certify(network, request: bytes, purpose: Purpose, now=LATER) -> bytes:
    key = x509.load_der_x509_csr(request).public_key()
    return der_of(issue_node(network.authority_for(SCHOOL), SCHOOL, purpose, key, now))


def grant(network, keys: KeyFolder, *purposes: Purpose) -> dict[Purpose, bytes]:
    """Ask and be granted; nothing is switched."""
    granted = {}
    for purpose, request in keys.prepare(purposes).items():
        granted[purpose] = certify(network, request, purpose)
        authority = der_of(network.authority_for(SCHOOL).certificate)
        keys.grant(purpose, [granted[purpose], authority])
    return granted


def in_use(keys: KeyFolder) -> dict[Purpose, str]:
    """Load every key as the daemon does; return the fingerprints."""
    signers = [keys.packet_signer(), keys.journal_signer()]
    for signer in signers:
        assert signer.sign(b"data")
    return {purpose: fingerprint(der) for purpose, der in keys.certificates().items()}


def test_a_request_is_for_the_next_key(folder):
    """The request is proven by a new key that nobody else may read; the old one stays in use."""
    keys = keys_in(folder)
    before = in_use(keys)
    request = x509.load_der_x509_csr(keys.prepare([Purpose.PACKET])[Purpose.PACKET])
    assert request.is_signature_valid
    assert request.public_key() != keys.packet_signer()._key.public_key()
    assert stat.S_IMODE((folder / "next" / "packet.key").stat().st_mode) == 0o600
    assert in_use(keys) == before
    assert keys.asked() == [Purpose.PACKET]


def test_asking_again_asks_for_the_same_key(folder):
    """A crash between making a key and asking for it makes no second key."""
    first, second = (keys_in(folder).prepare([Purpose.LINK])[Purpose.LINK] for _ in range(2))
    one, two = (x509.load_der_x509_csr(each).public_key() for each in (first, second))
    assert one == two


@pytest.mark.parametrize("purpose", NODE_PURPOSES)
def test_a_switch_takes_the_new_and_keeps_the_old(network, folder, purpose):
    """After the switch the new pair is in use, and the old one lies beside it."""
    keys = keys_in(folder)
    before = in_use(keys)
    granted = grant(network, keys, purpose)
    assert in_use(keys) == before
    assert keys.granted().keys() == {purpose}
    keys.switch(purpose)
    assert in_use(keys) == before | {purpose: fingerprint(granted[purpose])}
    assert keys.granted() == {}
    assert keys.asked() == []
    old = folder / "old" / f"{purpose}-{before[purpose][:16]}.pem"
    assert fingerprint(load_certificate(old)) == before[purpose]
    assert old.with_suffix(".key").exists()


def test_a_link_certificate_brings_its_authority(network, folder):
    """TLS needs the chain: the authority's certificate stands behind the link's own."""
    keys = keys_in(folder)
    grant(network, keys, Purpose.LINK)
    keys.switch(Purpose.LINK)
    assert (folder / "link.pem").read_bytes().count(b"BEGIN CERTIFICATE") == 2


def test_whoever_could_read_the_old_key_can_read_the_new(network, folder):
    """A broker that reads the link key by its group goes on reading it."""
    (folder / "link.key").chmod(0o640)
    keys = keys_in(folder)
    grant(network, keys, Purpose.LINK)
    keys.switch(Purpose.LINK)
    assert stat.S_IMODE((folder / "link.key").stat().st_mode) == 0o640


def test_a_certificate_of_another_key_is_nobodys(network, folder):
    """A certificate is for the key that it names, whatever was asked."""
    keys = keys_in(folder)
    request = keys.prepare([Purpose.PACKET, Purpose.LINK])
    assert keys.owner_of(certify(network, request[Purpose.LINK], Purpose.LINK)) is Purpose.LINK
    assert keys.owner_of(network.nodes[SCHOOL].packet.certificate) is None


def cut_off(work, at: int) -> bool:
    """Do some work with a power cut before its change `at` of the disk; return whether it came."""
    FUSE.left = at
    try:
        work()
    except PowerCut:
        return True
    finally:
        FUSE.left = None
    return False


@pytest.mark.parametrize("purpose", [Purpose.PACKET, Purpose.LINK])
def test_a_switch_survives_a_power_cut_at_every_line(network, folder, purpose, tmp_path):
    """Wherever a switch is cut off, the folder opens with one whole pair, and ends with the new."""
    keys = keys_in(folder)
    before = in_use(keys)
    granted = grant(network, keys, purpose)
    cuts = 0
    for at in range(100):
        copy = tmp_path / f"copy-{at}"
        shutil.copytree(folder, copy)
        if not cut_off(lambda copy=copy: keys_in(copy).switch(purpose), at):
            break
        cuts += 1
        found = keys_in(copy)
        found.open()
        assert in_use(found)[purpose] in {before[purpose], fingerprint(granted[purpose])}
        assert found.asked() == []
        if found.granted():
            found.switch(purpose)
        assert in_use(found) == before | {purpose: fingerprint(granted[purpose])}
        assert (copy / "old" / f"{purpose}-{before[purpose][:16]}.key").exists()
        assert not list((copy / "next").iterdir())
    assert cuts >= 8, "the fuse saw too few changes: what does it watch?"
    assert at == cuts


def test_opening_survives_a_power_cut_too(network, folder, tmp_path):
    """A second cut, while the first one is being mended, leaves as little behind."""
    keys = keys_in(folder)
    granted = grant(network, keys, Purpose.PACKET)
    seen = 0
    for first in range(3, 100):
        half = tmp_path / f"half-{first}"
        shutil.copytree(folder, half)
        if not cut_off(lambda half=half: keys_in(half).switch(Purpose.PACKET), first):
            break
        for second in range(100):
            copy = tmp_path / f"copy-{first}-{second}"
            shutil.copytree(half, copy)
            cut = cut_off(lambda copy=copy: keys_in(copy).open(), second)
            seen += cut
            found = keys_in(copy)
            found.open()
            if found.granted():
                found.switch(Purpose.PACKET)
            assert in_use(found)[Purpose.PACKET] == fingerprint(granted[Purpose.PACKET])
            if not cut:
                break
    assert seen >= 8


def test_an_encryption_key_is_added_and_none_is_lost(folder):
    """The newest encryption key is a new one; those before still open what they had."""
    keys = keys_in(folder)
    first = keys.encryption()
    keys.renew_encryption()
    second = keys.encryption()
    assert second.newest.id != first.newest.id
    assert second.find(first.newest.id) is not None


def test_new_keys_have_the_nodes_passphrase(folder):
    """A next key opens under the node's passphrase only."""
    keys_in(folder).prepare([Purpose.JOURNAL])
    with pytest.raises(KeyPassphraseError):
        KeyFolder(folder, SCHOOL, b"another").prepare([Purpose.JOURNAL])


def test_a_folder_that_cannot_be_changed_says_so(folder):
    """A file where the folder of next keys should be is a fault with a way out."""
    (folder / "next").write_bytes(b"")
    with pytest.raises(KeyFolderUnwritable, match="let this user write there"):
        keys_in(folder).prepare([Purpose.PACKET])


def test_the_list_names_every_key_and_shows_none(network, folder):
    """The list has what is in use, asked for, granted and old, and not a byte of a key."""
    keys = keys_in(folder)
    keys.prepare([Purpose.JOURNAL])
    grant(network, keys, Purpose.PACKET)
    keys.switch(Purpose.PACKET)
    grant(network, keys, Purpose.LINK)
    states = keys.states()
    assert [(each.purpose, each.state) for each in states] == [
        ("packet", "in use"), ("journal", "in use"), ("link", "in use"), ("witness", "in use"),
        ("journal", "asked"), ("link", "granted"), ("packet", "old"),
    ]  # fmt: skip
    assert {each.where for each in states} == {"file"}
    assert "PRIVATE" not in repr(states)


# ------------------------------------------------------------------ certified anew


def anew(network, purpose, key, at):
    """Return a certificate that the authority gives for a key, with its own behind it."""
    authority = network.authority_for(SCHOOL)
    return [der_of(issue_node(authority, SCHOOL, purpose, key.public_key(), at)), authority.der]


def test_a_newer_certificate_of_the_key_in_use_takes_its_place(network, tmp_path):
    """The key stays; the certificate of before is kept beside it."""
    keys = make_key_folder(network, SCHOOL, tmp_path)
    before = keys.certificates()[Purpose.PACKET]
    chain = anew(network, Purpose.PACKET, network.nodes[SCHOOL].packet_key, LATER)
    assert keys.recertify(Purpose.PACKET, chain)
    assert keys.packet_signer().fingerprint == fingerprint(chain[0])
    kept = {load_certificate(path) for path in (tmp_path / "old").glob("packet-*.pem")}
    assert kept == {before}
    assert not keys.recertify(Purpose.PACKET, chain)


def test_a_certificate_of_the_same_second_takes_its_place(network, tmp_path):
    """An authority that is replaced within the second leaves no node with the revoked one."""
    keys = make_key_folder(network, SCHOOL, tmp_path)
    chain = anew(network, Purpose.PACKET, network.nodes[SCHOOL].packet_key, NOW)
    assert keys.recertify(Purpose.PACKET, chain)
    assert keys.packet_signer().fingerprint == fingerprint(chain[0])
    assert not keys.recertify(Purpose.PACKET, chain)


def test_the_link_certificate_brings_its_authority(network, tmp_path):
    """What TLS shows has the chain in it."""
    keys = make_key_folder(network, SCHOOL, tmp_path)
    chain = anew(network, Purpose.LINK, network.nodes[SCHOOL].link_key, LATER)
    assert keys.recertify(Purpose.LINK, chain)
    shown = x509.load_pem_x509_certificates((tmp_path / "link.pem").read_bytes())
    assert [der_of(each) for each in shown] == chain


def test_an_older_certificate_or_another_key_changes_nothing(network, tmp_path):
    """Logs bring what was given before, and what is for the keys of others."""
    keys = make_key_folder(network, SCHOOL, tmp_path)
    before = keys.certificates()
    own = network.nodes[SCHOOL].packet_key
    assert not keys.recertify(Purpose.PACKET, anew(network, Purpose.PACKET, own, NOW - DAY))
    other = network.nodes[SCHOOL].link_key
    assert not keys.recertify(Purpose.PACKET, anew(network, Purpose.PACKET, other, LATER))
    assert keys.certificates() == before


def test_every_key_of_the_folder_is_known_as_our_own(network, tmp_path):
    """In use, asked for and of before: a certificate for any of them is no alarm."""
    keys = make_key_folder(network, SCHOOL, tmp_path)
    own = network.nodes[SCHOOL]
    in_use = [own.packet_key, own.journal_key, own.witness_key, own.link_key]
    asked = keys.prepare([Purpose.PACKET])
    request = x509.load_der_x509_csr(asked[Purpose.PACKET])
    found = [key for _, key in keys.public_keys()]
    assert all(key.public_key() in found for key in in_use)
    assert request.public_key() in found
    assert len(found) == len(in_use) + 1


# ------------------------------------------------------------------ what a witness cosigns with

CHECKPOINT = f"burabay.akmola.kz.bbaj.internal/1\n7\n{base64.b64encode(bytes(32)).decode()}\n"


def test_a_witness_cosigns_with_its_certified_key(network, folder):
    """Without an ML-DSA-44 key there is one line, and it opens under the witness certificate."""
    cosigner = KeyFolder(folder, SCHOOL, PASSPHRASE).cosigner()
    assert cosigner.fingerprint == network.nodes[SCHOOL].witness.fingerprint
    (signature,) = open_note(
        CHECKPOINT + "\n" + cosigner.cosign(CHECKPOINT, 9), cosigner.vkeys
    ).signatures
    assert (signature.name, signature.time) == (dns_name(SCHOOL), 9)


def test_the_mldsa_key_is_made_once_and_is_under_the_passphrase(folder):
    """A second start finds the key of the first; nobody reads it without the passphrase."""
    keys = KeyFolder(folder, SCHOOL, PASSPHRASE)
    for _ in range(2):
        keys.make_mldsa_key()
        path = folder / "witness-mldsa.key"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        cosigner = keys.cosigner()
        lines = cosigner.cosign(CHECKPOINT, 9)
        assert len(open_note(CHECKPOINT + "\n" + lines, cosigner.vkeys).signatures) == 2
    assert KeyFolder(folder, SCHOOL, PASSPHRASE).cosigner().vkeys == cosigner.vkeys
    with pytest.raises(KeyPassphraseError):
        KeyFolder(folder, SCHOOL, b"another").cosigner()


def test_another_key_in_the_place_of_the_mldsa_key_is_named(folder):
    """A file that holds an Ed25519 key is not cosigned with."""
    shutil.copyfile(folder / "witness.key", folder / "witness-mldsa.key")
    with pytest.raises(KeyFileDamagedError, match="an ML-DSA-44 key is needed"):
        KeyFolder(folder, SCHOOL, PASSPHRASE).cosigner()


def test_who_has_no_witness_certificate_cosigns_nothing(folder):
    """A node without children has no witness key, and makes none beside it."""
    (folder / "witness.pem").unlink()
    keys = KeyFolder(folder, SCHOOL, PASSPHRASE)
    keys.make_mldsa_key()
    assert keys.cosigner() is None
    assert not (folder / "witness-mldsa.key").exists()
