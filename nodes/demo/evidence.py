"""Reads every node's record for the judgement: re-hashes it, and takes out what is compared.

Reads beside the daemons, by the nodes' own configuration; writes nothing.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from nodes.config import Config, load_config
from nodes.demo.judgement import StoreReport
from nodes.wiring import database_url
from schemas.answers import ANSWERS
from schemas.documents.registry import TYPES
from schemas.errors import BbajError, FormatError
from schemas.leaves import LeafKind, read_leaf
from schemas.moments import parse_instant
from signing.at_rest import AtRest
from signing.certificates import named_address, parse_certificate, purpose_of
from signing.notes import KeyType, VerifierKey, open_note, origin, read_checkpoint
from signing.profiles import Purpose
from store.packing import unpack
from store.postgres.session import Connection, session
from store.verify import verify

FIRST_KINDS = (LeafKind.SENT, LeafKind.RELAYED, LeafKind.RECEIVED)

_LEAVES = "SELECT kind, record FROM leaf WHERE kind = ANY ($1::text[]) ORDER BY index"

_RESENT = """
SELECT p.id, count(*) - 1 AS again FROM entry AS e JOIN packet AS p ON p.frame = e.frame
WHERE p.sender = $1 GROUP BY p.id HAVING count(*) > 1
"""

_CHECKPOINTS = "SELECT size, note FROM checkpoint ORDER BY size"

_QUARANTINE = "SELECT sha256, reason FROM quarantine WHERE state = 'refused'"

_FRAMES = """
SELECT frame_sha256 FROM packet UNION SELECT sha256 FROM quarantine UNION SELECT sha256 FROM entry
"""

_PACKETS = "SELECT count(*) FROM packet"

_CODINGS = "SELECT id, coding FROM packet WHERE type = ANY ($1::text[])"
PERSONAL = [name for name, each in TYPES.items() if each.personal]


async def gather(stores: Mapping[str, str]) -> dict[str, StoreReport]:
    """Return the report of every store, by address."""
    reports = await asyncio.gather(*(report(Path(path)) for path in stores.values()))
    return dict(zip(stores, reports, strict=True))


async def report(config_path: Path) -> StoreReport:
    """Re-hash one record and read what the judgement compares."""
    config = load_config(config_path)
    found = StoreReport(faults=await _verify(config))
    async with session(database_url(config), "bbaj demo ledger", {"jit": "off"}) as connection:
        await _read_leaves(connection, found)
        await _read_checkpoints(connection, config, found)
        rows = await connection.fetch(_RESENT, config.address)
        found.resent = {row["id"]: row["again"] for row in rows}
        rows = await connection.fetch(_QUARANTINE)
        found.quarantine = {row["sha256"].hex(): row["reason"] for row in rows}
        found.frames = {row[0].hex() for row in await connection.fetch(_FRAMES)}
        found.packets = await connection.fetchval(_PACKETS)
        for row in await connection.fetch(_CODINGS, PERSONAL):
            kind = found.encrypted if row["coding"].endswith("+hpke") else found.clear
            kind.add(row["id"])
    return found


async def _verify(config: Config) -> list[str]:
    at_rest = AtRest(config.data / "at-rest")

    def open_payload(bucket: str, aad: bytes, sealed: bytes) -> bytes:
        try:
            return at_rest.open(bucket, aad, sealed)
        except BbajError as error:
            raise ValueError(str(error)) from error

    verification = await verify(database_url(config), open_payload)
    faults = [str(fault) for fault in verification.faults[:20]]
    more = verification.faults_found - len(faults)
    return [*faults, f"and {more} more"] if more > 0 else faults


async def _read_leaves(connection: Connection, found: StoreReport) -> None:
    kinds = [*FIRST_KINDS, LeafKind.RELEASED, LeafKind.CONFIRMED]
    released: Counter[str] = Counter()
    for row in await connection.fetch(_LEAVES, kinds):
        leaf = read_leaf(unpack(row["record"]))
        if leaf["type"] in ANSWERS:
            continue
        at = parse_instant(leaf["at"])
        match row["kind"]:
            case LeafKind.RELEASED:
                released[leaf["id"]] += 1
            case LeafKind.CONFIRMED:
                found.ends.setdefault(leaf["id"], at)
            case _:
                found.moments.setdefault(leaf["id"], at)
    found.released = dict(released)


async def _read_checkpoints(connection: Connection, config: Config, found: StoreReport) -> None:
    """Check every checkpoint's signature; its root was checked with the journal."""
    rows: list[Any] = await connection.fetch(_CHECKPOINTS)
    name = origin(config.address, 1)
    keys = [
        VerifierKey(name, KeyType.ED25519, public)
        for public in await _journal_keys(connection, config.address)
    ]
    for row in rows:
        try:
            checkpoint = read_checkpoint(open_note(row["note"], keys).text)
        except FormatError as error:
            found.faults.append(f"checkpoint {row['size']}: {error}")
            continue
        if (checkpoint.origin, checkpoint.size) != (name, row["size"]):
            found.faults.append(f"checkpoint {row['size']}: names {checkpoint.size}")
    found.checkpoints = len(rows)
    found.leaves = await connection.fetchval("SELECT count(*) FROM leaf")
    if not rows:
        found.faults.append("journal: no checkpoint was ever signed")


async def _journal_keys(connection: Connection, address: str) -> list[bytes]:
    """Return the public keys that were ever certified for a node's journal."""
    found = []
    for row in await connection.fetch("SELECT der FROM certificate"):
        parsed = parse_certificate(row["der"])
        is_own = parsed is not None and named_address(row["der"]) == address
        if parsed is not None and is_own and purpose_of(parsed) is Purpose.JOURNAL:
            key = parsed.public_key()
            assert isinstance(key, Ed25519PublicKey), "the profile asks for it"
            found.append(key.public_bytes_raw())
    return found
