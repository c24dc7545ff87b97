import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import load_der_public_key
from hypothesis import given
from hypothesis import strategies as st

from harness.pki import OBLAST, SCHOOL
from schemas.errors import FormatError
from schemas.frame import cut
from schemas.objects import Ask, cut_object
from schemas.reasons import Reason
from signing.keys import P256_HALF_ORDER, P256_ORDER
from signing.seal import check_signature, is_one_encoding, seal, sign_object

VECTORS = Path(__file__).resolve().parents[3] / "shared/vectors/wycheproof"


def test_frame_is_cut_into_what_was_sealed(draft, signer):
    """Cutting a sealed frame gives back header and payload."""
    header, payload = draft()
    frame = cut(seal(header, payload, signer))
    assert (frame.header, frame.payload) == (header, payload)


def test_seal_is_deterministic(draft, signer):
    """The same draft under the same key gives the same bytes."""
    assert seal(*draft(), signer) == seal(*draft(), signer)


def test_header_over_its_limit_is_not_sealed(draft, signer):
    """A header over 16 KiB cannot be sealed."""
    ext = {f"k{n:04}": "x" * 100 for n in range(200)}
    with pytest.raises(FormatError, match="limit 16384"):
        seal(*draft(ext=ext), signer)


def test_header_must_name_the_signers_certificate(draft, signer):
    """Sealing under another certificate than the header names is a bug of ours."""
    with pytest.raises(AssertionError):
        seal(*draft(certificate="0" * 64), signer)


def test_object_is_cut_into_what_was_signed(signer):
    """Cutting a signed link object gives back its header."""
    ask = Ask(
        from_=SCHOOL, to=OBLAST, epoch=1, number=1, certificate=signer.fingerprint, what="crls"
    )
    assert cut_object(sign_object(ask, signer)).header == ask


@given(data=st.binary(max_size=200))
def test_every_signature_has_its_one_encoding(network, data):
    """Whatever is signed, S is low, the DER strict, and the check passes."""
    key = network.nodes[SCHOOL].packet_key.public_key()
    signature = network.nodes[SCHOOL].packet.sign(data)
    assert check_signature(key, signature, data) is None


@pytest.fixture
def key(network):
    return network.nodes[SCHOOL].packet_key.public_key()


def test_high_s_is_format_invalid(signer, key):
    """The twin (r, n - s) verifies as well, and is refused for its encoding."""
    r, s = decode_dss_signature(signer.sign(b"data"))
    twin = encode_dss_signature(r, P256_ORDER - s)
    assert check_signature(key, twin, b"data") is Reason.FORMAT_INVALID


def test_other_data_is_sig_invalid(signer, key):
    """A signature over other data is well formed and does not hold."""
    assert check_signature(key, signer.sign(b"data"), b"date") is Reason.SIG_INVALID


def lax_encodings(signature):
    r, s = decode_dss_signature(signature)
    body = signature[2:]
    padded = (b"\0" + r.to_bytes(33)) if r >> 255 else (b"\0" + r.to_bytes(32))
    tail = body[2 + body[1] :]
    long_r = bytes([2, len(padded)]) + padded + tail
    return {
        "long length": b"\x30\x81" + signature[1:],
        "indefinite length": b"\x30\x80" + body + b"\0\0",
        "byte behind": signature + b"\0",
        "byte within": bytes([0x30, len(body) + 1]) + body + b"\0",
        "padded r": bytes([0x30, len(long_r)]) + long_r,
        "raw r and s": r.to_bytes(32) + s.to_bytes(32),
        "a set": b"\x31" + signature[1:],
        "r of 0": encode_dss_signature(0, s),
        "s of 0": encode_dss_signature(r, 0),
        "r of n": encode_dss_signature(P256_ORDER, s),
        "s above half": encode_dss_signature(r, P256_HALF_ORDER + 1),
        "empty": b"",
    }


@pytest.mark.parametrize("defect", sorted(lax_encodings(encode_dss_signature(1 << 255, 1))))
def test_lax_encoding_is_format_invalid(signer, key, defect):
    """A signature in any other encoding than its one is refused."""
    assert check_signature(key, lax_encodings(signer.sign(b"x"))[defect], b"x") is (
        Reason.FORMAT_INVALID
    )


def test_highest_low_s_is_allowed():
    """Half of the group's order is the last S that is low."""
    assert is_one_encoding(encode_dss_signature(1, P256_HALF_ORDER))


def wycheproof():
    path = VECTORS / "ecdsa_secp256r1_sha256_test.json"
    if not path.exists():
        return [pytest.param(None, None, id="absent", marks=pytest.mark.skip("no vectors here"))]
    groups = json.loads(path.read_text())["testGroups"]
    return [
        pytest.param(bytes.fromhex(group["publicKeyDer"]), test, id=str(test["tcId"]))
        for group in groups
        for test in group["tests"]
    ]


def expected(test):
    """Say what a Wycheproof case must give: valid ones with a high S are format-invalid too."""
    if test["result"] != "valid":
        return {Reason.FORMAT_INVALID, Reason.SIG_INVALID}
    _, s = decode_dss_signature(bytes.fromhex(test["sig"]))
    return {None} if s <= P256_HALF_ORDER else {Reason.FORMAT_INVALID}


@pytest.mark.parametrize(("der", "case"), wycheproof())
def test_wycheproof(der, case):
    """Each of Wycheproof's P-256 cases gives its result."""
    public_key = load_der_public_key(der)
    assert isinstance(public_key, ec.EllipticCurvePublicKey)
    signature, data = bytes.fromhex(case["sig"]), bytes.fromhex(case["msg"])
    assert check_signature(public_key, signature, data) in expected(case)
