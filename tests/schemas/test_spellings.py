import pytest

from schemas.spellings import SPELLINGS, STEM_LETTERS_MAX, asked_stems, matches, stems_of, words_of


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ("мұрағат", "Архив ісі туралы"),
        ("архив", "Мектеп мұрағатын сақтау"),
        ("МҰРАҒАТТЫҢ", "архивы школ"),
        ("құжат", "документы за год"),
        ("емтихан", "Экзамендер кестесі"),
        ("ёлка", "Елка мен мереке"),
        ("бұйр мектеп", "Мектептер туралы бұйрық"),
        ("үй", "Үй мен мектеп"),
        ("2026", "Есеп 2026"),
    ],
)
def test_a_word_finds_its_other_forms(asked, text):
    """Endings, case, ё and the other spelling of a key term do not hide a word."""
    assert matches(asked, [text])


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ("үй", "Үйлер"),
        ("мұр", "мұрағат"),
        ("архив музей", "архив ісі"),
        ("рағат", "мұрағат"),
        ("архив", "мұра"),
    ],
)
def test_a_word_finds_nothing_else(asked, text):
    """A short word finds itself alone, all words must be there, and no word is found inside."""
    assert not matches(asked, [text])


@pytest.mark.parametrize("asked", ["мұрағат", "архивтің", "үй", "бұйрық 17", "ұзақ-" + "ә" * 40])
def test_what_matches_is_a_candidate(asked):
    """Of each word asked for, the index has one stem of every text that matches."""
    texts = [asked, "архив мұрағат үй бұйрығы 17"]
    for text in texts:
        if matches(asked, [text]):
            stems = stems_of([text])
            assert all(one & stems for one in asked_stems(asked))


def test_stems_are_bounded():
    """A long word has few stems."""
    assert len(stems_of(["ә" * 1000])) == STEM_LETTERS_MAX - 3


def test_spellings_are_words_as_they_are_compared():
    """The table is in the one form that words are compared in, and no stem stands in it twice."""
    stems = [stem for spellings in SPELLINGS for stem in spellings]
    assert [words_of(stem) for stem in stems] == [[stem] for stem in stems]
    assert len(set(stems)) == len(stems)
