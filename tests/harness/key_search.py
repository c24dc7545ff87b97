"""Searches texts for key bytes in every form that a careless program might show them."""

import base64
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from signing.encryption import EncryptionKeyring
from signing.keys import load_private_key

SHORTEST = 12
"""A run of so many key bytes is no accident."""


def secrets_of(folder: Path, passphrase: str) -> dict[str, bytes]:
    """Return the secret bytes behind every key file of a folder, and the passphrase, by name."""
    word = passphrase.encode()
    found = {"passphrase": word}
    for path in sorted(folder.rglob("*.key")):
        if path.name.startswith("encryption"):
            continue
        key = load_private_key(path, word)
        found[path.name] = raw_private(key)
    keyring = EncryptionKeyring.load(folder, word)
    for stated in keyring.facts:
        hybrid = keyring.find(bytes.fromhex(stated.id))
        found[f"seed {stated.id[:8]}"] = hybrid.mlkem.private_bytes_raw()
        found[f"x25519 {stated.id[:8]}"] = hybrid.x25519.private_bytes_raw()
    return found


def raw_private(key) -> bytes:
    """Return a private key's own 32 bytes."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.private_bytes_raw()
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key.private_numbers().private_value.to_bytes(32)


def pkcs8(key) -> bytes:
    """Return a key as PKCS#8 PEM without a passphrase."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def forms_of(secret: bytes) -> dict[str, bytes]:
    """Return how a secret may look in a text: enough of each form to be no accident."""
    part = secret[:SHORTEST] if len(secret) >= 2 * SHORTEST else secret
    hexed = part.hex()
    return {
        "raw": part,
        "hex": hexed.encode(),
        "HEX": hexed.upper().encode(),
        "hex with colons": part.hex(":").encode(),
        "decimal": str(int.from_bytes(secret)).encode(),
        "repr": repr(part)[2:-1].encode(),
        "list": ", ".join(map(str, part)).encode(),
        "utf-16": part.decode("latin-1").encode("utf-16-le"),
        **{f"base64 at {shift}": _base64_within(part, shift) for shift in range(3)},
    }


def _base64_within(part: bytes, shift: int) -> bytes:
    """Return the Base64 characters that depend on `part` alone, where it begins at `shift` of 3."""
    encoded = base64.b64encode(bytes(shift) + part)
    first = 0 if shift == 0 else 4
    last = (shift + len(part)) // 3 * 4
    return encoded[first:last]


def find_secrets(said: bytes, secrets: dict[str, bytes]) -> list[str]:
    """Return which secrets stand in a text, and in which form."""
    return [
        f"{name} as {form}"
        for name, secret in secrets.items()
        for form, look in forms_of(secret).items()
        if look in said or look in said.replace(b"\n", b"")
    ]
