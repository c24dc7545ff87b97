"""The vectors of rebuilding: a question for what was lost, and the page that answers it (25.2)."""

import hashlib
from typing import Any

from exchange.core.streams import CHAIN_START, chain_after
from schemas.object_header import Body
from schemas.objects import AnyObject, CustodyNote, StreamPosition, pack_bundle_body, pack_pieces
from schemas.rebuilding import Absent, Rebuild, Rebuilt
from signing.seal import sign_object
from vectors.fixed_keys import DISTRICT, NOW, SCHOOL, FixedNetwork
from vectors.issuing import described

STAMP = {"lane": "bulk", "of_epoch": 1}


def rebuilding(network: FixedNetwork, frame: bytes) -> dict[str, Any]:
    """Return what a district asks of a school that had sent it two frames, and the one left."""
    digests = [hashlib.sha256(b"gone").digest(), hashlib.sha256(frame).digest()]
    chain = CHAIN_START
    for number, digest in enumerate(digests, 1):
        chain = chain_after(chain, number, digest)
    position = StreamPosition("bulk", 1, 2, chain.hex(), 2)
    down = {"from_": DISTRICT, "to": SCHOOL}
    note = _signed(network, CustodyNote, b"", **down, number=NOW + 60, position=position)
    signers = [network.nodes[each].packet.certificate for each in (DISTRICT, SCHOOL)]
    body = pack_bundle_body(signers, [pack_pieces([note]), b"".join(digests), frame])
    page = {"after": 0, "through": 2, "last": 2, "absent": (Absent(1, "destroyed"),)}
    up = {"from_": SCHOOL, "to": DISTRICT}
    asked = _signed(network, Rebuild, b"", **down, number=NOW + 90, **STAMP, after=0)
    brought = _signed(network, Rebuilt, body, **up, number=NOW + 91, **STAMP, **page)
    return {"good": [described("rebuild", asked), described("rebuilt", brought)]}


def _signed(network: FixedNetwork, kind: type[AnyObject], body: bytes, **fields: Any) -> bytes:
    signer = network.nodes[fields["from_"]].packet
    named = {"epoch": 1, "certificate": signer.fingerprint, **fields}
    if body:
        named["body"] = Body(hashlib.sha256(body).hexdigest(), len(body))
    return sign_object(kind(**named), signer, body)
