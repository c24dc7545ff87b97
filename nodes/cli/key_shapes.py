"""What `--json` prints about keys; as nodes.cli.shapes.

keys list      [KeyLine]        keys renew      RenewalAsked
keys escrow    EscrowWritten    keys restore    KeysRestored
"""

from nodes.cli.shapes import Shape


class KeyLine(Shape, frozen=True, kw_only=True):
    """One key of the node; never anything secret."""

    purpose: str
    """`packet`, `journal`, `link`, `witness` or `encryption`."""
    state: str
    """`in use`, `asked`, `granted` or `old`."""
    id: str | None
    """SHA-256 of its certificate, or of a public encryption key; null while it is asked for."""
    since: str | None
    until: str | None
    """The certificate's life; null for encryption keys, which have none."""
    renewed_at: str | None
    """When the next one is asked for; null but for keys in use."""
    where: str
    """`file` or `token`."""


class RenewalAsked(Shape, frozen=True, kw_only=True):
    """A request for the next certificates is on its way."""

    request: str
    """SHA-256 of the request."""
    purposes: list[str]


class EscrowWritten(Shape, frozen=True, kw_only=True):
    """All encryption keys of the node are in a file."""

    file: str
    keys: list[str]
    """Their ids, the newest first."""


class KeysRestored(Shape, frozen=True, kw_only=True):
    """What an escrow has brought back."""

    address: str
    made: str
    restored: list[str]
    known: list[str]
    """Ids of keys that were there already."""
