"""Makes the tables of docs/reliability.md that say which tests show what.

Run `python tests/reliability/make_tables.py` from the root of the checkout after a change of
`scenarios.toml`. What others have written round the tables stays as it is.
"""

import sys
import tomllib
from pathlib import Path

import msgspec

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1])]

from harness.named_tests import is_slow

HERE = Path(__file__).parent
DOCUMENT = HERE.parents[1] / "docs" / "reliability.md"
SLOW = " (slow)"


class Promise(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is promised, the tests that show it, and what of it none can show yet."""

    what: str
    tests: tuple[str, ...]
    awaits: str = ""


class Promises(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of them, numbered from 1 in their order."""

    scenario: tuple[Promise, ...]
    acceptance: tuple[Promise, ...]

    def tables(self) -> dict[str, tuple[Promise, ...]]:
        """Return the promises by the name of their table."""
        return {"scenarios": self.scenario, "acceptance": self.acceptance}


def read_promises() -> Promises:
    """Read the data file. Raises ValidationError where it departs from its form."""
    text = (HERE / "scenarios.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), Promises)


def table_of(promises: tuple[Promise, ...]) -> str:
    """Return a table in Markdown, each promise with its number."""
    lines = ["| no | what happens | shown by | waits for |", "|---|---|---|---|"]
    for number, promise in enumerate(promises, start=1):
        shown = ", ".join(f"`{name}`{SLOW if is_slow(name) else ''}" for name in promise.tests)
        lines.append(f"| {number} | {promise.what} | {shown or 'no test yet'} | {promise.awaits} |")
    return "\n".join(lines) + "\n"


def with_tables(document: str, promises: Promises) -> str:
    """Return the document with its tables made anew, between the comments that hold their place."""
    for name, rows in promises.tables().items():
        begin, end = f"<!-- {name}: made by make_tables.py -->\n", f"<!-- end of {name} -->\n"
        before, found, rest = document.partition(begin)
        _, closed, after = rest.partition(end)
        assert found, f"the document has no place for {name}"
        assert closed, f"the place for {name} has no end"
        document = before + begin + table_of(rows) + end + after
    return document


if __name__ == "__main__":
    text = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(with_tables(text, read_promises()), encoding="utf-8")
