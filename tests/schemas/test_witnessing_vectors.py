"""The vectors of journals between neighbours, and the examples that C2SP prints."""

import json

import pytest

from exchange.core.witness import Head, Request, judge
from schemas import wire
from schemas.errors import FormatError
from schemas.limits import Limits
from schemas.reasons import Reason
from signing.authenticate import check_object
from signing.chain import TrustStore
from signing.note_text import read_signature_line, split_note
from signing.notes import (
    KeyType,
    VerifierKey,
    checkpoint_of,
    cosigned_bytes,
    open_note,
    origin,
    read_vkey,
    subtree_bytes,
)
from signing.proofs import read_proof, read_request, request_body
from store.merkle import consistency_holds, inclusion_holds, leaf_hash, root_of
from vectors.fixed_keys import DISTRICT, NOW, OBLAST, FixedNetwork
from vectors.make_vectors import FOLDER


def load(name):
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


VECTORS, C2SP, MLDSA, NOTES = (
    load(f"{name}.json") for name in ("witnessing", "c2sp/examples", "c2sp/mldsa44", "notes")
)
HASHES = [leaf_hash(record.encode()) for record in VECTORS["records"]]


def named(vectors):
    return [pytest.param(one, id=one["name"]) for one in vectors]


@pytest.fixture(scope="module")
def network():
    return FixedNetwork()


@pytest.fixture(scope="module")
def trust(network):
    store = TrustStore(network.root.der)
    store.add_certificates(network.certificates)
    for crl in network.crls:
        store.add_crl(crl)
    return store


@pytest.fixture(scope="module")
def journal(network):
    key = network.nodes[DISTRICT].journal
    return VerifierKey(origin(DISTRICT, 1), KeyType.ED25519, key.public_bytes)


@pytest.mark.parametrize("vector", named(VECTORS["good"]))
def test_good_object(vector, trust):
    """Each object passes its check, and says what header and body of the vector say."""
    raw = bytes.fromhex(vector["object"])
    up = json.loads(vector["header"])["from"] == DISTRICT
    here, neighbour = (OBLAST, DISTRICT) if up else (DISTRICT, OBLAST)
    limits = Limits()
    found = check_object(raw, trust=trust, here=here, neighbour=neighbour, now=NOW, limits=limits)
    assert wire.encode(found.header).decode() == vector["header"]
    assert found.body.decode() == vector["body"]


@pytest.mark.parametrize("vector", named(VECTORS["requests"]))
def test_a_witness_answers(vector, journal):
    """Who holds seven leaves answers each request with the status of the vector."""
    asked = read_request(vector["body"].encode())
    assert request_body(asked).decode() == vector["body"]
    shown = checkpoint_of(asked.note)
    held = Head(vector["held"], root_of(HASHES[: vector["held"]]))
    try:
        open_note(asked.note, [journal])
        is_signed = True
    except FormatError:
        is_signed = False
    extends = consistency_holds(held.size, shown.size, held.root, shown.root, asked.hashes)
    request = Request(
        Head(shown.size, shown.root),
        asked.old_size,
        is_known=shown.origin == journal.name,
        is_signed=is_signed,
        extends=asked.old_size == held.size and extends,
    )
    verdict = judge(request, held, held.root if shown.size == held.size else None)
    assert (verdict.status, verdict.forked) == (vector["status"], vector["forked"])


def test_a_proven_leaf(journal):
    """The proof of the vector shows its leaf under the note in it."""
    body = next(one["body"] for one in VECTORS["good"] if one["name"] == "proven")
    proof = read_proof(body)
    head = checkpoint_of(proof.note)
    open_note(proof.note, [journal])
    assert proof.leaf == VECTORS["records"][proof.index].encode()
    hashed = leaf_hash(proof.leaf)
    assert inclusion_holds(proof.index, head.size, hashed, proof.hashes, head.root)


# ------------------------------------------------------------------ what C2SP prints


def test_the_printed_cosigned_message():
    """The message that an Ed25519 cosignature covers is the one that tlog-cosignature prints."""
    text, _ = split_note(C2SP["cosigned_note"])
    assert cosigned_bytes(text, C2SP["time"]).decode() == C2SP["cosigned_message"]


def test_the_printed_cosigned_note():
    """The printed note has its two signers, and the cosignature's time where we look for it."""
    _, lines = split_note(C2SP["cosigned_note"])
    signers = [read_signature_line(line) for line in lines]
    assert [name for name, _, _ in signers] == [C2SP["log"], C2SP["witness"]]
    assert int.from_bytes(signers[1][2][:8]) == C2SP["time"]
    assert checkpoint_of(C2SP["cosigned_note"]).size == C2SP["size"]


def test_the_printed_request():
    """The body that tlog-witness prints is read, and written again to the same bytes."""
    asked = read_request(C2SP["add_checkpoint"].encode())
    assert (asked.old_size, len(asked.hashes)) == (C2SP["old_size"], 4)
    assert checkpoint_of(asked.note).size == C2SP["size"]
    assert request_body(asked).decode() == C2SP["add_checkpoint"]


# ------------------------------------------------------------------ ML-DSA-44


def test_the_message_of_an_mldsa_cosignature():
    """Label, witness, time, log, start, end and root stand where tlog-cosignature has them."""
    text, _ = split_note(NOTES["note"])
    message = subtree_bytes(text, MLDSA["name"], MLDSA["time"])
    assert message.hex() == MLDSA["cosigned_message"]
    name, log = MLDSA["name"].encode(), NOTES["origin"].encode()
    assert message == (
        b"subtree/v1\n\x00"
        + bytes([len(name)])
        + name
        + MLDSA["time"].to_bytes(8)
        + bytes([len(log)])
        + log
        + bytes(8)
        + NOTES["size"].to_bytes(8)
        + bytes.fromhex(NOTES["root"])
    )


def test_an_mldsa_cosignature_holds():
    """The line made with the key of the vector opens under its verifier key, with its time."""
    key = read_vkey(MLDSA["vkey"])
    assert key.type is KeyType.MLDSA44_COSIGNATURE
    (signature,) = open_note(NOTES["note"] + MLDSA["line"], [key]).signatures
    assert (signature.name, signature.time) == (MLDSA["name"], MLDSA["time"])


def test_an_mldsa_cosignature_of_another_checkpoint_does_not_hold():
    """Size, root and origin are covered: the line under another note proves nothing."""
    other = NOTES["note"].replace("\n7\n", "\n8\n")
    with pytest.raises(FormatError) as refused:
        open_note(other + MLDSA["line"], [MLDSA["vkey"]])
    assert refused.value.reason is Reason.SIG_INVALID


def test_an_mldsa_key_under_another_name_is_another_key():
    """The name is part of the key's id and of what is signed."""
    key = read_vkey(MLDSA["vkey"])
    renamed = VerifierKey("abai.kz.bbaj.internal", key.type, key.public_key)
    with pytest.raises(FormatError, match="no known key"):
        open_note(NOTES["note"] + MLDSA["line"], [renamed])
