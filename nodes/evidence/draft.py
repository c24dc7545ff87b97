"""A folder in the making: its files by name, what is missing, and what leaves may bind."""

import hashlib

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from nodes.evidence.model import PACKET_FOLDER
from nodes.evidence.reading import inside
from nodes.said import Said


class Draft:
    """Files by name; every writer adds its own."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.files: dict[str, bytes] = {}
        self.notes: list[str] = []
        self.bound: set[str] = set()
        """SHA-256 of what leaves of the journal may bind: certificates, lists, tokens, notes."""

    def put(self, folder: str, name: str, data: bytes) -> None:
        """Add a file. A name is given once."""
        path = inside(folder, name)
        assert path not in self.files, f"{path} is there already"
        self.files[path] = data

    def bind(self, *contents: bytes) -> None:
        """Let the leaves that name these (DER, or a whole object) stand in the folder too."""
        self.bound |= {hashlib.sha256(each).hexdigest() for each in contents}

    def note(self, folder: str, text: str) -> None:
        """Say what is missing, for VERIFY.md and for whoever exports."""
        name = Said("proof.missing.packet") if folder == PACKET_FOLDER else folder
        self.notes.append(Said("proof.missing.from", {"folder": name, "what": text}))


def pem(der: bytes) -> bytes:
    """Return a certificate as `openssl` writes it."""
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)


def crl_pem(der: bytes) -> bytes:
    """Return a revocation list as `openssl` writes it."""
    return x509.load_der_x509_crl(der).public_bytes(Encoding.PEM)


def line(text: object) -> bytes:
    """Return a file of one line."""
    return f"{text}\n".encode()
