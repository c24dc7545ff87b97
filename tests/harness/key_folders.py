"""A node's key folder on disk, with the keys that it has in a test's network."""

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from harness.pki import Network
from nodes.keyring import KeyFolder
from signing.encryption import NEWEST, write_encryption_key
from signing.keys import write_private_key
from signing.profiles import Purpose

PASSPHRASE = b"correct horse"


def make_key_folder(network: Network, address: str, folder: Path) -> KeyFolder:
    """Write a node's keys and certificates as it joined with them."""
    node = network.nodes[address]
    pairs = {
        Purpose.PACKET: (node.packet_key, node.packet.certificate),
        Purpose.JOURNAL: (node.journal_key, node.journal.certificate),
        Purpose.LINK: (node.link_key, node.link_certificate),
        Purpose.WITNESS: (node.witness_key, node.witness.certificate),
    }
    for purpose, (key, certificate) in pairs.items():
        write_private_key(folder / f"{purpose}.key", key, PASSPHRASE)
        (folder / f"{purpose}.pem").write_bytes(pem_of(certificate))
    write_encryption_key(folder / NEWEST, node.encryption.newest, PASSPHRASE)
    return KeyFolder(folder, address, PASSPHRASE)


def pem_of(der: bytes) -> bytes:
    """Return a certificate as a file has it."""
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)
