r"""Journal leaves: short text records of fixed fields for their kind (docs/protocol.md clause 10).

    bbaj-leaf/1
    kind relayed
    at 2026-11-23T03:32:06.000000Z
    ...

Lower-case `key value` lines in fixed order, a newline behind each; the hash of a leaf is
`printf '\0' | cat - leaf | sha256sum` (RFC 6962). Payloads never go in.
"""

from enum import StrEnum

from schemas.errors import FormatError
from schemas.reasons import Reason

FIRST_LINE = "bbaj-leaf/1\n"
LEAF_BYTES_MAX = 65_535
"""tlog-tiles caps an entry at this."""


class LeafKind(StrEnum):
    """What a leaf records."""

    SENT = "sent"
    HELD = "held"
    RELAYED = "relayed"
    RECEIVED = "received"
    REFUSED = "refused"
    RELEASED = "released"
    CONFIRMED = "confirmed"
    CLOSED = "closed"
    OVERDUE = "overdue"
    EXPIRED = "expired"
    CUSTODY = "custody"
    CERTIFICATE = "certificate"
    CRL = "crl"
    CARD = "card"
    POLICY = "policy"
    TIMESTAMP = "timestamp"
    RENEWAL = "renewal"
    WITNESSED = "witnessed"
    LEGAL_HOLD = "legal-hold"
    MOVED = "moved"
    DESTROYED = "destroyed"
    OPERATOR = "operator"
    EPOCH = "epoch"


PACKET_FIELDS = (
    "at",
    "id",
    "type",
    "from",
    "to",
    "epoch",
    "seq",
    "sent",
    "received",
    "size",
    "via",
    "head-sha256",
    "head-sha512",
    "frame-sha256",
    "certificate",
    "crl",
    "verdict",
    "reason",
    "detail",
    "by",
    "receipt",
)
"""Fields of packet leaves, in order; a leaf leaves out those that do not apply."""

FIELDS: dict[LeafKind, tuple[str, ...]] = {
    **dict.fromkeys(
        (
            LeafKind.SENT,
            LeafKind.HELD,
            LeafKind.RELAYED,
            LeafKind.RECEIVED,
            LeafKind.RELEASED,
            LeafKind.CONFIRMED,
            LeafKind.CLOSED,
            LeafKind.OVERDUE,
            LeafKind.EXPIRED,
        ),
        PACKET_FIELDS,
    ),
    LeafKind.REFUSED: (
        "at",
        "id",
        "type",
        "from",
        "to",
        "epoch",
        "seq",
        "sent",
        "via",
        "size",
        "frame-sha256",
        "frame-sha512",
        "verdict",
        "reason",
        "detail",
        "by",
    ),
    LeafKind.CUSTODY: ("at", "neighbour", "lane", "epoch", "up-to", "chain", "note-sha256"),
    LeafKind.CERTIFICATE: ("at", "sha256", "sha512", "via"),
    LeafKind.CRL: ("at", "sha256", "sha512", "issuer", "number", "via"),
    LeafKind.CARD: ("at", "sha256", "sha512", "address", "number", "standing", "via"),
    LeafKind.POLICY: ("at", "sha256", "sha512", "name"),
    LeafKind.OPERATOR: ("at", "who", "what", "id", "verdict", "detail"),
    LeafKind.EPOCH: (
        "at",
        "address",
        "epoch",
        "origin",
        "after-origin",
        "after-size",
        "after-root",
        "left",
        "card-sha256",
    ),
    LeafKind.MOVED: ("at", "id", "from", "epoch", "frame-sha256", "bucket", "into", "proposal"),
    LeafKind.LEGAL_HOLD: (
        "at",
        "number",
        "verdict",
        "id",
        "organisation",
        "below",
        "period",
        "dispute",
        "who",
    ),
    LeafKind.DESTROYED: ("at", "act", "bucket", "count", "size", "frames-sha256", "proposal"),
    LeafKind.WITNESSED: ("at", "origin", "size", "root", "note-sha256", "address"),
    LeafKind.TIMESTAMP: ("at", "sha256", "sha512", "authority", "size", "gen-time"),
    LeafKind.RENEWAL: ("at", "sha256", "sha512", "authority", "size", "gen-time", "root"),
}
"""The kinds written so far, each with its fields in order."""


_KEYWORDS = {"from": "from_"}
_LINES = {
    kind: tuple((_KEYWORDS.get(name) or name.replace("-", "_"), f"{name} ") for name in names)
    for kind, names in FIELDS.items()
}
"""By kind, the keyword of each field and how its line begins, in order."""


def leaf_record(kind: LeafKind, **fields: str) -> bytes:
    """Return the exact bytes of a leaf.

    `frame_sha256="…"` becomes the line `frame-sha256 …`, and `from_` the line `from`.
    Fields given as empty text are left out. The order is that of FIELDS, whatever the caller's.
    """
    lines = [_opening(kind)]
    for keyword, key in _LINES[kind]:
        value = fields.pop(keyword, "")
        assert "\n" not in value, f"leaf {kind} has a {key}of several lines"
        if value:
            lines += (key, value, "\n")
    assert not fields, f"leaf {kind} has no field {sorted(fields)}"
    record = "".join(lines).encode("ascii")
    assert len(record) <= LEAF_BYTES_MAX
    return record


def opening_of(kind: str) -> bytes:
    """Return what every leaf of a kind begins with."""
    return _opening(kind).encode()


def _opening(kind: str) -> str:
    return f"{FIRST_LINE}kind {kind}\n"


def read_leaf(record: bytes) -> dict[str, str]:
    """Return a leaf's lines by key, `kind` included. Raises FormatError where it is none."""
    text = record.decode("ascii", "replace")
    if not text.startswith(FIRST_LINE) or not text.endswith("\n"):
        raise FormatError(Reason.FORMAT_INVALID, "not a bbaj-leaf/1 record")
    pairs = [line.partition(" ") for line in text[len(FIRST_LINE) : -1].split("\n")]
    leaf = {key: value for key, _, value in pairs}
    if len(leaf) < len(pairs) or not all(leaf.values()):
        raise FormatError(Reason.FORMAT_INVALID, "a line of the leaf has no value, or comes twice")
    return leaf
