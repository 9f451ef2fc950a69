"""Answers to quizzes are kept, travel with the progress, and wrong ones come back first."""

from datetime import UTC, datetime, timedelta

import pytest

from tl_course import progress_file, quizzes
from tl_course.errors import BadInput

SINGLE = next(question for question in quizzes.all_questions() if question.kind == "single")
ORDER = next(question for question in quizzes.all_questions() if question.kind == "order")
NUMBER = next(question for question in quizzes.all_questions() if question.kind == "numeric")
RIGHT = next(number for number, option in enumerate(SINGLE.options, 1) if option.right)
WRONG = RIGHT % len(SINGLE.options) + 1
STEPS = [ORDER.shown.index(option) + 1 for option in ORDER.options]


def test_an_answer_is_kept_as_it_was_given():
    assert quizzes.last(SINGLE) is None and quizzes.standings() == {} and quizzes.due() == []
    assert quizzes.record(SINGLE, WRONG).right is False
    assert quizzes.record(SINGLE, RIGHT).right is True
    assert quizzes.record(ORDER, STEPS).right is True
    assert quizzes.record(NUMBER, NUMBER.answer).right is True
    assert quizzes.last(SINGLE) == RIGHT and quizzes.last(ORDER) == STEPS and quizzes.last(NUMBER) == NUMBER.answer
    rows = progress_file.select("SELECT question, correct FROM quiz_answers ORDER BY id")
    assert [(row["question"], row["correct"]) for row in rows][:2] == [(SINGLE.id, 0), (SINGLE.id, 1)]


def test_what_is_no_answer_is_not_kept():
    with pytest.raises(BadInput):
        quizzes.record(SINGLE, 99)
    assert quizzes.last(SINGLE) is None


def test_a_wrong_answer_comes_back_before_a_right_one():
    quizzes.record(SINGLE, WRONG)
    quizzes.record(ORDER, STEPS)
    known, now = quizzes.standings(), datetime.now(UTC)
    assert known[SINGLE.id].rating == 1 and known[ORDER.id].rating == 3
    assert known[SINGLE.id].due < known[ORDER.id].due
    assert quizzes.due(now) == []
    assert quizzes.due(known[SINGLE.id].due + timedelta(seconds=1)) == [SINGLE]
    assert set(quizzes.due(now + timedelta(days=30))) == {SINGLE, ORDER}


def test_answers_travel_with_the_progress(tmp_path, monkeypatch):
    quizzes.record(SINGLE, WRONG)
    progress_file.export_json(tmp_path / "progress.json")
    monkeypatch.setenv("TL_COURSE_HOME", str(tmp_path / "other"))
    assert quizzes.last(SINGLE) is None
    assert progress_file.import_json(tmp_path / "progress.json") == 1
    assert quizzes.last(SINGLE) == WRONG
