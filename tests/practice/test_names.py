"""Everything that data files name has a name that readers see."""

from typing import get_args

import pytest

from tl_course import i18n
from tl_course.practice.cards import Kind, Level, all_cards
from tl_course.practice.mock import PARTS
from tl_course.practice.names import title

NAMES = {card.topic for card in all_cards()} | {*get_args(Kind), *get_args(Level)} | {kind for kind, *_rest in PARTS}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_name_is_shown_in_both_languages(name, monkeypatch):
    monkeypatch.setattr(i18n, "_translations", i18n._translations)
    i18n.use_language("en")
    english = title(name)
    i18n.use_language("zh")
    assert "_" not in english and title(name) != english
