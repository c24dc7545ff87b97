import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.cards import card_of, registry_of
from harness.pki import DISTRICT, NOW, OBLAST, SCHOOL, make_network
from schemas.frame import cut, join_head
from schemas.header import encode_header
from schemas.limits import HEADER_BYTES_MAX, PAYLOAD_BYTES_MAX
from schemas.moments import DAY, format_instant
from schemas.reasons import Reason
from signing.authenticate import Accepted, Held, Refused
from signing.chain import TrustStore
from signing.keys import P256_ORDER
from signing.seal import seal


def test_good_frame_is_accepted(judge, frame):
    """A frame as it was sealed is accepted, with the digests of head and frame."""
    verdict = judge(frame)
    head = cut(frame).head
    digests = (
        hashlib.sha256(head).digest(),
        hashlib.sha512(head).digest(),
        hashlib.sha256(frame).digest(),
    )
    assert isinstance(verdict, Accepted)
    assert (verdict.head_sha256, verdict.head_sha512, verdict.frame_sha256) == digests


def test_accepted_names_the_crl(judge, frame, network):
    """The verdict names the CRL that the certificate was not on."""
    verdict = judge(frame, trust=network.trust())
    assert isinstance(verdict, Accepted)
    assert verdict.crl == network.current_number


def reason_of(verdict):
    assert isinstance(verdict, Refused)
    return verdict.reason


def test_refused_keeps_bytes_and_digest(judge, frame):
    """A refusal carries the received bytes and their SHA-256."""
    bad = frame[:-1] + bytes([frame[-1] ^ 1])
    verdict = judge(bad)
    assert (verdict.raw, verdict.frame_sha256) == (bad, hashlib.sha256(bad).digest())


# ------------------------------------------------------------------ the order of the checks


def test_route_comes_before_trust(judge, draft, signer):
    """A frame that the link may not bring is route-forbidden, whatever its certificate."""
    header, payload = draft(from_="kz.akmola.burabay.school-8")
    assert reason_of(judge(seal(header, payload, signer))) is Reason.ROUTE_FORBIDDEN


def test_foreign_sender_is_untrusted(judge, draft, signer):
    """A certificate that names another node within the link's subtree is untrusted."""
    header, payload = draft(from_=f"{SCHOOL}.annex")
    assert reason_of(judge(seal(header, payload, signer))) is Reason.CERTIFICATE_UNTRUSTED


def test_sent_before_the_certificate_is_expired(judge, draft, signer):
    """A claim of sealing before the certificate began is key-expired."""
    header, payload = draft(sent=format_instant(NOW - DAY))
    assert reason_of(judge(seal(header, payload, signer))) is Reason.KEY_EXPIRED


def test_unknown_certificate_is_held(judge, frame, network):
    """A frame whose certificate has not come is held, and says which one is missing."""
    verdict = judge(frame, trust=network.trust(certificates=False))
    assert isinstance(verdict, Held)
    assert (verdict.missing, verdict.certificate) == ("certificate", cut(frame).header.certificate)


def test_no_crl_is_held(judge, frame, network):
    """A frame is held while no CRL of the authority has come."""
    verdict = judge(frame, trust=network.trust(crls=False))
    assert isinstance(verdict, Held)
    assert verdict.missing == "crl"


def test_damaged_signature_is_sig_invalid(judge, frame, signer):
    """A well-formed signature over something else is sig-invalid, and proves nothing."""
    good = cut(frame)
    verdict = judge(join_head(good.signed, signer.sign(b"other")) + good.payload)
    assert (reason_of(verdict), verdict.proven) == (Reason.SIG_INVALID, False)


def test_high_s_is_format_invalid(judge, frame):
    """The other valid signature of the same head is refused: a head has one encoding."""
    good = cut(frame)
    r, s = decode_dss_signature(good.signature)
    twin = encode_dss_signature(r, P256_ORDER - s)
    assert reason_of(judge(join_head(good.signed, twin) + good.payload)) is Reason.FORMAT_INVALID


@pytest.mark.parametrize("damage", ["flipped", "short", "long", "empty"])
def test_damaged_payload_is_digest_mismatch(judge, frame, damage):
    """Another payload than the header names is digest-mismatch under a proven signature."""
    good = cut(frame)
    payload = {
        "flipped": good.payload[:-1] + bytes([good.payload[-1] ^ 1]),
        "short": good.payload[:-1],
        "long": good.payload + b"\0",
        "empty": b"",
    }[damage]
    verdict = judge(good.head + payload)
    assert (reason_of(verdict), verdict.proven) == (Reason.DIGEST_MISMATCH, True)


def test_sha512_alone_is_checked(judge, draft, signer):
    """A header whose SHA-512 alone is wrong is digest-mismatch."""
    header, payload = draft()
    good = encode_header(header)
    wrong = good.replace(header.payload.sha512.encode(), b"0" * 128)
    prefix = b"BBAJ\1\1" + len(wrong).to_bytes(2)
    raw = join_head(prefix + wrong, signer.sign(prefix + wrong)) + payload
    verdict = judge(raw)
    assert (reason_of(verdict), "SHA-512" in verdict.detail) == (Reason.DIGEST_MISMATCH, True)


def test_foreign_network_is_untrusted(judge, draft):
    """A frame of another network, with all its certificates at hand, is untrusted."""
    foreign = make_network([SCHOOL], NOW)
    header, payload = draft(certificate=foreign.nodes[SCHOOL].packet.fingerprint)
    trust = make_network([DISTRICT], NOW).trust()
    trust.add_certificates([foreign.root.der, *foreign.certificates])
    raw = seal(header, payload, foreign.nodes[SCHOOL].packet)
    assert reason_of(judge(raw, trust=trust)) is Reason.CERTIFICATE_UNTRUSTED


def test_empty_trust_store_holds(judge, frame, network):
    """A node that knows only the root holds what it cannot judge yet."""
    assert isinstance(judge(frame, trust=TrustStore(network.root.der)), Held)


# ------------------------------------------------------------------ format attacks


def test_every_truncation_is_refused(judge, frame):
    """A frame cut off anywhere is refused."""
    assert [
        size for size in range(len(frame)) if not isinstance(judge(frame[:size]), Refused)
    ] == []


def test_every_flipped_bit_is_refused(judge, frame):
    """No single bit can change unseen; only within the certificate's digest may it be held."""
    digest = cut(frame).header.certificate.encode()
    held = range(frame.index(digest), frame.index(digest) + len(digest))
    wrong = []
    for bit in range(8 * len(frame)):
        damaged = bytearray(frame)
        damaged[bit // 8] ^= 1 << bit % 8
        verdict = judge(bytes(damaged))
        allowed = Refused | Held if bit // 8 in held else Refused
        if not isinstance(verdict, allowed):
            wrong.append(bit)
    assert wrong == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=300), data=st.data())
def test_damage_is_never_accepted(judge, draft, signer, content, data):
    """Whatever is sealed, a frame with some bytes changed is never accepted."""
    good = seal(*draft(content), signer)
    at = data.draw(st.integers(0, len(good) - 1))
    other = data.draw(st.binary(min_size=1, max_size=8))
    bad = good[:at] + other + good[at + len(other) :]
    assert bad == good or not isinstance(judge(bad), Accepted)


@given(raw=st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_noise_is_refused(judge, raw):
    """Random bytes are refused, never an exception."""
    assert isinstance(judge(b"BBAJ\1\1" + raw), Refused)


def bad_texts(good):
    """Give header texts with a good signature that are not in the one encoding, by defect."""
    end = good[:-1]
    deep = b'{"a":' * 2000 + b"1" + b"}" * 2000
    return {
        "white space behind": good + b" ",
        "white space within": good.replace(b'"epoch":1', b'"epoch": 1'),
        "new line": good + b"\n",
        "tab": good.replace(b'"epoch":1', b'"epoch":\t1'),
        "byte order mark": b"\xef\xbb\xbf" + good,
        "key twice": good.replace(b'"epoch":1', b'"epoch":2,"epoch":1'),
        "key twice at the end": end + b',"epoch":1}',
        "float": good.replace(b'"epoch":1', b'"epoch":1.0'),
        "exponent": good.replace(b'"epoch":1', b'"epoch":1e0'),
        "leading zero": good.replace(b'"epoch":1', b'"epoch":01'),
        "plus": good.replace(b'"epoch":1', b'"epoch":+1'),
        "text for a number": good.replace(b'"epoch":1', b'"epoch":"1"'),
        "zero epoch": good.replace(b'"epoch":1', b'"epoch":0'),
        "huge number": good.replace(b'"epoch":1', b'"epoch":' + b"9" * 400),
        "beyond 2^53": good.replace(b'"epoch":1', b'"epoch":9007199254740992'),
        "null": good.replace(b'"epoch":1', b'"epoch":null'),
        "null for absent": end + b',"expires":null}',
        "unknown field": end + b',"zzz":1}',
        "other order": b'{"type":"attendance.daily/1",'
        + good[1:].replace(b'"type":"attendance.daily/1",', b""),
        "escape": good.replace(b"S04", b"S\\u00304"),
        "wrong UTF-8": good.replace(b"S04", b"S\xff4"),
        "UTF-8": good.replace(b"S04", "S№4".encode()),
        "DEL": good.replace(b"S04", b"S\x7f4"),
        "NUL": good.replace(b"S04", b"S\x004"),
        "capital in address": good.replace(b"school-7", b"School-7"),
        "empty label": good.replace(b"burabay.school-7", b"burabay..school-7"),
        "to itself": good.replace(OBLAST.encode() + b'"', SCHOOL.encode() + b'"', 1),
        "no such day": good.replace(b"2026-11-23T", b"2026-02-30T"),
        "five digits": good.replace(b"06.000000Z", b"06.00000Z"),
        "other zone": good.replace(b"06.000000Z", b"06.000000+05:00"),
        "UUIDv4": good.replace(b"-7000-", b"-4000-"),
        "deep": end + b',"ext":' + deep + b"}",
        "too deep ext": end + b',"ext":{"a":{"a":{"a":{"a":{"a":1}}}}}}',
        "float in ext": end + b',"ext":{"a":1.5}}',
        "true in ext": end + b',"ext":{"a":true}}',
        "list in ext": end + b',"ext":{"a":[1]}}',
        "ext not sorted": end + b',"ext":{"b":1,"a":1}}',
        "key twice in ext": end + b',"ext":{"a":1,"a":1}}',
        "array": b"[" + good + b"]",
        "empty": b"",
        "two objects": good + good,
        "not JSON": b"<header/>",
    }


DEFECTS = sorted(bad_texts(b"{}"))


@pytest.mark.parametrize("defect", DEFECTS)
def test_other_encoding_is_format_invalid(judge, draft, signed_text, defect):
    """A header in any other encoding than its one is format-invalid under a good signature."""
    header, payload = draft()
    good = encode_header(header)
    text = bad_texts(good)[defect]
    assert text != good
    assert reason_of(judge(signed_text(text, payload))) is Reason.FORMAT_INVALID


def test_header_of_its_limit_is_accepted(judge, draft, signer):
    """A header of exactly 16 KiB is accepted."""
    header, _ = draft(ext={"a": ""})
    left = HEADER_BYTES_MAX - len(encode_header(header))
    assert isinstance(judge(seal(*draft(ext={"a": "x" * left}), signer)), Accepted)


def test_header_over_its_limit_is_refused(judge, draft, signed_text):
    """A header of 16 KiB and one byte is format-invalid."""
    header, payload = draft(ext={"a": ""})
    left = HEADER_BYTES_MAX - len(encode_header(header))
    text = encode_header(draft(ext={"a": "x" * (left + 1)})[0])
    assert len(text) == HEADER_BYTES_MAX + 1
    assert reason_of(judge(signed_text(text, payload))) is Reason.FORMAT_INVALID


def test_other_version_is_format_version(judge, frame):
    """A frame of a later version is format-version."""
    assert reason_of(judge(frame[:4] + b"\2" + frame[5:])) is Reason.FORMAT_VERSION


@pytest.mark.parametrize("algorithm", [0, 2, 3, 255])
def test_other_algorithm_is_not_allowed(judge, frame, algorithm):
    """Only algorithm 1 is allowed."""
    raw = frame[:5] + bytes([algorithm]) + frame[6:]
    assert reason_of(judge(raw)) is Reason.ALGORITHM_NOT_ALLOWED


def test_payload_of_its_limit_is_accepted(judge, draft, signer):
    """A payload of exactly 1 MiB is accepted."""
    noise = hashlib.shake_256(b"noise").digest(PAYLOAD_BYTES_MAX - 16)
    assert isinstance(judge(seal(*draft(noise), signer)), Accepted)


def test_payload_over_its_limit_is_too_large(judge, draft, signer):
    """A payload of 1 MiB and one byte is too large."""
    noise = hashlib.shake_256(b"noise").digest(PAYLOAD_BYTES_MAX - 15)
    assert reason_of(judge(seal(*draft(noise), signer))) is Reason.TOO_LARGE


# ------------------------------------------------------------------ moved nodes


def foreign(network, draft, **changes):
    """Return a frame of another oblast's district, which only a card could let in here."""
    signer = network.nodes["kz.abai.semey"].packet
    header, payload = draft(from_="kz.abai.semey", certificate=signer.fingerprint, **changes)
    return seal(header, payload, signer)


def test_a_foreign_name_on_a_childs_link_waits_for_its_card(judge, network, draft):
    """All else holds: the card that lets it hang below that child may be on its way."""
    held = judge(foreign(network, draft))
    assert isinstance(held, Held)
    assert (held.missing, held.certificate) == ("card", "kz.abai.semey")


def test_with_the_card_it_is_accepted(judge, network, draft):
    """A node that has moved below the child comes in over the child's link."""
    routes = registry_of(DISTRICT, SCHOOL, card_of("kz.abai.semey", uplink=SCHOOL))
    assert isinstance(judge(foreign(network, draft), routes=routes), Accepted)


@pytest.mark.parametrize("defect", ["signature", "payload", "certificate"])
def test_only_what_holds_in_all_else_waits_for_a_card(judge, network, draft, defect):
    """A bad frame of a foreign name is refused at once, for its way: the first check that fails."""
    raw = bytearray(foreign(network, draft))
    if defect == "certificate":
        header, payload = draft(from_="kz.abai.semey")
        raw = bytearray(seal(header, payload, network.nodes[SCHOOL].packet))
    else:
        raw[-1 if defect == "payload" else cut(bytes(raw)).head_bytes - 20] ^= 1
    refused = judge(bytes(raw))
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.ROUTE_FORBIDDEN


@pytest.mark.parametrize("neighbour", [OBLAST, f"{DISTRICT}.school-9"])
def test_nobody_but_a_child_brings_what_has_moved(judge, network, draft, neighbour):
    """From above, or from a child that has no card, it is refused at once."""
    refused = judge(foreign(network, draft), neighbour=neighbour)
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.ROUTE_FORBIDDEN
