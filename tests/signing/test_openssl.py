"""What a stranger does with stock tools to a packet: the shell recipe, detached CMS."""

import re
import shutil
import subprocess

import pytest
from cryptography import x509

from harness.openssl import crl_pem, openssl, pem
from harness.pki import NOW, OBLAST, SCHOOL
from schemas.frame import cut
from schemas.moments import DAY, SECOND
from signing.authority import Revoked, issue_crl
from signing.cms import detached_cms

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def good(network):
    return network.nodes[SCHOOL].packet.certificate


def revoked(network, issuer, serial):
    """Give the network's lists, the issuer's one with an entry."""
    lists = network.crls()
    issuers = [network.root, *network.authorities.values()]
    at = [each.der for each in issuers].index(issuer.der)
    lists[at] = issue_crl(issuer, [Revoked(serial, NOW, "keyCompromise")], 950, NOW)
    return lists


# ------------------------------------------------------------------ the shell recipe

RECIPE = """
h=$(od -An -tu1 -j6 -N2 frame.bin | awk '{print $1*256+$2}')
head -c $((8+h)) frame.bin > signed.bin
s=$(od -An -tu1 -j$((8+h)) -N2 frame.bin | awk '{print $1*256+$2}')
tail -c +$((11+h)) frame.bin | head -c $s > sig.der
tail -c +$((11+h+s)) frame.bin > payload.bin
head -c $((10+h+s)) frame.bin | sha256sum
tail -c +9 signed.bin; sha256sum payload.bin; sha512sum payload.bin
openssl x509 -in cert.pem -pubkey -noout > pub.pem
openssl dgst -sha256 -verify pub.pem -signature sig.der signed.bin
openssl x509 -in cert.pem -noout -ext subjectAltName,extendedKeyUsage
openssl cms -verify -binary -inform DER -in packet.p7s -content signed.bin \
        -CAfile roots_and_crls.pem -crl_check_all -attime $T -purpose any -out /dev/null
"""


@pytest.fixture
def evidence(network, frame, tmp_path):
    """Write what a stranger is given."""
    node, authority = good(network), network.authorities[OBLAST].der
    (tmp_path / "frame.bin").write_bytes(frame)
    (tmp_path / "signed.bin").write_bytes(cut(frame).signed)
    (tmp_path / "cert.pem").write_text(pem(node))
    (tmp_path / "packet.p7s").write_bytes(detached_cms(cut(frame).signature, node, authority))
    write_lists(network, tmp_path, network.crls())
    return tmp_path


def write_lists(network, folder, crls):
    (folder / "roots_and_crls.pem").write_text(pem(network.root.der) + "".join(map(crl_pem, crls)))


def run(folder, script, at=NOW):
    return subprocess.run(
        ["bash", "-ec", f"T={at // SECOND}\n{script}"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_recipe(evidence, judge, frame):
    """The published shell recipe says yes, and prints the digests that header and leaf name."""
    done = run(evidence, RECIPE)
    facts = cut(frame).header.payload
    assert done.returncode == 0
    assert "Verified OK" in done.stdout
    assert "CMS Verification successful" in done.stderr
    assert judge(frame).head_sha256.hex() in done.stdout
    printed = set(re.split(r"[\n}]", done.stdout))
    assert {f"{facts.sha256}  payload.bin", f"{facts.sha512}  payload.bin"} <= printed


def test_recipe_finds_the_payload(evidence, frame):
    """The recipe cuts the payload out, byte for byte."""
    run(evidence, RECIPE)
    assert (evidence / "payload.bin").read_bytes() == cut(frame).payload


@pytest.mark.parametrize("at", [5, 20, 100, 400])
def test_recipe_finds_damage(evidence, frame, at):
    """One flipped bit in what is signed, and the recipe says no."""
    (evidence / "frame.bin").write_bytes(frame[:at] + bytes([frame[at] ^ 1]) + frame[at + 1 :])
    assert run(evidence, RECIPE).returncode != 0


# ------------------------------------------------------------------ CMS alone

CMS = RECIPE[RECIPE.index("openssl cms") :]


def test_cms_holds_at_its_time(evidence):
    """The CMS verifies at the time of sealing, with the CRL in force then."""
    assert run(evidence, CMS).returncode == 0


def test_cms_after_the_certificate_has_ended(evidence):
    """After the certificate's end, the CMS verifies no more but at a moment within its life."""
    assert run(evidence, CMS, NOW + 401 * DAY).returncode != 0


def revoked_later(network):
    """Give the lists of a month later, with the signer on its authority's."""
    serial = x509.load_der_x509_certificate(good(network)).serial_number
    later, authority = NOW + 30 * DAY, network.authorities[OBLAST]
    return [*network.crls(later), issue_crl(authority, [Revoked(serial, later)], 960, later)]


def test_cms_with_the_signer_revoked_since(evidence, network):
    """With the list in force then *and* a later one that revokes, it verifies at its time."""
    write_lists(network, evidence, [*network.crls(), *revoked_later(network)])
    assert run(evidence, CMS).returncode == 0


def test_cms_with_later_lists_alone(evidence, network):
    """Later lists alone are not enough: none of them was in force then."""
    write_lists(network, evidence, revoked_later(network))
    assert run(evidence, CMS).returncode != 0


def test_cms_with_the_signer_revoked_then(evidence, network):
    """With the signer on the list in force then, it does not verify."""
    serial = x509.load_der_x509_certificate(good(network)).serial_number
    write_lists(network, evidence, revoked(network, network.authorities[OBLAST], serial))
    assert run(evidence, CMS).returncode != 0


def test_cms_without_lists(evidence, network):
    """Without CRLs the check does not pass."""
    write_lists(network, evidence, [])
    assert run(evidence, CMS).returncode != 0


def test_cms_is_for_these_bytes_alone(evidence):
    """Other content under the same CMS does not verify."""
    (evidence / "signed.bin").write_bytes((evidence / "signed.bin").read_bytes()[:-1] + b"]")
    assert run(evidence, CMS).returncode != 0


def test_cms_brings_its_certificates_in_der_order(network, frame):
    """The same CMS comes out whatever order the certificates are given in."""
    node, authority = good(network), network.authorities[OBLAST].der
    root = network.root.der
    signature = cut(frame).signature
    assert detached_cms(signature, node, authority, root) == detached_cms(
        signature, node, root, authority, root
    )


def test_cms_parses_without_fault(evidence):
    """OpenSSL's parser finds the structure whole."""
    holds, text = openssl("asn1parse", "-inform", "DER", "-in", "packet.p7s", cwd=evidence)
    assert (holds, "pkcs7-signedData" in text) == (True, True)


@pytest.mark.skipif(shutil.which("certtool") is None, reason="certtool is not installed")
def test_gnutls_agrees(evidence):
    """A second implementation verifies the same CMS."""
    done = run(
        evidence,
        "certtool --p7-verify --inder --infile packet.p7s --load-data signed.bin "
        "--load-certificate cert.pem",
    )
    assert (done.returncode, "Signature status: ok" in done.stderr) == (0, True)
