import pytest

from schemas.identifiers import artificial_iin
from signing.at_rest import AtRest
from signing.errors import BucketKeyMissingError
from signing.marks import PURPOSE, Marks

IIN = artificial_iin(7)


@pytest.fixture
def ring(tmp_path):
    made = AtRest(tmp_path / "at-rest")
    made.ensure("R5-2026-11")
    made.ensure("R5-2026-12")
    return made


def marks(ring, bucket="R5-2026-11"):
    return Marks(ring.derived_key(bucket, PURPOSE))


def test_marks_repeat(ring, tmp_path):
    """The same number has the same mark, for whoever holds the key."""
    assert marks(ring).subject(IIN) == marks(AtRest(tmp_path / "at-rest")).subject(IIN)


def test_marks_differ_by_bucket_and_kind(ring):
    """A person cannot be followed from bucket to bucket, and a number is no word."""
    one, other = marks(ring), marks(ring, "R5-2026-12")
    assert len({one.subject(IIN), other.subject(IIN), one.stem(IIN)}) == 3


def test_marks_fit_the_column(ring):
    """A mark is a signed number of 64 bits."""
    found = [marks(ring).subject(artificial_iin(seed)) for seed in range(200)]
    assert all(-(2**63) <= mark < 2**63 for mark in found)
    assert min(found) < 0 < max(found)


def test_the_key_is_not_that_of_the_payloads(ring, tmp_path):
    """What is derived tells nothing of the key that payloads are sealed under."""
    assert ring.derived_key("R5-2026-11", PURPOSE) != ring.key_file("R5-2026-11").read_bytes()
    assert ring.derived_key("R5-2026-11", b"else") != ring.derived_key("R5-2026-11", PURPOSE)


def test_no_marks_without_the_key(ring):
    """Once the bucket's key is gone, nobody can tell a mark."""
    ring.key_file("R5-2026-11").unlink()
    with pytest.raises(BucketKeyMissingError):
        ring.derived_key("R5-2026-11", PURPOSE)
