import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import FormatError
from schemas.issued import (
    ENTRY_BYTES_MAX,
    CrlEntry,
    check_entry,
    is_certificate,
    log_origin,
    read_crl_entry,
)

ENTRY = CrlEntry(17, bytes(range(32)), 8)


def test_an_entry_is_the_text_that_the_protocol_shows():
    """The text stands for its CRL line by line."""
    assert ENTRY.text == (
        b"crl/1\nnumber 17\n"
        b"sha256 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\nrevoked 8\n"
    )


@given(st.integers(0, 10**18), st.binary(min_size=32, max_size=32), st.integers(0, 10**6))
def test_what_is_written_is_read(number, sha256, revoked):
    """Reading gives back what was written."""
    entry = CrlEntry(number, sha256, revoked)
    assert read_crl_entry(entry.text) == entry
    assert not is_certificate(entry.text)


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        ENTRY.text[:-1],
        ENTRY.text + b"\n",
        ENTRY.text.replace(b"17", b"017"),
        ENTRY.text.replace(b"17", b"-17"),
        ENTRY.text.replace(b"0a0b", b"0A0B"),
        ENTRY.text.replace(b"crl/1", b"crl/2"),
        ENTRY.text.replace(b"17", "١٧".encode()),
        ENTRY.text.replace(b"\n", b"\r\n"),
    ],
)
def test_any_other_text_is_refused(bad):
    """One list has one text."""
    with pytest.raises(FormatError, match="neither a certificate nor a CRL"):
        read_crl_entry(bad)


def test_a_certificate_is_known_by_its_first_byte():
    """DER begins with 0x30."""
    assert is_certificate(bytes.fromhex("308201bd"))
    assert not is_certificate(b"")


def test_a_log_is_named_by_its_node():
    """The origin cannot be a journal's: those end in a number."""
    assert log_origin("kz.akmola") == "akmola.kz.bbaj.internal/issuing"


def test_an_entry_has_a_limit():
    """An entry is no larger than a certificate may be."""
    check_entry(b"0" * ENTRY_BYTES_MAX)
    check_entry(ENTRY.text)
    with pytest.raises(FormatError, match="limit 4096"):
        check_entry(b"0" * (ENTRY_BYTES_MAX + 1))
    with pytest.raises(FormatError, match="neither"):
        check_entry(b"junk")
