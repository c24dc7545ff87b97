"""Acts of destruction: what they move first, the commit that destroys, and its repeat (clause 23).

The act's packet, the leaf and the row of `destroyed` are one commit. From it on the bucket is gone
for every reader; key and partition follow (exchange/undertaking.py), however often it takes.
"""

from collections.abc import Callable

from exchange.batch import Batch
from exchange.state import NodeState
from schemas import wire
from schemas.answers import ARCHIVE_ACT
from schemas.buckets import hold_bucket, read_bucket
from schemas.documents.act import ArchiveAct, decode_act
from schemas.documents.registry import TYPES
from schemas.errors import FormatError
from schemas.leaves import LeafKind
from schemas.moments import Instant, parse_instant
from schemas.records import DestroyedRow, KeptApart, PacketRow, PayloadRow
from signing.errors import BucketDamagedError, BucketKeyMissingError

MOVED_A_BATCH = 200
"""So many payloads that are kept are moved in one commit."""


class Acts:
    """Carries out acts; knows which buckets were destroyed."""

    def __init__(self, state: NodeState) -> None:
        """Share the node's state."""
        self._state = state
        self.done: dict[str, DestroyedRow] = {}
        """What was destroyed, by bucket."""
        self.on_done: Callable[[], None] = lambda: None
        """Told that a bucket is to be laid to rest: it must neither wait nor fail."""

    async def open(self) -> None:
        """Take over which buckets were destroyed: nothing goes into them."""
        self.done = {row.bucket: row for row in await self._state.archive.destroyed()}
        self._state.gate.close_buckets(self.done)

    # --- what is kept of a bucket ---------------------------------------------------------------

    async def move(self, bucket: str, proposal: str, since: Instant, batch: Batch) -> bool:
        """Move payloads that are kept to the hold partition; say whether none is left.

        They are under a legal hold, or came after `since`. Raises BucketDamagedError and
        BucketKeyMissingError, before anything is in the batch.
        """
        into, gate = self._hold_bucket(bucket), self._state.gate
        rows = await self._state.archive.kept_apart(bucket, since, into, MOVED_A_BATCH)
        moved = [gate.move_rest(bucket, into, row.sha256, row.sealed) for row in rows]
        for row, sealed in zip(rows, moved, strict=True):
            batch.changes.payloads.append(PayloadRow(row.frame, into, sealed))
            _mark_moved(row, (bucket, into), proposal, batch)
        if len(rows) == MOVED_A_BATCH:
            batch.after_commit(self._state.wake)
            return False
        return True

    def _hold_bucket(self, bucket: str) -> str:
        """Return the partition beside a bucket for what is kept of it."""
        name = read_bucket(bucket)
        assert name is not None, "what has a term has a name"
        number = (name.hold or 0) + 1
        while (found := hold_bucket(bucket, number)) in self.done:
            number += 1
        return found

    # --- the commit that destroys ---------------------------------------------------------------

    def addressee(self) -> str | None:
        """Return who keeps our act: the parent; of the root the first of its active children.

        No frame has itself as addressee (clause 4), and an act that nobody else holds would not
        outlive the loss of the disk that also brings back what it destroyed.
        """
        registry = self._state.registry
        if registry.uplink is not None:
            return registry.uplink
        for address in sorted(registry.children):
            card = registry.card(address)
            if card is not None and card.facts.standing == "active":
                return address
        return None

    async def send(self, act: ArchiveAct, addressee: str, batch: Batch) -> PacketRow:
        """Seal the act as a packet, and destroy with its commit what it says."""
        answering, kind = self._state.effects.answering, TYPES[ARCHIVE_ACT]
        packet = await answering.send_document(kind, addressee, wire.encode(act), batch)
        self._keep(packet.id, act, batch)
        return packet

    def _keep(self, act_id: str, act: ArchiveAct, batch: Batch) -> None:
        """Let the row and the leaf that destroy go into the batch; the rest follows its commit."""
        done = DestroyedRow(
            bucket=act.bucket,
            at=batch.now,
            act=act_id,
            proposal=act.proposal,
            packets=act.packets,
            size=act.size,
            frames_sha256=bytes.fromhex(act.frames_sha256),
        )
        batch.changes.destroyed.append(done)
        batch.append_leaf(
            LeafKind.DESTROYED,
            None,
            act=act_id,
            bucket=act.bucket,
            count=str(act.packets),
            size=str(act.size),
            frames_sha256=act.frames_sha256,
            proposal=act.proposal,
        )
        batch.after_commit(lambda: self.done.__setitem__(done.bucket, done))
        batch.after_commit(self.on_done)

    # --- acts of ours that the record does not know of ------------------------------------------

    async def sweep(self, batch: Batch) -> None:
        """Destroy anew what acts of ours say that came back to a record which had lost them.

        What came into the bucket after the act, and what is under a legal hold, is moved before.
        """
        if self._state.loss is not None:
            return
        for packet in await self._state.archive.acts_not_done(self._state.rules.here):
            act = await self._read(packet)
            fresh = {row.bucket for row in batch.changes.destroyed}
            if act is not None and act.bucket not in {*self.done, *fresh}:
                await self._destroy_anew(packet.id, act, batch)

    async def _destroy_anew(self, act_id: str, act: ArchiveAct, batch: Batch) -> None:
        self._state.gate.close_buckets([act.bucket])
        if is_about(act.bucket, batch):
            return
        if act.bucket in await self._state.archive.payload_buckets():
            try:
                acted = parse_instant(act.acted.at)
                if not await self.move(act.bucket, act.proposal, acted, batch):
                    return
            except (BucketDamagedError, BucketKeyMissingError) as error:
                detail = wire.printable(f"{act.bucket}: {error}")
                here = self._state.rules.here
                self._state.effects.raise_incident("held_unreadable", here, detail, batch)
        self._keep(act_id, act, batch)

    async def _read(self, packet: PacketRow) -> ArchiveAct | None:
        """Return the act in a packet of ours; None where it is no act after all."""
        _, _, bucket, sealed = await self._state.archive.stored_frame(packet.frame)
        if bucket is None or sealed is None:
            return None
        gate = self._state.gate
        try:
            return decode_act(gate.content_of(packet.head, bucket, sealed, packet.frame_sha256))
        except FormatError:
            return None


def is_about(bucket: str, batch: Batch) -> bool:
    """Say whether a batch changes what is in a bucket: then it is looked at in the next."""
    changes = batch.changes
    return bool(changes.legal_holds) or any(row.bucket == bucket for row in changes.payloads)


def _mark_moved(row: KeptApart, ways: tuple[str, str], proposal: str, batch: Batch) -> None:
    batch.append_leaf(
        LeafKind.MOVED,
        row.frame,
        id=row.id or "",
        from_=row.sender or "",
        epoch="" if row.epoch is None else str(row.epoch),
        frame_sha256=row.sha256.hex(),
        bucket=ways[0],
        into=ways[1],
        proposal=proposal,
    )
