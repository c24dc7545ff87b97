"""One AS4 cycle of `as4` in memory, in the Peppol profile: gzip, AES-128-GCM, RSA-2048.

Build, sign and encrypt; verify, decrypt and sign the receipt; verify the receipt and its digests.
Nothing is stored or sent. Run by `turns.py`.
"""

# mypy: ignore-errors
# ruff: noqa: INP001 - a program for another interpreter, no module of ours

import datetime as dt
import os
from collections.abc import Callable

from as4 import AS4LocalPrivateKey, SecurityPolicy, pinned_certificates
from as4.peppol import (
    build_peppol_message,
    create_peppol_external_party,
    create_peppol_internal_party,
    parse_peppol_message,
    parse_peppol_receipt,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

SENDER, RECIPIENT = "PBB000001", "PBB000002"
DOCUMENT_TYPE = (
    "urn:oasis:names:specification:ubl:schema:xsd:Invoice-2::Invoice"
    "##urn:cen.eu:en16931:2017#compliant#urn:fdc:peppol.eu:2017:poacc:billing:3.0::2.1"
)
DOCUMENT = '<Invoice xmlns="urn:oasis:names:specification:ubl:schema:xsd:Invoice-2">{}</Invoice>'
BEGINS = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
ENDS = dt.datetime(2099, 1, 1, tzinfo=dt.UTC)


def make_cycle(content_bytes: int) -> Callable[[], None]:
    """Return the cycle of a document of so many bytes, or a little more."""
    pairs = {name: _key_pair(name) for name in (SENDER, RECIPIENT)}
    ends = {
        name: create_peppol_internal_party(name, certificate, AS4LocalPrivateKey(key))
        for name, (certificate, key) in pairs.items()
    }
    recipient, _ = pairs[RECIPIENT]
    known = create_peppol_external_party(RECIPIENT, recipient)
    policy = SecurityPolicy(signer_resolver=pinned_certificates(pairs[SENDER][0]))
    content = DOCUMENT.format(os.urandom(max(0, content_bytes - len(DOCUMENT)) // 2).hex())

    def cycle() -> None:
        sent = build_peppol_message(
            content.encode("ascii"),
            local_party=ends[SENDER],
            remote_party=known,
            sender="9932:9999999999",
            recipient="9932:1111111111",
            sender_country_id="KZ",
            document_type_identifier_scheme="busdox-docid-qns",
            document_type_identifier_value=DOCUMENT_TYPE,
            process_identifier="urn:fdc:peppol.eu:2017:poacc:billing:01:1.0",
        )
        body, boundary = sent.get_request_data()
        headers = sent.get_http_headers(boundary)
        taken = parse_peppol_message(headers, body, ends[RECIPIENT], security_policy=policy)
        _, answer = taken.build_signal()
        assert taken.successful, taken.errors
        [opened] = taken.message.decrypted_data.values()
        assert content.encode("ascii") in opened
        receipt = parse_peppol_receipt(answer, recipient)
        receipt.verify_non_repudiation(sent.signed_references)

    return cycle


def _key_pair(name: str) -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
    """Return a certificate of its own making, and its key."""
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
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate, key
