"""Manifests read back, and nothing else is one (docs/protocol.md 5.10)."""

import msgspec
import pytest

from schemas.documents.common import SourceRef
from schemas.documents.contents import read_content
from schemas.documents.faults import DocumentError
from schemas.errors import FormatError
from schemas.limits import PART_CONTENT_BYTES, PARTS_MAX, PAYLOAD_BYTES_MAX, WHOLE_BYTES_MAX
from schemas.manifest import (
    MANIFEST_MEDIA_TYPE,
    Manifest,
    ManifestFacts,
    as_file,
    decode_manifest,
    encode_manifest,
    piece_of,
)

SOURCE = SourceRef(kind="register", issuer="kz.akmola", number="1")
DIGEST = bytes(32)


def facts(size, **changes):
    return ManifestFacts(
        **{"title": "survey", "media_type": "text/csv", "source_ref": SOURCE} | changes, size=size
    )


@pytest.mark.parametrize(
    ("size", "parts"),
    [
        (1, 1),
        (PART_CONTENT_BYTES, 1),
        (PART_CONTENT_BYTES + 1, 2),
        (WHOLE_BYTES_MAX, PARTS_MAX),
    ],
)
def test_a_manifest_reads_back(size, parts):
    """Facts and digests come back; the parts are as many as its size has."""
    manifest = Manifest(facts(size), DIGEST * parts)
    assert decode_manifest(encode_manifest(manifest.facts, manifest.digests)) == manifest
    assert manifest.parts == parts
    assert sum(manifest.size_of(number + 1) for number in range(parts)) == size


def test_the_largest_manifest_fits_one_packet():
    """A file of 4 GiB needs one manifest, with room for its facts and for encryption."""
    whole = encode_manifest(facts(WHOLE_BYTES_MAX, title="ы" * 300), DIGEST * PARTS_MAX)
    assert len(whole) < PAYLOAD_BYTES_MAX - 64 * 1024


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "format-invalid"),
        (b"\0\5{", "format-invalid"),
        (b"\0\2{}" + DIGEST, "format-invalid"),
        (encode_manifest(facts(1), DIGEST) + b"\0", "parts-mismatch"),
        (encode_manifest(facts(1), DIGEST)[:-1], "parts-mismatch"),
        (encode_manifest(facts(1), DIGEST) + DIGEST, "parts-mismatch"),
    ],
)
def test_what_is_no_manifest_is_refused(raw, reason):
    """Each defect has its reason."""
    with pytest.raises(FormatError) as refused:
        decode_manifest(raw)
    assert refused.value.reason == reason


def test_a_file_over_the_limit_is_too_large():
    """4 GiB and one byte are refused before any digest is looked at."""
    raw = msgspec.json.encode(facts(WHOLE_BYTES_MAX + 1))
    with pytest.raises(FormatError) as refused:
        decode_manifest(len(raw).to_bytes(2, "big") + raw)
    assert refused.value.reason == "too-large"


def test_facts_that_no_file_has_become_no_manifest():
    """What a drop says of a file is checked as that of a small one."""
    with pytest.raises(DocumentError):
        encode_manifest(facts(1, title="a\0b"), DIGEST)


def test_a_part_is_named_by_number_size_and_digest():
    """Other content, another place or another length is no part of the file."""
    first, last = b"a" * PART_CONTENT_BYTES, b"b"
    pieces = [piece_of(first), piece_of(last)]
    manifest = Manifest(facts(len(first) + 1), b"".join(piece.sha256 for piece in pieces))
    named = [
        (number, at)
        for number in range(-1, 4)
        for at, piece in enumerate(pieces, 1)
        if manifest.names(number, piece.sha256, piece.size)
    ]
    assert named == [(1, 1), (2, 2)]
    assert not manifest.names(2, pieces[1].sha256, 2)


def test_a_manifest_is_found_by_the_title_of_its_file():
    """What looks at documents sees the file without its bytes."""
    raw = encode_manifest(facts(1), DIGEST)
    found = read_content("document.file/1", raw, MANIFEST_MEDIA_TYPE)
    assert (found.title, found.media_type, found.body) == ("survey", "text/csv", b"")
    bare = read_content(
        "document.file/1", as_file(raw, "document.file/1", MANIFEST_MEDIA_TYPE), "any"
    )
    assert bare == found


def test_another_type_has_no_manifest():
    """Whoever seals an order may name that media type: its content stays what it is."""
    found = read_content("admin.order/1", b"\xff", MANIFEST_MEDIA_TYPE)
    assert found.body == b"\xff"
    assert as_file(b"\xff", "admin.order/1", MANIFEST_MEDIA_TYPE) == b"\xff"
