"""Where a learner stands: what is solved, begun and due, and where to go on."""

import pytest

from tl_course import home_page, quizzes, records
from tl_course.exercises.engine.verdict import Verdict
from tl_course.standing import standing


@pytest.fixture(autouse=True)
def own(home):
    return home


def attempt(exercise: str, score: float, framework: str = "numpy") -> None:
    records.record_attempt(Verdict(exercise, framework, score, points=2), "source")


def lesson(name: str):
    return next(row for row in standing().lessons if row.id.startswith(name))


def page() -> str:
    return home_page.as_html(standing(), lambda lesson, exercise, content: f"<a>{lesson} {exercise} {content}</a>")


def test_a_newcomer_begins_with_the_first_lesson():
    now = standing()
    assert now.next == ("00_start_here", None) and now.minutes == 0
    assert not any(row.begun or row.done or row.due for row in now.lessons)
    assert (now.cards_due, now.questions_due, now.cards_new) == (0, 0, now.cards) and now.cards > 200
    assert "00_start_here None Begin here: 00 Start here" in page()


def test_one_goes_on_where_one_left_off():
    attempt("to-unit-range", 0.5)
    assert standing().next == ("00_start_here", "to-unit-range")
    attempt("to-unit-range", 1.0)
    assert standing().next == ("00_start_here", "accuracy")
    first, second, *_rest = lesson("03").exercises
    attempt(first, 1.0)
    assert standing().next == ("03_feature_extraction", second)
    assert "Go on where you left off: 03 Feature extraction" in page()


def test_after_a_lesson_comes_the_first_one_that_is_open():
    for name in lesson("00").exercises:
        attempt(name, 1.0)
    assert lesson("00").done and standing().next == ("01_concepts", None)
    assert "Go on with 01 Concepts" in page() and "after 00 \N{CHECK MARK}" in page()


def test_half_a_score_does_not_solve_an_exercise():
    attempt("to-unit-range", 0.99)
    assert lesson("00").begun and lesson("00").solved == frozenset()
    assert "0 of 2 exercises" in page()


def test_a_quiz_counts_what_is_right_and_brings_back_what_is_due(monkeypatch):
    question = next(one for one in quizzes.of_lesson("03") if one.kind == "single")
    right = next(number for number, option in enumerate(question.shown, 1) if option.right)
    quizzes.record(question, right)
    assert (lesson("03").known, lesson("03").begun, lesson("03").due) == (1, True, 0)
    monkeypatch.setattr("time.time", lambda: 0.0)  # answered long ago
    quizzes.record(question, right % len(question.shown) + 1)
    assert standing().questions_due == 0, "the last answer counts, and the right one was later"


def test_the_map_names_every_lesson_after_those_it_needs():
    shown = page()
    places = {row.id: shown.index(f"{row.id} None {row.title}") for row in standing().lessons[1:]}
    for row in standing().lessons[1:]:
        assert all(places[name] < places[row.id] for name in row.after if name in places), row.id


def test_time_at_the_exercises_is_told():
    records.record_work("to-unit-range", 150)
    records.record_work("accuracy", 90)
    assert standing().minutes == 4 and "4 min at exercises so far" in page()
    assert records.seconds_worked("accuracy") == 90
