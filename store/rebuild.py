"""`bbaj store rebuild`: makes the derived tables again from the record, with the daemon stopped.

What only they know is lost: how often a packet was resent (it is due at once), which piece a held
frame waits for (it is judged again), and its place in the neighbour's stream (should it be refused,
quarantine and journal say so, and no entry goes back). The index over content is emptied: the
daemon, which has the keys, fills it again while it runs. Documents handed over by command and not
decided yet have no other record: they stay, and those decided go.
"""

import msgspec

from schemas.header import FAST_FLOWS
from schemas.limits import Limits
from schemas.moments import Instant
from store.errors import LockHeld
from store.postgres.archive import LOCK_KEY
from store.postgres.session import session

# Documents of ours without receipt. `awaited` is for the document's own frame.
_OPEN_DOCUMENTS = """
INSERT INTO open_exchange (frame, about, awaited, since, next_at, attempts, deadline)
SELECT p.frame, p.frame, 'receipt', p.received, $1, 0,
    CASE WHEN NOT EXISTS (SELECT FROM leaf AS l WHERE l.frame = p.frame AND l.kind = 'overdue')
        THEN p.received
            + CASE WHEN p.flow = ANY ($5::text[]) THEN $2::bigint ELSE $3::bigint END END
FROM packet AS p
WHERE p.sender = $4 AND p.type NOT IN ('receipt/1', 'closing/1', 'part/1')
    AND EXISTS (SELECT FROM leaf AS l WHERE l.frame = p.frame AND l.kind = 'sent')
    AND NOT EXISTS (
        SELECT FROM leaf AS l WHERE l.frame = p.frame AND l.kind IN ('confirmed', 'expired'))
"""

# Our newest receipt for each accepted document that has no closing.
_OPEN_RECEIPTS = """
INSERT INTO open_exchange (frame, about, awaited, since, next_at, attempts, deadline)
SELECT r.frame, d.frame, 'closing', r.received, $1, 0, NULL
FROM packet AS d
JOIN LATERAL (
    SELECT frame, received FROM packet
    WHERE re = d.id AND re IS NOT NULL AND type = 'receipt/1' AND sender = $2
        AND recipient = d.sender
    ORDER BY frame DESC LIMIT 1
) AS r ON true
WHERE d.recipient = $2 AND d.type NOT IN ('receipt/1', 'closing/1', 'part/1')
    AND EXISTS (SELECT FROM leaf AS l WHERE l.frame = d.frame AND l.kind = 'received')
    AND NOT EXISTS (
        SELECT FROM leaf AS l WHERE l.frame = d.frame AND l.kind IN ('closed', 'refused'))
"""

# Held frames whose bytes came to no verdict; one that did stands under a frame of its own.
_HELD = """
INSERT INTO held_open (frame, neighbour, missing, certificate, since, lane, epoch, number)
SELECT q.frame, q.neighbour, q.reason, '', q.received, 'bulk', 1, 0 FROM quarantine AS q
WHERE q.state = 'held' AND q.kept
    AND NOT EXISTS (SELECT FROM packet AS p WHERE p.frame_sha256 = q.sha256)
    AND NOT EXISTS (
        SELECT FROM quarantine AS r WHERE r.sha256 = q.sha256 AND r.state = 'refused')
    AND NOT EXISTS (
        SELECT FROM kept AS k JOIN destroyed AS d ON d.bucket = k.bucket WHERE k.frame = q.frame)
"""

_DECIDED_DROPS = """
DELETE FROM drop_pending AS d USING drop_outcome AS o
WHERE o.system = d.system AND o.drop_id = d.drop_id
"""

# The daemon fills the index over content again, from the first frame on.
_FORGET_FINDINGS = """
TRUNCATE finding;
UPDATE finding_cursor SET frame = 0, leaf = -1
"""

_IDENTITY = "SELECT address FROM identity ORDER BY epoch DESC LIMIT 1"


class Rebuilt(msgspec.Struct, frozen=True, gc=False):
    """How many rows each derived table has now, and how many decided drops went."""

    documents: int
    receipts: int
    held: int
    drops_removed: int


async def rebuild(owner_url: str, now: Instant, limits: Limits | None = None) -> Rebuilt:
    """Make the derived tables again. Raises LockHeld while a daemon runs."""
    allowed = limits or Limits()
    async with session(owner_url, "bbaj rebuild") as connection:
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK_KEY):
            raise LockHeld("stop the daemon first: it commits to this database")
        async with connection.transaction():
            address = await connection.fetchval(_IDENTITY)
            await connection.execute("DELETE FROM open_exchange")
            await connection.execute("DELETE FROM held_open")
            documents = await connection.execute(
                _OPEN_DOCUMENTS, now, allowed.receipt_overdue_fast_us,
                allowed.receipt_overdue_bulk_us, address, list(FAST_FLOWS),
            )  # fmt: skip
            receipts = await connection.execute(_OPEN_RECEIPTS, now, address)
            held = await connection.execute(_HELD)
            drops = await connection.execute(_DECIDED_DROPS)
            await connection.execute(_FORGET_FINDINGS)
    counts = [int(status.rsplit(" ", 1)[1]) for status in (documents, receipts, held, drops)]
    return Rebuilt(*counts)
