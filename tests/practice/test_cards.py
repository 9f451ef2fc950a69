"""The question cards: schema, links into the lessons, both languages, and no card twice."""

import re

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from tl_course.errors import BadInput
from tl_course.practice import cards

BANK = cards.all_cards()
IDS = [card.id for card in BANK]
CHINESE = re.compile(r"[\u4e00-\u9fff]")
ALIKE = 0.75  # cosine of TF-IDF vectors; different questions of the bank stay below it

GOOD = """
[[card]]
id = "one"
topic = "small"
kind = "concept"
level = "mid"
lesson = "01_concepts#The idea"
sources = ["Somebody, Something, 2020"]
question = { en = "What?", zh = "什么?" }
answer = { en = "That.", zh = "那个。" }
key_points = [{ en = "a", zh = "甲" }, { en = "b", zh = "乙" }, { en = "c", zh = "丙" }]
wrong = [{ claim = { en = "This.", zh = "这个。" }, why = { en = "No.", zh = "不。" } }]
follow_up = { question = { en = "Why?", zh = "为何?" }, answer = { en = "So.", zh = "因此。" } }
"""


@pytest.mark.parametrize("card", BANK, ids=IDS)
def test_a_card_is_whole(card):
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", card.id)
    for text in (card.question, card.answer, card.follow_up.question, card.follow_up.answer, *card.key_points):
        assert CHINESE.search(text.zh) and not CHINESE.search(text.en), text
    for answer in card.wrong:
        assert CHINESE.search(answer.claim.zh) and CHINESE.search(answer.why.zh)
    assert 40 <= len(card.answer.en.split()) <= 260, "an answer takes one or two minutes"
    assert all(re.search(r"\b(1[89]|20)\d\d\b", source) for source in card.sources), "sources name their year"


@pytest.mark.parametrize("card", BANK, ids=IDS)
def test_links_lead_to_a_section(card, headings):
    for link in (card.lesson, *card.measured):
        lesson, mark, beginning = link.partition("#")
        assert mark and lesson in headings, link
        assert any(heading.startswith(beginning) for heading in headings[lesson]), link


@pytest.mark.parametrize("part", ["question", "answer"])
def test_no_card_is_there_twice(part):
    words = [getattr(card, part).en for card in BANK]
    vectors = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit_transform(words)
    alike = (vectors @ vectors.T).toarray() - np.eye(len(words))
    one, other = np.unravel_index(alike.argmax(), alike.shape)
    assert alike.max() < ALIKE, f"{IDS[one]} and {IDS[other]}: {alike.max():.2f}"


def test_a_good_file_is_read(tmp_path):
    file = tmp_path / "small.toml"
    file.write_text(GOOD, encoding="utf-8")
    (card,) = cards.read(file)
    assert (card.id, card.question.zh, card.measured) == ("one", "什么?", ())
    assert card.wrong[0].why.en == "No." and card.follow_up.answer.zh == "因此。"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('level = "mid"', 'level = "expert"', "level among junior, mid, senior"),
        ('topic = "small"', 'topic = "other"', "topic among small"),
        ('level = "mid"\n', "", "missing or unknown: level"),
        ('id = "one"', 'id = "one"\ncolour = "red"', "missing or unknown: colour"),
        (', { en = "c", zh = "丙" }', "", "3 to 6 key_points; got 2"),
        ('zh = "什么?"', 'zh = " "', "words in both languages"),
        ('{ en = "What?", zh = "什么?" }', '{ en = "What?" }', "missing or unknown: zh"),
        ('{ en = "What?", zh = "什么?" }', '"What?"', "the fields en, zh"),
        ("[[card]]", "[[card", "data in TOML"),
    ],
)
def test_a_bad_file_is_refused(tmp_path, old, new, message):
    file = tmp_path / "small.toml"
    assert old in GOOD
    file.write_text(GOOD.replace(old, new), encoding="utf-8")
    with pytest.raises(BadInput, match=re.escape(message)):
        cards.read(file)


def test_an_id_occurs_once(tmp_path, monkeypatch):
    (tmp_path / "small.toml").write_text(GOOD + GOOD, encoding="utf-8")
    monkeypatch.setattr(cards, "FOLDER", tmp_path)
    with pytest.raises(BadInput, match="ids that occur once; got one"):
        cards.all_cards.__wrapped__()
