"""Proofs that certificates stand in the public logs of their authorities (clause 14.4).

A head that witnesses have cosigned is taken where it covers the certificate, else the newest.
"""

from collections.abc import Mapping, Sequence

from exchange.cosigned_heads import cosigned_heads
from nodes.evidence.model import IssuingProof
from schemas.records import IssuedHead
from signing.notes import checkpoint_of
from store.merkle import Tree, inclusion_holds, inclusion_proof, leaf_hash
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
    cosigned = cosigned_heads(await desk.issued_cosigned())
    for head in (await desk.issued_heads()).values():
        heads = [each for each in (cosigned.get(head.authority), head) if each is not None]
        heads = [each for each in heads if each.journal in certificates]
        if heads:
            proofs |= await _in_log(desk, head.size, heads, wanted, certificates)
    return proofs


async def _in_log(
    desk: Reading,
    size: int,
    heads: Sequence[IssuedHead],
    wanted: set[bytes],
    certificates: Mapping[str, bytes],
) -> dict[str, IssuingProof]:
    """Return the proofs in one log of a size, each under the first head that covers its entry."""
    tree, tiles, places = Tree(), dict[tuple[int, int], bytes](), dict[bytes, int]()
    hashes: dict[bytes, bytes] = {}
    while tree.size < size:
        rows = await desk.issued(heads[0].authority, tree.size, PAGE_ENTRIES)
        if not rows:
            return {}  # the log was cut off: `bbaj store verify` says so
        rows = rows[: size - tree.size]
        places |= {row.certificate: row.index for row in rows if row.certificate in wanted}
        hashes |= {
            row.certificate: leaf_hash(row.entry) for row in rows if row.certificate in wanted
        }
        filled = tree.extend(leaf_hash(row.entry) for row in rows)
        tiles |= {(tile.level, tile.index): tile.hashes for tile in filled}

    def fetch(level: int, index: int) -> bytes:
        return tiles.get((level, index)) or tree.tile(level, index) or b""

    proofs = {}
    for certificate, index in places.items():
        head = next((each for each in heads if each.size > index), None)
        if head is not None:
            proof = inclusion_proof(index, head.size, fetch)
            root = checkpoint_of(head.note).root
            if not inclusion_holds(index, head.size, hashes[certificate], proof, root):
                continue  # the log is damaged here: a proof that fails would spoil the evidence
            journal = certificates[head.journal]
            proofs[certificate.hex()] = IssuingProof(index, proof, head.note, journal, head.at)
    return proofs
