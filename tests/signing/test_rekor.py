"""Bundles of a log that others run (Rekor v2): checkpoint, key id and inclusion proof.

Their time-stamps are looked at in test_timestamps.py.
"""

import base64
import hashlib
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_der_public_key

from schemas.errors import FormatError
from signing.note_text import read_signature_line, split_note
from signing.notes import KeyType, VerifierKey, open_note, read_checkpoint
from store.merkle import inclusion_holds, leaf_hash

FOLDER = Path(__file__).resolve().parents[3] / "shared/vectors/rekor2"
LOG = "log2025-alpha1.rekor.sigstage.dev"

REFUSED = {
    "missing-log-signature": "no signatures",
    "missing-origin": "does not hold",
    "missing-root-hash": "does not hold",
    "missing-size": "does not hold",
    "no-matching-signature": "no known key has signed it",
}
"""Checkpoints that were damaged, and why they are refused; what their README says was done."""
CUT_LINES = ("origin_fail", "hash_fail", "size_fail")


def bundles(wanted):
    found = [each for each in sorted(FOLDER.glob("rekor2-*")) if wanted(each.name)]
    if not found:
        reason = "no vectors here: ../shared/vectors/rekor2 is absent"
        return [pytest.param(None, id="absent", marks=pytest.mark.skip(reason))]
    return [pytest.param(each, id=each.name) for each in found]


def is_damaged(name):
    return name.startswith("rekor2-checkpoint-") and name.endswith("_fail")


def entry_of(folder):
    bundle = json.loads((folder / "bundle.sigstore.json").read_text())
    return bundle["verificationMaterial"]["tlogEntries"][0]


def log_of(folder):
    """Return the log's verifier key and its full id, from the bundle's trusted root."""
    trusted = json.loads((folder / "trusted_root.json").read_text())
    found = next(log for log in trusted["tlogs"] if LOG in log["baseUrl"])
    public = load_der_public_key(base64.b64decode(found["publicKey"]["rawBytes"]))
    key = VerifierKey(LOG, KeyType.ED25519, public.public_bytes_raw())
    return key, base64.b64decode(found["logId"]["keyId"])


def note_of(folder):
    return entry_of(folder)["inclusionProof"]["checkpoint"]["envelope"]


def proven(folder, body):
    """Open the checkpoint, and say whether an entry is under it."""
    key, _ = log_of(folder)
    proof = entry_of(folder)["inclusionProof"]
    checkpoint = read_checkpoint(open_note(note_of(folder), [key]).text)
    assert (checkpoint.origin, checkpoint.size) == (LOG, int(proof["treeSize"]))
    assert checkpoint.root == base64.b64decode(proof["rootHash"])
    hashes = [base64.b64decode(each) for each in proof["hashes"]]
    index = int(proof["logIndex"])
    return inclusion_holds(index, checkpoint.size, leaf_hash(body), hashes, checkpoint.root)


@pytest.mark.parametrize(
    "folder", bundles(lambda name: not is_damaged(name) and "no-inclusion-proof" not in name)
)
def test_entry_is_under_the_checkpoint(folder):
    """Checkpoint, key and inclusion proof hold, and for no other entry."""
    body = base64.b64decode(entry_of(folder)["canonicalizedBody"])
    assert proven(folder, body)
    assert not proven(folder, body + b" ")


@pytest.mark.parametrize("folder", bundles(lambda name: not is_damaged(name)))
def test_key_id_is_that_of_the_log(folder):
    """The id that we compute from the key is the one in the trusted root and in the bundle."""
    key, full_id = log_of(folder)
    assert full_id[:4] == key.id
    assert hashlib.sha256(LOG.encode() + b"\n\x01" + key.public_key).digest() == full_id
    assert base64.b64decode(entry_of(folder)["logId"]["keyId"]) == full_id


@pytest.mark.parametrize("folder", bundles(is_damaged))
def test_damaged_checkpoint_is_refused(folder):
    """Each damaged checkpoint is refused, for what was done to it."""
    key, _ = log_of(folder)
    what = folder.name.removeprefix("rekor2-checkpoint-").removesuffix("_fail")
    with pytest.raises(FormatError, match=REFUSED[what]):
        open_note(note_of(folder), [key])


@pytest.mark.parametrize(
    "folder", bundles(lambda name: is_damaged(name) and name.split("-")[-1] in CUT_LINES)
)
def test_checkpoint_that_lacks_a_line_is_none(folder):
    """Even under a good signature a checkpoint without origin, size or root would be refused."""
    text, _ = split_note(note_of(folder))
    with pytest.raises(FormatError, match="checkpoint"):
        read_checkpoint(text)


@pytest.mark.parametrize("folder", bundles(lambda name: "no-inclusion-proof" in name))
def test_bundle_without_a_proof_proves_nothing(folder):
    """Where the bundle has no proof there is no checkpoint to open."""
    assert "inclusionProof" not in entry_of(folder)


@pytest.mark.parametrize(
    "folder", bundles(lambda name: name in {"rekor2-checkpoint-cosigned",
                                            "rekor2-checkpoint-origin-not-first"})
)  # fmt: skip
def test_line_of_an_unknown_witness_is_passed_over(folder):
    """A cosignature of a key that we don't know stands beside the log's, before or behind it."""
    key, _ = log_of(folder)
    _, lines = split_note(note_of(folder))
    names = {read_signature_line(line)[0] for line in lines}
    assert len(names) == 2
    assert [each.name for each in open_note(note_of(folder), [key]).signatures] == [LOG]
