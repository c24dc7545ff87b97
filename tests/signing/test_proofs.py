"""Proofs and requests as text: read as they were written, refused in any other form."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import FormatError
from signing.proofs import (
    AddCheckpoint,
    LeafProof,
    proof_text,
    read_proof,
    read_request,
    request_body,
)

HASH = base64.b64encode(bytes(32)).decode()
NOTE = f"example.com/log\n7\n{HASH}\n\n— example.com/log AAAAAAEC\n"
hashes = st.lists(st.binary(min_size=32, max_size=32), max_size=63)
sizes = st.integers(0, 2**63 - 1)


@given(index=sizes, hashes=hashes, leaf=st.none() | st.binary(max_size=300))
def test_proofs_come_back(index, hashes, leaf):
    """Index, hashes, leaf and note are read as they were written."""
    proof = LeafProof(index, hashes, NOTE, leaf)
    assert read_proof(proof_text(proof)) == proof


@given(old_size=sizes, hashes=hashes)
def test_requests_come_back(old_size, hashes):
    """Old size, hashes and note are read as they were written."""
    request = AddCheckpoint(old_size, hashes, NOTE)
    assert read_request(request_body(request)) == request


def test_the_form_of_a_proof():
    """The lines stand as C2SP tlog-proof has them, `extra` only where there is a leaf."""
    lines = proof_text(LeafProof(3, [bytes(32)], NOTE, b"leaf")).splitlines()
    assert lines[:5] == ["c2sp.org/tlog-proof@v1", "extra bGVhZg==", "index 3", HASH, ""]
    assert proof_text(LeafProof(0, [], NOTE)) == f"c2sp.org/tlog-proof@v1\nindex 0\n\n{NOTE}"


BAD_PROOFS = {
    "nothing": "",
    "another version": f"c2sp.org/tlog-proof@v2\nindex 0\n\n{NOTE}",
    "no index": f"c2sp.org/tlog-proof@v1\n\n{NOTE}",
    "leading zero": f"c2sp.org/tlog-proof@v1\nindex 03\n\n{NOTE}",
    "negative": f"c2sp.org/tlog-proof@v1\nindex -1\n\n{NOTE}",
    "extra behind index": f"c2sp.org/tlog-proof@v1\nindex 0\nextra bGVhZg==\n\n{NOTE}",
    "extra damaged": f"c2sp.org/tlog-proof@v1\nextra bGVhZg=\nindex 0\n\n{NOTE}",
    "short hash": f"c2sp.org/tlog-proof@v1\nindex 0\nAAAA\n\n{NOTE}",
    "too many hashes": f"c2sp.org/tlog-proof@v1\nindex 0\n{(HASH + chr(10)) * 64}\n{NOTE}",
    "no empty line": "c2sp.org/tlog-proof@v1\nindex 0\n",
}


@pytest.mark.parametrize("defect", BAD_PROOFS)
def test_a_malformed_proof_is_refused(defect):
    """A proof in any other form is refused."""
    with pytest.raises(FormatError):
        read_proof(BAD_PROOFS[defect])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\n\n",
        f"old\n\n{NOTE}".encode(),
        f"old 07\n\n{NOTE}".encode(),
        f"old 7\r\n\n{NOTE}".encode(),
        f"new 7\n\n{NOTE}".encode(),
        f"old 7\nAAAA\n\n{NOTE}".encode(),
        b"old 7\n",
    ],
)
def test_a_malformed_request_is_refused(body):
    """A request in any other form is refused."""
    with pytest.raises(FormatError):
        read_request(body)


@given(st.text(max_size=200))
def test_noise_is_refused(text):
    """Random text is refused, never another exception."""
    for read in (read_proof, lambda noise: read_request(noise.encode("utf-8", "replace"))):
        with pytest.raises(FormatError):
            read(text)
