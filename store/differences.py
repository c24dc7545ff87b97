"""Says how the leaves that are there differ from those that a tile vouches for, row by row.

Pure. Rows that were added or taken out move all those behind them: only the place where it happened
is named.
"""

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from store.faults import Kind


class Differences:
    """Compares one tile after the other; knows what the last one has pushed over its end."""

    def __init__(self) -> None:
        self._pushed: set[bytes] = set()

    def of_tile(
        self, vouched: Sequence[bytes], found: Sequence[bytes]
    ) -> Iterator[tuple[int, Kind, str]]:
        """Yield place within the tile and what was done to the row there, of its kind and in words.

        Both are the hashes of as many leaves.
        """
        pushed, self._pushed = self._pushed, set()
        places = {leaf: at for at, leaf in enumerate(vouched)}
        present = set(found)
        matcher = SequenceMatcher(None, vouched, found, autojunk=False)
        for edit, was, was_end, now, now_end in matcher.get_opcodes():
            if edit == "equal":
                continue
            if edit != "replace" and max(was_end, now_end) == len(found):
                self._pushed |= {*vouched[was:was_end], *found[now:now_end]}
                continue
            for at in range(max(was_end - was, now_end - now)):
                old = vouched[was + at] if was + at < was_end else None
                new = found[now + at] if now + at < now_end else None
                if new in places:
                    what = f"the rows were reordered: this was row {places[new]} of"
                    yield now + at, Kind.REORDERED, what
                elif old in present or new in pushed or old in pushed:
                    continue
                elif old is None:
                    yield now + at, Kind.ADDED, "the row was added: it is not in"
                elif new is None:
                    what = "a row was removed here, and those behind it moved up: it is in"
                    yield was + at, Kind.REMOVED, what
                else:
                    what = "the record was changed: its hash is not that in"
                    yield now + at, Kind.CHANGED, what
