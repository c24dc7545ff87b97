"""What is known of files that travel in parts, when a part or a manifest is judged (clause 8.8)."""

from collections.abc import Iterable

from exchange.batch import Batch
from exchange.core.wholes import KnownWhole
from exchange.gate import JudgedEntry
from exchange.ports import Name, PartName
from exchange.state import NodeState
from schemas.header import Header
from schemas.leaves import LeafKind, read_leaf
from schemas.manifest import Manifest, decode_manifest, is_manifest
from schemas.records import Trail, Whole
from signing.authenticate import Accepted

MANIFESTS_MAX = 8
"""So many are kept decoded: of 512 KiB at most, and read again when needed."""


class Wholes:
    """Looks up manifests and parts, in the record and in the batch before it."""

    def __init__(self, state: NodeState) -> None:
        """Share the node's state."""
        self._state = state
        self._manifests: dict[bytes, Manifest] = {}
        """By the SHA-256 of the head."""

    async def load(self, entries: Iterable[JudgedEntry], batch: Batch) -> None:
        """Fetch what the record knows about manifests and parts among entries."""
        wholes: set[Name] = set()
        parts: set[PartName] = set()
        for entry in entries:
            if not isinstance(entry.verdict, Accepted):
                continue
            header = entry.verdict.frame.header
            if header.part is not None:
                wholes.add((header.from_, header.epoch, header.part.of))
                parts.add(part_name(header))
            elif isinstance(entry.content, Manifest):
                wholes.add((header.from_, header.epoch, header.id))
        if not wholes:
            return
        archive = self._state.archive
        batch.wholes.update(await archive.wholes(list(wholes - batch.wholes.keys())))
        batch.trails.update(await archive.known(list(wholes - batch.trails.keys())))
        batch.parts.update(await archive.parts_known(list(parts - batch.parts.keys())))
        for name in wholes:
            if await self._is_refused(name, batch):
                batch.given_up.add(name)

    async def _is_refused(self, name: Name, batch: Batch) -> bool:
        """Say whether a manifest, proven to be its sender's, was refused here."""
        trail = batch.trails.get(name)
        if trail is not None:
            return any(mark.kind == LeafKind.REFUSED for mark in trail.marks)
        sender, epoch, id_ = name
        found = [
            read_leaf(mark.record) for mark in await self._state.archive.leaves_about(sender, id_)
        ]
        return any(
            leaf["kind"] == LeafKind.REFUSED and leaf.get("epoch") == str(epoch) for leaf in found
        )

    @staticmethod
    def is_missing(header: Header, batch: Batch) -> bool:
        """Say whether a frame is a part whose manifest is not here."""
        if header.part is None:
            return False
        name = (header.from_, header.epoch, header.part.of)
        return name not in batch.trails and name not in batch.given_up

    async def find(self, entry: JudgedEntry, batch: Batch, *, final: bool) -> KnownWhole | None:
        """Return how the file stands that an accepted entry belongs to; None of any other."""
        assert isinstance(entry.verdict, Accepted), "nothing is looked up for what is refused"
        header = entry.verdict.frame.header
        if isinstance(entry.content, Manifest):
            self._keep(entry.verdict.head_sha256, entry.content)
        elif header.part is None:
            return None
        name = (header.from_, header.epoch, header.id if header.part is None else header.part.of)
        trail = batch.trails.get(name)
        whole = batch.wholes[name]
        return KnownWhole(
            trail=trail,
            manifest=None if header.part is None else await self._manifest(trail, batch),
            bucket=_bucket(trail, whole, batch),
            parts=whole.parts
            + sum((row.sender, row.epoch, row.of) == name for row in batch.changes.parts),
            is_given_up=name in batch.given_up or (final and trail is None),
        )

    async def _manifest(self, trail: Trail | None, batch: Batch) -> Manifest | None:
        """Return a manifest to us that is kept; None of any other packet, or where it is gone."""
        if trail is None or trail.packet.recipient != self._state.rules.here:
            return None
        packet = trail.packet
        if not is_manifest(packet.type, packet.media_type):
            return None
        if packet.head_sha256 not in self._manifests:
            bucket, sealed = await self._payload(packet.frame, batch)
            if bucket is None or sealed is None:
                return None
            content = self._state.gate.content_of(packet.head, bucket, sealed, packet.frame_sha256)
            self._keep(packet.head_sha256, decode_manifest(content))
        return self._manifests.get(packet.head_sha256)

    async def _payload(self, frame: int, batch: Batch) -> tuple[str | None, bytes | None]:
        """Return bucket and sealed payload of a frame, perhaps kept by this very batch."""
        for row in batch.changes.payloads:
            if row.frame == frame:
                return row.bucket, row.sealed
        _, _, bucket, sealed = await self._state.archive.stored_frame(frame)
        return bucket, sealed

    def _keep(self, head_sha256: bytes, manifest: Manifest) -> None:
        if len(self._manifests) >= MANIFESTS_MAX:
            self._manifests.pop(next(iter(self._manifests)))
        self._manifests[head_sha256] = manifest


def part_name(header: Header) -> PartName:
    """Return what a part is known by."""
    assert header.part is not None, f"{header.type} is no part"
    return header.from_, header.epoch, header.part.of, header.part.number


def _bucket(trail: Trail | None, whole: Whole, batch: Batch) -> str | None:
    """Return where a manifest's payload is kept, perhaps by this very batch."""
    if whole.bucket is not None or trail is None:
        return whole.bucket
    frame = trail.packet.frame
    return next((row.bucket for row in batch.changes.payloads if row.frame == frame), None)
