"""The vectors of lost journals: the wish, the leaf of a new epoch, and frames back (18.4, 18.5)."""

import hashlib
from typing import Any

from schemas.leaves import LeafKind, leaf_record
from schemas.moments import format_instant
from schemas.object_header import Body
from schemas.objects import AnyObject, Ask, pack_bundle_body
from schemas.witnessing import Recover, Returned
from signing.notes import origin
from signing.seal import sign_object
from vectors.cards import OPENED
from vectors.fixed_keys import DISTRICT, NOW, SCHOOL, FixedNetwork
from vectors.issuing import described

LEFT = 5


def recovery(network: FixedNetwork, frame: bytes, card: bytes) -> dict[str, Any]:
    """Return what a restored school asks, how its epoch begins, and what its district brings."""
    root = hashlib.sha256(b"\0left").hexdigest()
    why = "7 leaves of epoch 1 were signed, 5 are here"
    lost = {"of_epoch": 1, "leaves": LEFT, "root": root, "why": why}
    ask = {"what": "returned", "after": 1, "of_epoch": 1, "lane": "bulk"}
    body = pack_bundle_body([network.nodes[SCHOOL].packet.certificate], [frame])
    back = {"lane": "bulk", "of_epoch": 1, "last": 3}
    leaf = leaf_record(
        LeafKind.EPOCH,
        at=format_instant(NOW + 1),
        address=SCHOOL,
        epoch="2",
        origin=origin(SCHOOL, 2),
        after_origin=origin(SCHOOL, 1),
        after_size=str(OPENED.size),
        after_root=OPENED.root,
        left=str(LEFT),
        card_sha256=hashlib.sha256(card).hexdigest(),
    )
    stamp = {"from_": SCHOOL, "to": DISTRICT}
    return {
        "good": [
            described("recover", _signed(network, Recover, b"", **stamp, number=NOW + 70, **lost)),
            described("ask-returned", _signed(network, Ask, b"", **stamp, number=NOW + 71, **ask)),
            described(
                "returned",
                _signed(
                    network, Returned, body, from_=DISTRICT, to=SCHOOL, number=NOW + 72, **back
                ),
            ),
        ],
        "leaf": leaf.decode("ascii"),
        "frame_sha256": hashlib.sha256(frame).hexdigest(),
    }


def _signed(network: FixedNetwork, kind: type[AnyObject], body: bytes, **fields: Any) -> bytes:
    signer = network.nodes[fields["from_"]].packet
    named = {"epoch": 1, "certificate": signer.fingerprint, **fields}
    if body:
        named["body"] = Body(hashlib.sha256(body).hexdigest(), len(body))
    return sign_object(kind(**named), signer, body)
