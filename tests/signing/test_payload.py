import os
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import FormatError
from schemas.reasons import Reason
from signing.payload import make_payload, open_payload, payload_facts

SALT = bytes(range(16))


@given(content=st.binary(max_size=4096) | st.text(max_size=500).map(lambda text: text.encode() * 9))
def test_content_comes_back(content):
    """Opening a payload gives the content that it was made of."""
    payload, coding = make_payload(content, SALT)
    assert open_payload(payload, coding, len(content)) == content


def test_deflate_where_it_pays():
    """Text that repeats itself is deflated and becomes smaller."""
    payload, coding = make_payload(b"absent " * 100, SALT)
    assert (coding, len(payload) < 100) == ("salt+deflate", True)


def test_no_deflate_where_it_does_not_pay():
    """Random bytes travel as they are, behind their salt."""
    content = os.urandom(1000)
    assert make_payload(content, SALT) == (SALT + content, "salt")


def test_salt_hides_equal_contents():
    """The same content under another salt has another digest."""
    first, second = (make_payload(b"3", bytes([n]) * 16)[0] for n in (1, 2))
    assert payload_facts(first, "a/b", "salt").sha256 != payload_facts(second, "a/b", "salt").sha256


def test_facts_name_what_travels():
    """Digests and size are of the payload's own bytes."""
    facts = payload_facts(b"", "text/plain", "salt")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert (facts.sha256, facts.size, len(facts.sha512)) == (empty, 0, 128)


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_truncated_deflate_is_refused(cut):
    """Deflate data that ends early is format-invalid."""
    payload, coding = make_payload(b"absent " * 100, SALT)
    with pytest.raises(FormatError) as raised:
        open_payload(payload[:-cut], coding, 1000)
    assert raised.value.reason is Reason.FORMAT_INVALID


def test_bytes_behind_deflate_are_refused():
    """Nothing may stand behind the end of the deflate data."""
    payload, coding = make_payload(b"absent " * 100, SALT)
    with pytest.raises(FormatError, match="does not end where it should"):
        open_payload(payload + b"\0", coding, 1000)


def test_damaged_deflate_is_refused():
    """Bytes that are no deflate data are format-invalid."""
    with pytest.raises(FormatError, match="damaged"):
        open_payload(b"\xff" * 40, "salt+deflate", 1000)


def test_deflate_bomb_is_refused():
    """A payload that would inflate past the limit is too large, and is not inflated further."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = packer.compress(bytes(50_000_000)) + packer.flush()
    with pytest.raises(FormatError) as raised:
        open_payload(bomb, "salt+deflate", 1_000_000)
    assert raised.value.reason is Reason.TOO_LARGE


def test_plain_content_over_its_limit_is_refused():
    """The limit holds for contents that were not deflated, too."""
    with pytest.raises(FormatError) as raised:
        open_payload(SALT + b"x" * 11, "salt", 10)
    assert raised.value.reason is Reason.TOO_LARGE


@pytest.mark.parametrize("coding", ["salt", "salt+deflate"])
def test_payload_without_salt_is_refused(coding):
    """A payload shorter than its salt is format-invalid."""
    short = b"x" * 15
    payload = zlib.compress(short, 6, -15) if coding == "salt+deflate" else short
    with pytest.raises(FormatError, match="no salt"):
        open_payload(payload, coding, 10)
