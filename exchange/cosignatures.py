"""Cosignatures of our own checkpoints: each line checked, then kept (clause 18.1)."""

from collections.abc import Collection, Iterable
from functools import partial

from exchange.batch import Batch
from exchange.gate import OpenedObject
from exchange.links import Link
from exchange.noted import certified_key
from exchange.state import NodeState
from schemas.addresses import dns_name
from schemas.errors import FormatError
from schemas.moments import SECOND
from schemas.reasons import Reason
from schemas.records import CosignatureRow
from schemas.witnessing import Cosigned
from signing.note_text import split_note
from signing.notes import KeyType, VerifierKey, open_note, read_vkey
from signing.profiles import Purpose
from signing.proofs import text_of

ROOT_WITNESSES = 2
"""The root's journal counts as witnessed as far as so many children have cosigned it."""
LINES_MAX = 2
"""Of one witness: Ed25519, and perhaps ML-DSA-44 beside it."""


class Cosignatures:
    """What witnesses have put under our checkpoints."""

    def __init__(self, state: NodeState) -> None:
        """Share the node's state."""
        self._state = state
        self.sizes: dict[str, int] = {}
        """By witness, of the newest checkpoint that it has cosigned in the running epoch."""

    async def open(self) -> None:
        """Take over what is kept."""
        for row in await self._state.archive.last_cosigned(self._state.gate.epoch):
            self.sizes[row.witness] = row.size

    @property
    def witnessed_size(self) -> int:
        """The size up to which enough witnesses have cosigned our journal."""
        return witnessed_size(self.sizes.values(), is_root=self._state.is_root)

    async def take(self, opened: OpenedObject, note: str, link: Link, batch: Batch) -> None:
        """Keep the lines of an answer about our checkpoint `note`. Raises FormatError.

        Those of a checkpoint that this witness has cosigned before are not kept again.
        """
        header = opened.header
        assert isinstance(header, Cosigned), "the caller sorts them"
        if await self._is_kept(header.size, link.neighbour, batch):
            return
        lines = self._check(header, note, opened.body, link, batch)
        batch.changes.cosignatures.append(
            CosignatureRow(batch.epoch, header.size, link.neighbour, batch.now, lines, opened.raw)
        )
        batch.after_commit(partial(self._count, link.neighbour, header.size))

    async def _is_kept(self, size: int, witness: str, batch: Batch) -> bool:
        rows = batch.changes.cosignatures
        if any((row.size, row.witness) == (size, witness) for row in rows):
            return True
        kept = await self._state.archive.cosignatures(batch.epoch, size)
        return any(row.witness == witness for row in kept)

    def _count(self, witness: str, size: int) -> None:
        self.sizes[witness] = max(size, self.sizes.get(witness, 0))

    def _check(self, header: Cosigned, note: str, body: bytes, link: Link, batch: Batch) -> str:
        """Return the lines once each of them has held. Raises FormatError."""
        name, lines = dns_name(link.neighbour), text_of(body)
        certified = certified_key(
            self._state, header.witness or "", link.neighbour, Purpose.WITNESS, name, batch.now
        )
        cosigned = f"{split_note(note)[0]}\n{lines}"
        open_note(cosigned, [certified])
        found = open_note(cosigned, [certified, *_keys_beside(header.keys, name)]).signatures
        if len(found) != lines.count("\n") or len(found) > LINES_MAX:
            raise FormatError(Reason.SIG_INVALID, "a line of it is of no key of this witness")
        latest = (batch.now + self._state.rules.limits.time_window_ahead_us) // SECOND
        if any(each.time is None or each.time > latest for each in found):
            raise FormatError(Reason.SIG_INVALID, "it bears a time that has not come yet")
        return lines


def witnessed_size(sizes: Collection[int], *, is_root: bool) -> int:
    """Return the size up to which a journal is witnessed; `sizes` are those that each cosigned."""
    needed = ROOT_WITNESSES if is_root else 1
    return sorted(sizes, reverse=True)[needed - 1] if len(sizes) >= needed else 0


def _keys_beside(keys: Iterable[str], name: str) -> list[VerifierKey]:
    """Return the keys that a witness's object vouches for: ML-DSA-44. Raises FormatError."""
    stated = [read_vkey(each) for each in keys]
    return [key for key in stated if (key.name, key.type) == (name, KeyType.MLDSA44_COSIGNATURE)]
