"""`bbaj store verify`: re-hashes the whole record and names what does not fit.

Reads by key ranges up to bounds taken at the start, in flat memory and without a long
transaction: rows of the record never change, so what is committed meanwhile does not disturb.
The leaves vouch for the packets, the stored checkpoints (and those a witness holds) for the
leaves, the chains for the streams.
"""

from collections.abc import Mapping

import msgspec

from store.faults import Fault, Faults, OpenPayload, Progress
from store.postgres.session import session
from store.verify_frames import check_frames
from store.verify_journal import check_journal
from store.verify_streams import check_learned, check_streams


class Verification(msgspec.Struct, frozen=True, gc=False):
    """What a verification saw."""

    faults_found: int
    faults: list[Fault]
    """The first ones; see faults.FAULTS_KEPT_MAX."""
    counts: dict[str, int]
    """Rows looked at, by table; `destroyed` counts payloads whose partition is gone."""
    root: bytes
    """The journal's root over `counts["leaf"]` leaves."""

    @property
    def holds(self) -> bool:
        """Whether no fault was found."""
        return self.faults_found == 0


async def verify(
    url: str,
    open_payload: OpenPayload,
    on_progress: Progress = lambda _stage, _done, _total: None,
    witnessed: Mapping[int, bytes] | None = None,
) -> Verification:
    """Check everything. `open_payload(bucket, aad, sealed)` decrypts what is at rest.

    `witnessed` are roots by size that others vouch for. Raises StoreUnavailable.
    """
    faults = Faults()
    async with session(url, "bbaj verify", {"jit": "off"}) as connection:
        root = await check_journal(connection, faults, on_progress, witnessed or {})
        await check_frames(connection, faults, on_progress, open_payload)
        await check_streams(connection, faults, on_progress)
        await check_learned(connection, faults)
    return Verification(faults.found, faults.kept, dict(faults.counts), root)


__all__ = ["Fault", "Verification", "verify"]
