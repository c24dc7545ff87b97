"""The golden vectors: rebuilt byte for byte, read back, and each bad one refused for its reason."""

import hashlib
import json
import re
import subprocess
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from exchange.core.custody import Arrival, Known, decide_arrival
from exchange.core.rules import Rules
from exchange.core.steps import AnswerAgain, Hold, Keep, Quarantine
from exchange.core.streams import Broken, Incoming, NotTaken, Taken, chain_after, take_bundle
from exchange.gate import check_is_encrypted
from exchange.sealing import read_payload
from harness.cards import card_of, registry_of
from schemas.addresses import dns_name, is_address, is_on_tree_path, label_of, parent_of
from schemas.answers import RECEIPT, decode_closing, decode_receipt
from schemas.documents.registry import check_document
from schemas.errors import FormatError
from schemas.frame import cut
from schemas.header import decode_header, encode_binding
from schemas.leaves import LeafKind, read_leaf
from schemas.limits import Limits
from schemas.moments import parse_instant
from schemas.objects import Bundle, Certificate, unpack_bundle_body, unpack_pieces
from schemas.records import LeafMark, PacketRow, Trail
from signing.authenticate import Accepted, Held, Refused, authenticate, check_object
from signing.certificates import address_of_dns_name
from signing.chain import TrustStore
from signing.encryption import EncryptionKeyring, HybridKey
from signing.notes import open_note, read_checkpoint
from signing.payload import decrypt_content, make_payload, open_payload
from store.merkle import Tree, consistency_holds, inclusion_holds, leaf_hash
from vectors.make_vectors import FOLDER, make_files

PROTOCOL = Path(__file__).parents[2] / "docs" / "protocol.md"
LIMITS = Limits()
NOW = "2026-11-23T03:32:06.000000Z"


def load(name):
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


def named(vectors):
    return [pytest.param(one, id=one["name"]) for one in vectors]


TRUST = load("trust.json")


def trust_store(extra=(), crls=None):
    store = TrustStore(bytes.fromhex(TRUST["root"]["certificate"]))
    authorities = [each["certificate"] for each in TRUST["authorities"].values()]
    nodes = [each["packet"]["certificate"] for each in TRUST["nodes"].values()]
    store.add_certificates([bytes.fromhex(der) for der in [*authorities, *nodes, *extra]])
    for crl in TRUST["crls"] if crls is None else crls:
        store.add_crl(bytes.fromhex(crl))
    return store


def judge(vector):
    return authenticate(
        bytes.fromhex(vector["frame"]),
        trust=trust_store(vector.get("certificates", ()), vector.get("crls")),
        routes=_registry(vector),
        neighbour=vector["neighbour"],
        now=parse_instant(vector["now"]),
        limits=LIMITS,
    )


def _registry(vector):
    """Return what the node knows of the tree: its children's cards, as the vector names them."""
    default = [{"label": f"school-{number}"} for number in (7, 8, 9)]
    children = vector.get("children", default)
    cards = []
    for child in children:
        more = {name: value for name, value in child.items() if name != "label"}
        cards.append(card_of(f"{vector['here']}.{child['label']}", **more))
    return registry_of(vector["here"], *cards)


# ------------------------------------------------------------------ made again


def test_files_are_what_the_code_makes():
    """Every vector file equals what the code makes today from the fixed keys and dates."""
    made = make_files()
    stored = {path.name for path in FOLDER.iterdir() if path.suffix in {".json", ".hex"}}
    assert stored == set(made)
    for name, text in made.items():
        assert (FOLDER / name).read_text(encoding="utf-8") == text, f"{name} differs"


# ------------------------------------------------------------------ frames


@pytest.mark.parametrize("vector", named(load("frames.json")))
def test_good_frame(vector):
    """A good frame is cut where the vector says, bears its digests, and authenticates."""
    raw = bytes.fromhex(vector["frame"])
    frame = cut(raw)
    sender = frame.header.from_
    here, neighbour = ("kz.akmola.burabay", sender)
    if sender == here:
        here, neighbour = frame.header.to, sender
    verdict = judge({**vector, "here": here, "neighbour": neighbour, "now": NOW})
    assert isinstance(verdict, Accepted), verdict
    assert frame.signed[8:].decode() == vector["header"]
    assert (frame.signed_bytes, frame.head_bytes) == (vector["signed_bytes"], vector["head_bytes"])
    assert frame.signature.hex() == vector["signature"]
    assert frame.payload.hex() == vector["payload"]
    content = read_payload(frame, keyring(frame.header.to))
    assert content.hex() == vector["content"]
    assert verdict.head_sha256.hex() == vector["head_sha256"]
    assert verdict.head_sha512.hex() == vector["head_sha512"]
    assert verdict.frame_sha256.hex() == hashlib.sha256(raw).hexdigest() == vector["frame_sha256"]


ANSWERS = [one for one in load("frames.json") if one["name"].startswith(("receipt", "closing"))]


@pytest.mark.parametrize("vector", named(ANSWERS))
def test_answer_content(vector):
    """The contents of receipts and closings decode to what encodes to them again."""
    header = cut(bytes.fromhex(vector["frame"])).header
    content = bytes.fromhex(vector["content"])
    decode = decode_receipt if header.type == RECEIPT else decode_closing
    assert msgspec.json.encode(decode(content)) == content


@pytest.mark.parametrize("name", ["attendance", "file", "ping"])
def test_document(name):
    """The documents of the vectors are what their types allow."""
    (vector,) = [one for one in load("frames.json") if one["name"] == name]
    header = cut(bytes.fromhex(vector["frame"])).header
    check_document(header.type, bytes.fromhex(vector["content"]))


@pytest.mark.parametrize("vector", named(load("bad-frames.json")))
def test_bad_frame(vector):
    """A frame with one defect is refused for the reason of that defect, or held for its lack."""
    verdict = judge(vector)
    if "held" in vector:
        assert isinstance(verdict, Held)
        assert verdict.missing == vector["held"]
        return
    assert isinstance(verdict, Refused), verdict
    assert verdict.reason == vector["reason"], verdict.detail
    assert verdict.proven is vector.get("proven", False)


@pytest.mark.parametrize("vector", named(load("judged-frames.json")))
def test_judged_frame(vector):
    """An authentic frame is judged by what the node knows of packets, parties and time."""
    verdict = judge(vector)
    assert isinstance(verdict, Accepted), verdict
    header = verdict.frame.header
    trails, numbers = _memory(vector["known"])
    known = Known(
        trails.get((header.from_, header.epoch, header.id)),
        numbers.get((header.from_, header.to, header.epoch, header.seq)),
        None,
    )
    digests = verdict.head_sha256, verdict.frame_sha256
    arrival = Arrival(header, *digests, vector["neighbour"], _fault_of_clear(vector, header))
    step = decide_arrival(arrival, known, parse_instant(vector["now"]), _rules(vector))
    assert _outcome(step) == vector["outcome"]


def _rules(vector):
    return Rules(
        here=vector["here"],
        registry=_registry(vector),
        limits=LIMITS,
        types=frozenset({"attendance.daily/1", "admin.order/1"}),
        systems={},
    )


def _fault_of_clear(vector, header):
    """Return what the addressee says of a personal type in clear; a relay says nothing."""
    try:
        if header.to == vector["here"]:
            check_is_encrypted(header)
    except FormatError as error:
        return error
    return None


def _memory(known):
    trails, numbers = {}, {}
    for text in known:
        raw = bytes.fromhex(text)
        frame = cut(raw)
        header = frame.header
        digest = hashlib.sha256(frame.head).digest()
        row = PacketRow(
            frame=1, id=header.id, sender=header.from_, recipient=header.to, epoch=header.epoch,
            seq=header.seq, type=header.type, section=header.section, class_=header.class_,
            flow=header.flow, period=header.period, re=header.re, sent=header.sent_at, received=0,
            via="", size=len(raw), head_sha256=digest,
            frame_sha256=hashlib.sha256(raw).digest(), head=frame.head,
            media_type=header.payload.media_type, coding=header.payload.coding,
        )  # fmt: skip
        mark = LeafMark(0, LeafKind.RELAYED, b"")
        trails[header.from_, header.epoch, header.id] = Trail(row, (mark,))
        numbers[header.from_, header.to, header.epoch, header.seq] = digest
    return trails, numbers


def _outcome(step):
    match step[0]:
        case Keep(kind=kind):
            return str(kind)
        case Quarantine(reason=reason):
            return str(reason)
        case Hold():
            return "held"
        case AnswerAgain():
            return "answered-again"
        case other:
            raise AssertionError(other)


def test_every_reason_of_the_gate_has_a_bad_frame():
    """Each reason that bytes, certificate or payload can earn is earned by a vector."""
    found = {vector.get("reason") for vector in load("bad-frames.json")} - {None}
    assert found == {
        "format-invalid", "format-version", "too-large", "algorithm-not-allowed",
        "route-forbidden", "certificate-untrusted", "key-expired", "key-revoked", "sig-invalid",
        "digest-mismatch",
    }  # fmt: skip


# ------------------------------------------------------------------ objects, streams


@pytest.mark.parametrize("vector", named(load("objects.json")))
def test_good_object(vector):
    """A good link object passes its check and bears header and body of the vector."""
    found = check_object(
        bytes.fromhex(vector["object"]),
        trust=trust_store(),
        here="kz.akmola.burabay",
        neighbour="kz.akmola.burabay.school-7",
        now=parse_instant(NOW),
        limits=LIMITS,
    )
    assert found.signed[9:].decode() == vector["header"]
    assert found.body.hex() == vector["body"]
    if isinstance(found.header, Bundle):
        certificates, entries = unpack_bundle_body(found.body)
        assert (len(certificates), len(entries)) == (2, 2)
    if isinstance(found.header, Certificate):
        assert len(unpack_pieces(found.body)[0]) == 2


@pytest.mark.parametrize("vector", named(load("bad-objects.json")))
def test_bad_object(vector):
    """A link object with one defect proves nothing, for the reason of that defect."""
    with pytest.raises(FormatError) as caught:
        check_object(
            bytes.fromhex(vector["object"]),
            trust=trust_store(),
            here=vector["here"],
            neighbour=vector["neighbour"],
            now=parse_instant(NOW),
            limits=LIMITS,
        )
    assert caught.value.reason == vector["reason"]


STREAMS = load("streams.json")


def test_chain():
    """Each chain value follows from the one before, the number and the entry's digest."""
    value = bytes.fromhex(STREAMS["chains"][0])
    assert value == bytes(32)
    for number, digest in enumerate(STREAMS["digests"], 1):
        value = chain_after(value, number, bytes.fromhex(digest))
        assert value.hex() == STREAMS["chains"][number]


@pytest.mark.parametrize("vector", named(STREAMS["bundles"]))
def test_bundle_in_its_stream(vector):
    """A bundle is taken, passed over or kept as evidence by its place in the stream."""
    up_to = vector["up_to"]
    stream = Incoming(up_to, bytes.fromhex(STREAMS["chains"][up_to]), up_to)
    first, last = vector["first"], vector["last"]
    digests = [bytes.fromhex(one) for one in STREAMS["digests"][first - 1 : last]]
    found = take_bundle(stream, first, last, bytes.fromhex(vector["chain"]), digests)
    match found:
        case Taken(skip=skip):
            assert ("taken", skip) == (vector["outcome"], vector["skip"])
        case NotTaken():
            assert vector["outcome"] == "not-taken"
        case Broken(fork=fork):
            assert vector["outcome"] == ("fork" if fork else "broken")


# ------------------------------------------------------------------ payloads, names


PAYLOADS = load("payloads.json")


@pytest.mark.parametrize("vector", PAYLOADS["made"], ids=["empty", "short"])
def test_payload_made(vector):
    """Content that deflate does not help becomes salt and content."""
    made = make_payload(bytes.fromhex(vector["content"]), bytes.fromhex(vector["salt"]))
    assert (made[0].hex(), made[1]) == (vector["payload"], vector["coding"])


@pytest.mark.parametrize("vector", named(PAYLOADS["opened"]))
def test_payload_opened(vector):
    """Any correct deflate data opens, whoever made it."""
    opened = open_payload(bytes.fromhex(vector["payload"]), vector["coding"], 4096)
    assert opened.hex() == vector["content"]


@pytest.mark.parametrize("vector", named(PAYLOADS["bad"]))
def test_bad_payload(vector):
    """A payload that cannot be undone is refused for its reason."""
    limit = PAYLOADS["bad_content_bytes_max"]
    with pytest.raises(FormatError) as caught:
        open_payload(bytes.fromhex(vector["payload"]), vector["coding"], limit)
    assert caught.value.reason == vector["reason"]


# ------------------------------------------------------------------ encrypted payloads

ENCRYPTION = load("encryption.json")


def keyring(address):
    """Return the keys of a node of the vectors; None where it has none."""
    seeds = ENCRYPTION["keys"].get(address)
    if seeds is None:
        return None
    mlkem = MLKEM768PrivateKey.from_seed_bytes(bytes.fromhex(seeds["mlkem_seed"]))
    x25519 = X25519PrivateKey.from_private_bytes(bytes.fromhex(seeds["x25519_private"]))
    return EncryptionKeyring(HybridKey(mlkem, x25519))


@pytest.mark.parametrize("address", ENCRYPTION["keys"])
def test_encryption_key(address):
    """The seeds give the public key, and its digest is its id."""
    key = keyring(address).newest
    public = bytes.fromhex(ENCRYPTION["keys"][address]["public"])
    assert (key.public, key.id) == (public, hashlib.sha256(public).digest())
    assert key.id.hex() == ENCRYPTION["keys"][address]["id"]


@pytest.mark.parametrize("vector", named(ENCRYPTION["opened"]))
def test_encrypted_payload_opened(vector):
    """Both ends open it, and each step on the way is what the vector says."""
    header = decode_header(vector["header"].encode())
    payload = bytes.fromhex(vector["payload"])
    assert encode_binding(header).decode() == vector["binding"]
    binding = hashlib.sha256(vector["binding"].encode()).digest()
    assert binding.hex() == vector["binding_sha256"]
    key, sealed = bytes.fromhex(vector["key"]), payload[1 + 2 * 1202 :]
    packed = AESGCM(key).decrypt(sealed[:12], sealed[12:], binding)
    assert packed.hex() == vector["packed"]
    for end in (header.to, header.from_):
        content = decrypt_content(header, payload, keyring(end), 4096)
        assert content.hex() == vector["content"]


@pytest.mark.parametrize("vector", named(ENCRYPTION["bad"]))
def test_bad_encrypted_payload(vector):
    """A payload that its reader cannot open is refused for its reason."""
    header = decode_header(vector["header"].encode())
    limit = ENCRYPTION["bad_content_bytes_max"]
    with pytest.raises(FormatError) as caught:
        decrypt_content(header, bytes.fromhex(vector["payload"]), keyring(vector["reader"]), limit)
    assert caught.value.reason == vector["reason"]


def test_a_strangers_tool_finds_the_binding():
    """One `sed` over the header, as the document gives it, and the digest fits."""
    vector = ENCRYPTION["opened"][1]
    done = subprocess.run(
        ["sed", 's/,"payload":{[^}]*}//'],
        input=vector["header"].encode(),
        capture_output=True,
        check=True,
    )
    assert hashlib.sha256(done.stdout).hexdigest() == vector["binding_sha256"]


NAMES = load("names.json")


@pytest.mark.parametrize("vector", NAMES["good"], ids=lambda one: one["address"])
def test_good_address(vector):
    """An address has one parent, one label and one DNS name, which leads back to it."""
    address = vector["address"]
    assert is_address(address)
    assert parent_of(address) == vector["parent"]
    assert label_of(address) == vector["label"]
    assert dns_name(address) == vector["dns_name"]
    assert address_of_dns_name(vector["dns_name"]) == address


@pytest.mark.parametrize("address", NAMES["bad"])
def test_bad_address(address):
    """What is no address is told apart."""
    assert not is_address(address)


@pytest.mark.parametrize("vector", NAMES["routes"])
def test_route(vector):
    """A link brings only what belongs on it."""
    cards = [card_of(each["address"], uplink=each.get("uplink")) for each in vector["cards"]]
    registry = registry_of(vector["here"], *cards)
    found = registry.allows(vector["neighbour"], vector["from"], vector["to"], 0, 0)
    assert found is vector["allowed"]


@pytest.mark.parametrize("vector", NAMES["on_tree_path"])
def test_tree_path(vector):
    """A node is on the way between two others, or it is not."""
    assert is_on_tree_path(vector["node"], vector["one"], vector["other"]) is vector["is"]


# ------------------------------------------------------------------ journal


LEAVES = load("leaves.json")
TREE = load("tree.json")
NOTES = load("notes.json")


@pytest.mark.parametrize("vector", named(LEAVES["good"]))
def test_leaf(vector):
    """A leaf reads back, and its hash is that of a zero byte and its record."""
    record = vector["record"].encode()
    assert read_leaf(record)["kind"] in set(LeafKind)
    assert hashlib.sha256(b"\0" + record).hexdigest() == vector["leaf_hash"]


@pytest.mark.parametrize("name", LEAVES["bad"])
def test_bad_leaf(name):
    """What is no record of this version is told apart."""
    with pytest.raises(FormatError):
        read_leaf(LEAVES["bad"][name].encode())


def test_roots_and_tiles():
    """Roots grow as the vectors say, and the first 256 leaf hashes fill a tile."""
    hashes = [leaf_hash(f"leaf {n}".encode()) for n in range(600)]
    assert [one.hex() for one in hashes[:8]] == TREE["leaf_hashes"]
    growing = Tree()
    filled = growing.extend(hashes)
    assert growing.root().hex() == TREE["roots"]["600"]
    assert [(tile.level, tile.index) for tile in filled] == [
        (one["level"], one["index"]) for one in TREE["full_tiles"]
    ]
    assert [hashlib.sha256(tile.hashes).hexdigest() for tile in filled] == [
        one["sha256"] for one in TREE["full_tiles"]
    ]


@pytest.mark.parametrize("vector", TREE["inclusion"])
def test_inclusion(vector):
    """An inclusion proof holds, and with one bit flipped it does not."""
    index, size = vector["index"], vector["size"]
    leaf = leaf_hash(f"leaf {index}".encode())
    proof = [bytes.fromhex(one) for one in vector["proof"]]
    root = _root(size)
    assert inclusion_holds(index, size, leaf, proof, root)
    assert not inclusion_holds(index, size, _flipped(leaf), proof, root)


@pytest.mark.parametrize("vector", TREE["consistency"])
def test_consistency(vector):
    """A consistency proof holds, and not for another root."""
    old, size = vector["old_size"], vector["size"]
    proof = [bytes.fromhex(one) for one in vector["proof"]]
    assert consistency_holds(old, size, _root(old), _root(size), proof)
    assert not consistency_holds(old, size, _flipped(_root(old)), _root(size), proof)


def _root(size):
    tree = Tree()
    tree.extend(leaf_hash(f"leaf {n}".encode()) for n in range(size))
    return tree.root()


def _flipped(digest):
    return bytes([digest[0] ^ 1]) + digest[1:]


def test_checkpoint():
    """The note is signed by the journal key and says origin, size and root."""
    note = open_note(NOTES["note"], [NOTES["vkey"]])
    checkpoint = read_checkpoint(note.text)
    assert checkpoint.origin == NOTES["origin"]
    assert checkpoint.size == NOTES["size"]
    assert checkpoint.root.hex() == NOTES["root"]


def test_cosigned_checkpoint():
    """The cosigned note is signed by journal and witness, the latter with its time."""
    note = open_note(NOTES["cosigned"], [NOTES["vkey"], NOTES["witness_vkey"]])
    assert [one.time for one in note.signatures] == [None, NOTES["witness_time"]]


@pytest.mark.parametrize("vector", named(NOTES["bad"]))
def test_bad_note(vector):
    """A note that proves nothing is refused for its reason."""
    with pytest.raises(FormatError) as caught:
        open_note(vector["note"], [NOTES["vkey"]])
    assert caught.value.reason == vector["reason"]


# ------------------------------------------------------------------ the document


def fences():
    """Return the worked examples of the document: (kind, name, text)."""
    text = PROTOCOL.read_text(encoding="utf-8")
    return re.findall(r"^```(hex|text) (\S+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def examples():
    """Return what each worked example must be, by kind and name."""
    frames = {one["name"]: one for one in load("frames.json")}
    found = {("hex", path.name): path.read_text() for path in FOLDER.glob("*.hex")}
    found |= {("text", f"{name}.header"): one["header"] + "\n" for name, one in frames.items()}
    found |= {("text", f"{name}.content"): _text_of(one) for name, one in frames.items()}
    found |= {("text", f"{one['name']}.leaf"): one["record"] for one in LEAVES["good"]}
    found |= {
        ("text", f"{one['name']}.header"): one["header"] + "\n" for one in load("objects.json")
    }
    found |= {
        ("text", f"{one['name']}.binding"): one["binding"] + "\n" for one in ENCRYPTION["opened"]
    }
    cards = load("cards.json")
    found |= {
        ("text", f"{one['name']}.header"): one["header"] + "\n"
        for one in (*cards["good"], *cards["asks"])
    }
    found |= {("text", f"{one['name']}.body"): one["body"] + "\n" for one in cards["good"]}
    found |= {
        ("text", f"{one['name']}.body"): one["body"] for one in cards["asks"] if "body" in one
    }
    issuing = load("issuing.json")
    found |= {("text", f"{one['name']}.header"): one["header"] + "\n" for one in issuing["good"]}
    found["text", "crl-entry"] = issuing["log"]["crl_entry"]
    found["text", "issued-head"] = issuing["log"]["head"]
    found["text", "genesis"] = issuing["genesis"]["text"]
    tracking = load("tracking.json")
    found |= {("text", f"{one['name']}.header"): one["header"] + "\n" for one in tracking["good"]}
    found["text", "tracked.proof"] = tracking["proof"]
    compared = [
        one
        for name in ("reconciling", "rebuilding", "parts")
        for one in load(f"{name}.json")["good"]
    ]
    found |= {("text", f"{one['name']}.header"): one["header"] + "\n" for one in compared}
    recovery = load("recovery.json")
    found |= {("text", f"{one['name']}.header"): one["header"] + "\n" for one in recovery["good"]}
    found["text", "epoch-leaf"] = recovery["leaf"]
    shown = load("witnessing.json")["good"]
    found |= {("text", f"{one['name']}.header"): one["header"] + "\n" for one in shown}
    found |= {("text", f"{one['name']}.body"): one["body"] for one in shown}
    found["text", "checkpoint"] = NOTES["note"]
    found["text", "cosigned"] = NOTES["cosigned"]
    found["text", "vkey"] = NOTES["vkey"] + "\n"
    return found


def _text_of(vector):
    return bytes.fromhex(vector["content"]).decode("utf-8", "replace") + "\n"


def test_worked_examples_are_the_vectors():
    """Every example in the protocol is a vector, character for character, and none is left out."""
    shown = fences()
    known = examples()
    for kind, name, text in shown:
        assert text == known[kind, name], f"{name} in the document differs from the vector"
    assert {name for kind, name, _ in shown if kind == "hex"} == {
        path.name for path in FOLDER.glob("*.hex")
    }
