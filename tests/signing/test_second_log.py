"""Heads and proofs of the second log: a note of its own name, and 64 bytes where hashes stand."""

import hashlib

import pytest

from harness.drafts import SCHOOL
from schemas.errors import FormatError
from schemas.reasons import Reason
from signing.notes import sign_checkpoint
from signing.second_log import (
    RenewedProof,
    SecondHead,
    open_second_head,
    read_renewed_proof,
    renewed_proof_text,
    second_head_of,
    sign_second_head,
)

ORIGIN = "school-7.burabay.akmola.kz.bbaj.internal/1"
ROOT = hashlib.sha512(b"root").digest()
HEAD = SecondHead(ORIGIN, 17, ROOT)


@pytest.fixture
def journal(network):
    return network.nodes[SCHOOL].journal


@pytest.fixture
def note(journal):
    return sign_second_head(HEAD, journal)


def test_a_head_is_opened_with_the_journal_key(note, journal):
    """It says origin, size and root, under the journal's name with the hash behind it."""
    assert open_second_head(note, journal.public_bytes) == HEAD
    assert note.startswith(f"{ORIGIN}/sha-512\n17\n")
    assert f"— {ORIGIN}/sha-512 " in note


def test_another_key_or_text_does_not_open_it(note, network):
    """What the journal key has not signed is no head."""
    other = network.nodes["kz.akmola"].journal
    with pytest.raises(FormatError) as caught:
        open_second_head(note, other.public_bytes)
    assert caught.value.reason is Reason.SIG_INVALID
    own = network.nodes[SCHOOL].journal
    with pytest.raises(FormatError):
        open_second_head(note.replace("\n17\n", "\n18\n"), own.public_bytes)


def test_a_checkpoint_is_no_head_of_a_second_log(journal):
    """Neither stands in for the other: their names and the width of their roots differ."""
    checkpoint = sign_checkpoint(ORIGIN, 17, ROOT[:32], journal)
    with pytest.raises(FormatError, match="names no second log"):
        second_head_of(checkpoint)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("\n17\n", "\n017\n"), "no plain number"),
        (("\n17\n", "\n17\nmore\n"), "three lines"),
        ((f"{ORIGIN}/", "elsewhere/"), "names no journal"),
    ],
)
def test_a_head_that_departs_from_its_form_is_named(note, change, said):
    """Whoever reads it learns which line is wrong."""
    with pytest.raises(FormatError, match=said):
        second_head_of(note.replace(change[0], change[1], 1))


def test_a_proof_is_read_back_as_written(note):
    """First line, index, hashes, an empty line, the note exactly."""
    proof = RenewedProof(5, [ROOT, hashlib.sha512(b"x").digest()], note)
    text = renewed_proof_text(proof)
    assert text.startswith("bbaj-proof/1 sha-512\nindex 5\n")
    assert text.endswith(f"\n\n{note}")
    assert read_renewed_proof(text) == proof
    alone = RenewedProof(0, [], note)
    assert read_renewed_proof(renewed_proof_text(alone)) == alone


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("bbaj-proof/1 sha-512", "c2sp.org/tlog-proof@v1"),
        ("index 5", "index 05"),
        ("index 5", "5"),
        ("\n\n", "\n"),
        ("index 5\n", "index 5\nAAAA\n"),
    ],
)
def test_a_proof_that_departs_from_its_form_is_refused(note, old, new):
    """Each line has one form."""
    text = renewed_proof_text(RenewedProof(5, [ROOT], note))
    with pytest.raises(FormatError):
        read_renewed_proof(text.replace(old, new, 1))
