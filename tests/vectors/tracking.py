"""The vectors of tracking: a question, an answer with one leaf proven, and one bare (18.6)."""

import hashlib
import json
from typing import Any

from schemas.leaves import LeafKind, leaf_record
from schemas.moments import format_instant
from schemas.object_header import Body
from schemas.objects import AnyObject, pack_pieces
from schemas.statements import Track, Tracked
from signing.notes import origin, sign_checkpoint
from signing.proofs import LeafProof, proof_text
from signing.seal import sign_object
from store.merkle import leaf_hash, root_of
from vectors.fixed_keys import DISTRICT, NOW, OBLAST, SCHOOL, FixedNetwork
from vectors.issuing import described

INDEX = 1


def tracking(network: FixedNetwork, frame: dict[str, Any]) -> dict[str, Any]:
    """Return what a school asks of its packet, what its district answers, and the proof in it."""
    packet = json.loads(frame["header"])["id"]
    name = {"sender": SCHOOL, "packet_epoch": 1, "packet": packet}
    header = {
        "id": packet, "from_": SCHOOL, "to": OBLAST, "epoch": "1",
        "head_sha256": frame["head_sha256"],
    }  # fmt: skip
    relayed, overdue = (
        leaf_record(kind, at=format_instant(NOW + after), **header)
        for kind, after in ((LeafKind.RELAYED, 1), (LeafKind.OVERDUE, 2))
    )
    journal = network.nodes[DISTRICT].journal
    hashes = [leaf_hash(each) for each in (b"bbaj-leaf/1\n", relayed)]
    note = sign_checkpoint(origin(DISTRICT, 1), len(hashes), root_of(hashes), journal)
    proof = proof_text(LeafProof(INDEX, hashes[:1], note, relayed))
    body = pack_pieces([proof.encode(), overdue])
    asked = _signed(network, Track, b"", from_=SCHOOL, to=OBLAST, number=NOW + 60, **name)
    said = _signed(
        network, Tracked, body, from_=DISTRICT, to=SCHOOL, number=NOW + 61, **name,
        journal=journal.fingerprint,
    )  # fmt: skip
    return {
        "good": [described("track", asked), described("tracked", said)],
        "proof": proof,
        "head_sha256": frame["head_sha256"],
    }


def _signed(network: FixedNetwork, kind: type[AnyObject], body: bytes, **fields: Any) -> bytes:
    signer = network.nodes[fields["from_"]].packet
    named = {"epoch": 1, "certificate": signer.fingerprint, **fields}
    if body:
        named["body"] = Body(hashlib.sha256(body).hexdigest(), len(body))
    return sign_object(kind(**named), signer, body)
