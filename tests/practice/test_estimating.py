"""The estimate is there where it can be, and says why where it cannot."""

import pytest

from tl_course import assets
from tl_course.errors import BadInput
from tl_course.practice import key_points
from tl_course.practice.cards import all_cards
from tl_course.practice.estimating import Estimator

CARD = next(card for card in all_cards() if card.id == "attention-scale-sqrt-d")


def broken() -> None:
    raise BadInput("MiniLM", "nothing", "fetch it")


def test_where_it_cannot_be_had_the_learner_reads_why(monkeypatch):
    monkeypatch.setattr(key_points, "warm_up", broken)
    estimator = Estimator()
    assert estimator.estimate(CARD, "an answer") is None and estimator.note == "expected MiniLM; got nothing; fetch it"


def test_where_it_is_not_wanted_or_there_is_no_answer_nothing_is_said(monkeypatch):
    monkeypatch.setattr(key_points, "warm_up", broken)
    for estimator, answer in ((Estimator(wanted=False), "an answer"), (Estimator(), " \n")):
        assert estimator.estimate(CARD, answer) is None and estimator.note == ""


@pytest.mark.skipif(assets.status("minilm") != "ready", reason="MiniLM is not on this computer")
def test_an_estimate_comes_with_its_note():
    estimator = Estimator()
    found = estimator.estimate(CARD, "A dot product of d independent unit-variance parts has variance d.")
    assert found is not None and any(found.covered) and estimator.note == found.note()
    assert estimator.estimate(CARD, "方差随维度增长。") is None and "English" in estimator.note
