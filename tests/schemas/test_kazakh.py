import pytest

from schemas.kazakh import ALPHABET, sort_key


def test_letters_stand_in_the_order_of_the_alphabet():
    """Ә ғ қ ң ө ұ ү һ і stand where the alphabet has them, not behind all Russian letters."""
    assert "".join(sorted(ALPHABET, key=sort_key)) == ALPHABET
    assert sorted(ALPHABET.upper() + ALPHABET, key=sort_key)[:4] == ["а", "А", "ә", "Ә"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Абай", "Әуезов"),
        ("Әуезов", "Бәйтерек"),
        ("Гүлдер", "Ғылым"),
        ("Калкаман", "Қалқаман"),
        ("Наурыз", "Ңа"),
        ("Орал", "Өскемен"),
        ("Улан", "Ұлытау"),
        ("Ұлытау", "Үлгі"),
        ("Хан", "Һарун"),
        ("Ыбырай", "Іле"),
        ("ель", "ёлка"),
        ("2 мектеп", "Абай"),
        ("Яблоко", "Abai"),
        ("абай мектебі", "Абай мектебі"),
        ("Абай", "Абай мектебі"),
    ],
)
def test_names_stand_in_order(first, second):
    """A name comes before another as a Kazakh reader looks for it."""
    assert sort_key(first) < sort_key(second)
