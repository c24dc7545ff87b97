"""The vectors of reconciliation: a question about one stream, and the answer (24.2)."""

import hashlib
from typing import Any

from exchange.core.streams import CHAIN_START, chain_after
from schemas.objects import AnyObject
from schemas.reconciling import Mark, Reconcile, Reconciled
from signing.seal import sign_object
from vectors.fixed_keys import DISTRICT, NOW, SCHOOL, FixedNetwork
from vectors.issuing import described

NONCE = "7c6b5a49382716051423324150607f8e"
ASKED, HELD = 3, 2


def reconciling(network: FixedNetwork) -> dict[str, Any]:
    """Return a school's question about what it has sent, and its district's answer."""
    chains = [CHAIN_START]
    for number in range(1, ASKED + 1):
        digest = hashlib.sha256(f"entry {number}".encode()).digest()
        chains.append(chain_after(chains[-1], number, digest))
    ours, theirs = (
        Mark(SCHOOL, "bulk", 1, number, chains[number].hex(), number) for number in (ASKED, HELD)
    )
    asked = {"from_": SCHOOL, "to": DISTRICT, "number": NOW + 80, "nonce": NONCE, "marks": (ours,)}
    said = {
        "from_": DISTRICT,
        "to": SCHOOL,
        "number": NOW + 81,
        "answers": NONCE,
        "marks": (theirs,),
    }
    return {
        "good": [
            described("reconcile", _signed(network, Reconcile, **asked)),
            described("reconciled", _signed(network, Reconciled, **said)),
        ]
    }


def _signed(network: FixedNetwork, kind: type[AnyObject], **fields: Any) -> bytes:
    signer = network.nodes[fields["from_"]].packet
    named = {"epoch": 1, "certificate": signer.fingerprint, **fields}
    return sign_object(kind(**named), signer)
