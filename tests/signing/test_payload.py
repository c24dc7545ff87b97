import hashlib
import os
import tracemalloc
import zlib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.drafts import draft
from schemas.errors import FormatError
from schemas.limits import PAYLOAD_BYTES_MAX
from schemas.reasons import Reason
from signing.encryption import EncryptionKeyring, HybridKey
from signing.payload import (
    decrypt_content,
    encrypt_content,
    make_payload,
    open_payload,
    payload_facts,
    travelling_bytes,
)
from signing.wrapping import binding_of, encrypt, overhead_bytes

SALT = bytes(range(16))
RECIPIENT, SENDER = (EncryptionKeyring(HybridKey.generate()) for _ in range(2))
READERS = (RECIPIENT.newest.public, SENDER.newest.public)


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


# ------------------------------------------------------------------ encrypted


def encrypted(content=b"absent", *, padded=False, **facts):
    """Return a header that names an encrypted payload, and the payload."""
    header = draft(**facts)
    payload, named = encrypt_content(header, content, SALT, READERS, padded=padded)
    return msgspec.structs.replace(header, payload=named), payload


@settings(max_examples=25)
@given(content=st.binary(max_size=6000), padded=st.booleans())
def test_what_is_encrypted_opens_at_both_ends(content, padded):
    """Any content, padded or not; `clear_sha256` is of salt and content."""
    header, payload = encrypted(content, padded=padded)
    for keys in (RECIPIENT, SENDER):
        assert decrypt_content(header, payload, keys, 10_000) == content
    assert header.payload.clear_sha256 == hashlib.sha256(SALT + content).hexdigest()
    assert header.payload.size == len(payload)


@pytest.mark.parametrize(
    ("content", "padded", "coding"),
    [
        (b"x", False, "salt+hpke"),
        (b"x" * 500, False, "salt+deflate+hpke"),
        (b"x", True, "salt+pad+hpke"),
        (b"x" * 500, True, "salt+deflate+pad+hpke"),
    ],
)
def test_the_coding_names_the_steps(content, padded, coding):
    """Each step that was done stands in `coding`, in order."""
    assert encrypted(content, padded=padded)[0].payload.coding == coding


def test_padded_sizes_tell_nothing_within_a_step():
    """One absent pupil or sixty: the same size; beyond, the next power of two."""
    sizes = {
        len(encrypted(os.urandom(size), padded=True)[1]) - overhead_bytes(2)
        for size in (0, 1, 500, 4079)
    }
    assert sizes == {4096}
    assert len(encrypted(os.urandom(4080), padded=True)[1]) == 8192 + overhead_bytes(2)


@pytest.mark.parametrize("size", [524_288, 900_000, PAYLOAD_BYTES_MAX - overhead_bytes(2) - 17])
def test_the_last_step_ends_where_a_packet_does(size):
    """What fits a packet still fits it once it is padded."""
    payload = encrypted(os.urandom(size), padded=True)[1]
    assert len(payload) == PAYLOAD_BYTES_MAX


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("size", [0, 100, 5000, 700_000])
def test_the_length_is_foreseen(size, padded):
    """What `travelling_bytes` says is what travels."""
    content = os.urandom(size)
    assert travelling_bytes(content, encrypted=True, padded=padded) == len(
        encrypted(content, padded=padded)[1]
    )


def test_moved_under_another_header_it_does_not_open():
    """Any field but `payload` is bound to it."""
    _, payload = encrypted()
    for change in ({"to": "kz"}, {"seq": 2}, {"type": "performance.period/1"}, {"ext": {"a": 1}}):
        other, _ = encrypted(**change)
        facts = payload_facts(payload, "application/json", "salt+hpke")
        moved = msgspec.structs.replace(
            other,
            payload=msgspec.structs.replace(facts, clear_sha256=other.payload.clear_sha256),
        )
        with pytest.raises(FormatError) as refused:
            decrypt_content(moved, payload, RECIPIENT, 100)
        assert refused.value.reason is Reason.DECRYPT_FAILED


def test_a_wrong_clear_digest_is_refused():
    """What opens and is not what `clear_sha256` names is `decrypt-failed`."""
    header, payload = encrypted()
    lying = msgspec.structs.replace(header.payload, clear_sha256="ab" * 32)
    with pytest.raises(FormatError) as refused:
        decrypt_content(msgspec.structs.replace(header, payload=lying), payload, RECIPIENT, 100)
    assert refused.value.reason is Reason.DECRYPT_FAILED


def packed(plain: bytes, coding: str):
    """Return header and payload of bytes as some sender might encrypt them."""
    header = draft()
    payload = encrypt(plain, binding_of(header), READERS)
    facts = payload_facts(payload, "application/json", coding)
    named = msgspec.structs.replace(facts, clear_sha256=hashlib.sha256(plain).hexdigest())
    return msgspec.structs.replace(header, payload=named), payload


def test_a_bomb_within_the_encryption_is_refused_within_bounds():
    """A mebibyte that inflates to a gibibyte is `too-large`, and takes no such memory."""
    bomb = zlib.compress(bytes(256 * 1024 * 1024), 9, -15)
    header, payload = packed(bomb, "salt+deflate+hpke")
    tracemalloc.start()
    with pytest.raises(FormatError) as refused:
        decrypt_content(header, payload, RECIPIENT, 1_000_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refused.value.reason is Reason.TOO_LARGE
    assert peak < 8_000_000


@pytest.mark.parametrize(
    ("plain", "coding"),
    [
        (SALT + b"x", "salt+pad+hpke"),
        (b"", "salt+pad+hpke"),
        (bytes(4096), "salt+pad+hpke"),
        (b"short", "salt+hpke"),
        (SALT + b"x", "salt+deflate+hpke"),
    ],
)
def test_what_was_never_packed_is_refused(plain, coding):
    """No mark of padding, no salt, no deflate data: the steps cannot be undone."""
    header, payload = packed(plain, coding)
    with pytest.raises(FormatError) as refused:
        decrypt_content(header, payload, RECIPIENT, 100)
    assert refused.value.reason is Reason.FORMAT_INVALID
