"""The text of an invitation, and what its body says."""

import zlib
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import wire
from schemas.codes import Tier
from schemas.errors import FormatError
from schemas.invitations import (
    INVITATION_BYTES_MAX,
    JOIN_NEXT_STEP,
    PREFIX,
    InvitationFacts,
    JoinReason,
    pack_invitation,
    read_text,
    unpack_invitation,
    write_text,
)
from schemas.objects import pack_pieces

PROTOCOL = Path(__file__).resolve().parents[2] / "docs" / "protocol.md"
TEXT = write_text(b"an object of some length, signed" * 20, b"a private key")


@given(st.binary(max_size=4000), st.binary(max_size=300))
def test_text_brings_object_and_key(invitation, key):
    """What is written is what is read."""
    assert read_text(write_text(invitation, key)) == (invitation, key)


@given(st.lists(st.integers(0, len(TEXT)), max_size=8))
def test_broken_lines_harm_nothing(breaks):
    """Mail and messengers break lines; the text is the same."""
    text = TEXT
    for at in sorted(breaks, reverse=True):
        text = f"{text[:at]}\r\n  {text[at:]}"
    assert read_text(f" {text}\n") == read_text(TEXT)


def test_one_changed_character_is_found():
    """Wherever a character changes, the text is damaged."""
    for at in range(len(PREFIX), len(TEXT)):
        changed = TEXT[:at] + ("A" if TEXT[at] != "A" else "B") + TEXT[at + 1 :]
        try:
            found = read_text(changed)
        except FormatError:
            continue
        assert found == read_text(TEXT), f"character {at}"  # spare bits at the end say nothing


def test_every_cut_is_found():
    """A text that lacks its end is damaged, wherever it was cut."""
    for size in range(len(PREFIX), len(TEXT) - 1):
        with pytest.raises(FormatError):
            read_text(TEXT[:size])


def packed(*pieces, behind=b""):
    data = zlib.compress(pack_pieces(list(pieces))) + behind
    return PREFIX + urlsafe_b64encode(data).decode().rstrip("=")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "does not begin with bbaj1:"),
        ("bbaj2:abc", "does not begin with bbaj1:"),
        (TEXT[:20] + "%" + TEXT[20:], "character 21 does not belong to it"),
        (TEXT[:20] + "қ" + TEXT[20:], "character 21 does not belong to it"),
        (TEXT[:-8], "cut short"),
        (PREFIX + "A", "cut short"),
        (PREFIX + "AAAA", "a character of it has changed"),
        (packed(b"one"), "1 pieces, expected 2"),
        (packed(b"one", b"two", behind=b"more"), "something stands behind its end"),
        (packed(b"x" * INVITATION_BYTES_MAX, b""), f"more than {INVITATION_BYTES_MAX} bytes"),
    ],
)
def test_damage_is_named(text, said):
    """What is wrong with a text is said in words that help."""
    with pytest.raises(FormatError) as caught:
        read_text(text)
    assert said in caught.value.detail


FACTS = InvitationFacts(urls=("amqps://broker:5671",), vhost="bbaj", tier="school")


def test_body_brings_facts_and_certificates():
    """What is packed is what is unpacked."""
    body = pack_invitation(FACTS, [b"one", b"two", b"root"])
    facts, certificates = unpack_invitation(body)
    assert (facts.urls, facts.vhost, facts.tier) == (FACTS.urls, "bbaj", "school")
    assert certificates == [b"one", b"two", b"root"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        pack_pieces([b"{}", b"1", b"2", b"3"]),
        pack_pieces([b'{"urls":[],"vhost":"v","tier":"school"}', b"1", b"2", b"3"]),
        pack_pieces([b'{"urls":["http://x"],"vhost":"v","tier":"school"}', b"1", b"2", b"3"]),
        pack_pieces([b'{"urls":["amqps://x"],"vhost":"v","tier":"village"}', b"1", b"2", b"3"]),
        pack_pieces([b'{"urls":["amqps://x"], "vhost":"v","tier":"school"}', b"1", b"2", b"3"]),
        pack_invitation(FACTS, [b"1", b"2", b"3"]) + b"more",
        pack_pieces([b'{"urls":["amqps://x"],"vhost":"v","tier":"school"}', b"1", b"2"]),
    ],
    ids=["empty", "facts", "no-url", "plain-http", "tier", "spaces", "behind", "two-certificates"],
)
def test_bad_bodies_are_refused(body):
    """A body in any other form is no invitation."""
    with pytest.raises(FormatError):
        unpack_invitation(body)


def test_example_of_the_protocol():
    """The facts that docs/protocol.md shows are in their one encoding."""
    text = PROTOCOL.read_text(encoding="utf-8")
    [line] = [line for line in text.splitlines() if line.startswith('{"urls":')]
    facts = InvitationFacts(
        urls=("amqps://broker.burabay.edu.kz:5671",), vhost="bbaj", tier=Tier.SCHOOL
    )
    assert wire.encode(facts).decode() == line


def test_every_reason_has_a_next_step():
    """Nobody is told no without being told what to do."""
    assert set(JOIN_NEXT_STEP) == set(JoinReason)
