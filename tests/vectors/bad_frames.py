"""Frames that are refused or held, each named after its one defect, signed wherever it can be.

`bad_frames` fail at the gate: their bytes, certificate or payload are at fault. `judged_frames`
pass it and are judged by what the node knows: earlier packets, standing, its clock.
"""

import hashlib
from typing import Any

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from schemas import wire
from schemas.frame import Frame, cut
from schemas.header import PayloadFacts
from schemas.moments import DAY, MINUTE, format_instant
from schemas.reasons import Reason
from signing.keys import P256_ORDER, PacketSigner, fingerprint
from signing.payload import payload_facts
from signing.profiles import Purpose
from vectors.fixed_keys import (
    DISTRICT,
    ISSUED,
    NOW,
    OBLAST,
    REVOKED,
    SCHOOL,
    SIBLING,
    FixedNetwork,
    p256,
)

Vector = dict[str, Any]


class Forge:
    """Makes frames that differ from a good one in one thing."""

    def __init__(self, network: FixedNetwork, good: bytes) -> None:
        self.network = network
        self.good = good
        self.frame: Frame = cut(good)
        self.text = wire.encode(self.frame.header)
        self.signer = network.nodes[SCHOOL].packet
        self._extra: list[bytes] = []

    def prefix(self, text: bytes, *, version: int = 1, algorithm: int = 1) -> bytes:
        return b"BBAJ" + bytes([version, algorithm]) + len(text).to_bytes(2) + text

    def signed(self, text: bytes, payload: bytes | None = None, **prefix: int) -> bytes:
        """Return a frame with any header text, signed by the sender's own key."""
        signed = self.prefix(text, **prefix)
        signature = self.signer.sign(signed)
        payload = self.frame.payload if payload is None else payload
        return signed + len(signature).to_bytes(2) + signature + payload

    def with_header(self, signer: PacketSigner | None = None, **fields: Any) -> bytes:
        """Return a well-formed frame with other header fields."""
        signer = signer or self.signer
        fields.setdefault("certificate", signer.fingerprint)
        header = msgspec.structs.replace(self.frame.header, **fields)
        signed = self.prefix(wire.encode(header))
        signature = signer.sign(signed)
        return signed + len(signature).to_bytes(2) + signature + self.frame.payload

    def with_signature(self, signature: bytes) -> bytes:
        head = self.frame.signed + len(signature).to_bytes(2) + signature
        return head + self.frame.payload

    def replaced(self, old: str, new: str) -> bytes:
        """Return a signed frame whose header text has something else in one place."""
        assert self.text.count(old.encode()) == 1, f"{old} is not once in the header"
        return self.signed(self.text.replace(old.encode(), new.encode()))

    def inserted(self, ext: str) -> bytes:
        """Return a signed frame whose header ends in this `ext`."""
        return self.signed(self.text[:-1] + b',"ext":' + ext.encode() + b"}")

    def facts(self, **fields: Any) -> PayloadFacts:
        return msgspec.structs.replace(self.frame.header.payload, **fields)


def bad_frames(network: FixedNetwork, good: bytes) -> list[Vector]:
    """Return every frame that fails at the gate, or is held there."""
    forge = Forge(network, good)
    return [
        *_malformed(forge),
        *_misread_headers(forge),
        *_misrouted(forge),
        *_mistrusted(forge),
        *_damaged(forge),
    ]


def _vector(name: str, frame: bytes, reason: Reason, **more: Any) -> Vector:
    given = {
        "name": name,
        "here": DISTRICT,
        "neighbour": SCHOOL,
        "now": format_instant(NOW),
        "frame": frame.hex(),
        "reason": reason,
    }
    return given | more


def _malformed(forge: Forge) -> list[Vector]:
    """Frames that cannot be cut, or whose prefix is not ours."""
    good, frame = forge.good, forge.frame
    size_at = frame.signed_bytes
    r, s = decode_dss_signature(frame.signature)
    lax = b"\x30\x81" + frame.signature[1:]
    padded = frame.signature[:1] + bytes([frame.signature[1] + 1]) + frame.signature[2:] + b"\0"
    invalid = {
        "empty": b"",
        "shorter-than-its-prefix": good[:7],
        "magic-of-an-object": b"BBAL" + good[4:],
        "cut-in-its-header": good[: size_at - 1],
        "cut-before-its-signature-length": good[: size_at + 1],
        "cut-in-its-signature": good[: frame.head_bytes - 1],
        "header-over-16-kib": forge.signed(b" " * 16385),
        "header-empty": forge.signed(b""),
        "signature-empty": forge.with_signature(b""),
        "signature-with-high-s": forge.with_signature(encode_dss_signature(r, P256_ORDER - s)),
        "signature-in-lax-der": forge.with_signature(lax),
        "signature-with-bytes-behind": forge.with_signature(padded),
        "signature-of-zeros": forge.with_signature(encode_dss_signature(0, 0)),
        "signature-raw-not-der": forge.with_signature(r.to_bytes(32) + s.to_bytes(32)),
    }
    return [
        *(_vector(name, raw, Reason.FORMAT_INVALID) for name, raw in invalid.items()),
        _vector("version-2", forge.signed(forge.text, version=2), Reason.FORMAT_VERSION),
        _vector("version-0", forge.signed(forge.text, version=0), Reason.FORMAT_VERSION),
        _vector("algorithm-2", forge.signed(forge.text, algorithm=2), Reason.ALGORITHM_NOT_ALLOWED),
        _vector(
            "size-over-1-mib",
            forge.with_header(payload=forge.facts(size=1024 * 1024 + 1)),
            Reason.TOO_LARGE,
        ),
    ]


def _misread_headers(forge: Forge) -> list[Vector]:
    """Frames whose header is not the one encoding of an allowed one; all of them are signed."""
    text = forge.text
    id_ = forge.frame.header.id
    sha256 = forge.frame.header.payload.sha256
    swapped = (
        b'{"type":"attendance.daily/1","id":"' + id_.encode() + b'"' + text[text.index(b',"from') :]
    )
    deep = '{"a":{"a":{"a":{"a":{"a":1}}}}}'
    faults = {
        "header-with-space": text.replace(b":", b": ", 1),
        "header-with-newline-behind": text + b"\n",
        "header-twice": text + text,
        "header-in-an-array": b"[" + text + b"]",
        "header-no-json": b"{" + b"x" * 40 + b"}",
        "header-fields-out-of-order": swapped,
        "header-field-unknown": text[:-1] + b',"note":"x"}',
        "header-field-twice": text[:-1] + b',"epoch":1}',
        "header-field-null": text[:-1] + b',"expires":null}',
        "header-deep-nesting": b'{"ext":' * 2000 + b"1" + b"}" * 2000,
    }
    replaced = {
        "header-without-to": (f'"to":"{OBLAST}",', ""),
        "header-with-escape": (SCHOOL, SCHOOL.replace("school", "\\u0073chool")),
        "header-with-non-ascii": ("application/json", "application/jsonә"),
        "id-in-upper-case": (id_, id_.upper()),
        "id-of-version-4": (id_, id_[:14] + "4" + id_[15:]),
        "type-without-version": ("attendance.daily/1", "attendance.daily"),
        "type-of-version-0": ("attendance.daily/1", "attendance.daily/0"),
        "address-in-upper-case": (f'"to":"{OBLAST}"', '"to":"kz.Akmola"'),
        "address-with-nine-labels": (f'"to":"{OBLAST}"', '"to":"a.b.c.d.e.f.g.h.i"'),
        "to-the-sender-itself": (f'"to":"{OBLAST}"', f'"to":"{SCHOOL}"'),
        "sent-without-microseconds": ("06.000000Z", "06Z"),
        "sent-with-an-offset": ("06.000000Z", "06.000000+05:00"),
        "sent-on-no-such-day": ("2026-11-23T", "2026-02-30T"),
        "epoch-zero": ('"epoch":1', '"epoch":0'),
        "epoch-with-leading-zero": ('"epoch":1', '"epoch":01'),
        "epoch-with-fraction": ('"epoch":1', '"epoch":1.0'),
        "epoch-with-exponent": ('"epoch":1', '"epoch":1e0'),
        "epoch-beyond-2-53": ('"epoch":1', '"epoch":9007199254740992'),
        "epoch-as-text": ('"epoch":1', '"epoch":"1"'),
        "seq-and-part-missing": ('"seq":1,', ""),
        "period-in-words": ('"period":"2026-11-23"', '"period":"November"'),
        "section-unknown-form": ('"section":"S15"', '"section":"15"'),
        "class-in-lower-case": ('"class":"R5"', '"class":"r5"'),
        "flow-unknown": ('"flow":"result"', '"flow":"other"'),
        "certificate-short": (
            forge.signer.fingerprint,
            forge.signer.fingerprint[:-1],
        ),
        "digest-in-upper-case": (sha256, sha256.upper()),
        "size-negative": (f'"size":{len(forge.frame.payload)}', '"size":-1'),
        "coding-unknown": ('"coding":"salt"', '"coding":"salt+zstd"'),
        "media-type-with-parameter": ("application/json", "text/plain;charset=utf-8"),
    }
    ext = {
        "ext-with-a-list": '{"a":[1]}',
        "ext-with-true": '{"a":true}',
        "ext-with-null": '{"a":null}',
        "ext-with-a-fraction": '{"a":1.5}',
        "ext-beyond-2-53": '{"a":9007199254740992}',
        "ext-five-deep": deep,
        "ext-keys-unsorted": '{"b":1,"a":2}',
        "ext-key-twice": '{"a":1,"a":2}',
        "ext-as-text": '"a"',
    }
    frames = {name: forge.signed(header) for name, header in faults.items()}
    frames |= {name: forge.replaced(old, new) for name, (old, new) in replaced.items()}
    frames |= {name: forge.inserted(value) for name, value in ext.items()}
    part = b',"part":{"of":"' + id_.encode() + b'","number":1}}'
    frames["seq-and-part-both"] = forge.signed(text[:-1] + part)
    return [_vector(name, raw, Reason.FORMAT_INVALID) for name, raw in frames.items()]


def _misrouted(forge: Forge) -> list[Vector]:
    sibling = forge.network.nodes[SIBLING].packet
    forbidden = Reason.ROUTE_FORBIDDEN
    theirs = forge.with_header(sibling, from_=SIBLING)
    return [
        _vector("of-a-sibling-on-a-childs-link", theirs, forbidden),
        _vector(
            "to-the-child-that-brings-it",
            forge.with_header(sibling, from_=SIBLING, to=SCHOOL),
            forbidden,
        ),
        _vector("of-our-subtree-on-the-parents-link", theirs, forbidden, neighbour=OBLAST),
        _vector(
            "past-our-subtree-on-the-parents-link",
            forge.with_header(forge.network.nodes[OBLAST].packet, from_=OBLAST, to="kz.almaty"),
            forbidden,
            neighbour=OBLAST,
        ),
        _vector("over-a-link-that-is-none", forge.good, forbidden, neighbour="kz.almaty"),
    ]


def _mistrusted(forge: Forge) -> list[Vector]:
    network = forge.network
    school = network.nodes[SCHOOL]
    siblings = network.nodes[SIBLING].packet.fingerprint
    next_year = format_instant(NOW + 365 * DAY)
    usage_key = p256("school-7 link")
    linked = PacketSigner(usage_key, network.issue(SCHOOL, Purpose.LINK, usage_key))
    wrong_curve, on_p384 = network.certificate_on_p384()
    header = msgspec.structs.replace(forge.frame.header, certificate=fingerprint(on_p384))
    signed = forge.prefix(wire.encode(header))
    by_p384 = wrong_curve.sign(signed, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    odd = signed + len(by_p384).to_bytes(2) + by_p384 + forge.frame.payload
    unknown = forge.with_header(certificate="ab" * 32)
    after_all = NOW + 365 * DAY + 201 * DAY
    return [
        _vector(
            "certificate-of-another-address",
            forge.with_header(network.nodes[SIBLING].packet),
            Reason.CERTIFICATE_UNTRUSTED,
        ),
        _vector(
            "certificate-for-links",
            forge.with_header(linked),
            Reason.CERTIFICATE_UNTRUSTED,
            certificates=[linked.certificate.hex()],
        ),
        _vector(
            "sent-after-the-certificates-end",
            forge.with_header(sent=next_year),
            Reason.KEY_EXPIRED,
            now=next_year,
        ),
        _vector(
            "sent-before-the-certificates-begin",
            forge.with_header(sent=format_instant(ISSUED - 10 * MINUTE)),
            Reason.KEY_EXPIRED,
        ),
        _vector(
            "come-past-the-late-limit",
            forge.good,
            Reason.KEY_EXPIRED,
            now=format_instant(after_all),
        ),
        _vector(
            "certificate-revoked",
            forge.with_header(network.nodes[REVOKED].packet, from_=REVOKED),
            Reason.KEY_REVOKED,
            neighbour=REVOKED,
        ),
        _vector("signature-by-another-curve", odd, Reason.FORMAT_INVALID),
        _vector(
            "certificate-on-another-curve",
            forge.with_header(certificate=fingerprint(on_p384)),
            Reason.ALGORITHM_NOT_ALLOWED,
            certificates=[on_p384.hex()],
        ),
        _held("certificate-not-at-hand", unknown, "certificate"),
        _held("no-crl-has-come", forge.good, "crl", crls=[]),
        _held(
            "crl-past-its-grace",
            forge.good,
            "crl",
            now=format_instant(NOW + 9 * DAY),
        ),
        _vector(
            "signed-by-another-key",
            _with_wrong_key(forge, network.nodes[SIBLING].packet),
            Reason.SIG_INVALID,
        ),
        _vector(
            "header-changed-after-signing",
            forge.good.replace(b'"to":"kz.akmola"', b'"to":"kz.aktobe"'),
            Reason.SIG_INVALID,
        ),
        _vector(
            "certificate-changed-after-signing",
            forge.good.replace(school.packet.fingerprint.encode(), siblings.encode()),
            Reason.CERTIFICATE_UNTRUSTED,
        ),
    ]


def _held(name: str, frame: bytes, missing: str, **more: Any) -> Vector:
    vector = _vector(name, frame, Reason.FORMAT_INVALID, **more)
    del vector["reason"]
    return vector | {"held": missing}


def _with_wrong_key(forge: Forge, other: PacketSigner) -> bytes:
    return forge.with_signature(other.sign(forge.frame.signed))


def _damaged(forge: Forge) -> list[Vector]:
    payload = forge.frame.payload
    flipped = payload[:-1] + bytes([payload[-1] ^ 1])
    head = forge.frame.head
    longer = payload_facts(payload, "application/json", "salt")
    sha512 = hashlib.sha512(flipped).hexdigest()
    frames = {
        "payload-bit-flipped": head + flipped,
        "payload-cut": head + payload[:-1],
        "payload-with-byte-behind": head + payload + b"\0",
        "payload-missing": head,
        "sha256-of-another-payload": forge.with_header(payload=forge.facts(sha256="ab" * 32)),
        "sha512-of-another-payload": forge.with_header(payload=forge.facts(sha512=sha512)),
        "size-of-another-payload": forge.with_header(payload=forge.facts(size=longer.size + 1)),
    }
    return [_vector(name, raw, Reason.DIGEST_MISMATCH, proven=True) for name, raw in frames.items()]


def judged_frames(network: FixedNetwork, good: bytes) -> list[Vector]:
    """Return authentic frames with what the node knows, and how it judges them."""
    forge = Forge(network, good)
    ahead = format_instant(NOW + 11 * MINUTE)
    base = {"here": DISTRICT, "neighbour": SCHOOL, "now": format_instant(NOW), "known": []}

    def vector(name: str, frame: bytes, outcome: str, **more: Any) -> Vector:
        return {"name": name, **base, "frame": frame.hex(), "outcome": outcome} | more

    to_district = forge.with_header(to=DISTRICT)
    order = forge.with_header(to=DISTRICT, type="admin.order/1")
    moved = {"label": "school-8", "standing": "closed", "successor": "kz.akmola.shchuchinsk"}
    return [
        vector("relayed", good, "relayed"),
        vector("received", order, "received"),
        vector("personal-type-in-clear", to_district, "encryption-required"),
        vector("three-weeks-late", good, "relayed", now=format_instant(NOW + 21 * DAY),
               crls=[crl.hex() for crl in network.fresh_crls(NOW + 21 * DAY)]),
        vector("known-already", good, "answered-again", known=[good.hex()]),
        vector("same-id-another-head", forge.with_header(period="2026-11-22"), "replay",
               known=[good.hex()]),
        vector("same-seq-another-id",
               forge.with_header(id="01a20675-fef0-7a11-8c3e-0d5a4b7f6e22"), "replay",
               known=[good.hex()]),
        vector("eleven-minutes-ahead", forge.with_header(sent=ahead), "outside-time-window"),
        vector("nine-minutes-ahead",
               forge.with_header(sent=format_instant(NOW + 9 * MINUTE)), "relayed"),
        vector("sender-suspended", good, "sender-suspended",
               children=[{"label": "school-7", "standing": "suspended"}]),
        vector("type-not-in-the-senders-list", good, "type-not-allowed",
               children=[{"label": "school-7", "types": ["stat.form/1"]}]),
        vector("recipient-not-below-us", forge.with_header(to="kz.akmola.burabay.school-99"),
               "recipient-unknown"),
        vector("recipient-moved", forge.with_header(to=SIBLING), "recipient-moved",
               children=[{"label": "school-7"}, moved]),
        vector("recipient-closed", forge.with_header(to=SIBLING), "recipient-unknown",
               children=[{"label": "school-7"}, {"label": "school-8", "standing": "closed"}]),
        vector("past-its-end",
               forge.with_header(expires=format_instant(NOW - MINUTE)), "expired"),
        vector("type-on-no-code-list", forge.with_header(to=DISTRICT, type="not.known.here/1"),
               "held"),
        vector("type-unknown-to-a-relay", forge.with_header(type="not.known.here/1"), "relayed"),
    ]  # fmt: skip
