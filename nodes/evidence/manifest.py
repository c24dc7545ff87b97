"""What seals a folder: the sums of its files, and a manifest that the exporting node signs (20.2).

The manifest is JSON in the one encoding of headers, so that nothing else that a packet key signs
can pass as one: frames and objects begin with their magic.
"""

import hashlib
from collections.abc import Mapping
from typing import Literal

import msgspec

from nodes.evidence.model import FORMAT, Dossier
from schemas import wire
from schemas.addresses import Address
from schemas.answers import PacketName
from schemas.header import Count, Sha256Hex
from schemas.moments import InstantText, format_instant
from signing.cms import detached_cms

SUMS = "SHA256SUMS"
MANIFEST = "manifest.json"
SEAL = "manifest.p7s"


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which packet a folder is about, who exported it when, and the digest of its sums."""

    format: Literal["bbaj-evidence/1"]
    packet: PacketName
    by: Address
    exported: InstantText
    sums: Sha256Hex
    frames: tuple[str, ...]
    checkpoints: tuple[Count, ...]


_decoder = msgspec.json.Decoder(Manifest)


def decode_manifest(raw: bytes) -> Manifest:
    """Return what a manifest says. Raises FormatError(format-invalid)."""
    manifest = wire.decode(raw, _decoder)
    wire.check_moment("exported", manifest.exported)
    return manifest


def sums_of(files: Mapping[str, bytes]) -> bytes:
    """Return the lines of `sha256sum`, sorted by the bytes of the name."""
    lines = (f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))
    return "".join(lines).encode()


def seal(dossier: Dossier, files: Mapping[str, bytes], authority: bytes | None) -> dict[str, bytes]:
    """Return sums, manifest and seal over the other files; signs with the exporter's key."""
    packet = dossier.packet
    sums = sums_of(files)
    manifest = wire.encode(
        Manifest(
            format=FORMAT,
            packet=PacketName(packet.sender, packet.epoch, packet.id),
            by=dossier.by,
            exported=format_instant(dossier.exported),
            sums=hashlib.sha256(sums).hexdigest(),
            frames=tuple(frame.folder for frame in dossier.frames),
            checkpoints=tuple(each.size for each in dossier.checkpoints),
        )
    )
    others = [] if authority is None else [authority]
    cms = detached_cms(dossier.signer.sign(manifest), dossier.signer.certificate, *others)
    return {SUMS: sums, MANIFEST: manifest, SEAL: cms}
