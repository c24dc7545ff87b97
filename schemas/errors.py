"""The root of every exception that bbaj raises on purpose.

    BbajError
    ├── FormatError        bytes that depart from the protocol (the peer's fault; becomes a refusal)
    ├── DocumentError      a dropped document that its type does not allow (schemas.documents)
    ├── Retryable          the world's fault: try again with bounded back-off
    ├── Fatal              our fault or damage: the daemon stops with an exit code of its own
    └── OutcomeUnknown     neither yes nor no: drop all state, read again, then decide

Each leaf has exactly one disposition (refuse, retry, halt, doubt), named by its base class here.
"""

from schemas.reasons import Reason


class BbajError(Exception):
    """Root of the tree; never raised itself."""


class FormatError(BbajError):
    """Bytes depart from the protocol: `reason` is the code to refuse with, `detail` says where."""

    def __init__(self, reason: Reason, detail: str) -> None:
        """Keep reason and detail apart, so that a refusal can carry both."""
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Retryable(BbajError):  # noqa: N818 - the disposition is the name
    """The world's fault; the same call may succeed later."""


class Fatal(BbajError):  # noqa: N818 - the disposition is the name
    """Our fault or damage; the daemon stops. `exit_code` is what the process ends with."""

    exit_code = 70


class OutcomeUnknown(BbajError):  # noqa: N818 - the disposition is the name
    """A commit's or publish's answer was lost: reload everything before deciding again."""
