"""What anybody may see: small cells are left out, and cannot be computed from what is shown."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.disclosure import SMALLEST, TOTAL, Figures, suppressed, with_totals

ROWS, COLUMNS = ("a", "b", "c"), ("x", "y")


def table(*documents, organisations=None):
    """Return a table of three rows and two columns; each document is of another organisation."""
    cells = itertools.product(ROWS, COLUMNS)
    many = organisations or documents
    pairs = zip(cells, documents, many, strict=True)
    return {cell: Figures(count, min(count, who)) for cell, count, who in pairs if count}


def others(whole, left_out):
    """Yield what a reader may think the cells left out are, within one of what they are."""
    inner = [cell for cell in whole if TOTAL not in cell]
    unknown = [cell for cell in inner if cell in left_out]
    for changes in itertools.product((-1, 0, 1), repeat=len(unknown)):
        guess = {cell: whole[cell].documents for cell in inner}
        for cell, change in zip(unknown, changes, strict=True):
            guess[cell] += change
        if all(guess[cell] >= 1 for cell in unknown) and fits(guess, whole, left_out):
            yield guess


def fits(guess, whole, left_out):
    """Say whether a guess gives every total that is shown."""
    for row, column in whole:
        if TOTAL in {row, column} and (row, column) not in left_out:
            counted = sum(
                count
                for cell, count in guess.items()
                if row in {cell[0], TOTAL} and column in {cell[1], TOTAL}
            )
            if counted != whole[row, column].documents:
                return False
    return True


@settings(max_examples=150)
@given(st.lists(st.integers(0, 12), min_size=6, max_size=6).filter(any))
def test_no_small_cell_can_be_computed(documents):
    """A reader who knows the rule and all that is shown cannot tell any small cell exactly."""
    whole = with_totals(table(*documents))
    left_out = suppressed(whole)
    small = {cell for cell in whole if whole[cell].organisations < SMALLEST}
    assert small <= left_out
    thought = {cell: {guess[cell] for guess in others(whole, left_out)} for cell in inner_of(small)}
    assert {cell for cell, values in thought.items() if len(values) < 2} == set()


def inner_of(cells):
    return [cell for cell in cells if TOTAL not in cell]


def test_a_table_without_small_cells_is_shown_whole():
    """Nothing is left out where nothing has to be."""
    assert suppressed(with_totals(table(5, 6, 7, 8, 9, 10))) == set()


def test_one_small_cell_takes_three_more_with_it():
    """Row, column and the cell across are left out; the totals stay, and other cells."""
    left_out = suppressed(with_totals(table(3, 50, 60, 10, 20, 30)))
    assert left_out == {("a", "x"), ("a", "y"), ("c", "x"), ("c", "y")}


def test_two_cells_of_one_document_do_not_hide_each_other():
    """Their sum of two would tell both: a third one must go with them."""
    whole = with_totals(table(1, 1, 40, 50, 60, 70))
    left_out = suppressed(whole)
    assert len({guess["a", "x"] for guess in others(whole, left_out)}) > 1
    assert len(left_out) > 2


def test_many_documents_of_few_organisations_are_small():
    """What counts is how many organisations stand behind a figure."""
    whole = with_totals(table(900, 0, 50, 50, 50, 50, organisations=(2, 0, 9, 9, 9, 9)))
    assert ("a", "x") in suppressed(whole)


def test_the_same_few_in_two_columns_stay_few():
    """A row's total over columns is about as many organisations as its largest cell, at least."""
    whole = with_totals(table(4, 4, 50, 50, 60, 60))
    assert whole["a", TOTAL].organisations == 4
    assert ("a", TOTAL) in suppressed(whole)


def test_a_single_cell_hides_its_totals_too():
    """Where there is nothing else, nothing is shown."""
    whole = with_totals({("a", "x"): Figures(2, 2)})
    assert suppressed(whole) == set(whole)
    assert with_totals({}) == {}
