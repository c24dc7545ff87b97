"""The vectors of large files: manifest, part, and the ask for parts that were lost (5.10, 8.8)."""

import json
from pathlib import Path

from schemas.frame import cut
from schemas.manifest import as_file, decode_manifest, is_manifest, piece_of
from schemas.objects import cut_object
from schemas.statements import Lacking

FOLDER = Path(__file__).parents[1] / "vectors"
FRAMES = {
    one["name"]: one for one in json.loads((FOLDER / "frames.json").read_text(encoding="utf-8"))
}
PARTS = json.loads((FOLDER / "parts.json").read_text(encoding="utf-8"))


def test_a_manifest_names_its_part():
    """Number, digest and size of the part are those that the manifest holds, and no others."""
    header = cut(bytes.fromhex(FRAMES["manifest"]["frame"])).header
    part = cut(bytes.fromhex(FRAMES["part"]["frame"])).header
    content = bytes.fromhex(FRAMES["manifest"]["content"])
    manifest = decode_manifest(content)
    piece = piece_of(bytes.fromhex(FRAMES["part"]["content"]))
    assert is_manifest(header.type, header.payload.media_type)
    assert (part.part.of, part.seq, header.part) == (header.id, None, None)
    assert (manifest.parts, manifest.facts.size) == (2, 262_152)
    assert manifest.names(part.part.number, piece.sha256, piece.size)
    assert not manifest.names(1, piece.sha256, piece.size)
    assert manifest.facts.title.encode() in as_file(content, header.type, header.payload.media_type)


def test_the_ask_names_ranges_of_parts():
    """Both ends of a range are meant, what lies between two ranges is not."""
    (vector,) = PARTS["good"]
    asked = cut_object(bytes.fromhex(vector["object"])).header
    assert isinstance(asked, Lacking)
    assert [number for number in range(1, 12) if asked.names(number)] == [2, 5, 6, 7, 8, 9]
    assert asked.packet == cut(bytes.fromhex(FRAMES["manifest"]["frame"])).header.id
