"""Makes the golden vectors of docs/protocol.md from fixed keys, dates and random bytes.

Run `python tests/vectors/make_vectors.py` from the root of the checkout to write the files anew,
and review the difference: a changed byte is a changed format.
"""

import hashlib
import sys
from pathlib import Path
from typing import Any

import msgspec

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

from exchange.core.streams import CHAIN_START, chain_after
from schemas import wire
from schemas.addresses import dns_name, is_on_tree_path, label_of, parent_of
from schemas.answers import CLOSING, PING, RECEIPT, Closing, PacketName, Ping, Receipt
from schemas.documents.common import SourceRef
from schemas.documents.file import CONTAINER_MEDIA_TYPE, FileFacts, encode_file
from schemas.documents.registry import DOCUMENT_FILE
from schemas.frame import cut, join_head
from schemas.header import PART, Header, Part, PayloadFacts, decode_header
from schemas.identifiers import artificial_bin, artificial_iin
from schemas.leaves import FIRST_LINE, LeafKind, leaf_record
from schemas.manifest import MANIFEST_MEDIA_TYPE
from schemas.moments import SECOND, format_instant
from schemas.objects import (
    NO_CHAIN,
    AnyObject,
    Ask,
    Body,
    Bundle,
    Certificate,
    Crl,
    CustodyNote,
    Hello,
    Refusal,
    StreamPosition,
    Void,
    pack_bundle_body,
    pack_pieces,
)
from schemas.reasons import Reason
from signing.keys import PacketSigner
from signing.notes import KeyType as NoteKey
from signing.notes import cosign, origin, sign_checkpoint, vkey
from signing.payload import make_payload, payload_facts
from signing.seal import seal, sign_object
from store.merkle import (
    Tree,
    consistency_spans,
    cut_tile,
    inclusion_spans,
    leaf_hash,
    root_of,
)
from vectors.bad_frames import bad_frames, judged_frames
from vectors.cards import card_named, cards
from vectors.encryption import encryption
from vectors.fixed_keys import (
    DISTRICT,
    NOW,
    OBLAST,
    SCHOOL,
    SIBLING,
    FixedNetwork,
    describe,
)
from vectors.issuing import issuing
from vectors.parts import PIECES, manifest_content, parts
from vectors.rebuilding import rebuilding
from vectors.reconciling import reconciling
from vectors.recovery import recovery
from vectors.tracking import tracking
from vectors.witnessing import witnessing

FOLDER = Path(__file__).parent
WIDTH = 32
"""Bytes a line in the `.hex` files, and in the document."""

DOCUMENT = (
    b'{"period":"2026-11-23","organisation":{"bin":"%s","kato":"113800000",'
    b'"kato_version":"11-2025"},"marks_version":1,"absences_only":true,"pupils":[{"iin":"%s",'
    b'"class":"7A","mark":"tardy","lessons_missed":1,"source_ref":{"kind":"register",'
    b'"issuer":"%s","number":"2026/7A"}}]}'
) % (artificial_bin(7).encode(), artificial_iin(1).encode(), artificial_bin(7).encode())
"""An attendance document with numbers made for tests: nobody has them."""
FILE_FACTS = FileFacts(
    title="Оқу жоспары",
    media_type="application/pdf",
    source_ref=SourceRef(kind="register", issuer=SCHOOL, number="drop-17"),
)
ATTENDANCE_ID = "01a20675-fef0-7a11-8c3e-0d5a4b7f6e21"
RECEIPT_ID = "01a20676-31b8-7b52-9d1f-2e6b8c4a7f03"
CLOSING_ID = "01a20676-6480-7c93-ae20-3f7c9d5b8014"
PING_ID = "01a20675-fef0-7dd4-bf31-408dae6c9125"
FILE_ID = "01a20675-fef0-7f36-8153-62afc08eb347"
RICH_ID = "01a20675-fef0-7e15-8042-519ebf7da236"
MANIFEST_ID = "01a20675-fef0-7b63-9f2d-1a3c5e7f9b0d"
HELLO_NONCE = "5a2bd1c64f2e0d1c8b7a695847362514"
ECHO_NONCE = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"


def salt(name: str) -> bytes:
    """Return the 16 'random' bytes that a name fixes."""
    return hashlib.sha256(f"bbaj test salt: {name}".encode()).digest()[:16]


def facts(payload: bytes, media_type: str = "application/json") -> PayloadFacts:
    """Return the facts of a payload that was not deflated."""
    return payload_facts(payload, media_type, "salt")


def _frame(network: FixedNetwork, name: str, header: Header, content: bytes) -> dict[str, Any]:
    """Seal content that is only salted, and lay the frame out."""
    signer = network.nodes[header.from_].packet
    payload = salt(name) + content
    media_type = header.payload.media_type
    whole = msgspec.structs.replace(
        header, payload=facts(payload, media_type), certificate=signer.fingerprint
    )
    return lay_out(name, seal(whole, payload, signer), content)


def _encrypted_frame(network: FixedNetwork, vector: dict[str, Any]) -> dict[str, Any]:
    """Seal the payload of an encryption vector under its header."""
    header = decode_header(vector["header"].encode())
    signer = network.nodes[header.from_].packet
    raw = seal(header, bytes.fromhex(vector["payload"]), signer)
    return lay_out(vector["name"], raw, bytes.fromhex(vector["content"]))


def lay_out(name: str, raw: bytes, content: bytes) -> dict[str, Any]:
    """Return a frame with its pieces and digests."""
    frame = cut(raw)
    return {
        "name": name,
        "frame": raw.hex(),
        "header": wire.encode(frame.header).decode(),
        "signed_bytes": frame.signed_bytes,
        "signature": frame.signature.hex(),
        "head_bytes": frame.head_bytes,
        "payload": frame.payload.hex(),
        "content": content.hex(),
        "head_sha256": hashlib.sha256(frame.head).hexdigest(),
        "head_sha512": hashlib.sha512(frame.head).hexdigest(),
        "frame_sha256": hashlib.sha256(raw).hexdigest(),
        "frame_sha512": hashlib.sha512(raw).hexdigest(),
    }


def draft(**fields: Any) -> Header:
    """Return a header whose certificate and payload facts sealing fills in."""
    placeholder = PayloadFacts("0" * 64, "0" * 128, 0, "application/json", "salt")
    given: dict[str, Any] = {
        "id": ATTENDANCE_ID,
        "type": "attendance.daily/1",
        "from_": SCHOOL,
        "to": OBLAST,
        "sent": format_instant(NOW),
        "epoch": 1,
        "seq": 1,
        "section": "S15",
        "class_": "R5",
        "flow": "result",
        "certificate": "0" * 64,
        "payload": placeholder,
    }
    return Header(**given | fields)


def good_frames(network: FixedNetwork) -> list[dict[str, Any]]:
    """Return one frame of each kind, the first three being one whole exchange."""
    attendance = _frame(network, "attendance", draft(period="2026-11-23"), DOCUMENT)
    receipt = _frame(
        network,
        "receipt",
        draft(
            id=RECEIPT_ID,
            type=RECEIPT,
            from_=OBLAST,
            to=SCHOOL,
            sent=format_instant(NOW + 13 * SECOND),
            re=ATTENDANCE_ID,
        ),
        msgspec.json.encode(receipt_on(attendance, "accepted")),
    )
    closing = _frame(
        network,
        "closing",
        draft(
            id=CLOSING_ID,
            type=CLOSING,
            sent=format_instant(NOW + 26 * SECOND),
            seq=2,
            re=RECEIPT_ID,
        ),
        msgspec.json.encode(
            Closing(
                packet=PacketName(SCHOOL, 1, ATTENDANCE_ID),
                receipt=PacketName(OBLAST, 1, RECEIPT_ID),
                receipt_head_sha256=receipt["head_sha256"],
                confirmed=format_instant(NOW + 26 * SECOND),
            )
        ),
    )
    ping = _frame(
        network,
        "ping",
        draft(
            id=PING_ID,
            type=PING,
            from_=DISTRICT,
            to=SCHOOL,
            section="net",
            class_="R1",
            flow="oper",
        ),
        msgspec.json.encode(Ping(note="are you there?")),
    )
    refused = _frame(
        network,
        "receipt-refused-by-a-relay",
        draft(
            id="01a20676-9b30-7f56-9153-62afc08eb347",
            type=RECEIPT,
            from_=DISTRICT,
            to=SCHOOL,
            sent=format_instant(NOW + 40 * SECOND),
            re=RICH_ID,
            class_="R10",
            section="S06",
            flow="admin",
        ),
        msgspec.json.encode(receipt_on(_rich(network), "refused")),
    )
    file = _frame(
        network,
        "file",
        draft(
            id=FILE_ID,
            type="document.file/1",
            section="S06",
            flow="info",
            seq=4,
            payload=file_facts(),
        ),
        encode_file(FILE_FACTS, b"%PDF-1.7"),
    )
    return [attendance, receipt, closing, ping, _rich(network), refused, file, *_large(network)]


def _large(network: FixedNetwork) -> list[dict[str, Any]]:
    """Return a manifest, and the last part of its file."""
    placeholder = file_facts()
    manifest = draft(
        id=MANIFEST_ID,
        type=DOCUMENT_FILE,
        section="S06",
        flow="info",
        seq=5,
        payload=msgspec.structs.replace(placeholder, media_type=MANIFEST_MEDIA_TYPE),
    )
    part = msgspec.structs.replace(
        manifest,
        id="01a20675-fef0-7d81-a1c3-d5e7f90b2d4f",
        type=PART,
        seq=None,
        part=Part(MANIFEST_ID, len(PIECES)),
        payload=msgspec.structs.replace(placeholder, media_type="application/octet-stream"),
    )
    return [
        _frame(network, "manifest", manifest, manifest_content(FILE_FACTS)),
        _frame(network, "part", part, PIECES[-1]),
    ]


def file_facts() -> PayloadFacts:
    """Return the payload facts of a file before sealing."""
    return PayloadFacts("0" * 64, "0" * 128, 0, CONTAINER_MEDIA_TYPE, "salt")


def _rich(network: FixedNetwork) -> dict[str, Any]:
    """Return a frame with every header field that a packet can have."""
    header = draft(
        id=RICH_ID,
        type="request.agency/12",
        seq=3,
        period="2026-Q4",
        section="S06",
        class_="R10",
        flow="admin",
        re="01a1f000-0000-7000-8000-000000000001",
        expires="2026-12-31T23:59:59.999999Z",
        ext={"a": 9007199254740991, "b": {"c": {"d": "deepest"}}, "z": -1},
    )
    text = msgspec.structs.replace(header.payload, media_type="text/plain")
    return _frame(
        network, "every-field", msgspec.structs.replace(header, payload=text), b"lesson plan"
    )


def receipt_on(frame: dict[str, Any], verdict: str) -> Receipt:
    """Return the content of a receipt on a laid out frame."""
    header = cut(bytes.fromhex(frame["frame"])).header
    refused = verdict == "refused"
    return Receipt(
        packet=PacketName(header.from_, header.epoch, header.id),
        head_sha256=frame["head_sha256"],
        frame_sha256=frame["frame_sha256"],
        verdict="refused" if refused else "accepted",
        reason=Reason.RECIPIENT_MOVED if refused else None,
        detail="successor kz.akmola.shchuchinsk" if refused else "",
        refused_by=OBLAST if refused else None,
        received=format_instant(NOW + 13 * SECOND),
        epoch=1,
        index=4711,
    )


# ------------------------------------------------------------------ payloads, names


def payloads() -> dict[str, Any]:
    """Return contents with their payloads; deflate data is given, since its makers differ."""
    short, long = b"short", b"the same words again and again; " * 8
    salted = salt("stored") + short
    size = len(salted).to_bytes(2, "little")
    stored = b"\x01" + size + bytes(byte ^ 0xFF for byte in size) + salted
    opened = (
        ("salt", "salt", salted, short),
        ("stored-block", "salt+deflate", stored, short),
        ("compressed-block", "salt+deflate", PACKED, long),
    )
    bad = (
        ("no-salt", "salt", b"fifteen bytes..", Reason.FORMAT_INVALID),
        ("deflate-cut", "salt+deflate", PACKED[:-1], Reason.FORMAT_INVALID),
        ("deflate-bytes-behind", "salt+deflate", PACKED + b"\0", Reason.FORMAT_INVALID),
        ("deflate-damaged", "salt+deflate", b"\xff" + PACKED[1:], Reason.FORMAT_INVALID),
        ("content-over-limit", "salt+deflate", BOMB, Reason.TOO_LARGE),
    )
    return {
        "made": [
            {
                "salt": salt("made").hex(),
                "content": content.hex(),
                "coding": make_payload(content, salt("made"))[1],
                "payload": make_payload(content, salt("made"))[0].hex(),
            }
            for content in (b"", b"deflate does not pay here")
        ],
        "opened": [
            {"name": name, "coding": coding, "payload": payload.hex(), "content": content.hex()}
            for name, coding, payload, content in opened
        ],
        "bad": [
            {"name": name, "coding": coding, "payload": payload.hex(), "reason": reason}
            for name, coding, payload, reason in bad
        ],
        "bad_content_bytes_max": 4096,
    }


PACKED = bytes.fromhex(
    "eb7cf2a5b9679d546755fad71b415359ee9664a42a1427e6a62a94e717a5142b24a62766e62924e6a54058d60ac3"
    "5d1e00"
)
"""Deflate data of a salt and `long`."""
BOMB = bytes.fromhex(
    "edc12115c020140040ccde23021d4688f542e2f16441a07f222c0b7277df68cf5bd78e7c6639d113"
)
BOMB += bytes(63) + b"\xfc\x2e"
"""Deflate data of a salt and 65,536 zero bytes."""


def names() -> dict[str, Any]:
    """Return addresses good and bad, and what follows from good ones."""
    long = ".".join(["a" * 32] * 6)
    good = ["kz", OBLAST, DISTRICT, SCHOOL, "a.b.c.d.e.f.g.h", "7", f"{long}.22"]
    bad = ["", ".", "kz.", ".kz", "kz..akmola", "KZ", "kz.-a", "kz.a-", "kz.a_b", "kz.ә", "kz ",
           "a.b.c.d.e.f.g.h.i", "a" * 33, f"{long}.333"]  # fmt: skip
    paths = [
        (DISTRICT, SCHOOL, OBLAST),
        (OBLAST, SCHOOL, OBLAST),
        ("kz", SCHOOL, OBLAST),
        (SIBLING, SCHOOL, OBLAST),
        (DISTRICT, SCHOOL, SIBLING),
        (OBLAST, SCHOOL, SIBLING),
        ("kz", SCHOOL, "kz.almaty"),
    ]
    return {
        "good": [
            {"address": a, "parent": parent_of(a), "label": label_of(a), "dns_name": dns_name(a)}
            for a in good
        ],
        "bad": bad,
        "routes": routes(),
        "on_tree_path": [
            {"node": n, "one": a, "other": b, "is": is_on_tree_path(n, a, b)} for n, a, b in paths
        ],
    }


def routes() -> list[dict[str, Any]]:
    """Return which frames a link may bring, by the cards that the node holds."""
    plain = (SCHOOL, SIBLING)
    foreign = "kz.almaty.school-3"
    links = [
        (DISTRICT, plain, SCHOOL, SCHOOL, OBLAST, True),
        (DISTRICT, plain, SCHOOL, SCHOOL, DISTRICT, True),
        (DISTRICT, plain, SCHOOL, SCHOOL, SIBLING, True),
        (DISTRICT, plain, SCHOOL, SIBLING, OBLAST, False),
        (DISTRICT, plain, SCHOOL, SCHOOL, SCHOOL, False),
        (DISTRICT, plain, SCHOOL, OBLAST, SCHOOL, False),
        (DISTRICT, plain, OBLAST, OBLAST, SCHOOL, True),
        (DISTRICT, plain, OBLAST, SCHOOL, SIBLING, False),
        (DISTRICT, plain, OBLAST, OBLAST, "kz.almaty", False),
        (DISTRICT, plain, "kz.almaty", "kz.almaty", SCHOOL, False),
        (DISTRICT, (SIBLING,), SCHOOL, SCHOOL, OBLAST, False),
        (DISTRICT, (f"{foreign} {DISTRICT}",), foreign, foreign, OBLAST, True),
        (DISTRICT, (f"{foreign} {DISTRICT}",), OBLAST, OBLAST, foreign, True),
        (DISTRICT, (f"{SCHOOL} kz.almaty",), SCHOOL, SCHOOL, OBLAST, False),
        (DISTRICT, (f"{SCHOOL} kz.almaty",), OBLAST, SCHOOL, DISTRICT, True),
    ]
    return [
        {
            "here": here,
            "cards": [
                dict(zip(("address", "uplink"), card.split(), strict=False)) for card in cards
            ],
            "neighbour": neighbour,
            "from": from_,
            "to": to,
            "allowed": allowed,
        }
        for here, cards, neighbour, from_, to, allowed in links
    ]


# ------------------------------------------------------------------ objects, streams


def objects(network: FixedNetwork, frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one link object of each kind, from the school to the district."""
    signer = network.nodes[SCHOOL].packet
    entries = [bytes.fromhex(frames[0]["frame"]), bytes.fromhex(frames[2]["frame"])]
    chain = CHAIN_START
    for number, entry in enumerate(entries, 1):
        chain = chain_after(chain, number, hashlib.sha256(entry).digest())
    taken = StreamPosition("fast", 1, 2, chain.hex(), 2)
    nothing = StreamPosition("bulk", 1, 0, NO_CHAIN, 0)
    ders = [signer.certificate, network.authority.der]
    bundle_body = pack_bundle_body(ders, entries)
    crl = network.crls[1]
    refused = bytes.fromhex(frames[4]["frame"])
    headers: dict[str, tuple[AnyObject, bytes]] = {
        "bundle": (
            Bundle(**_stamp(signer, 1), lane="fast", first=1, last=2, chain=chain.hex(),
                   body=_body(bundle_body)),
            bundle_body,
        ),
        "custody-note": (
            CustodyNote(**_stamp(signer, 2), position=taken, hello=ECHO_NONCE),
            b"",
        ),
        "hello": (
            Hello(**_stamp(signer, 3), nonce=HELLO_NONCE, echo=ECHO_NONCE,
                  clock=format_instant(NOW), versions=[1], positions=[taken, nothing],
                  placed=[taken, nothing]),
            b"",
        ),
        "refusal": (
            Refusal(**_stamp(signer, 4), lane="bulk", of_epoch=1, entry=9,
                    frame_sha256=hashlib.sha256(refused).hexdigest(),
                    reason=Reason.SIG_INVALID, detail="signature does not hold"),
            b"",
        ),
        "void": (
            Void(**_stamp(signer, 5), lane="bulk", entry=10,
                 entry_sha256=hashlib.sha256(refused).hexdigest(), detail="destroyed"),
            b"",
        ),
        "ask-certificate": (
            Ask(**_stamp(signer, 6), what="certificate", sha256=signer.fingerprint),
            b"",
        ),
        "ask-crls": (Ask(**_stamp(signer, 7), what="crls"), b""),
        "certificate": (
            Certificate(**_stamp(signer, 8), answers=signer.fingerprint,
                        body=_body(pack_pieces(ders))),
            pack_pieces(ders),
        ),
        "crl": (Crl(**_stamp(signer, 9), body=_body(crl)), crl),
    }  # fmt: skip
    return [
        {
            "name": name,
            "object": sign_object(header, signer, body).hex(),
            "header": wire.encode(header).decode(),
            "body": body.hex(),
        }
        for name, (header, body) in headers.items()
    ]


def _stamp(signer: PacketSigner, number: int) -> dict[str, Any]:
    return {
        "from_": SCHOOL,
        "to": DISTRICT,
        "epoch": 1,
        "number": NOW + number,
        "certificate": signer.fingerprint,
    }


def _body(body: bytes) -> Body:
    return Body(hashlib.sha256(body).hexdigest(), len(body))


def streams() -> dict[str, Any]:
    """Return a chain, and what is taken of bundles that come at a place in it."""
    digests = [hashlib.sha256(f"entry {n}".encode()).digest() for n in range(1, 7)]
    chains = [CHAIN_START]
    for number, digest in enumerate(digests, 1):
        chains.append(chain_after(chains[-1], number, digest))
    cases = [
        ("next", 2, 3, 4, 4, "taken", 0),
        ("first-of-all", 0, 1, 2, 2, "taken", 0),
        ("overlap", 3, 2, 5, 5, "taken", 2),
        ("known", 3, 1, 3, 3, "not-taken", None),
        ("beyond-a-gap", 2, 5, 6, 6, "not-taken", None),
        ("known-with-another-chain", 3, 1, 3, 2, "fork", None),
        ("overlap-with-another-chain", 3, 2, 5, 4, "fork", None),
        ("chain-not-of-its-entries", 2, 3, 4, 5, "broken", None),
    ]
    return {
        "digests": [digest.hex() for digest in digests],
        "chains": [chain.hex() for chain in chains],
        "bundles": [
            {"name": name, "up_to": up_to, "first": first, "last": last,
             "chain": chains[chain_of].hex(), "outcome": outcome, "skip": skip}
            for name, up_to, first, last, chain_of, outcome, skip in cases
        ],
    }  # fmt: skip


# ------------------------------------------------------------------ journal


def leaves(frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the records of one exchange's leaves at the oblast, and one of each other kind."""
    packet = frames[0]
    header = cut(bytes.fromhex(packet["frame"])).header
    name = {
        "id": header.id,
        "type": header.type,
        "from_": header.from_,
        "to": header.to,
        "epoch": "1",
    }
    at = format_instant(NOW + 13 * SECOND)
    received = leaf_record(
        LeafKind.RECEIVED,
        at=at,
        **name,
        seq="1",
        sent=header.sent,
        received=at,
        size=str(len(packet["frame"]) // 2),
        via=DISTRICT,
        head_sha256=packet["head_sha256"],
        head_sha512=packet["head_sha512"],
        frame_sha256=packet["frame_sha256"],
        certificate=header.certificate,
        crl="84",
        verdict="accepted",
    )
    released = leaf_record(LeafKind.RELEASED, at=at, **name, head_sha256=packet["head_sha256"])
    closed = leaf_record(
        LeafKind.CLOSED,
        at=format_instant(NOW + 40 * SECOND),
        **name,
        head_sha256=packet["head_sha256"],
        by=SCHOOL,
        receipt=RECEIPT_ID,
    )
    refused = leaf_record(
        LeafKind.REFUSED,
        at=at,
        via=DISTRICT,
        size=str(len(packet["frame"]) // 2),
        frame_sha256=packet["frame_sha256"],
        frame_sha512=packet["frame_sha512"],
        verdict="refused",
        reason=Reason.SIG_INVALID,
        detail="signature does not hold",
    )
    custody = leaf_record(
        LeafKind.CUSTODY, at=at, neighbour=DISTRICT, lane="fast", epoch="1", up_to="2",
        chain=streams()["chains"][2], note_sha256="ab" * 32,
    )  # fmt: skip
    crl = leaf_record(
        LeafKind.CRL, at=at, sha256="cd" * 32, issuer="ef" * 32, number="84", via=DISTRICT
    )
    records = {
        "received": received,
        "released": released,
        "closed": closed,
        "refused": refused,
        "custody": custody,
        "crl": crl,
    }
    return [
        {"name": name, "record": record.decode(), "leaf_hash": leaf_hash(record).hex()}
        for name, record in records.items()
    ]


BAD_LEAVES = {
    "another-first-line": "bbaj-leaf/2\nkind sent\n",
    "no-final-newline": f"{FIRST_LINE}kind sent",
}


def tree() -> dict[str, Any]:
    """Return roots and proofs over the leaves `leaf 0`, `leaf 1` and so on."""
    hashes = [leaf_hash(f"leaf {n}".encode()) for n in range(600)]
    sizes = [0, 1, 2, 3, 4, 5, 6, 7, 8, 255, 256, 257, 600]
    full = Tree()
    tiles = full.extend(hashes)
    spans = {
        "inclusion": [(0, 1), (0, 7), (3, 7), (6, 7), (255, 257), (300, 600)],
        "consistency": [(1, 7), (3, 7), (4, 7), (6, 7), (7, 7), (256, 600), (300, 600)],
    }

    def proof(parts: list[Any]) -> list[str]:
        return [root_of(hashes[first:end]).hex() for first, end in parts]

    return {
        "leaf_hashes": [one.hex() for one in hashes[:8]],
        "roots": {str(size): root_of(hashes[:size]).hex() for size in sizes},
        "inclusion": [
            {"index": index, "size": size, "proof": proof(inclusion_spans(index, size))}
            for index, size in spans["inclusion"]
        ],
        "consistency": [
            {"old_size": old, "size": size, "proof": proof(consistency_spans(old, size))}
            for old, size in spans["consistency"]
        ],
        "full_tiles": [
            {"level": tile.level, "index": tile.index,
             "sha256": hashlib.sha256(tile.hashes).hexdigest(),
             "hashes": len(cut_tile(tile.hashes))}
            for tile in tiles
        ],
    }  # fmt: skip


def notes(network: FixedNetwork) -> dict[str, Any]:
    """Return a checkpoint, its cosigned form, and notes that prove nothing."""
    node, witness = network.nodes[DISTRICT], network.nodes[OBLAST]
    name = origin(DISTRICT, 1)
    root = bytes.fromhex(tree()["roots"]["7"])
    note = sign_checkpoint(name, 7, root, node.journal)
    cosigned = cosign(note, dns_name(OBLAST), NOW // SECOND, witness.witness)
    return {
        "origin": name,
        "size": 7,
        "root": root.hex(),
        "vkey": vkey(name, node.journal.public_bytes),
        "note": note,
        "witness_vkey": vkey(
            dns_name(OBLAST), witness.witness.public_bytes, NoteKey.COSIGNATURE_V1
        ),
        "witness_time": NOW // SECOND,
        "cosigned": cosigned,
        "bad": [
            {"name": "root-changed", "note": note.replace("\n7\n", "\n8\n"),
             "reason": Reason.SIG_INVALID},
            {"name": "unknown-key", "note": note.replace(f"— {name}", "— somebody"),
             "reason": Reason.SIG_INVALID},
            {"name": "no-blank-line", "note": note.replace("\n\n", "\n"),
             "reason": Reason.FORMAT_INVALID},
            {"name": "no-final-newline", "note": note[:-1], "reason": Reason.FORMAT_INVALID},
            {"name": "base64-damaged", "note": note[:-3] + "*=\n",
             "reason": Reason.FORMAT_INVALID},
        ],
    }  # fmt: skip


# ------------------------------------------------------------------ bad objects


def bad_objects(network: FixedNetwork) -> list[dict[str, Any]]:
    """Return link objects that a district refuses from its school, named after their defect."""
    signer = network.nodes[SCHOOL].packet
    ask = Ask(**_stamp(signer, 20), what="crls")
    good = sign_object(ask, signer)
    text = wire.encode(ask)
    crl = network.crls[1]
    with_body = sign_object(Crl(**_stamp(signer, 21), body=_body(crl)), signer, crl)
    elsewhere = msgspec.structs.replace(ask, to=OBLAST)
    foreign = network.nodes[SIBLING].packet
    posed = msgspec.structs.replace(ask, from_=SIBLING, certificate=foreign.fingerprint)

    def signed(encoded: bytes, *, kind: int = 6, version: int = 1, algorithm: int = 1) -> bytes:
        prefix = b"BBAL" + bytes([version, kind, algorithm]) + len(encoded).to_bytes(2)
        return join_head(prefix + encoded, signer.sign(prefix + encoded))

    cases: list[tuple[str, bytes, Reason]] = [
        ("empty", b"", Reason.FORMAT_INVALID),
        ("magic-of-a-frame", b"BBAJ" + good[4:], Reason.FORMAT_INVALID),
        ("version-2", signed(text, version=2), Reason.FORMAT_VERSION),
        ("kind-unknown", signed(text, kind=99), Reason.FORMAT_INVALID),
        ("kind-of-another-header", signed(text, kind=3), Reason.FORMAT_INVALID),
        ("algorithm-2", signed(text, algorithm=2), Reason.ALGORITHM_NOT_ALLOWED),
        ("header-with-space", signed(text.replace(b":", b": ", 1)), Reason.FORMAT_INVALID),
        ("header-unknown-field", signed(text[:-1] + b',"x":1}'), Reason.FORMAT_INVALID),
        ("cut-in-its-signature", good[:-1], Reason.FORMAT_INVALID),
        ("bytes-behind", good + b"\0", Reason.FORMAT_INVALID),
        ("to-another-node", sign_object(elsewhere, signer), Reason.ROUTE_FORBIDDEN),
        ("from-another-node", sign_object(posed, foreign), Reason.ROUTE_FORBIDDEN),
        ("signed-by-another-key", _resigned(ask, signer, foreign), Reason.SIG_INVALID),
        ("body-cut", with_body[:-1], Reason.DIGEST_MISMATCH),
        ("body-changed", with_body[:-1] + b"\0", Reason.DIGEST_MISMATCH),
        (
            "certificate-not-at-hand",
            sign_object(msgspec.structs.replace(ask, certificate="ab" * 32), _Posing(signer)),
            Reason.SENDER_UNKNOWN,
        ),
    ]
    return [
        {"name": name, "here": DISTRICT, "neighbour": SCHOOL, "object": raw.hex(),
         "reason": reason}
        for name, raw, reason in cases
    ]  # fmt: skip


class _Posing:
    """Signs under a certificate that nobody has."""

    fingerprint = "ab" * 32

    def __init__(self, signer: PacketSigner) -> None:
        self.certificate = signer.certificate
        self.sign = signer.sign


def _resigned(header: Ask, named: PacketSigner, used: PacketSigner) -> bytes:
    assert header.certificate == named.fingerprint
    good = sign_object(header, named)
    size = int.from_bytes(good[7:9])
    signed = good[: 9 + size]
    return join_head(signed, used.sign(signed))


# ------------------------------------------------------------------ files


def make_files() -> dict[str, str]:
    """Return the text of every file, by name."""
    network = FixedNetwork()
    frames = good_frames(network)

    def certified(**fields: Any) -> Header:
        """Return a draft with its certificate: an encrypted payload is bound to that as well."""
        header = draft(**fields)
        named = network.nodes[header.from_].packet.fingerprint
        return msgspec.structs.replace(header, certificate=named)

    encrypted = encryption(certified, salt("encrypted"), DOCUMENT, ATTENDANCE_ID, PACKED)
    frames.append(_encrypted_frame(network, encrypted["opened"][0]))
    objects_ = objects(network, frames)
    by_name = {one["name"]: one for one in [*frames, *objects_]}
    trees = {
        "trust.json": describe(network),
        "frames.json": frames,
        "bad-frames.json": bad_frames(network, bytes.fromhex(frames[0]["frame"])),
        "judged-frames.json": judged_frames(network, bytes.fromhex(frames[0]["frame"])),
        "objects.json": objects_,
        "bad-objects.json": bad_objects(network),
        "cards.json": cards(network),
        "issuing.json": issuing(network),
        "recovery.json": recovery(
            network, bytes.fromhex(frames[0]["frame"]), card_named(cards(network), "card-epochs")
        ),
        "rebuilding.json": rebuilding(network, bytes.fromhex(frames[0]["frame"])),
        "reconciling.json": reconciling(network),
        "parts.json": parts(network, MANIFEST_ID),
        "tracking.json": tracking(network, frames[0]),
        "streams.json": streams(),
        "payloads.json": payloads(),
        "encryption.json": encrypted,
        "names.json": names(),
        "leaves.json": {"good": leaves(frames), "bad": BAD_LEAVES},
        "tree.json": tree(),
        "notes.json": notes(network),
        "witnessing.json": witnessing(network),
    }
    files = {name: _as_json(value) for name, value in trees.items()}
    for name, field in (("attendance", "frame"), ("custody-note", "object")):
        files[f"{name}.hex"] = as_hex(bytes.fromhex(by_name[name][field]))
    return files


def as_hex(data: bytes) -> str:
    """Return bytes in hex, `WIDTH` a line."""
    return "".join(data[at : at + WIDTH].hex() + "\n" for at in range(0, len(data), WIDTH))


def _as_json(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=1).decode() + "\n"


def main() -> None:
    """Write the files."""
    for name, text in make_files().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
