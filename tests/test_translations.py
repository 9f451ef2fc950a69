"""The Chinese interface: no string without its translation, none that is gone, and the compiled file is of today."""

import gettext
import re
import string

import pytest
import translations

from tl_course import i18n
from tl_course.errors import BadInput


@pytest.fixture(autouse=True)
def language(monkeypatch):
    monkeypatch.setattr(i18n, "_translations", i18n._translations)


def compiled() -> dict[str, str]:
    with translations.CATALOGUE.with_suffix(".mo").open("rb") as file:
        return gettext.GNUTranslations(file)._catalog


def test_every_string_is_translated_and_compiled():
    today = {message.id: message.string for message in translations.updated() if message.id}
    assert {text for text, chinese in today.items() if not chinese} == set(), "run scripts/translations.py"
    assert {text: compiled().get(text) for text in today} == today, "run scripts/translations.py"
    assert set(compiled()) - {""} == set(today), "run scripts/translations.py"


def fields(text: str) -> set[tuple[str | None, str | None]]:
    return {(name, form) for _text, name, form, _conversion in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize(("english", "chinese"), [item for item in compiled().items() if item[0]])
def test_a_translation_is_chinese_and_has_the_same_fields(english, chinese):
    assert fields(english) == fields(chinese)
    words = re.sub(r"\{[^}]*\}|`[^`]*`", "", english)
    assert not re.search("[a-z]{3}", words) or re.search("[\u4e00-\u9fff]", chinese)


def test_the_language_follows_what_is_asked_for():
    i18n.use_language("zh")
    assert i18n.language() == "zh" and "需要" in str(BadInput("a", "b", "c"))
    i18n.use_language("en")
    assert i18n.language() == "en" and str(BadInput("a", "b", "c")) == "expected a; got b; c"
    with pytest.raises(BadInput, match="en, zh"):
        i18n.use_language("fr")
