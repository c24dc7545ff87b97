"""Time-stamps: what a real authority answers holds, and every departure from it has its name."""

import contextlib
import hashlib
import re
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from fuzz.world import CORPUS
from nodes.clock import now
from nodes.sandbox.timestamp_authority import TimestampAuthority
from schemas.errors import FormatError
from schemas.moments import DAY, SECOND
from schemas.reasons import Reason
from signing.algorithms import DEFAULT
from signing.timestamps import (
    TOKEN_BYTES_MAX,
    build_request,
    load_roots,
    read_response,
    read_token,
    verify_token,
)

NOTE = b"burabay.akmola.kz.bbaj.internal/1\n7\nAAAA\n\n\xe2\x80\x94 name c2ln\n"
VECTORS = Path(__file__).resolve().parents[3] / "shared/vectors/rfc3161"
needs_vectors = pytest.mark.skipif(
    not VECTORS.exists(), reason=f"{VECTORS} is not here: other people's time-stamps stay unread"
)
EC_PUBLIC_KEY = bytes.fromhex("06072a8648ce3d0201")
KZ_GOST_KEY = bytes.fromhex("06072a830e030a0101")
"""An OID of Kazakhstan's arc, of the same length."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return TimestampAuthority(tmp_path_factory.mktemp("tsa"), "national")


@pytest.fixture(scope="module")
def roots(authority):
    return load_roots(authority.root_path.read_bytes())


@pytest.fixture(scope="module")
def asked():
    return build_request(NOTE)


@pytest.fixture(scope="module")
def token(authority, asked):
    return read_response(authority.answer(asked.der))


def refusal(call, *args, **options):
    """Return reason and detail of what the call refuses with."""
    with pytest.raises(FormatError) as caught:
        call(*args, **options)
    return caught.value.reason, caught.value.detail


def test_a_token_of_a_real_authority_holds(token, roots, asked):
    """Its facts say when, by whom, over what, and what it relies on."""
    facts = verify_token(token, NOTE, roots, nonce=asked.nonce)
    assert abs(facts.gen_time - now()) < 60 * SECOND
    assert (facts.tsa, facts.digest, facts.nonce) == ("CN=national", "sha-512", asked.nonce)
    assert facts.imprint == hashlib.sha512(NOTE).digest()
    assert facts.root == roots[0].public_bytes(Encoding.DER)
    assert [x509.load_der_x509_certificate(each).issuer for each in facts.certificates] == [
        roots[0].subject
    ]
    assert facts.algorithms == ("sha-512", "ecdsa-p256-sha256", "ecdsa-p384-sha384")
    assert all(DEFAULT.allowed(name, facts.gen_time) for name in facts.algorithms)
    assert facts.supported


def test_openssl_takes_our_request_for_what_it_is(asked, tmp_path):
    """A stock tool reads SHA-512, our nonce, and that certificates are asked for."""
    (tmp_path / "q").write_bytes(asked.der)
    command = ["openssl", "ts", "-query", "-in", tmp_path / "q", "-text"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Hash Algorithm: sha512" in said
    assert "Certificate required: yes" in said
    assert f"Nonce: 0x{asked.nonce:X}".lower() in said.lower().replace("nonce: 0x0", "nonce: 0x")


def test_stock_openssl_verifies_what_we_keep(token, authority, tmp_path):
    """Note, token and root as an evidence folder has them are enough for `openssl ts -verify`."""
    (tmp_path / "note").write_bytes(NOTE)
    (tmp_path / "token").write_bytes(token)
    done = subprocess.run(
        [
            *("openssl", "ts", "-verify", "-data", tmp_path / "note", "-in", tmp_path / "token"),
            *("-token_in", "-CAfile", authority.root_path),
        ],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_another_note_is_a_digest_mismatch(token, roots):
    """The imprint is of the exact bytes, signature lines included."""
    reason, detail = refusal(verify_token, token, NOTE + b"x", roots)
    assert (reason, detail) == (
        Reason.DIGEST_MISMATCH,
        "time-stamp: its imprint is of other bytes",
    )


def test_an_old_answer_is_told_by_its_nonce(token, roots):
    """An answer to another request over the same note is none to ours."""
    reason, detail = refusal(verify_token, token, NOTE, roots, nonce=build_request(NOTE).nonce)
    assert reason is Reason.FORMAT_INVALID
    assert "another nonce" in detail


def test_another_policy_than_wanted_is_named(token, roots):
    """Where the reader wants one policy, a token under another does not count."""
    assert "policy 2.25." in refusal(verify_token, token, NOTE, roots, policy="1.2.3")[1]


def test_another_authority_of_the_same_name_is_not_trusted(tmp_path, token, authority):
    """A root made by somebody else, with the same name, leads nowhere."""
    forger = TimestampAuthority(tmp_path, "national")
    reason, detail = refusal(verify_token, token, NOTE, load_roots(forger.root_path.read_bytes()))
    assert reason is Reason.CERTIFICATE_UNTRUSTED
    assert "no chain to its root" in detail
    assert "no root" in refusal(verify_token, token, NOTE, [])[1]


def test_each_changed_byte_of_a_token_is_noticed(token, roots, asked):
    """No single damaged byte leaves a token that says something else."""
    facts = verify_token(token, NOTE, roots, nonce=asked.nonce)
    for at in range(0, len(token), 7):
        damaged = token[:at] + bytes([token[at] ^ 0x10]) + token[at + 1 :]
        try:
            again = verify_token(damaged, NOTE, roots, nonce=asked.nonce)
        except FormatError:
            continue
        # The digest algorithms' list outside the signer's part is signed by nobody, and an
        # algorithm that is not known makes the token an unsupported one; no fact changes.
        assert (again.gen_time, again.imprint) == (facts.gen_time, facts.imprint), at


def test_a_damaged_signature_has_its_own_reason(token, roots):
    """The last bytes of a token are its signature."""
    damaged = token[:-3] + bytes([token[-3] ^ 1]) + token[-2:]
    assert refusal(verify_token, damaged, NOTE, roots)[0] is Reason.SIG_INVALID


def test_a_name_of_a_string_that_there_is_not_is_refused(token):
    """Wherever a string in a token's names is of no known type, it is read, or refused by name."""
    places = [at for at in range(len(token)) if token[at - 2 : at + 1] == b"\x04\x03\x0c"]
    for at in places:
        with contextlib.suppress(FormatError):
            read_token(token[:at] + b"\x4c" + token[at + 1 :])
    assert len(places) >= 4


def test_a_token_in_which_no_policy_can_be_read_is_refused():
    """A token that hostile input was made of: its parser returns no policy, which RFC 3161 asks."""
    with pytest.raises(FormatError, match="names no policy"):
        read_token((CORPUS / "token" / "found-72d6c949a5bc").read_bytes())


def test_what_is_no_token_is_named(token, roots):
    """Cut, followed by something, too long, or something else altogether."""
    for bad in (b"", b"{}", token[:-1], token + b"\x00", b"\x30" + token):
        reason, detail = refusal(verify_token, bad, NOTE, roots)
        assert reason is Reason.FORMAT_INVALID
        assert "no DER of RFC 3161" in detail
    assert "limit" in refusal(read_token, b"\x30" * (2 * TOKEN_BYTES_MAX))[1]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (bytes.fromhex("3005 3003 0201 01"), "granted-with-mods"),
        (bytes.fromhex("3005 3003 0201 02"), "rejection"),
        (bytes.fromhex("3005 3003 0201 03"), "waiting"),
        (bytes.fromhex("3005 3003 0201 00"), "no token"),
    ],
)
def test_an_answer_without_a_token_says_why(answer, said):
    """Only `granted` counts: with modifications it is not what was asked for."""
    reason, detail = refusal(read_response, answer)
    assert reason is Reason.FORMAT_INVALID
    assert said in detail


def test_an_authority_that_refuses_is_quoted(authority):
    """`openssl ts` refuses an imprint of a hash that it is not to take."""
    asked = build_request(NOTE).der
    sha512, sha224 = (
        bytes.fromhex("0609608648016503040203"),
        bytes.fromhex("0609608648016503040204"),
    )
    reason, detail = refusal(read_response, authority.answer(asked.replace(sha512, sha224)))
    assert reason is Reason.FORMAT_INVALID
    assert "rejection" in detail


def test_a_certificate_for_more_than_time_stamping_does_not_count(tmp_path, asked):
    """`rfc3161-client` takes it; RFC 3161 and `openssl ts` do not."""
    broad = TimestampAuthority(tmp_path, "broad")
    good = read_response(broad.answer(asked.der))
    usage = bytes.fromhex("06082b06010505070308")
    assert good.count(usage) == 1
    # The usage of the embedded certificate becomes serverAuth: no time-stamping at all.
    bad = good.replace(usage, usage[:-1] + b"\x01")
    reason, detail = refusal(verify_token, bad, NOTE, load_roots(broad.root_path.read_bytes()))
    assert reason is Reason.CERTIFICATE_UNTRUSTED
    assert "time-stamping alone" in detail


def test_a_token_made_after_its_certificate_ended_does_not_count(tmp_path, asked):
    """The chain is judged at genTime: good while the certificate lived, and never after it."""
    short = TimestampAuthority(tmp_path, "short", life_us=30 * DAY)
    roots = load_roots(short.root_path.read_bytes())
    short.clock_at = now() + 20 * DAY
    facts = verify_token(read_response(short.answer(asked.der)), NOTE, roots)
    assert abs(facts.gen_time - short.clock_at) < 60 * SECOND
    assert facts.ends is not None
    assert facts.gen_time < facts.ends <= now() + 30 * DAY
    short.clock_at = now() + 40 * DAY
    late = read_response(short.answer(asked.der))
    reason, detail = refusal(verify_token, late, NOTE, roots)
    assert reason is Reason.CERTIFICATE_UNTRUSTED
    assert "expired" in detail


def test_a_self_signed_certificate_is_no_intermediate(tmp_path, token, authority, roots):
    """Whoever hands the authority's own root over as an intermediate makes no root of it."""
    other = load_roots(TimestampAuthority(tmp_path, "other").root_path.read_bytes())
    reason, _ = refusal(verify_token, token, NOTE, other, intermediates=roots)
    assert reason is Reason.CERTIFICATE_UNTRUSTED


def test_a_signature_that_nobody_here_can_check_is_kept_and_called_unsupported(token, asked):
    """As GOST tokens are: imprint and nonce are compared, the rest is said to be unchecked."""
    assert token.count(EC_PUBLIC_KEY) == 1
    opaque = token.replace(EC_PUBLIC_KEY, KZ_GOST_KEY)
    facts = verify_token(opaque, NOTE, [], nonce=asked.nonce)
    assert not facts.supported
    assert facts.tsa == "CN=national"
    assert refusal(verify_token, opaque, b"other", [])[0] is Reason.DIGEST_MISMATCH


def test_reading_alone_verifies_nothing(token):
    """What a token claims can be shown before anybody trusts it."""
    assert read_token(token).supported is False


# ----------------------------------------------------------------- what others wrote


def chain_of(folder):
    raw = (VECTORS / folder / "ts_chain.pem").read_bytes()
    if not raw.startswith(b"-----"):
        return [x509.load_der_x509_certificate(raw)]
    pems = re.findall(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", raw, re.DOTALL)
    return [x509.load_pem_x509_certificate(pem) for pem in pems]


def judge(folder, name, data, **options):
    """Verify another project's answer over its data."""
    chain = chain_of(folder)
    roots = [each for each in chain if each.issuer == each.subject]
    others = [each for each in chain if each.issuer != each.subject]
    token = read_response((VECTORS / folder / name).read_bytes())
    return verify_token(token, data, roots, intermediates=others, **options)


@needs_vectors
@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
def test_sigstore_tokens_hold(digest):
    """A public authority's tokens, under each hash of SHA-2."""
    facts = judge("sigstage", f"response-{digest}.tsr", b"hello")
    assert facts.digest == digest.replace("sha", "sha-")
    assert facts.tsa == "CN=sigstore-tsa,O=sigstore.dev"


@needs_vectors
def test_a_commercial_authority_s_rsa_token_holds():
    """RSA, an intermediate inside the token, and a cross-certified root."""
    facts = judge("identrust", "issue-104.tsr", b"hello")
    assert len(facts.certificates) == 2
    assert any(name.startswith("rsa-") for name in facts.algorithms)


@needs_vectors
def test_an_intermediate_at_hand_completes_the_chain():
    """The token brings its own certificate only."""
    facts = judge("test_tsa", "response.tsr", b"hello")
    assert len(facts.certificates) == 2


@needs_vectors
@pytest.mark.parametrize(
    ("folder", "name", "data", "reason"),
    [
        ("sigstage", "response-invalid-signature.tsr", b"hello", Reason.SIG_INVALID),
        ("sigstage", "response-sha256.tsr", b"hallo", Reason.DIGEST_MISMATCH),
        ("test_tsa", "other_response.tsr", b"hello", Reason.CERTIFICATE_UNTRUSTED),
    ],
)
def test_forged_tokens_of_others_are_refused(folder, name, data, reason):
    """A broken signature, other data, another authority under the same names."""
    assert refusal(judge, folder, name, data)[0] is reason


@needs_vectors
def test_a_token_without_its_certificate_needs_it_at_hand():
    """It was made without asking for certificates; the chain at hand has the signer's."""
    assert judge("sigstage", "response-no-embedded-cert.tsr", b"hello").supported
    chain = [each for each in chain_of("sigstage") if each.issuer == each.subject]
    raw = (VECTORS / "sigstage/response-no-embedded-cert.tsr").read_bytes()
    reason, detail = refusal(verify_token, read_response(raw), b"hello", chain)
    assert reason is Reason.CERTIFICATE_UNTRUSTED
    assert "neither in it nor at hand" in detail


@needs_vectors
def test_a_token_whose_chain_has_ended_since_still_holds_at_its_time():
    """`sigstore.mock`: `expired` is what it is for a reader that asks about today."""
    payload = (VECTORS / "sigstore.mock/payload").read_bytes()
    facts = judge("sigstore.mock", "response-expired.tsr", payload)
    assert facts.ends is not None
    assert facts.gen_time < facts.ends < now()
