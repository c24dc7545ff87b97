"""Large files handed over through the record, as `bbaj send` does (docs/protocol.md 5.10)."""

import asyncio

from harness.drafts import OBLAST
from nodes import clock
from schemas.documents.common import SourceRef
from schemas.limits import PART_CONTENT_BYTES
from schemas.manifest import ManifestFacts, encode_manifest, piece_of
from schemas.records import DropPart, PendingDrop

SECTIONS = {"document.file/1": "S01", "admin.order/1": "S05"}
SOURCE = SourceRef(kind="register", issuer=OBLAST, number="1")


def cut(data):
    """Return the parts of a file."""
    return [data[at : at + PART_CONTENT_BYTES] for at in range(0, len(data), PART_CONTENT_BYTES)]


def manifest_of(pieces):
    """Return the manifest that names these parts."""
    facts = ManifestFacts(
        title="survey", media_type="text/plain", source_ref=SOURCE, size=sum(map(len, pieces))
    )
    return encode_manifest(facts, b"".join(piece_of(piece).sha256 for piece in pieces))


async def hand_over(node, pieces, manifest=None, drop_id="big-1", type_="document.file/1", to="kz"):
    """Hand a file over, in the parts that it was cut into."""
    gate, at = node.service.state.gate, clock.now()
    bucket = gate.bucket("R5", None, at)
    body = manifest or manifest_of(pieces)
    row = PendingDrop(
        "command", drop_id, at, type_, to, SECTIONS[type_], None, None, None, None,
        bucket, gate.seal_for_rest(bucket, f"command/{drop_id}".encode(), body), None, len(pieces),
    )  # fmt: skip

    async def parts():
        for number, piece in enumerate(pieces, 1):
            sealed = gate.seal_for_rest(bucket, f"command/{drop_id}/{number}".encode(), piece)
            yield DropPart("command", drop_id, number, bucket, sealed)

    assert await node.archive.drop(row, parts()) is True


async def manifest_id(node, drop_id="big-1"):
    """Wait until the manifest is sealed; return its id."""
    async with asyncio.timeout(30):
        while (outcome := await node.archive.drop_outcome("command", drop_id)) is None:  # noqa: ASYNC110 - the record tells no events
            await asyncio.sleep(0.02)
    assert outcome.frame is not None, outcome
    return (await node.archive.trail_of_frame([outcome.frame]))[outcome.frame].packet.id


async def content_at(node, packet_id, sender=OBLAST):
    """Return what has come of a file, put together."""
    contents = []
    parts = await node.archive.parts_of((sender, 1, packet_id))
    for frame in parts.values():
        packet, _, bucket, sealed = await node.archive.stored_frame(frame)
        gate = node.service.state.gate
        contents.append(gate.content_of(packet.head, bucket, sealed, packet.frame_sha256))
    return b"".join(contents)
