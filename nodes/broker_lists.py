"""The revocation lists that our broker looks at when a child logs in: a folder of PEM files.

Erlang's `ssl_crl_hash_dir` finds an issuer's lists as OpenSSL does, by the hash of its name:
`<hash>.r0`, `<hash>.r1` and on to the first number that is missing. Of each key there is one list,
its newest: an older one beside it would let in what the newer one revokes.

The root's list is not among them. It says which authorities ended, and nodes below an authority
that was replaced must still call to get their new certificates (docs/protocol.md, clause 14.7).
"""

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from schemas.errors import FormatError
from signing.crl import issuer_key_id, parse_crl
from signing.keys import sync_folder
from signing.name_hash import name_hash

FOLDER_MODE, FILE_MODE = 0o755, 0o644
"""Lists are public, and the broker is another user."""

Issued = tuple[str, bytes]
"""A list (DER) behind the SHA-256 of its issuer's certificate, as the trust store has them."""


class _List(msgspec.Struct, frozen=True):
    hash: str
    key: bytes
    """Identifier of its issuer's key: an authority that was replaced keeps its name."""
    number: int
    parsed: x509.CertificateRevocationList


class BrokerLists:
    """One such folder; several nodes that share a broker may share it."""

    def __init__(self, folder: Path, root: str) -> None:
        """Name the folder, which `update` makes, and the root by the SHA-256 of its certificate."""
        self.folder = folder
        self._root = root
        self._written: list[Issued] | None = None

    def update(self, crls: list[Issued]) -> None:
        """Have the folder hold these lists, where it holds no newer ones of their issuers.

        Cheap while they are those of the last time. Raises OSError; then the next call tries again.
        """
        if crls == self._written:
            return
        if not self.folder.exists():
            self.folder.mkdir(parents=True)
            self.folder.chmod(FOLDER_MODE)
        before = _standing(self.folder)
        wanted = _named(_newest([*_read_all(before.values()), *self._read(crls)]))
        # The last first: where lists move up a place, none is missing meanwhile.
        for name in sorted(wanted, reverse=True):
            if before.get(name) != wanted[name]:
                _put(self.folder / name, wanted[name])
        for name in before.keys() - wanted.keys():
            (self.folder / name).unlink(missing_ok=True)
        sync_folder(self.folder)
        self._written = crls

    def are_current(self, crls: Iterable[Issued]) -> bool:
        """Say whether the folder holds these lists, or newer ones of their issuers."""
        held = {
            (each.hash, each.key): each.number
            for each in _read_all(_standing(self.folder).values())
        }
        return all(held.get((each.hash, each.key), -1) >= each.number for each in self._read(crls))

    def _read(self, crls: Iterable[Issued]) -> list[_List]:
        return _read_all(der for issuer, der in crls if issuer != self._root)


def _standing(folder: Path) -> dict[str, bytes]:
    """Return the files of the folder by name."""
    return {path.name: path.read_bytes() for path in folder.glob("*.r*") if path.suffix != ".new"}


def _read_all(found: Iterable[bytes]) -> list[_List]:
    """Return the lists among what was found, PEM or DER."""
    read = []
    for each in found:
        try:
            is_pem = each.startswith(b"-----BEGIN")
            parsed = x509.load_pem_x509_crl(each) if is_pem else parse_crl(each)
            number = parsed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
            key = issuer_key_id(parsed) or b""
        except (ValueError, FormatError, x509.ExtensionNotFound):
            continue
        read.append(_List(name_hash(parsed.issuer), key, number, parsed))
    return read


def _newest(lists: Iterable[_List]) -> list[_List]:
    newest: dict[tuple[str, bytes], _List] = {}
    for each in lists:
        other = newest.get((each.hash, each.key))
        if other is None or other.number < each.number:
            newest[each.hash, each.key] = each
    return [newest[which] for which in sorted(newest)]


def _named(lists: Iterable[_List]) -> dict[str, bytes]:
    """Return the PEM of each list under the name of its file."""
    files: dict[str, bytes] = {}
    for each in lists:
        place = sum(name.startswith(each.hash) for name in files)
        files[f"{each.hash}.r{place}"] = each.parsed.public_bytes(Encoding.PEM)
    return files


def _put(path: Path, data: bytes) -> None:
    """Write a file in one step, readable for all, durable but for its name."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with draft.open("wb") as file:
            os.fchmod(file.fileno(), FILE_MODE)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
