"""What an index over content holds in the place of numbers and words: keyed digests.

    mark = the first 8 bytes of HMAC-SHA-256(key, kind || 0 || text), as a signed number

The key follows from that of the bucket which the content lies in, so the same person has another
mark in each bucket, and none that can be told once the bucket's key is gone. Two texts may share a
mark, once in 2**64: who finds something by one looks into the content.
"""

import hmac

MARK_BYTES = 8
PURPOSE = b"finding"
"""What the key is derived for, see AtRest.derived_key."""

_SUBJECT, _STEM = b"subject", b"stem"


class Marks:
    """The marks of one bucket."""

    def __init__(self, key: bytes) -> None:
        """Hold the key that was derived for PURPOSE."""
        self._key = key

    def subject(self, number: str) -> int:
        """Return the mark of an IIN or BIN."""
        return self._mark(_SUBJECT, number)

    def stem(self, stem: str) -> int:
        """Return the mark of what a word begins with."""
        return self._mark(_STEM, stem)

    def _mark(self, kind: bytes, text: str) -> int:
        digest = hmac.digest(self._key, kind + b"\0" + text.encode(), "sha256")
        return int.from_bytes(digest[:MARK_BYTES], "big", signed=True)
