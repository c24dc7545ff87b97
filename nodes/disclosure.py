"""Tables that anybody may see: no cell about few, and none that the totals give away (24.7).

A table with its totals is a set of equations. Its rows and columns are the points of a graph, the
totals a row and a column more, and each cell that is left out joins two of them. Whoever reads the
table can compute such a cell exactly unless it lies on a ring of cells left out along which one
document more here and one fewer there changes no figure shown. So for each cell without a ring the
cheapest way to close one is left out as well.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping

import msgspec

SMALLEST = 5
"""A cell about fewer organisations than so many is left out."""
TOTAL = "total"
_TOTAL_COST = 1_000_000_000

Cell = tuple[str, str]
"""Row and column."""
Point = tuple[str, str]
"""`row` or `column`, and its name."""


class Figures(msgspec.Struct, frozen=True):
    """What a cell says; of organisations a total over columns says at least how many."""

    documents: int
    organisations: int


def with_totals(table: Mapping[Cell, Figures]) -> dict[Cell, Figures]:
    """Return a table with a total of each row, of each column, and of everything.

    An organisation stands in one row, and perhaps in several columns.
    """
    whole = {cell: figures for cell, figures in table.items() if figures.documents}
    rows, columns = ({cell[side] for cell in whole} for side in (0, 1))
    for column in columns:
        of_column = [figures for cell, figures in whole.items() if cell[1] == column]
        organisations = sum(figures.organisations for figures in of_column)
        whole[TOTAL, column] = Figures(_documents(of_column), organisations)
    for row in [*rows, *([TOTAL] if rows else [])]:
        of_row = [figures for cell, figures in whole.items() if cell[0] == row]
        most = max(figures.organisations for figures in of_row)
        whole[row, TOTAL] = Figures(_documents(of_row), most)
    return whole


def suppressed(whole: Mapping[Cell, Figures]) -> set[Cell]:
    """Return the cells to leave out of a table with totals: too small, or needed to hide those."""
    left_out = {cell for cell, figures in whole.items() if figures.organisations < SMALLEST}
    for cell in sorted(left_out):
        left_out |= set(_ring(cell, whole, left_out))
    return left_out


def _ring(cell: Cell, whole: Mapping[Cell, Figures], left_out: set[Cell]) -> list[Cell]:
    """Return the cells of the cheapest ring through a cell; free where one is left out already."""
    row, column = ("row", cell[0]), ("column", cell[1])
    ways = []
    for start, goal in ((column, row), (row, column)):
        if _may_move(cell, goal, whole[cell]):
            ways.append(_cheapest(start, goal, cell, whole, left_out))
    return min(ways)[1]


def _cheapest(
    start: Point, goal: Point, but: Cell, whole: Mapping[Cell, Figures], left_out: set[Cell]
) -> tuple[float, list[Cell]]:
    """Return cost and cells of the cheapest way between two points that spares one cell."""
    queue: list[tuple[float, Point, list[Cell]]] = [(0, start, [])]
    seen: set[Point] = set()
    while queue:
        cost, at, way = heapq.heappop(queue)
        if at == goal:
            return cost, way
        if at in seen:
            continue
        seen.add(at)
        for cell, other in _leading_from(at, whole):
            if cell != but and other not in seen:
                beyond = cost + _cost(cell, whole[cell], left_out)
                heapq.heappush(queue, (beyond, other, [*way, cell]))
    return float("inf"), []


def _leading_from(at: Point, whole: Mapping[Cell, Figures]) -> Iterator[tuple[Cell, Point]]:
    for cell, figures in whole.items():
        row, column = ("row", cell[0]), ("column", cell[1])
        if at in {row, column} and _may_move(cell, at, figures):
            yield cell, column if at == row else row


def _may_move(cell: Cell, from_: Point, figures: Figures) -> bool:
    """Say whether a reader may think a cell other than it is, in the sense of going through it.

    Going from row to column it is one more, back one fewer; of a total of one row or column the
    other way round. None left out is thought empty: empty ones are shown.
    """
    is_margin = (cell[0] == TOTAL) != (cell[1] == TOTAL)
    is_more = (from_[0] == "row") != is_margin
    return is_more or figures.documents > 1


def _cost(cell: Cell, figures: Figures, left_out: set[Cell]) -> int:
    if cell in left_out:
        return 0
    return figures.documents + (_TOTAL_COST if TOTAL in cell else 0)


def _documents(figures: Iterable[Figures]) -> int:
    return sum(each.documents for each in figures)
