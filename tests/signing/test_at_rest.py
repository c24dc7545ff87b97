import stat
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signing.at_rest import OVERHEAD_BYTES, AtRest, read_destroyed
from signing.errors import BucketDamagedError, BucketDestroyedError, BucketKeyMissingError

BUCKET = "R5-2026-11"
ACT = ("01a2", "2026-11-23T03:32:06.000000Z")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "at-rest"


@pytest.fixture
def at_rest(folder):
    return AtRest(folder)


@given(data=st.binary(max_size=500), aad=st.binary(max_size=64))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_data_comes_back(at_rest, data, aad):
    """What was sealed opens under the same bucket and name."""
    assert at_rest.open(BUCKET, aad, at_rest.seal(BUCKET, aad, data)) == data


def test_data_comes_back_after_a_restart(at_rest, folder):
    """Another keyring over the same folder opens what the first one sealed."""
    sealed = at_rest.seal(BUCKET, b"frame", b"payload")
    assert AtRest(folder).open(BUCKET, b"frame", sealed) == b"payload"


def test_sealed_twice_differs(at_rest):
    """Each sealing has its own nonce."""
    assert at_rest.seal(BUCKET, b"", b"payload") != at_rest.seal(BUCKET, b"", b"payload")


def test_overhead(at_rest):
    """Sealing adds a fixed number of bytes."""
    assert len(at_rest.seal(BUCKET, b"", b"payload")) == len(b"payload") + OVERHEAD_BYTES


def test_every_changed_byte_is_found(at_rest):
    """No byte of what is at rest can change unseen."""
    sealed = at_rest.seal(BUCKET, b"frame", b"payload")
    for at in range(len(sealed)):
        bad = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        with pytest.raises(BucketDamagedError):
            at_rest.open(BUCKET, b"frame", bad)


@pytest.mark.parametrize("size", [0, 1, OVERHEAD_BYTES - 1])
def test_truncated_is_found(at_rest, size):
    """What is shorter than an empty sealing was not sealed by us."""
    at_rest.ensure(BUCKET)
    with pytest.raises(BucketDamagedError, match="not sealed by us"):
        at_rest.open(BUCKET, b"", b"\x01" * size)


def test_other_name_does_not_open(at_rest):
    """What is sealed opens only under its own name."""
    sealed = at_rest.seal(BUCKET, b"frame 1", b"payload")
    with pytest.raises(BucketDamagedError):
        at_rest.open(BUCKET, b"frame 2", sealed)


def test_other_bucket_does_not_open(at_rest, folder):
    """Even with the same key, data moved to another bucket does not open."""
    sealed = at_rest.seal(BUCKET, b"frame", b"payload")
    at_rest.key_file("R6-2026-11").write_bytes(at_rest.key_file(BUCKET).read_bytes())
    with pytest.raises(BucketDamagedError, match=r"R6-2026-11\.key"):
        AtRest(folder).open("R6-2026-11", b"frame", sealed)


def test_missing_key_is_named(at_rest):
    """Opening without the key names its file, and what to do."""
    with pytest.raises(BucketKeyMissingError, match=r"R5-2026-11\.key.*restore it"):
        at_rest.open(BUCKET, b"", b"\x01" * 100)


def test_opening_makes_no_key(at_rest, folder):
    """A key that is missing is not made again by opening."""
    with pytest.raises(BucketKeyMissingError):
        at_rest.open(BUCKET, b"", b"\x01" * 100)
    assert not folder.exists()


def test_damaged_key_is_told(at_rest, folder):
    """A key file of another size is damaged."""
    at_rest.ensure(BUCKET)
    at_rest.key_file(BUCKET).write_bytes(b"short")
    with pytest.raises(BucketDamagedError, match="5 bytes, not 32"):
        AtRest(folder).seal(BUCKET, b"", b"payload")


def test_key_file_is_for_its_owner_only(at_rest):
    """A key file has 32 bytes, for its owner alone."""
    at_rest.ensure(BUCKET)
    status = at_rest.key_file(BUCKET).stat()
    assert (stat.S_IMODE(status.st_mode), status.st_size) == (0o600, 32)


def test_two_daemons_use_one_key(folder):
    """Two keyrings that begin at once agree on one key."""
    rings = [AtRest(folder) for _ in range(8)]
    threads = [threading.Thread(target=ring.ensure, args=[BUCKET]) for ring in rings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sealed = rings[0].seal(BUCKET, b"", b"payload")
    assert {ring.open(BUCKET, b"", sealed) for ring in rings} == {b"payload"}


def test_destroyed_key_opens_nothing(at_rest):
    """After its key is destroyed, nothing of a bucket opens, in memory or on disk."""
    sealed = at_rest.seal(BUCKET, b"", b"payload")
    assert at_rest.destroy(BUCKET, *ACT)
    assert at_rest.buckets() == []
    with pytest.raises(BucketDestroyedError, match="under act 01a2 on 2026"):
        at_rest.open(BUCKET, b"", sealed)


def test_destroying_twice_is_no_error(at_rest, folder):
    """Destroying is repeated after a crash without harm, and listed once."""
    at_rest.ensure(BUCKET)
    assert [at_rest.destroy(BUCKET, *ACT) for _ in range(2)] == [True, False]
    assert at_rest.buckets() == []
    assert (folder / "destroyed").read_text() == f"{BUCKET} {' '.join(ACT)}\n"


def test_a_copy_of_a_destroyed_key_counts_no_more(at_rest, folder):
    """A key file that a backup has brought back opens nothing, and goes when that is repeated."""
    sealed = at_rest.seal(BUCKET, b"", b"payload")
    copy = at_rest.key_file(BUCKET).read_bytes()
    at_rest.destroy(BUCKET, *ACT)
    at_rest.key_file(BUCKET).write_bytes(copy)
    with pytest.raises(BucketDestroyedError):
        AtRest(folder).open(BUCKET, b"", sealed)
    assert at_rest.destroy(BUCKET, *ACT)
    assert not at_rest.key_file(BUCKET).exists()


def test_a_list_of_destroyed_keys_that_cannot_be_read(at_rest, folder):
    """Without knowing what was destroyed no key is used or made."""
    (folder / "destroyed").mkdir(parents=True)
    with pytest.raises(BucketKeyMissingError, match="of destroyed keys cannot be read"):
        at_rest.seal(BUCKET, b"", b"payload")


def test_no_key_is_made_for_a_destroyed_bucket(at_rest):
    """Sealing under the name of a bucket that was destroyed makes no new key."""
    at_rest.destroy(BUCKET, *ACT)
    with pytest.raises(BucketDestroyedError):
        at_rest.seal(BUCKET, b"", b"payload")


def test_cut_off_while_listing_it_is_listed_again(at_rest, folder):
    """A line that a crash has cut off names nothing, and the whole one takes its place."""
    for bucket in (BUCKET, f"{BUCKET}-2"):
        at_rest.ensure(bucket)
    (folder / "destroyed").write_text(f"R1-2020-01 {' '.join(ACT)}\n{BUCKET}")
    assert set(read_destroyed(folder)) == {"R1-2020-01"}
    at_rest.destroy(f"{BUCKET}-2", *ACT)
    assert set(read_destroyed(folder)) == {"R1-2020-01", f"{BUCKET}-2"}


def test_buckets_are_listed(at_rest):
    """The buckets with keys are listed in order."""
    for bucket in ("R6-2026-12", BUCKET):
        at_rest.ensure(bucket)
    assert at_rest.buckets() == [BUCKET, "R6-2026-12"]


@pytest.mark.parametrize("bucket", ["", "../x", "r5", "R5/2026", "R5.key", "R" * 65])
def test_bucket_is_no_path(at_rest, bucket):
    """A bucket's name cannot lead out of the folder."""
    with pytest.raises(AssertionError, match="no bucket name"):
        at_rest.seal(bucket, b"", b"payload")
