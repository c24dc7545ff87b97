"""Verification of what was destroyed: rows, leaves and partitions must tell the same (clause 23.6).

An act is in the journal, in the row of `destroyed` and in the partition that is gone. Payloads that
are missing without it are a fault, and so is a partition that stands although there is one.
"""

from typing import Any

from schemas.errors import FormatError
from schemas.leaves import read_leaf
from store.faults import Faults, Kind
from store.postgres.session import Connection

_ROWS = "SELECT * FROM destroyed ORDER BY bucket"

_LEAVES = "SELECT index, record FROM leaf WHERE kind = 'destroyed' ORDER BY index"


async def check_destroyed(
    connection: Connection, faults: Faults, partitions: set[str]
) -> dict[str, str]:
    """Check that rows of acts, their leaves and the partitions fit; return the act by bucket."""
    rows = {row["bucket"]: row for row in await connection.fetch(_ROWS)}
    told: dict[str, dict[str, str]] = {}
    for index, record in await connection.fetch(_LEAVES):
        facts = _facts(record)
        told[facts.get("bucket", "")] = {**facts, "index": str(index)}
    for bucket, row in rows.items():
        _check_row(faults, row, told.get(bucket))
        if bucket in partitions:
            what = f"its partition stands, though act {row['act']} destroyed it: run the daemon"
            faults.add("payload", f"bucket {bucket}", what, Kind.STANDS)
    for bucket in told.keys() - rows.keys():
        what = f"the row was deleted: leaf {told[bucket]['index']} (destroyed) names it"
        faults.add("destroyed", f"bucket {bucket}", what, Kind.REMOVED)
    return {bucket: row["act"] for bucket, row in rows.items()}


def _check_row(faults: Faults, row: Any, facts: dict[str, str] | None) -> None:  # noqa: ANN401 - asyncpg.Record
    key = f"bucket {row['bucket']}"
    faults.counts["act"] += 1
    if facts is None:
        what = "the row was added: no leaf says that it was destroyed"
        faults.add("destroyed", key, what, Kind.ADDED)
        return
    said = {
        "act": row["act"],
        "count": str(row["packets"]),
        "size": str(row["size"]),
        "frames-sha256": row["frames_sha256"].hex(),
        "proposal": row["proposal"],
    }
    for field, value in said.items():
        what = f"its {field} is not that of leaf {facts['index']}"
        faults.expect("destroyed", key, what, holds=facts.get(field) == value)


def _facts(record: bytes) -> dict[str, str]:
    try:
        return read_leaf(record)
    except FormatError:
        return {}  # a leaf that was changed is named by its hash
