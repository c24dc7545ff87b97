"""The vectors of journals between neighbours (docs/protocol.md clauses 18.1 to 18.3)."""

import hashlib
from typing import Any

from schemas.addresses import dns_name
from schemas.moments import SECOND
from schemas.object_header import Body
from schemas.objects import AnyObject, Ask
from schemas.witnessing import Checkpoint, Cosigned, Proven
from signing.cosigner import Cosigner
from signing.notes import origin, sign_checkpoint
from signing.proofs import AddCheckpoint, LeafProof, proof_text, request_body
from signing.seal import sign_object
from store.merkle import consistency_spans, inclusion_spans, leaf_hash, root_of
from vectors.fixed_keys import DISTRICT, NOW, OBLAST, FixedNetwork

Vector = dict[str, Any]

RECORDS = [f"leaf {number}".encode() for number in range(9)]
HASHES = [leaf_hash(record) for record in RECORDS]


def witnessing(network: FixedNetwork) -> dict[str, Any]:
    """Return one object of each kind, and requests with what a witness answers."""
    node, witness = network.nodes[DISTRICT], network.nodes[OBLAST]
    name, note = origin(DISTRICT, 1), _note(network, 7)
    cosigner = Cosigner(OBLAST, witness.witness)
    lines = cosigner.cosign(note.partition("\n\n")[0] + "\n", NOW // SECOND)
    shown = request_body(AddCheckpoint(3, _extends(3, 7), note))
    leaf = LeafProof(3, _includes(3, 7), note, RECORDS[3])
    up = {"from_": DISTRICT, "to": OBLAST}
    down = {"from_": OBLAST, "to": DISTRICT}
    answer = {"origin": name, "size": 7}
    good = {
        "checkpoint-shown": _signed(
            network, Checkpoint, shown, **up, number=NOW + 60, journal=node.journal.fingerprint
        ),
        "cosigned-answer": _signed(
            network, Cosigned, lines.encode(), **down, number=NOW + 61, **answer, status=200,
            witness=witness.witness.fingerprint, keys=cosigner.vkeys,
        ),
        "cosigned-conflict": _signed(
            network, Cosigned, note.encode(), **down, number=NOW + 62, **answer, status=409,
            detail="size 7 is held",
        ),
        "ask-leaf": _signed(
            network, Ask, None, **down, number=NOW + 63, what="leaf", after=3, of_epoch=1
        ),
        "proven": _signed(
            network, Proven, proof_text(leaf).encode(), **up, number=NOW + 64, of_epoch=1, index=3,
            journal=node.journal.fingerprint,
        ),
    }  # fmt: skip
    return {
        "good": [_described(name, raw) for name, raw in good.items()],
        "records": [record.decode() for record in RECORDS],
        "requests": _requests(network),
        "witness": dns_name(OBLAST),
    }


def _requests(network: FixedNetwork) -> list[Vector]:
    """Return bodies as a witness gets them that holds seven leaves, each with its answer."""
    node, stranger = network.nodes[DISTRICT], network.nodes[OBLAST]
    note = _note(network, 9)
    false = [leaf_hash(f"other {number}".encode()) for number in range(9)]
    other = sign_checkpoint(origin(DISTRICT, 1), 7, root_of(false[:7]), node.journal)
    by_stranger = sign_checkpoint(origin(DISTRICT, 1), 9, root_of(HASHES), stranger.journal)
    elsewhere = sign_checkpoint(origin(OBLAST, 1), 9, root_of(HASHES), node.journal)
    proof = _extends(7, 9)
    cases: dict[str, tuple[int, AddCheckpoint, bool]] = {
        "extends": (200, AddCheckpoint(7, proof, note), False),
        "again": (200, AddCheckpoint(7, [], _note(network, 7)), False),
        "old-beyond-size": (400, AddCheckpoint(10, [], note), False),
        "signed-by-another-key": (403, AddCheckpoint(7, proof, by_stranger), False),
        "of-another-journal": (404, AddCheckpoint(7, proof, elsewhere), False),
        "old-not-held": (409, AddCheckpoint(4, _extends(4, 9), note), False),
        "smaller": (409, AddCheckpoint(0, [], _note(network, 4)), False),
        "other-root": (409, AddCheckpoint(7, [], other), True),
        "proof-altered": (422, AddCheckpoint(7, [bytes(32), *proof[1:]], note), True),
    }
    return [
        {"name": name, "body": request_body(asked).decode(), "held": 7, "status": status,
         "forked": forked}
        for name, (status, asked, forked) in cases.items()
    ]  # fmt: skip


def _note(network: FixedNetwork, size: int) -> str:
    signer = network.nodes[DISTRICT].journal
    return sign_checkpoint(origin(DISTRICT, 1), size, root_of(HASHES[:size]), signer)


def _extends(old_size: int, size: int) -> list[bytes]:
    return [root_of(HASHES[first:end]) for first, end in consistency_spans(old_size, size)]


def _includes(index: int, size: int) -> list[bytes]:
    return [root_of(HASHES[first:end]) for first, end in inclusion_spans(index, size)]


def _signed(
    network: FixedNetwork, kind: type[AnyObject], body: bytes | None, **fields: Any
) -> bytes:
    signer = network.nodes[fields["from_"]].packet
    named = {"epoch": 1, "certificate": signer.fingerprint, **fields}
    if body is not None:
        named["body"] = Body(hashlib.sha256(body).hexdigest(), len(body))
    return sign_object(kind(**named), signer, body or b"")


def _described(name: str, raw: bytes) -> Vector:
    size = 9 + int.from_bytes(raw[7:9])
    body = raw[size + 2 + int.from_bytes(raw[size : size + 2]) :]
    header = raw[9:size].decode("ascii")
    return {"name": name, "object": raw.hex(), "header": header, "body": body.decode()}
