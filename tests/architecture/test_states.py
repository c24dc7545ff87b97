"""States: the document's tables name the states and leaves that the code has."""

import re
from pathlib import Path

import pytest

from schemas.leaves import FIELDS
from store.standing import State

TEXT = (Path(__file__).parents[2] / "docs" / "states.md").read_text(encoding="utf-8")
ROWS = [line.split("|")[1:4] for line in TEXT.splitlines() if line.startswith("| ")]
NAMES = {
    name.strip() for row in ROWS for name in row[0].split(",") if name.strip() not in {"state", ""}
}
BEFORE_AND_BESIDE = {"queued", "overdue", "held"}
"""Of a drop that waits, a mark beside a state, and frames that are no packets yet."""


@pytest.mark.parametrize("state", State)
def test_every_state_is_described(state):
    """A state that an operator can be shown stands in the document (`expired` as reserved)."""
    assert state in NAMES or f"`{state}` is reserved" in TEXT


def test_no_other_states_are_described():
    """The document describes no state that nobody can be in."""
    assert NAMES - {str(state) for state in State} - {"---"} == BEFORE_AND_BESIDE


def test_leaves_that_the_document_names_are_written():
    """What the record says of a state is a leaf that the code writes."""
    leaves = set(re.findall(r"leaf `([a-z-]+)`", TEXT))
    assert leaves <= {str(kind) for kind in FIELDS}
    assert leaves >= {"sent", "relayed", "received", "confirmed", "released", "closed", "refused"}


def test_diagrams_and_tables_agree():
    """A state in a diagram has its row, under the name that the diagram shows."""
    diagrams = re.findall(r"```mermaid\n(.*?)```", TEXT, re.DOTALL)
    shown = {"custody": "in custody"}
    for diagram in diagrams:
        moves = re.findall(r"^\s+(\S+) --> (\w+)", diagram, re.MULTILINE)
        states = {shown.get(end, end) for move in moves for end in move if end != "[*]"}
        assert states <= NAMES
