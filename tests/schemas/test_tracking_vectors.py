"""The vectors of tracking: a question, and an answer whose first leaf is proven."""

import json
from pathlib import Path

import pytest
from cryptography import x509

from schemas.leaves import read_leaf
from schemas.limits import Limits
from schemas.moments import parse_instant
from schemas.objects import unpack_pieces
from signing.authenticate import check_object
from signing.chain import TrustStore
from signing.notes import KeyType, VerifierKey, open_note, origin, read_checkpoint
from signing.proofs import read_proof
from store.merkle import inclusion_holds, leaf_hash

FOLDER = Path(__file__).parents[1] / "vectors"
TRACKING = json.loads((FOLDER / "tracking.json").read_text(encoding="utf-8"))
TRUST = json.loads((FOLDER / "trust.json").read_text(encoding="utf-8"))
NOW = parse_instant("2026-11-23T03:32:06.000000Z")
DISTRICT, OBLAST, SCHOOL = "kz.akmola.burabay", "kz.akmola", "kz.akmola.burabay.school-7"


@pytest.fixture(scope="module")
def trust():
    store = TrustStore(bytes.fromhex(TRUST["root"]["certificate"]))
    pairs = [*TRUST["authorities"].values()]
    pairs += [pair for node in TRUST["nodes"].values() for pair in node.values()]
    store.add_certificates([bytes.fromhex(pair["certificate"]) for pair in pairs])
    for crl in TRUST["crls"]:
        store.add_crl(bytes.fromhex(crl))
    return store


@pytest.mark.parametrize("vector", TRACKING["good"], ids=lambda one: one["name"])
def test_an_object_holds(vector, trust):
    """Header and body are what the vector says, whoever of the way brings it."""
    found = check_object(
        bytes.fromhex(vector["object"]), trust=trust, here=OBLAST, neighbour=DISTRICT, now=NOW,
        limits=Limits(),
    )  # fmt: skip
    assert found.body.hex() == vector["body"]
    assert found.signed[9:].decode() == vector["header"]


def test_the_leaf_is_in_the_journal_of_who_answers(trust):
    """Its proof holds under a checkpoint by the key that the answer names; the other is bare."""
    said = next(one for one in TRACKING["good"] if one["name"] == "tracked")
    (proven, bare), _ = unpack_pieces(bytes.fromhex(said["body"]))
    proof = read_proof(proven.decode())
    header = json.loads(said["header"])
    assert proven.decode() == TRACKING["proof"]
    certificate = x509.load_der_x509_certificate(trust.ders_for(header["journal"])[0])
    public = certificate.public_key().public_bytes_raw()
    key = VerifierKey(origin(DISTRICT, 1), KeyType.ED25519, public)
    head = read_checkpoint(open_note(proof.note, [key]).text)
    assert head.origin == origin(DISTRICT, 1)
    hashed = leaf_hash(proof.leaf)
    assert inclusion_holds(proof.index, head.size, hashed, proof.hashes, head.root)
    for record, kind in ((proof.leaf, "relayed"), (bare, "overdue")):
        leaf = read_leaf(record)
        assert (leaf["kind"], leaf["from"], leaf["id"]) == (kind, SCHOOL, header["packet"])
        assert leaf["head-sha256"] == TRACKING["head_sha256"]
