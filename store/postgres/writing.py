"""Writes one `Changes` within a transaction that the caller has begun.

Insert-only tables go by binary COPY, whole tables at a time; a key that is there already fails
the lot. Of the derived tables, rows that go are removed first, then rows that come are put.
"""

from collections.abc import Iterable, Sequence

import msgspec

from schemas.records import Changes, HeldRow, LeafRow, OpenRow
from store.merkle import Tile, Tree, leaf_hash
from store.postgres.rows import TABLES, columns, values_of
from store.postgres.session import Connection

_FORGET_DROPS = """
DELETE FROM drop_pending AS d USING unnest($1::text[], $2::text[]) AS o (system, drop_id)
WHERE d.system = o.system AND d.drop_id = o.drop_id
"""

_FORGET_PARTS = """
DELETE FROM drop_part AS d
USING unnest($1::text[], $2::text[], $3::bigint[]) AS o (system, drop_id, number)
WHERE d.system = o.system AND d.drop_id = o.drop_id AND d.number = o.number
"""

_FORGET_ALL_PARTS = """
DELETE FROM drop_part AS d USING unnest($1::text[], $2::text[]) AS o (system, drop_id)
WHERE d.system = o.system AND d.drop_id = o.drop_id
"""

_WAIT = """
INSERT INTO drop_pending VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
ON CONFLICT (system, drop_id) DO UPDATE SET awaits = excluded.awaits
"""

_CLOSE = "DELETE FROM open_exchange WHERE about = ANY ($1::bigint[])"

_OPEN = """
INSERT INTO open_exchange (frame, about, awaited, since, next_at, attempts, deadline)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[],
                     $6::integer[], $7::bigint[])
ON CONFLICT (frame) DO UPDATE SET
    (about, awaited, since, next_at, attempts, deadline) = ROW (excluded.about, excluded.awaited,
        excluded.since, excluded.next_at, excluded.attempts, excluded.deadline)
"""

_JUDGE = "DELETE FROM held_open WHERE frame = ANY ($1::bigint[])"

_HOLD = """
INSERT INTO held_open (frame, neighbour, missing, certificate, since, lane, epoch, number)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[],
                     $7::bigint[], $8::bigint[])
ON CONFLICT (frame) DO UPDATE SET
    (neighbour, missing, certificate, since, lane, epoch, number) = ROW (excluded.neighbour,
        excluded.missing, excluded.certificate, excluded.since, excluded.lane, excluded.epoch,
        excluded.number)
"""

# These are named by their digest: the same one again is no conflict.
_OWN_KEY = """
INSERT INTO own_key (sha256, purpose, made) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING
"""
_LEARN_CERTIFICATE = """
INSERT INTO certificate (sha256, der, learned) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING
"""
_LEARN_CRL = """
INSERT INTO crl (sha256, issuer, number, der, learned) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING
"""


_LEARN_POLICY = """
INSERT INTO policy (sha256, name, content, learned) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING
"""


async def write(connection: Connection, changes: Changes, tree: Tree) -> None:
    """Write all of `changes`; `tree` grows by their leaves, and its filled tiles are written."""
    await _write_record(connection, changes)
    await _write_journal(connection, changes.leaves, tree)
    await _write_learned(connection, changes)
    await _write_derived(connection, changes)


async def _write_record(connection: Connection, changes: Changes) -> None:
    tables: tuple[Sequence[msgspec.Struct], ...] = (
        changes.packets,
        changes.payloads,
        changes.parts,
        changes.entries,
        changes.intakes,
        changes.notes,
        changes.quarantine,
        changes.incidents,
        changes.drops,
        changes.released,
        changes.link_marks,
        changes.cards,
        changes.outcomes,
        changes.invitations,
        changes.invitation_uses,
        changes.requests,
        changes.grants,
        changes.issued,
        changes.issued_heads,
        changes.issued_cosignatures,
        changes.alarms,
        changes.certified,
        changes.revoked,
        changes.witnessed,
        changes.cosignatures,
        changes.timestamps,
        changes.renewals,
        changes.renewed_tiles,
        changes.recoveries,
        changes.epochs,
        changes.tracked,
        changes.returned,
        changes.rebuilt,
        changes.legal_holds,
        changes.lifted_holds,
        changes.destroyed,
    )
    for rows in tables:
        await _copy(connection, rows)
    if changes.payloads:
        kept = [(row.frame, row.bucket) for row in changes.payloads]
        await connection.copy_records_to_table("kept", records=kept, columns=("frame", "bucket"))


async def _write_journal(connection: Connection, leaves: list[LeafRow], tree: Tree) -> None:
    if not leaves:
        return
    indexes = [leaf.index for leaf in leaves]
    assert indexes == list(range(tree.size, tree.size + len(leaves))), (
        f"leaves {indexes[0]} to {indexes[-1]} do not follow on {tree.size}"
    )
    tiles = tree.extend([leaf_hash(leaf.record) for leaf in leaves])
    await _copy(connection, leaves)
    if tiles:
        await connection.copy_records_to_table(
            "tile", records=map(msgspec.structs.astuple, tiles), columns=columns(Tile)
        )


async def _write_learned(connection: Connection, changes: Changes) -> None:
    for key in changes.own_keys:
        await connection.execute(_OWN_KEY, *msgspec.structs.astuple(key))
    for certificate in changes.certificates:
        await connection.execute(_LEARN_CERTIFICATE, *msgspec.structs.astuple(certificate))
    for crl in changes.crls:
        await connection.execute(_LEARN_CRL, *msgspec.structs.astuple(crl))
    for policy in changes.policies:
        await connection.execute(_LEARN_POLICY, *msgspec.structs.astuple(policy))


async def _write_derived(connection: Connection, changes: Changes) -> None:
    if changes.drops:
        names = _turned((drop.system, drop.drop_id) for drop in changes.drops)
        await connection.execute(_FORGET_DROPS, *names)
    faulty = [(drop.system, drop.drop_id) for drop in changes.drops if drop.frame is None]
    if faulty or changes.unwanted_parts:
        names = _turned([*faulty, *changes.unwanted_parts])
        await connection.execute(_FORGET_ALL_PARTS, *names)
    if changes.sealed_parts:
        await connection.execute(_FORGET_PARTS, *_turned(changes.sealed_parts))
    for drop in changes.waiting:
        await connection.execute(_WAIT, *msgspec.structs.astuple(drop))
    if changes.closed:
        await connection.execute(_CLOSE, changes.closed)
    if changes.open:
        await connection.execute(_OPEN, *_newest(changes.open))
    if changes.judged:
        await connection.execute(_JUDGE, changes.judged)
    if changes.held:
        await connection.execute(_HOLD, *_newest(changes.held))


async def _copy(connection: Connection, rows: Sequence[msgspec.Struct]) -> None:
    if rows:
        row_type = type(rows[0])
        await connection.copy_records_to_table(
            TABLES[row_type],
            records=values_of(rows),
            columns=columns(row_type),
        )


def _newest(rows: Sequence[OpenRow] | Sequence[HeldRow]) -> list[list[object]]:
    """Return the columns of rows, the last one counting where a frame comes twice."""
    newest = {row.frame: row for row in rows}
    return _turned(msgspec.structs.astuple(row) for row in newest.values())


def _turned(rows: Iterable[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]
