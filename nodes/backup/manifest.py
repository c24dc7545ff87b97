"""What a backup is: the sums of its files, and a manifest that the node signs.

As with evidence (protocol 20.2), the manifest is JSON in the one encoding of headers and binds the
sums; its seal is a detached CMS, which `openssl cms -verify` reads.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from nodes.errors import BackupDamaged
from nodes.evidence.manifest import MANIFEST, SEAL, SUMS
from schemas import wire
from schemas.addresses import Address
from schemas.errors import FormatError
from schemas.header import Count, Sha256Hex
from schemas.moments import InstantText
from signing.chain import TrustStore
from signing.cms import detached_cms, raw_signature
from signing.errors import KeyFileError
from signing.keys import Signer, fingerprint, load_certificate
from signing.profiles import Purpose
from signing.seal import is_signed_by

SIGNER, AUTHORITY = "signer.pem", "authority.pem"
OUTSIDE = frozenset({MANIFEST, SEAL, SUMS, SIGNER, AUTHORITY})
"""What the sums do not list: the seal vouches for it."""
CHUNK_BYTES = 1024 * 1024

_LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9_][A-Za-z0-9._/@-]*)\n")

Advance = Callable[[int], None]
"""Told how many bytes were hashed since the last time."""


class BackupManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a backup holds: whose record, as of when, how far its journal went."""

    format: Literal["bbaj-backup/1"]
    by: Address
    made: InstantText
    epoch: Count
    leaves: Count
    root: Sha256Hex
    schema: Count
    server: str
    """PostgreSQL's version."""
    files: Count
    bytes: Count
    """Of all files that the sums list."""
    sums: Sha256Hex
    """SHA-256 of the file of sums."""


_decoder = msgspec.json.Decoder(BackupManifest)


def files_in(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the name and path of each file that the sums list, sorted by name."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in OUTSIDE:
            yield name, path


def sums_of(folder: Path, advance: Advance = lambda _bytes: None) -> bytes:
    """Return the lines of `sha256sum` over a folder's files, sorted by name."""
    lines = (f"{_sha256(path, advance)}  {name}\n" for name, path in files_in(folder))
    return "".join(lines).encode()


def seal(manifest: BackupManifest, signer: Signer, authority: bytes) -> dict[str, bytes]:
    """Return manifest and seal by their names."""
    text = wire.encode(manifest)
    return {MANIFEST: text, SEAL: detached_cms(signer.sign(text), signer.certificate, authority)}


def read_manifest(folder: Path, trust: TrustStore, address: str) -> BackupManifest:
    """Return what a backup says that it is, once its seal holds. Raises BackupDamaged."""
    try:
        raw = {name: (folder / name).read_bytes() for name in (MANIFEST, SEAL, SUMS)}
        chain = [load_certificate(folder / name) for name in (SIGNER, AUTHORITY)]
        manifest = wire.decode(raw[MANIFEST], _decoder)
    except (OSError, KeyFileError, FormatError) as error:
        raise BackupDamaged(f"{folder} is no whole backup ({error}): take another one") from error
    if manifest.by != address:
        raise BackupDamaged(f"{folder} is of {manifest.by}, this is {address}: take its own backup")
    trust.add_certificates(chain)
    key = trust.key_of(fingerprint(chain[0]), address, Purpose.PACKET)
    signature = raw_signature(raw[SEAL], *chain)
    if (
        not isinstance(key, ec.EllipticCurvePublicKey)
        or signature is None
        or not is_signed_by(key, signature, raw[MANIFEST])
    ):
        what = f"no packet key of {address} has sealed its manifest"
        raise BackupDamaged(f"{folder}: {what}: take another backup")
    if hashlib.sha256(raw[SUMS]).hexdigest() != manifest.sums:
        raise BackupDamaged(f"{folder / SUMS} is not the one sealed: take another backup")
    return manifest


def check_files(folder: Path, advance: Advance = lambda _bytes: None) -> None:
    """Compare every file with its sum. Raises BackupDamaged, naming the first that differs."""
    listed = _read_sums(folder)
    found = dict(files_in(folder))
    missing, added = sorted(listed.keys() - found), sorted(found.keys() - listed)
    if missing:
        raise BackupDamaged(f"{folder / missing[0]} is missing: take another backup")
    if added:
        raise BackupDamaged(f"{folder / added[0]} is not of this backup: take another, or move it")
    for name, path in found.items():
        if _sha256(path, advance) != listed[name]:
            raise BackupDamaged(f"{path} was changed or is damaged: take another backup")


def _read_sums(folder: Path) -> dict[str, str]:
    text = (folder / SUMS).read_text(encoding="utf-8")
    return {name: digest for digest, name in _LINE.findall(text)}


def _sha256(path: Path, advance: Advance) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
                advance(len(chunk))
    except OSError as error:
        raise BackupDamaged(
            f"{path} cannot be read ({error.strerror}): take another one"
        ) from error
    return digest.hexdigest()
