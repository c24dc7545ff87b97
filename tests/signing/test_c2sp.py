"""The examples printed in the C2SP specifications, and the same made anew under keys of our own."""

import base64
import hashlib
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from schemas.errors import FormatError
from signing.note_text import read_signature_line, split_note
from signing.notes import (
    KeyType,
    NoteSignature,
    VerifierKey,
    cosigned_bytes,
    open_note,
    read_checkpoint,
    read_vkey,
)
from signing.proofs import LeafProof, proof_text, read_proof
from store.merkle import edge_tiles
from store.tiles import tile_path

EXAMPLES = json.loads(
    (Path(__file__).parents[1] / "vectors/c2sp/printed.json").read_text(encoding="utf-8")
)
NOTE, COSIGNED, PROOF, TILES = (
    EXAMPLES[name] for name in ("signed_note", "tlog_cosignature", "tlog_proof", "tlog_tiles")
)


def key_of(name, seed, type_):
    """Return the verifier key of a seed."""
    private = ed25519.Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed))
    return VerifierKey(name, type_, private.public_key().public_bytes_raw())


def test_printed_note_is_cut_as_it_says():
    """The text ends at the last empty line, and may have others; the key's id stands in front."""
    text, lines = split_note(NOTE["printed"])
    assert text == NOTE["text"]
    assert "\n\n" in text
    name, identity, signature = read_signature_line(lines[0])
    assert (name, identity.hex(), len(signature)) == (NOTE["name"], NOTE["key_id"], 64)


def test_note_made_anew_opens():
    """The same text under a key of ours opens, and under no other."""
    key = key_of(NOTE["name"], NOTE["seed"], KeyType.ED25519)
    assert key.text == NOTE["vkey"]
    opened = open_note(NOTE["note"], [NOTE["vkey"]])
    assert (opened.text, opened.signatures) == (NOTE["text"], [NoteSignature(NOTE["name"])])
    with pytest.raises(FormatError, match="no known key"):
        open_note(NOTE["printed"], [NOTE["vkey"]])


def test_unknown_signatures_are_passed_over():
    """A line of a key that is not known harms nothing, though the name is the same."""
    both = NOTE["printed"] + NOTE["note"].partition("\n\n\u2014")[2].join(("\u2014", ""))
    assert open_note(both, [NOTE["vkey"]]).text == NOTE["text"]


def test_printed_cosignature_is_cut_as_it_says():
    """Checkpoint, witness and time come out of the printed note."""
    text, lines = split_note(COSIGNED["printed"])
    checkpoint = read_checkpoint(text)
    assert checkpoint.origin == COSIGNED["origin"]
    assert (checkpoint.size, checkpoint.root.hex()) == (COSIGNED["size"], COSIGNED["root"])
    name, _, signature = read_signature_line(lines[1])
    assert (name, int.from_bytes(signature[:8])) == (COSIGNED["witness"], COSIGNED["time"])
    assert len(signature) == 8 + 64


def test_message_of_a_cosignature_is_the_printed_one():
    """What a witness signs is what the specification prints."""
    text, _ = split_note(COSIGNED["printed"])
    assert cosigned_bytes(text, COSIGNED["time"]) == COSIGNED["signed"].encode()


def test_cosignature_made_anew_opens():
    """Both signatures hold, the witness's with its time."""
    keys = [
        key_of(COSIGNED["origin"], COSIGNED["log_seed"], KeyType.ED25519),
        key_of(COSIGNED["witness"], COSIGNED["witness_seed"], KeyType.COSIGNATURE_V1),
    ]
    assert [key.text for key in keys] == COSIGNED["vkeys"]
    assert open_note(COSIGNED["note"], COSIGNED["vkeys"]).signatures == [
        NoteSignature(COSIGNED["origin"]),
        NoteSignature(COSIGNED["witness"], COSIGNED["time"]),
    ]


def test_key_ids_are_those_of_the_specification():
    """The id is the start of SHA-256 of name, newline, type and key, for either type."""
    for text in COSIGNED["vkeys"]:
        key = read_vkey(text)
        hashed = key.name.encode() + b"\n" + bytes([key.type]) + key.public_key
        assert hashlib.sha256(hashed).hexdigest()[:8] == text.split("+")[1]


def test_proof_is_read_and_written():
    """A proof file says index, hashes, extra data and checkpoint, and has one encoding."""
    proof = read_proof(PROOF["proof"])
    assert proof == LeafProof(
        PROOF["index"],
        [base64.b64decode(each) for each in PROOF["hashes"]],
        PROOF["note"],
        PROOF["extra"].encode(),
    )
    assert proof_text(proof) == PROOF["proof"]
    opened = open_note(proof.note, [PROOF["vkey"]])
    checkpoint = read_checkpoint(opened.text)
    assert (checkpoint.origin, checkpoint.size) == (PROOF["origin"], PROOF["size"])


def test_tiles_of_the_printed_size():
    """The example of 70,000 entries has the tiles that the specification counts."""
    assert {str(level): width for level, _, width in edge_tiles(TILES["size"])} == TILES["partial"]
    assert {str(level): index for level, index, _ in edge_tiles(TILES["size"])} == {
        **TILES["full"],
        "2": 0,
    }
    for example in TILES["paths"]:
        assert tile_path(0, example["index"]) == f"tile/0/{example['path']}"
