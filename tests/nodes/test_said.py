"""Texts that are composed in one place and read in several languages."""

import msgspec
import pytest

from nodes.cli import output
from nodes.cli.moments import duration
from nodes.said import Said, joined, spoken
from nodes.texts import text
from schemas.codes import Language


def late():
    """Return a text with a fact that is said in words as well."""
    return Said("checks.found.past-due", {"late": duration(3 * 3600 + 60)})


def test_as_a_text_it_is_its_english():
    """JSON, errors and logs have it in English, whatever is spoken."""
    assert late() == "3 h 1 min past due"
    assert f"crl: {late()}" == "crl: 3 h 1 min past due"


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("kk", "мерзімі өткеніне 3 сағ 1 мин"),
        ("ru", "просрочен на 3 ч 1 мин"),
        ("en", "3 h 1 min past due"),
    ],
)
def test_it_is_spoken_with_its_facts(monkeypatch, language, said):
    """A fact that is said goes over into the language of what it stands in."""
    monkeypatch.setenv("BBAJ_LANG", language)
    assert spoken(late()) == said


def test_what_others_say_is_spoken_as_it_is(monkeypatch):
    """A text that no catalogue has stays what it is."""
    monkeypatch.setenv("BBAJ_LANG", "ru")
    assert spoken("connection refused") == "connection refused"


def test_texts_are_joined_in_each_language():
    """One after another, with what others say between them; none of them is nothing."""
    both = joined([Said("checks.found.up"), "as it is", Said("checks.found.down")], "; ")
    assert both == "up; as it is; down"
    assert both.in_language(Language.RU) == "установлено; as it is; разорвано"
    assert joined([]) == ""


@pytest.mark.parametrize("language", Language)
def test_json_is_english_in_every_language(monkeypatch, capfdbinary, language):
    """What a command prints as JSON does not change with who reads it."""
    monkeypatch.setenv("BBAJ_LANG", language)
    output.show(True, {"detail": late(), "all": [late()]}, list)
    found = msgspec.json.decode(capfdbinary.readouterr().out)
    assert found == {"detail": str(late()), "all": [str(late())]}


def test_json_of_what_is_no_shape_is_refused():
    """Only a text of ours is made English: anything else is a fault, and not some text."""
    with pytest.raises(NotImplementedError):
        output.show(True, {"path": object()}, list)


@pytest.mark.parametrize(
    ("seconds", "key"),
    [
        (-5, "span.negative"),
        (0.25, "span.seconds"),
        (61, "span.minutes"),
        (47 * 3600, "span.hours"),
        (48 * 3600, "span.days"),
    ],
)
def test_spans_of_time_have_units_in_each_language(seconds, key):
    """A span is its two largest units, as a language writes them."""
    span = duration(seconds)
    assert span.key == key
    assert len({span.in_language(each) for each in Language}) == len(Language)


def test_a_key_that_is_not_there_is_a_fault():
    """Whoever misspells a key learns of it where the text is made."""
    with pytest.raises(KeyError):
        Said("checks.found.nothing")
    assert text("checks.found.loads", Language.EN) == "loads"
