"""The vectors of large files: the content of a manifest, and an ask for two of its parts (8.8)."""

from typing import Any

import msgspec

from schemas.documents.file import FileFacts
from schemas.limits import PART_CONTENT_BYTES
from schemas.manifest import ManifestFacts, encode_manifest, piece_of
from schemas.statements import Lacking
from signing.seal import sign_object
from vectors.fixed_keys import NOW, OBLAST, SCHOOL, FixedNetwork
from vectors.issuing import described

PIECES = (bytes(PART_CONTENT_BYTES), b"the rest")
"""What the file consists of: two parts."""


def manifest_content(facts: FileFacts) -> bytes:
    """Return the manifest of the file, whose facts are those of a small one and its size."""
    whole = ManifestFacts(**msgspec.structs.asdict(facts), size=sum(map(len, PIECES)))
    return encode_manifest(whole, b"".join(piece_of(piece).sha256 for piece in PIECES))


def parts(network: FixedNetwork, manifest_id: str) -> dict[str, Any]:
    """Return what an oblast asks of its school, as if the file had nine parts."""
    signer = network.nodes[OBLAST].packet
    asked = Lacking(
        from_=OBLAST,
        to=SCHOOL,
        epoch=1,
        number=NOW + 90,
        certificate=signer.fingerprint,
        packet_epoch=1,
        packet=manifest_id,
        parts=((2, 2), (5, 9)),
    )
    return {"good": [described("lacking", sign_object(asked, signer))]}
