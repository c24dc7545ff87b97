"""Names are hashed as OpenSSL does it, which is how a broker finds an issuer's list."""

import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from signing.name_hash import name_hash

KEY = ec.generate_private_key(ec.SECP256R1())
NOW = datetime(2026, 9, 1, tzinfo=UTC)


def hash_by_openssl(name: x509.Name) -> str:
    crl = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(name)
        .last_update(NOW)
        .next_update(NOW + timedelta(days=1))
        .sign(KEY, hashes.SHA256())
    )
    pem = crl.public_bytes(Encoding.PEM)
    command = ["openssl", "crl", "-hash", "-noout"]
    done = subprocess.run(command, input=pem, capture_output=True, check=True)
    return done.stdout.decode().strip().rpartition("=")[2]


def named(*pairs: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, text) for oid, text in pairs])


@pytest.mark.parametrize(
    "name",
    [
        named((NameOID.COMMON_NAME, "bbaj root")),
        named(
            (NameOID.DOMAIN_COMPONENT, "internal"),
            (NameOID.DOMAIN_COMPONENT, "kz"),
            (NameOID.COMMON_NAME, "bbaj authority"),
        ),
        named((NameOID.COUNTRY_NAME, "KZ"), (NameOID.COMMON_NAME, "  Two \t words  ")),
        named((NameOID.COMMON_NAME, "Жамбыл Облысы"), (NameOID.COMMON_NAME, "Ж" * 30)),
        x509.Name(
            [
                x509.NameAttribute(NameOID.COMMON_NAME, "Wide Ә", _ASN1Type.BMPString),
                x509.NameAttribute(NameOID.COMMON_NAME, "Wider Ә", _ASN1Type.UniversalString),
            ]
        ),
        x509.Name(
            [
                x509.RelativeDistinguishedName(
                    [
                        x509.NameAttribute(NameOID.COMMON_NAME, "Zz"),
                        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "A"),
                    ]
                )
            ]
        ),
    ],
    ids=["root", "authority", "spaces", "cyrillic", "wide", "set"],
)
def test_openssl_agrees(name):
    """Each kind of text, and a set of two, has the hash that OpenSSL gives it."""
    assert name_hash(name) == hash_by_openssl(name)


@settings(max_examples=25, deadline=None)
@given(
    st.text(
        st.characters(blacklist_categories=("Cs", "Cc")) | st.sampled_from(" \t"),
        min_size=1,
        max_size=15,
    )
)
def test_openssl_agrees_on_any_text(text):
    """Any common name has the hash that OpenSSL gives it."""
    name = named((NameOID.COMMON_NAME, text))
    assert name_hash(name) == hash_by_openssl(name)
