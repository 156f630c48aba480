"""The catalogues: every text has its word in every language, with the same places for values and the plural forms the language has."""

import re

import pytest

from cloud.web import pages
from tests.cloud.web.said import catalogue, texts

LANGUAGES = sorted(path.stem for path in (pages.STATIC / "i18n").glob("*.json"))
PLURALS = {"ar": {"zero", "one", "two", "few", "many", "other"}}
VALUE = re.compile(r"\{\w+\}")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_of_the_pages_is_in_the_catalogue_and_nothing_else(language: str) -> None:
    known, said = set(catalogue(language)), set(texts())
    assert sorted(said - known) == []
    assert sorted(known - said) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_text_keeps_its_values_and_has_every_plural_form(language: str) -> None:
    for text, word in catalogue(language).items():
        values = set(VALUE.findall(text))
        if "{n}" in values and "|" in text:
            assert isinstance(word, dict), text
            assert set(word) == PLURALS[language], text
            assert set(VALUE.findall(word["other"])) == values, text
        else:
            assert isinstance(word, str), text
            assert set(VALUE.findall(word)) == values, text
            assert word.strip(), text
