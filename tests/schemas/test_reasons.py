"""Reasons: the closed list, in the order of judgement, each with what to do next."""

import re
from pathlib import Path

import pytest

from schemas.reasons import NEXT_STEP, Reason

PROTOCOL = Path(__file__).parents[2] / "docs" / "protocol.md"
CLOSED_LIST = [
    "format-invalid", "format-version", "too-large", "algorithm-not-allowed", "route-forbidden",
    "certificate-untrusted", "key-expired", "key-revoked", "sig-invalid", "digest-mismatch",
    "replay", "outside-time-window", "sender-suspended", "recipient-unknown", "recipient-moved",
    "type-not-allowed", "contract-expired", "busy", "sender-unknown", "standing-unknown",
    "expired", "class-mismatch", "encryption-required", "decrypt-failed", "parts-mismatch",
]  # fmt: skip


def test_the_list_is_closed():
    """The reasons are those of the requirements, in their order of judgement."""
    assert [str(reason) for reason in Reason] == CLOSED_LIST


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_says_what_to_do_next(reason):
    """An operator is never left with a code alone."""
    step = NEXT_STEP[reason]
    assert 3 < len(step) < 100
    assert step == step.strip()
    assert step[0].islower()
    assert not step.endswith(".")


def test_no_step_is_for_no_reason():
    """The steps are for the reasons of the list and no others."""
    assert set(NEXT_STEP) == set(Reason)


def test_the_protocols_table_names_every_reason():
    """Clause 9.2 has a row for each reason, and for no other."""
    text = PROTOCOL.read_text(encoding="utf-8")
    clause = text.split("**9.2", 1)[1].split("**9.3", 1)[0]
    rows = [line.split("|")[1] for line in clause.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`([a-z-]+)`", row)} == set(CLOSED_LIST)
