"""The vectors of issuing: objects, the log and its head, and the genesis file."""

import hashlib
import json
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519

from schemas.addresses import dns_name
from schemas.issued import is_certificate, log_origin, read_crl_entry
from schemas.limits import Limits
from schemas.moments import SECOND, parse_instant
from schemas.objects import Issued, unpack_pieces
from signing.authenticate import check_object
from signing.authority import address_of_request, public_key_of_request, purpose_of_request
from signing.chain import TrustStore
from signing.genesis import read_genesis
from signing.notes import KeyType, VerifierKey, open_note, read_checkpoint
from signing.profiles import Purpose, is_key_of
from store.merkle import leaf_hash, root_of

FOLDER = Path(__file__).parents[1] / "vectors"
ISSUING = json.loads((FOLDER / "issuing.json").read_text(encoding="utf-8"))
TRUST = json.loads((FOLDER / "trust.json").read_text(encoding="utf-8"))
LOG = ISSUING["log"]
NOW = parse_instant("2026-11-23T03:32:06.000000Z")
DISTRICT, OBLAST = "kz.akmola.burabay", "kz.akmola"


@pytest.fixture(scope="module")
def trust():
    store = TrustStore(bytes.fromhex(TRUST["root"]["certificate"]))
    pairs = [*TRUST["authorities"].values()]
    pairs += [pair for node in TRUST["nodes"].values() for pair in node.values()]
    store.add_certificates([bytes.fromhex(pair["certificate"]) for pair in pairs])
    for crl in TRUST["crls"]:
        store.add_crl(bytes.fromhex(crl))
    return store


def checked(vector, trust):
    return check_object(
        bytes.fromhex(vector["object"]),
        trust=trust,
        here=DISTRICT,
        neighbour=OBLAST,
        now=NOW,
        limits=Limits(),
    )


@pytest.mark.parametrize("vector", ISSUING["good"], ids=lambda one: one["name"])
def test_an_object_holds(vector, trust):
    """Header and body are what the vector says, whoever of the way brings a statement."""
    found = checked(vector, trust)
    assert found.body.hex() == vector["body"]
    assert found.signed[9:].decode() == vector["header"]


def test_requests_ask_for_purposes_by_their_usages():
    """Each request proves a key of the kind that its purpose takes."""
    (renew,) = (one for one in ISSUING["good"] if one["name"] == "request-renew")
    requests, _ = unpack_pieces(bytes.fromhex(renew["body"]))
    purposes = [purpose_of_request(each) for each in requests]
    assert purposes == [Purpose.PACKET, Purpose.JOURNAL]
    for purpose, request in zip(purposes, requests, strict=True):
        assert is_key_of(purpose, public_key_of_request(request))
        assert address_of_request(request) == "kz.akmola.burabay.school-7"


def test_a_grant_names_its_request():
    """The answer is to exactly these bytes."""
    by_name = {one["name"]: one for one in ISSUING["good"]}
    digest = hashlib.sha256(bytes.fromhex(by_name["request-renew"]["object"])).hexdigest()
    for name in ("grant", "grant-refused"):
        assert json.loads(by_name[name]["header"])["request"] == digest


def test_the_root_is_that_of_the_entries():
    """The log is an RFC 6962 tree over certificates and texts of CRLs."""
    entries = [bytes.fromhex(entry) for entry in LOG["entries"]]
    assert [is_certificate(entry) for entry in entries] == [True, False]
    assert root_of([leaf_hash(entry) for entry in entries]).hex() == LOG["root"]
    line = read_crl_entry(entries[1])
    assert line.sha256 == hashlib.sha256(bytes.fromhex(LOG["crl"])).digest()
    assert line.revoked == len(x509.load_der_x509_crl(bytes.fromhex(LOG["crl"])))


def test_the_head_is_signed_by_the_journal_key(trust):
    """Public tools check the head under the log's own name."""
    der = bytes.fromhex(TRUST["nodes"][OBLAST]["journal"]["certificate"])
    key = x509.load_der_x509_certificate(der).public_key()
    assert isinstance(key, ed25519.Ed25519PublicKey)
    name = log_origin(OBLAST)
    note = open_note(LOG["head"], [VerifierKey(name, KeyType.ED25519, key.public_bytes_raw())])
    found = read_checkpoint(note.text)
    assert (found.origin, found.size, found.root.hex()) == (name, 2, LOG["root"])
    (issued,) = (one for one in ISSUING["good"] if one["name"] == "issued")
    header = checked(issued, trust).header
    assert isinstance(header, Issued)
    assert header.journal == hashlib.sha256(der).hexdigest()


def test_a_cosigned_head_comes_with_its_lines(trust):
    """The witness's line opens beside that of the authority's node, by the certificate named."""
    (cosigned,) = (one for one in ISSUING["good"] if one["name"] == "issued-cosigned")
    header = checked(cosigned, trust).header
    assert isinstance(header, Issued)
    assert (header.first, header.last, header.size) == (2, 2, 2)
    der = bytes.fromhex(TRUST["nodes"][DISTRICT]["witness"]["certificate"])
    assert header.witnesses == (hashlib.sha256(der).hexdigest(),)
    (note,), _ = unpack_pieces(bytes.fromhex(cosigned["body"]))
    assert note.decode().startswith(LOG["head"])
    key = x509.load_der_x509_certificate(der).public_key()
    assert isinstance(key, ed25519.Ed25519PublicKey)
    name = dns_name(DISTRICT)
    witness = VerifierKey(name, KeyType.COSIGNATURE_V1, key.public_bytes_raw())
    (found,) = open_note(note.decode(), [witness]).signatures
    assert (found.name, found.time) == (name, NOW // SECOND)


def test_the_genesis_file_is_the_roots():
    """The text says which certificates came first, under the root's signature."""
    genesis = ISSUING["genesis"]
    root = bytes.fromhex(TRUST["root"]["certificate"])
    found = read_genesis(genesis["text"].encode(), bytes.fromhex(genesis["signature"]), root)
    listed = [TRUST["authorities"][OBLAST], TRUST["nodes"][OBLAST]["packet"]]
    assert found.first == {bytes.fromhex(one["sha256"]) for one in listed}
