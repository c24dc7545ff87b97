"""One AS2 cycle of pyas2lib in memory: build and sign, parse and verify, signed MDN and its check.

RSA-2048 and SHA-256; nothing is compressed, encrypted, stored or sent. Run by `turns.py`.
"""

# mypy: ignore-errors
# ruff: noqa: INP001 - a program for another interpreter, no module of ours

import datetime as dt
import os
from collections.abc import Callable

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pyas2lib import as2

SENDER, RECIPIENT = "sender", "recipient"
BEGINS = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
ENDS = dt.datetime(2099, 1, 1, tzinfo=dt.UTC)


def make_cycle(content_bytes: int) -> Callable[[], None]:
    """Return the cycle of a document of so many bytes."""
    pairs = {name: _key_pair(name) for name in (SENDER, RECIPIENT)}
    ends = {
        name: as2.Organization(as2_name=name, sign_key=certificate + key, sign_key_pass="")
        for name, (certificate, key) in pairs.items()
    }
    known = {
        name: as2.Partner(
            as2_name=name,
            verify_cert=certificate,
            validate_certs=False,
            sign=True,
            digest_alg="sha256",
            mdn_mode=as2.SYNCHRONOUS_MDN,
            mdn_digest_alg="sha256",
        )
        for name, (certificate, _) in pairs.items()
    }
    # Hexadecimal digits: pyas2lib alters line ends, and then finds its own digest wrong.
    content = os.urandom((content_bytes + 1) // 2).hex()[:content_bytes].encode("ascii")

    def cycle() -> None:
        sent = as2.Message(ends[SENDER], known[RECIPIENT])
        sent.build(content)
        taken = as2.Message()
        status, fault, mdn = taken.parse(
            sent.headers_str + b"\r\n" + sent.content,
            find_org_cb=ends.get,
            find_partner_cb=known.get,
        )
        assert status == "processed", fault
        assert taken.content == content
        answer = as2.Mdn()
        status, fault = answer.parse(mdn.headers_str + b"\r\n" + mdn.content, lambda *_: sent)
        assert (status, fault) == ("processed", None), fault
        assert answer.digest_alg == "sha256"

    return cycle


def _key_pair(name: str) -> tuple[bytes, bytes]:
    """Return a certificate of its own making, and its key, as PEM."""
    key = rsa.generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(BEGINS)
        .not_valid_after(ENDS)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    return (
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, form, plain),
    )
