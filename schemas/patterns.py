r"""Patterns over a whole text, for decoders and JSON schemas alike.

In Python `$` also matches before a last newline: "12\n" would pass for two digits. `\Z` does not,
but JSON schemas do not know it. A `$` that no newline may follow means the same in both.
"""

TEXT_END = r"$(?!\n)"


def whole(pattern: str) -> str:
    """Return a pattern that a text matches as a whole or not at all; it has no bare `|`."""
    return f"^{pattern}{TEXT_END}"
