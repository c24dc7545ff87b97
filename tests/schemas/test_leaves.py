"""Leaves: text records that read back, whatever the values, and hash with stock tools."""

import contextlib
import hashlib
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.drafts import texts
from schemas.errors import FormatError
from schemas.leaves import (
    FIELDS,
    FIRST_LINE,
    LEAF_BYTES_MAX,
    PACKET_FIELDS,
    LeafKind,
    leaf_record,
    read_leaf,
)

written = pytest.mark.parametrize("kind", FIELDS)


def keyword(name):
    return "from_" if name == "from" else name.replace("-", "_")


@written
@given(data=st.data())
def test_leaves_read_back(kind, data):
    """What was written is read, empty values left out, in the order of the kind."""
    values = {name: data.draw(texts, name) for name in FIELDS[kind]}
    record = leaf_record(kind, **{keyword(name): value for name, value in values.items()})
    given_values = {name: value for name, value in values.items() if value}
    assert list(read_leaf(record).items()) == [("kind", str(kind)), *given_values.items()]


@written
def test_the_order_of_the_caller_does_not_matter(kind):
    """The order of lines is the kind's."""
    values = {keyword(name): name for name in FIELDS[kind]}
    backwards = dict(reversed(values.items()))
    assert leaf_record(kind, **values) == leaf_record(kind, **backwards)


@written
def test_a_kind_has_no_other_fields(kind):
    """A field that the kind does not have is a bug of ours."""
    with pytest.raises(AssertionError, match="has no field"):
        leaf_record(kind, colour="blue")


@pytest.mark.parametrize("value", ["a\nkind sent", "\n", "a\n"])
def test_a_value_of_several_lines_is_never_written(value):
    """No value can forge a line."""
    with pytest.raises(AssertionError, match="several lines"):
        leaf_record(LeafKind.REFUSED, detail=value)


def test_a_leaf_has_its_limit():
    """A leaf that tile readers could not take is never written."""
    with pytest.raises(AssertionError):
        leaf_record(LeafKind.REFUSED, detail="x" * LEAF_BYTES_MAX)


def test_every_kind_has_its_fields():
    """There is no kind without fields, and there are none of no kind."""
    assert set(LeafKind) == set(FIELDS)


def test_a_packets_leaf_begins_with_when():
    """Every kind says when, first of all."""
    assert {fields[0] for fields in FIELDS.values()} == {"at"}
    assert len(set(PACKET_FIELDS)) == len(PACKET_FIELDS)


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"bbaj-leaf/2\nkind sent\n",
        FIRST_LINE.encode(),
        b"bbaj-leaf/1\nkind sent",
        b"bbaj-leaf/1\nkind\n",
        b"bbaj-leaf/1\nkind \n",
        b"bbaj-leaf/1\nkind sent\nkind relayed\n",
        b"bbaj-leaf/1\n\nkind sent\n",
    ],
)
def test_what_is_no_leaf_is_told(record):
    """Another first line, no end, a line without value or one that comes twice is no leaf."""
    with pytest.raises(FormatError):
        read_leaf(record)


@given(st.binary(max_size=100))
def test_noise_is_told(noise):
    """Whatever a damaged record holds, reading it raises nothing but that it is damaged."""
    with contextlib.suppress(FormatError):
        assert read_leaf(FIRST_LINE.encode() + noise)


def test_separators_of_other_kinds_stay_within_a_value():
    """Only a newline ends a line."""
    record = FIRST_LINE.encode() + b"kind refused\ndetail a\x0bb\x1cc\rd\n"
    assert read_leaf(record)["detail"] == "a\x0bb\x1cc\rd"


def test_stock_tools_compute_a_leafs_hash(tmp_path):
    """A zero byte and the leaf, through `sha256sum`, give its hash."""
    record = leaf_record(LeafKind.CRL, at="2026-11-23T03:32:06.000000Z", number="84")
    (tmp_path / "leaf").write_bytes(record)
    said = subprocess.run(
        ["sh", "-c", r"printf '\0' | cat - leaf | sha256sum"],
        check=True,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    ).stdout
    assert said.split()[0] == hashlib.sha256(b"\0" + record).hexdigest()
