"""Searches all that a node leaves behind for texts planted in documents, in every disguise.

What is searched: every cell of every table of its database, what is encrypted at rest there opened
with the node's own keys, its log, its metrics, and every file of its broker. Whatever looks like a
frame is cut, opened with the node's own encryption keys where they fit, and inflated; what is
packed is unpacked.
"""

import base64
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from exchange.sealing import CONTENT_BYTES_MAX
from harness.watch import Watch
from nodes.wiring import load_encryption
from schemas.errors import FormatError
from schemas.frame import Frame, cut
from signing.at_rest import AtRest
from signing.encryption import EncryptionKeyring
from signing.payload import clear_payload
from store.packing import unpack

FRAME = b"BBAJ\x01\x01"
INFLATED_MAX = 1024 * 1024
GAP = b"\0\n\0"

_TABLES = """
SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind = 'r' ORDER BY c.relname
"""
_AT_REST = """
SELECT l.bucket, l.sealed, coalesce(p.frame_sha256, q.sha256) AS digest, p.head
FROM payload AS l LEFT JOIN packet AS p ON p.frame = l.frame
LEFT JOIN quarantine AS q ON q.frame = l.frame
"""
_DROPS = "SELECT system, drop_id, bucket, sealed FROM drop_pending"


def disguises(text: str) -> dict[str, bytes]:
    """Return the forms in which a text may stand somewhere, by name."""
    forms = {
        "UTF-8": text.encode(),
        "UTF-16 LE": text.encode("utf-16-le"),
        "UTF-16 BE": text.encode("utf-16-be"),
        "JSON": text.encode("unicode_escape"),
        "hex": text.encode().hex().encode(),
    }
    for name in ("UTF-8", "UTF-16 LE", "UTF-16 BE"):
        for alignment in range(3):
            forms[f"Base64 of {name} at {alignment}"] = base64_core(forms[name], alignment)
    return forms


def base64_core(data: bytes, alignment: int) -> bytes:
    """Return what of a Base64 text depends on `data` alone, where it begins so far in a triple."""
    whole = (alignment + len(data)) // 3 * 3
    encoded = base64.b64encode((bytes(alignment) + data)[:whole])
    return encoded[-(-alignment * 8 // 6) :]


def found_in(places: dict[str, bytes], texts: Iterable[str]) -> set[tuple[str, str, str]]:
    """Return which texts stand where, in which form: (place, form, text)."""
    forms = [(name, form, text) for text in texts for name, form in disguises(text).items()]
    return {
        (place, name, text)
        for place, haystack in places.items()
        for name, form, text in forms
        if form in haystack
    }


def unwrapped(blob: bytes, keys: EncryptionKeyring | None = None) -> Iterator[bytes]:
    """Yield bytes, what they inflate to, and the same of each frame's payload in them."""
    yield blob
    yield from _inflated(blob)
    at = blob.find(FRAME)
    while at >= 0:
        frame = _cut_at(blob, at)
        if frame is not None:
            yield from _inflated(frame.payload)
            yield from _decrypted(frame, keys)
        at = blob.find(FRAME, at + 1)


def _cut_at(blob: bytes, at: int) -> Frame | None:
    """Return the frame that begins at a place, None where none does."""
    header = int.from_bytes(blob[at + 6 : at + 8])
    signature = int.from_bytes(blob[at + 8 + header : at + 10 + header])
    try:
        head = cut(blob[at : at + 10 + header + signature])
        end = at + 10 + header + signature + head.header.payload.size
        return cut(blob[at:end])
    except FormatError:
        return None


def _decrypted(frame: Frame, keys: EncryptionKeyring | None) -> Iterator[bytes]:
    if keys is None or not frame.header.payload.is_encrypted:
        return
    try:
        yield clear_payload(frame.header, frame.payload, keys, CONTENT_BYTES_MAX)
    except FormatError:
        return  # these keys do not fit: that is what is hoped of a relay


def _inflated(data: bytes) -> Iterator[bytes]:
    """Yield what comes of bytes as raw deflate, zlib or gzip data, as far as it comes."""
    for form in (-15, 15, 31):
        inflater = zlib.decompressobj(form)
        try:
            plain = inflater.decompress(data, INFLATED_MAX)
        except zlib.error:
            continue
        if plain:
            yield plain


async def database_of(watch: Watch) -> dict[str, bytes]:
    """Return all cells of a node's tables, and what it keeps encrypted at rest, opened."""
    config = watch.node.config()
    keys, at_rest = load_encryption(config), AtRest(config.data / "at-rest")
    cells: list[object] = []
    sealed = []
    connection = await watch.superuser()
    try:
        for table in await connection.fetch(_TABLES):
            query = f'SELECT * FROM "{table["relname"]}"'  # noqa: S608 - a table's name
            cells += [cell for row in await connection.fetch(query) for cell in row]
        for row in await connection.fetch(_AT_REST):
            opened = at_rest.open(row["bucket"], row["digest"], row["sealed"])
            sealed.append(unpack(row["head"] or b"") + opened)
        for row in await connection.fetch(_DROPS):
            aad = f"{row['system']}/{row['drop_id']}".encode()
            sealed.append(at_rest.open(row["bucket"], aad, row["sealed"]))
    finally:
        await connection.close()
    return {
        "tables": GAP.join(each for cell in cells for each in _views(cell, keys)),
        "at rest": GAP.join(each for blob in sealed for each in unwrapped(blob, keys)),
    }


def _views(cell: object, keys: EncryptionKeyring) -> Iterable[bytes]:
    if isinstance(cell, bytes):
        return unwrapped(unpack(cell), keys)
    return [str(cell).encode()]


async def surroundings_of(watch: Watch) -> dict[str, bytes]:
    """Return a running node's log and metrics."""
    return {"log": watch.log.encode(), "metrics": (await watch.fetch("/metrics")).encode()}


def files_of(folder: Path) -> dict[str, bytes]:
    """Return names and contents of all files below a folder."""
    names, contents = [], []
    for path in folder.rglob("*"):
        names.append(str(path.relative_to(folder)).encode())
        if path.is_file() and not path.is_symlink():
            contents += unwrapped(path.read_bytes())
    return {"file names": GAP.join(names), "files": GAP.join(contents)}
