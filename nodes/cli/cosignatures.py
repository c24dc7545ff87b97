"""Cosignatures of our own checkpoints, judged again by what the record and the key folder hold."""

from nodes.config import Config
from nodes.cosigned import Papered, Vouched, vouched_roots
from signing.keys import load_certificate
from store.reading import Reading

COSIGNATURES_JUDGED = 64
NO_LIMIT = 2**63 - 1


async def judged_cosignatures(config: Config, desk: Reading, sound_leaves: int = 0) -> Vouched:
    """Judge the newest cosignatures, and the newest up to what an earlier run found in order.

    A root that a cosignature vouches for vouches for all before it, so the newest are enough.
    """
    rows = await desk.cosigned_below(NO_LIMIT, COSIGNATURES_JUDGED)
    if sound_leaves:
        older = await desk.cosigned_below(sound_leaves, COSIGNATURES_JUDGED)
        rows += [row for row in older if row not in rows]
    papers = Papered(
        root=load_certificate(config.keys.root),
        certificates=[row.der for row in await desk.certificates()] if rows else [],
        crls=[row.der for row in await desk.crls()] if rows else [],
    )
    notes = await desk.checkpoint_notes([row.size for row in rows])
    return vouched_roots(rows, notes, papers, config.limits)
