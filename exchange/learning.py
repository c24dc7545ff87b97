"""Certificates that enter the record: once each, as a row and as a leaf of the journal."""

from functools import partial

from exchange.batch import Batch
from exchange.gate import sha256_of
from exchange.state import NodeState
from schemas.leaves import LeafKind
from schemas.records import CertificateRow


def learn_certificate(state: NodeState, der: bytes, via: str, batch: Batch) -> bool:
    """Record a certificate, and let it be judged; return whether it was met for the first time."""
    state.gate.trust.add_certificates([der])
    digest = sha256_of(der)
    if digest in state.recorded or any(row.sha256 == digest for row in batch.changes.certificates):
        return False
    batch.changes.certificates.append(CertificateRow(digest, der, batch.now))
    batch.append_leaf(LeafKind.CERTIFICATE, None, sha256=digest.hex(), via=via)
    batch.after_commit(partial(state.recorded.add, digest))
    state.arrived.add(digest.hex())
    return True
