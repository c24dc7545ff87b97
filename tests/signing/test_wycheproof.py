"""Wycheproof's cases for what checkpoints, cosignatures and payloads stand on.

ECDSA P-256 is in test_seal.py, where signatures have rules of their own.
"""

import json
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric import ed25519, mldsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schemas.errors import FormatError
from signing.at_rest import KEY_BYTES, NONCE_BYTES
from signing.note_text import signature_line
from signing.notes import KeyType, VerifierKey, open_note
from signing.wrapping import TAG_BYTES

VECTORS = Path(__file__).resolve().parents[3] / "shared/vectors/wycheproof"


def cases(name, wanted=lambda _group: True):
    path = VECTORS / f"{name}_test.json"
    if not path.exists():
        reason = f"no vectors here: ../shared/vectors/wycheproof/{path.name} is absent"
        return [pytest.param(None, None, id="absent", marks=pytest.mark.skip(reason))]
    return [
        pytest.param(group, case, id=str(case["tcId"]))
        for group in json.loads(path.read_text())["testGroups"]
        if wanted(group)
        for case in group["tests"]
    ]


@pytest.mark.parametrize(("group", "case"), cases("ed25519"))
def test_ed25519(group, case):
    """Each Ed25519 case gives its result."""
    public = ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(group["publicKey"]["pk"]))
    try:
        public.verify(bytes.fromhex(case["sig"]), bytes.fromhex(case["msg"]))
        holds = True
    except InvalidSignature:
        holds = False
    assert holds is (case["result"] == "valid")


@pytest.mark.parametrize(("group", "case"), cases("ed25519"))
def test_ed25519_in_a_note(group, case):
    """A signature that is none of the key's over the note's text is refused, however malformed."""
    key = VerifierKey("log", KeyType.ED25519, bytes.fromhex(group["publicKey"]["pk"]))
    note = "origin\n1\n\n" + signature_line("log", key.id + bytes.fromhex(case["sig"]))
    with pytest.raises(FormatError):
        open_note(note, [key])


@pytest.mark.parametrize(("group", "case"), cases("mldsa_44_verify"))
def test_mldsa_44(group, case):
    """Each ML-DSA-44 case gives its result, contexts and malformed keys included."""
    signature, data = bytes.fromhex(case["sig"]), bytes.fromhex(case["msg"])
    context = bytes.fromhex(case["ctx"]) if "ctx" in case else None
    try:
        public = mldsa.MLDSA44PublicKey.from_public_bytes(bytes.fromhex(group["publicKey"]))
        public.verify(signature, data, context)
        holds = True
    except (InvalidSignature, ValueError):
        holds = False
    assert holds is (case["result"] == "valid")


def is_ours(group):
    """Say whether the sizes are those of payloads, on their way and at rest."""
    sizes = (group["keySize"], group["ivSize"], group["tagSize"])
    return sizes == (8 * KEY_BYTES, 8 * NONCE_BYTES, 8 * TAG_BYTES)


@pytest.mark.parametrize(("group", "case"), cases("aes_gcm", is_ours))
def test_aes_gcm(group, case):
    """Each AES-GCM case of our sizes opens, or is refused, and seals to the same bytes."""
    key, nonce, aad, plain, body, tag = (
        bytes.fromhex(case[name]) for name in ("key", "iv", "aad", "msg", "ct", "tag")
    )
    if case["result"] == "valid":
        assert AESGCM(key).decrypt(nonce, body + tag, aad) == plain
        assert AESGCM(key).encrypt(nonce, plain, aad) == body + tag
    else:
        with pytest.raises(InvalidTag):
            AESGCM(key).decrypt(nonce, body + tag, aad)
