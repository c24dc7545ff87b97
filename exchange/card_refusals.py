"""Cards and key statements that are not taken: each an incident with its bytes kept, once.

Whoever sent one repeats it for as long as nothing better has come. It is judged anew each time;
only the incident is not opened again.
"""

import hashlib
from functools import partial

from exchange.batch import Batch
from exchange.state import NodeState
from schemas.errors import FormatError
from schemas.wire import printable

REMEMBERED_MAX = 10_000
"""So many refused statements are remembered, those seen last."""


class CardRefusals:
    """What one node has refused, by SHA-256; the record has it over restarts."""

    def __init__(self, state: NodeState) -> None:
        """Share the node's state."""
        self._state = state
        self._refused: dict[bytes, None] = {}

    async def open(self) -> None:
        """Take over what the record holds."""
        newest = await self._state.archive.refused_cards(REMEMBERED_MAX)
        self._refused = dict.fromkeys(reversed(newest))

    def refuse(self, raw: bytes, via: str, error: FormatError, batch: Batch) -> None:
        """Keep a statement as an incident, unless these very bytes are one already."""
        digest = hashlib.sha256(raw).digest()
        if digest in self._refused:
            self._remember(digest)
            return
        if any(row.sha256 == digest for row in batch.changes.quarantine):
            return
        detail = printable(f"{error.reason}: {error.detail}")
        frame = self._state.effects.keep_raw(raw, via, detail, batch)
        self._state.effects.raise_incident("card_refused", via, detail, batch, frame)
        batch.after_commit(partial(self._remember, digest))

    def _remember(self, digest: bytes) -> None:
        self._refused.pop(digest, None)
        self._refused[digest] = None
        if len(self._refused) > REMEMBERED_MAX:
            del self._refused[next(iter(self._refused))]
