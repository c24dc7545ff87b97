"""Proofs that certificates stand in the public logs of their authorities (clause 14.4)."""

from collections.abc import Mapping, Sequence

from nodes.evidence.model import IssuingProof
from schemas.records import IssuedHead
from store.merkle import Tree, inclusion_proof, leaf_hash
from store.reading import Reading

PAGE_ENTRIES = 1000


async def issuing_proofs(
    desk: Reading, fingerprints: Sequence[str], certificates: Mapping[str, bytes]
) -> Mapping[str, IssuingProof]:
    """Return proofs for certificates, by SHA-256 in hex, as far as logs are kept here.

    `certificates` are those of the record, with the journal keys that signed the logs' heads.
    """
    wanted = {bytes.fromhex(each) for each in fingerprints}
    if not await desk.in_issued(list(wanted)):
        return {}
    proofs: dict[str, IssuingProof] = {}
    for head in (await desk.issued_heads()).values():
        if head.journal in certificates:
            proofs |= await _in_log(desk, head, wanted, certificates[head.journal])
    return proofs


async def _in_log(
    desk: Reading, head: IssuedHead, wanted: set[bytes], journal: bytes
) -> dict[str, IssuingProof]:
    """Return the proofs under one log's head, which is over all of its entries."""
    tree, tiles, places = Tree(), dict[tuple[int, int], bytes](), dict[bytes, int]()
    while tree.size < head.size:
        rows = await desk.issued(head.authority, tree.size, PAGE_ENTRIES)
        if not rows:
            return {}  # the log was cut off: `bbaj store verify` says so
        rows = rows[: head.size - tree.size]
        places |= {row.certificate: row.index for row in rows if row.certificate in wanted}
        filled = tree.extend(leaf_hash(row.entry) for row in rows)
        tiles |= {(tile.level, tile.index): tile.hashes for tile in filled}

    def fetch(level: int, index: int) -> bytes:
        return tiles.get((level, index)) or tree.tile(level, index) or b""

    return {
        certificate.hex(): IssuingProof(
            index, inclusion_proof(index, head.size, fetch), head.note, journal, head.at
        )
        for certificate, index in places.items()
    }
