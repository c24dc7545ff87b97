"""Verification of legal holds: each row has its leaf, and each leaf its row (clause 22.6)."""

from typing import Any

from schemas.errors import FormatError
from schemas.leaves import read_leaf
from store.faults import Faults, Kind
from store.postgres.session import Connection

_TABLES = {"set": "legal_hold", "lifted": "legal_hold_lifted"}
"""By the verdict in the leaf, the table that has the row."""

_ROWS = "SELECT * FROM {} ORDER BY number"

_LEAVES = "SELECT index, record FROM leaf WHERE kind = 'legal-hold' ORDER BY index"

_FIELDS = {"packet": "id", "organisation": "organisation", "period": "period", "dispute": "dispute"}
"""Columns of a hold that may be empty, each with its key in the leaf."""

Told = dict[tuple[str, str], tuple[int, dict[str, str]]]
"""Leaves with their indexes, by verdict and number of the hold."""


async def check_holds(connection: Connection, faults: Faults) -> None:
    """Check that holds and leaves tell the same, as they stand at one moment."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        told = _read(await connection.fetch(_LEAVES))
        rows = {
            verdict: await connection.fetch(_ROWS.format(table))
            for verdict, table in _TABLES.items()
        }
    for verdict, found in rows.items():
        faults.counts[_TABLES[verdict]] += len(found)
        for row in found:
            _check_row(faults, verdict, row, told.pop((verdict, str(row["number"])), None))
    for (verdict, number), (index, _leaf) in told.items():
        what = f"the row was deleted: leaf {index} (legal-hold) names it"
        faults.add(_TABLES[verdict], f"hold {number}", what, Kind.REMOVED)


def _read(leaves: list[Any]) -> Told:
    told: Told = {}
    for index, record in leaves:
        try:
            leaf = read_leaf(record)
        except FormatError:
            continue  # a leaf that was changed is named by its hash
        if leaf.get("verdict") in _TABLES:
            told[leaf["verdict"], leaf.get("number", "")] = (index, leaf)
    return told


def _check_row(
    faults: Faults,
    verdict: str,
    row: Any,  # noqa: ANN401 - asyncpg.Record
    found: tuple[int, dict[str, str]] | None,
) -> None:
    table, key = _TABLES[verdict], f"hold {row['number']}"
    if found is None:
        faults.add(table, key, "the row was added: no leaf says so", Kind.ADDED)
        return
    index, leaf = found
    said = {"who": row["who"]}
    if verdict == "set":
        said |= {field: row[column] or "" for column, field in _FIELDS.items()}
        said["below"] = "yes" if row["below"] else ""
    for field, value in said.items():
        what = f"its {field} is not that of leaf {index}"
        faults.expect(table, key, what, holds=leaf.get(field, "") == value)
