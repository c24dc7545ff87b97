"""A frame's own signature as detached CMS, for `openssl cms -verify`; nothing is signed again.

Without signed attributes, RFC 5652 section 5.4 signs the content itself, so a fixed skeleton round
the raw signature is a valid SignedData whose content is what the frame calls `signed`:

    ContentInfo { signedData, [0] SignedData {
      version 1, digestAlgorithms { sha256 }, encapContentInfo { data },
      certificates [0] { signer, issuing authority },
      signerInfos { { version 1, issuerAndSerialNumber, sha256, ecdsa-with-SHA256, signature } } } }
"""

from cryptography import x509

_INTEGER, _OCTETS, _SEQUENCE, _SET, _TAGGED_0 = 0x02, 0x04, 0x30, 0x31, 0xA0
_VERSION_1 = b"\x02\x01\x01"
_DATA = bytes.fromhex("06092a864886f70d010701")
_SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")
_SHA256 = bytes.fromhex("300b0609608648016503040201")
_ECDSA_WITH_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
_ECDSA_BYTES_MIN, _ECDSA_BYTES_MAX = 8, 72
"""Of a P-256 signature in DER: two integers of at least one byte, at most 33."""


def detached_cms(signature: bytes, signer: bytes, *others: bytes) -> bytes:
    """Return the DER of a detached SignedData round a raw ECDSA P-256 SHA-256 signature.

    `signer` and `others` are certificates (DER): the signer's, then what it chains through.
    """
    return _tlv(_SEQUENCE, _SIGNED_DATA, _tlv(_TAGGED_0, _signed_data(signature, signer, others)))


def raw_signature(cms: bytes, signer: bytes, *others: bytes) -> bytes | None:
    """Return the signature in what `detached_cms` made of these certificates, else None.

    It stands last, so each length it may have is tried; the rest must come out byte for byte.
    """
    for size in range(_ECDSA_BYTES_MIN, _ECDSA_BYTES_MAX + 1):
        signature = cms[-size:]
        if signature[:2] == bytes([_SEQUENCE, size - 2]) and cms == detached_cms(
            signature, signer, *others
        ):
            return signature
    return None


def _signed_data(signature: bytes, signer: bytes, others: tuple[bytes, ...]) -> bytes:
    return _tlv(
        _SEQUENCE,
        _VERSION_1,
        _tlv(_SET, _SHA256),
        _tlv(_SEQUENCE, _DATA),
        _tlv(_TAGGED_0, *sorted({signer, *others})),  # DER orders a SET by its encodings
        _tlv(_SET, _signer_info(signature, signer)),
    )


def _signer_info(signature: bytes, signer: bytes) -> bytes:
    certificate = x509.load_der_x509_certificate(signer)
    serial = certificate.serial_number
    number = serial.to_bytes(serial.bit_length() // 8 + 1, signed=True)
    return _tlv(
        _SEQUENCE,
        _VERSION_1,
        _tlv(_SEQUENCE, certificate.issuer.public_bytes(), _tlv(_INTEGER, number)),
        _SHA256,
        _ECDSA_WITH_SHA256,
        _tlv(_OCTETS, signature),
    )


def _tlv(tag: int, *contents: bytes) -> bytes:
    """Return tag, DER length and content."""
    content = b"".join(contents)
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(length)]) + length + content
