"""Link objects about journals: shown, cosigned, proven, recovered (docs/protocol.md clause 18)."""

from typing import Annotated, Literal

import msgspec

from schemas.header import Count, Sha256Hex, Size
from schemas.issued import ORIGIN_END
from schemas.object_header import Body, Detail, ObjectHeader
from schemas.patterns import whole

Origin = Annotated[
    str, msgspec.Meta(pattern=whole(rf"[a-z0-9.-]{{1,253}}(?:/[1-9][0-9]{{0,18}}|{ORIGIN_END})"))
]
"""A journal's, or that of the log of what an authority has issued (clause 14.4)."""
Status = Literal[200, 400, 403, 404, 409, 422]
"""As C2SP tlog-witness answers `add-checkpoint`."""
Lane = Literal["fast", "bulk"]


class Checkpoint(ObjectHeader, frozen=True, gc=False, kw_only=True):
    """Shows a neighbour our journal's newest checkpoint.

    The body is exactly that of a C2SP tlog-witness `add-checkpoint` request: `old N`, the
    consistency proof, an empty line, the signed note.
    """

    journal: Sha256Hex
    """The certificate of the journal key that has signed the note."""
    body: Body


class Cosigned(ObjectHeader, frozen=True, gc=False, kw_only=True):
    """The answer to a `Checkpoint`, with the status of C2SP tlog-witness.

    Of the log of what an authority has issued it answers the log itself: 200, always with lines.

    200: it is kept; the body has the cosignature lines, and is empty where the issuer is no
    witness of that journal. 409: the issuer stands at `size`, and the body is the note that it
    holds, empty where it holds none: begin there. Else the body is empty.
    """

    origin: Origin
    size: Size
    """Of the checkpoint answered; with 409, of the one that the issuer holds."""
    status: Status
    detail: Detail = ""
    witness: Sha256Hex | None = None
    """The certificate of the witness key that has signed the Ed25519 cosignature."""
    keys: tuple[str, ...] = ()
    """The verifier keys (C2SP vkey) of the cosignatures, vouched for by this object."""
    body: Body


class Proven(ObjectHeader, frozen=True, gc=False, kw_only=True):
    """The answer to an ask for a leaf: the body is a C2SP tlog-proof with the leaf as `extra`.

    An empty body: there is no such leaf, or no checkpoint covers it yet.
    """

    of_epoch: Count
    index: Size
    journal: Sha256Hex | None = None
    """The certificate of the journal key that has signed the checkpoint."""
    body: Body


class Recover(ObjectHeader, frozen=True, gc=False, kw_only=True):
    """A node (`from`) that has lost leaves asks its parent (`to`) to let a new epoch begin.

    A statement: it goes hop by hop unchanged.
    """

    of_epoch: Count
    leaves: Size
    """So many leaves are left, with this root."""
    root: Sha256Hex
    why: Detail


class Returned(ObjectHeader, frozen=True, gc=False, kw_only=True):
    """Brings back to a node what it had sent in an epoch of which it has lost the end.

    The body has certificates, then frames, as a bundle has them.
    """

    lane: Lane
    of_epoch: Count
    last: Size
    """So far had the issuer taken that stream."""
    behind: Size | None = None
    """There is more: ask again, with this."""
    body: Body


JournalObject = Checkpoint | Cosigned | Proven | Recover | Returned
