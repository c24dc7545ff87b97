"""The folder of revocation lists that a broker reads: as OpenSSL finds them, one for each key."""

import os
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from harness.pki import DISTRICT, NOW, OBLAST, make_network
from nodes.broker_lists import BrokerLists
from schemas.moments import HOUR
from signing.authority import Issuer, fingerprint_of, issue_authority, issue_crl

NETWORK = make_network([DISTRICT], NOW)
AUTHORITY = NETWORK.authorities[OBLAST]


def issued(number, issuer=AUTHORITY, hours=0):
    return fingerprint_of(issuer.certificate), issue_crl(issuer, [], number, NOW + hours * HOUR)


def number_of(path):
    parsed = x509.load_pem_x509_crl(path.read_bytes())
    return parsed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def held(folder):
    return {path.name: number_of(path) for path in sorted(folder.iterdir())}


@pytest.fixture
def lists(tmp_path):
    return BrokerLists(tmp_path / "crls", fingerprint_of(NETWORK.root.certificate))


@pytest.fixture
def successor():
    """Return an authority of the same name with another key, as after a replacement."""
    key = ec.generate_private_key(ec.SECP256R1())
    return Issuer(issue_authority(NETWORK.root, OBLAST, key.public_key(), NOW), key)


@pytest.fixture
def umask_077():
    before = os.umask(0o077)
    yield
    os.umask(before)


def test_a_list_lies_where_openssl_finds_it(lists):
    """The file is named by OpenSSL's hash of the issuer, and everybody may read it."""
    lists.update([issued(1)])
    [path] = lists.folder.iterdir()
    command = ["openssl", "crl", "-in", path, "-hash", "-noout"]
    found = subprocess.run(command, capture_output=True, check=True).stdout.decode()
    assert path.name == f"{found.strip().rpartition('=')[2]}.r0"
    assert path.stat().st_mode & 0o777 == 0o644
    assert lists.folder.stat().st_mode & 0o777 == 0o755


def test_a_closed_umask_changes_nothing(lists, umask_077):
    """Folder and file are open to the broker's user, however careful ours is."""
    lists.update([issued(1)])
    [path] = lists.folder.iterdir()
    modes = [each.stat().st_mode & 0o777 for each in (lists.folder, path)]
    assert modes == [0o755, 0o644]


def test_the_roots_list_is_left_out(lists):
    """Nodes below an authority that has ended must still be able to call."""
    lists.update([issued(7, NETWORK.root), issued(1)])
    assert list(held(lists.folder).values()) == [1]


def test_a_newer_list_takes_the_place(lists):
    """There is never an older list of a key beside the newer one."""
    lists.update([issued(1)])
    lists.update([issued(2, hours=1)])
    assert list(held(lists.folder).values()) == [2]


def test_a_newer_list_stays(lists, tmp_path):
    """A node that has not heard yet takes nothing back at a broker that it shares."""
    lists.update([issued(5)])
    late = BrokerLists(tmp_path / "crls", fingerprint_of(NETWORK.root.certificate))
    late.update([issued(4)])
    assert list(held(lists.folder).values()) == [5]


def test_two_keys_of_one_name_have_a_list_each(lists, successor):
    """An authority that was replaced keeps its name: the lists are numbered, without a hole."""
    lists.update([issued(3)])
    lists.update([issued(3), issued(1, successor)])
    names = held(lists.folder)
    assert {name[-3:] for name in names} == {".r0", ".r1"}
    assert len({name[:8] for name in names}) == 1
    lists.update([issued(4, hours=1), issued(1, successor)])
    assert sorted(held(lists.folder).values()) == [1, 4]


def test_what_is_no_list_goes(lists):
    """Rubbish in the folder is swept away, and replaced by a list."""
    lists.update([issued(1)])
    [path] = lists.folder.iterdir()
    path.with_name(f"{path.stem}.r1").write_bytes(b"-----BEGIN rubbish")
    path.write_bytes(b"\x00")
    lists.update([issued(2, hours=1)])
    assert held(lists.folder) == {path.name: 2}


def test_it_is_tried_again(lists):
    """After a fault of the disk the same lists are written at the next call."""
    lists.folder.write_bytes(b"in the way")
    with pytest.raises(OSError, match=r"."):
        lists.update([issued(1)])
    lists.folder.unlink()
    lists.update([issued(1)])
    assert list(held(lists.folder).values()) == [1]


def test_it_tells_whether_it_is_current(lists):
    """Current is what holds every list or a newer one; the root's is not asked for."""
    first, second = issued(1), issued(2, hours=1)
    assert not lists.are_current([first])
    lists.update([second])
    assert lists.are_current([first, second, issued(9, NETWORK.root)])
    assert not lists.are_current([issued(3, hours=2)])
