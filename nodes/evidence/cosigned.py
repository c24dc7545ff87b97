"""The cosignatures of a note, each with what vouches for its key (protocol clause 20.8)."""

from collections.abc import Iterable, Mapping

from cryptography.hazmat.primitives.asymmetric import ed25519

from nodes.evidence.model import Cosignature, LatticeCosignature
from schemas.addresses import dns_name
from schemas.objects import cut_object
from schemas.records import CosignatureRow
from schemas.witnessing import Cosigned
from signing.certificates import named_address, parse_certificate, purpose_of
from signing.note_text import read_signature_line, split_note
from signing.notes import KeyType, cosigned_bytes, key_id, read_vkey, subtree_bytes
from signing.profiles import Purpose

TIME_BYTES = 8
LATTICE_BYTES = 2420
"""Of an ML-DSA-44 signature."""


def witness_keys(certificates: Iterable[bytes]) -> dict[tuple[str, bytes], bytes]:
    """Return the certificates of witnesses' keys by name and id, as signature lines have them."""
    found = {}
    for der in certificates:
        parsed, address = parse_certificate(der), named_address(der)
        if parsed is None or address is None or purpose_of(parsed) is not Purpose.WITNESS:
            continue
        public = parsed.public_key()
        if isinstance(public, ed25519.Ed25519PublicKey):
            name = dns_name(address)
            found[name, key_id(name, public.public_bytes_raw(), KeyType.COSIGNATURE_V1)] = der
    return found


def cosignatures_of(
    note: str,
    rows: Iterable[CosignatureRow],
    witnesses: Mapping[tuple[str, bytes], bytes],
    certificates: Mapping[str, bytes],
) -> list[Cosignature | LatticeCosignature]:
    """Return the cosignatures in a note's lines that something at hand vouches for.

    `rows` brought the lines; `certificates` are those of the record, by fingerprint.
    """
    text, lines = split_note(note)
    brought = {line: row for row in rows for line in row.lines.splitlines()}
    found: list[Cosignature | LatticeCosignature] = []
    for line in lines:
        name, identity, data = read_signature_line(line)
        time_s, signature = int.from_bytes(data[:TIME_BYTES]), data[TIME_BYTES:]
        if (name, identity) in witnesses:
            signed, certificate = cosigned_bytes(text, time_s), witnesses[name, identity]
            found.append(Cosignature(signed, signature, time_s, certificate))
        elif line in brought and len(signature) == LATTICE_BYTES:
            signed = subtree_bytes(text, name, time_s)
            found += _lattice(signed, signature, identity, brought[line], certificates)
    return found


def _lattice(
    signed: bytes,
    signature: bytes,
    identity: bytes,
    row: CosignatureRow,
    certificates: Mapping[str, bytes],
) -> list[LatticeCosignature]:
    """Return an ML-DSA-44 cosignature with the object that vouches for its key."""
    header = cut_object(row.object).header
    assert isinstance(header, Cosigned), "what brings cosignatures is such an object"
    certificate = certificates.get(header.certificate)
    keys = [key for key in header.keys if read_vkey(key).id == identity]
    if not keys or certificate is None:
        return []
    return [LatticeCosignature(signed, signature, keys[0], row.object, certificate, row.at)]
