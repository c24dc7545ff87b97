"""How heads and leaves lie in their tables: packed, since most of them are field names and hex.

A packed value is a Zstandard frame (RFC 8878) against the dictionary that it names, and reads
without this program too: `zstd -d -D packing-1.zdict`. The dictionary, trained on made-up heads and
leaves, lies in the table `dictionary` as well, so that a dump explains itself; it never changes.
What does not begin like a Zstandard frame stands as it is: a head begins with `BBAJ`, a leaf with
`bbaj-leaf/1`.
"""

import threading
from collections.abc import Sequence
from pathlib import Path

import zstandard

from schemas.leaves import LEAF_BYTES_MAX, LeafKind

DICTIONARY = Path(__file__).with_name("packing-1.zdict")
LEVEL, USUAL_BYTES = 1, 700
"""Higher levels, and tables for larger values, cost more and gain nothing here."""
VALUE_BYTES_MAX = 2 * LEAF_BYTES_MAX
"""No head and no leaf is larger: what claims to be is not unpacked."""

PACKED_LEAVES = frozenset(
    {
        LeafKind.SENT,
        LeafKind.HELD,
        LeafKind.RELAYED,
        LeafKind.RECEIVED,
        LeafKind.RELEASED,
        LeafKind.CLOSED,
    }
)
"""Leaves that every packet has. The database looks into others for itself."""


class _Packer(threading.local):
    """Compressor and decompressor of one thread, each with the dictionary digested."""

    def __init__(self) -> None:
        dictionary = zstandard.ZstdCompressionDict(DICTIONARY.read_bytes())
        parameters = zstandard.ZstdCompressionParameters.from_level(
            LEVEL,
            source_size=USUAL_BYTES,
            write_content_size=True,
            write_checksum=False,
            write_dict_id=True,
        )
        self.compressor = zstandard.ZstdCompressor(
            dict_data=dictionary, compression_params=parameters
        )
        self.decompressor = zstandard.ZstdDecompressor(dict_data=dictionary)


_packer = _Packer()


def pack(values: Sequence[bytes]) -> list[bytes]:
    """Return heads or leaves, none of which is empty, as they are stored."""
    if not values:
        return []
    packed = _packer.compressor.multi_compress_to_buffer([*values])
    return [packed[at].tobytes() for at in range(len(packed))]


def unpack(stored: bytes) -> bytes:
    """Return what was packed; bytes that are not packed, or damaged, come back as they are.

    Damage shows where it always does: in the digests.
    """
    if not stored.startswith(zstandard.FRAME_HEADER):
        return stored
    try:
        if not 0 <= zstandard.frame_content_size(stored) <= VALUE_BYTES_MAX:
            return stored
        return _packer.decompressor.decompress(stored, allow_extra_data=False)
    except zstandard.ZstdError:
        return stored
