"""Reasons for refusing a frame: the closed list of protocol clause 9, in order of judgement."""

from enum import StrEnum


class Reason(StrEnum):
    """Why a frame was refused; the first check that fails decides."""

    FORMAT_INVALID = "format-invalid"
    FORMAT_VERSION = "format-version"
    TOO_LARGE = "too-large"
    ALGORITHM_NOT_ALLOWED = "algorithm-not-allowed"
    ROUTE_FORBIDDEN = "route-forbidden"
    CERTIFICATE_UNTRUSTED = "certificate-untrusted"
    KEY_EXPIRED = "key-expired"
    KEY_REVOKED = "key-revoked"
    SIG_INVALID = "sig-invalid"
    DIGEST_MISMATCH = "digest-mismatch"
    REPLAY = "replay"
    OUTSIDE_TIME_WINDOW = "outside-time-window"
    SENDER_SUSPENDED = "sender-suspended"
    RECIPIENT_UNKNOWN = "recipient-unknown"
    RECIPIENT_MOVED = "recipient-moved"
    TYPE_NOT_ALLOWED = "type-not-allowed"
    CONTRACT_EXPIRED = "contract-expired"
    BUSY = "busy"
    SENDER_UNKNOWN = "sender-unknown"
    STANDING_UNKNOWN = "standing-unknown"
    EXPIRED = "expired"
    CLASS_MISMATCH = "class-mismatch"
    ENCRYPTION_REQUIRED = "encryption-required"
    DECRYPT_FAILED = "decrypt-failed"
    PARTS_MISMATCH = "parts-mismatch"


NEXT_STEP: dict[Reason, str] = {
    Reason.FORMAT_INVALID: "seal the document again with software that follows docs/protocol.md",
    Reason.FORMAT_VERSION: "upgrade the node that refused, or seal with a version that it speaks",
    Reason.TOO_LARGE: "split the document, or ask for a higher limit",
    Reason.ALGORITHM_NOT_ALLOWED: "seal again with an algorithm that the policy allows",
    Reason.ROUTE_FORBIDDEN: "send the packet from the sender's own node; look for a misused login",
    Reason.CERTIFICATE_UNTRUSTED: "have the node's certificate issued by its own authority",
    Reason.KEY_EXPIRED: "renew the node's certificate, then seal the document again",
    Reason.KEY_REVOKED: "have new keys issued, then seal the document again",
    Reason.SIG_INVALID: "look for damage on the way, or for a forger; the intact frame is resent",
    Reason.DIGEST_MISMATCH: "look for damage on the way; the intact frame is resent",
    Reason.REPLAY: "look for a copied node or a misused key: two packets bear one name",
    Reason.OUTSIDE_TIME_WINDOW: "set the sender's clock, then seal the document again",
    Reason.SENDER_SUSPENDED: "ask the sender's parent why its standing was withdrawn",
    Reason.RECIPIENT_UNKNOWN: "correct the address",
    Reason.RECIPIENT_MOVED: "send to the successor that the detail names",
    Reason.TYPE_NOT_ALLOWED: "ask the parent to permit the type",
    Reason.CONTRACT_EXPIRED: "renew the contract",
    Reason.BUSY: "nothing: the neighbour comes again at the time named",
    Reason.SENDER_UNKNOWN: "have the sender's certificate published by its authority",
    Reason.STANDING_UNKNOWN: "have the authority's current revocation list delivered",
    Reason.EXPIRED: "drop the document again if it still matters",
    Reason.CLASS_MISMATCH: "seal again with the retention class of the type, named by the detail",
    Reason.ENCRYPTION_REQUIRED: "seal again, encrypted to the recipient",
    Reason.DECRYPT_FAILED: "fetch the recipient's current card, then seal again",
    Reason.PARTS_MISMATCH: "seal the large document again",
}
"""What the operator does next, in a few words; one line for every reason."""
