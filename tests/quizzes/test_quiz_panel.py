"""A quiz in a notebook: every kind of question is answered, explained, kept and shown again; the same by calls."""

import ipywidgets as widgets
import pytest

import tl_course
from tl_course import i18n, progress_file, quizzes
from tl_course.errors import BadInput
from tl_course.quizzes import records
from tl_course.quizzes.page import head
from tl_course.quizzes.panel import QuestionView

FIRST = {question.kind: question for question in reversed(quizzes.all_questions())}


def inside(widget):
    return [widget, *(found for child in getattr(widget, "children", ()) for found in inside(child))]


def right_answer(question):
    if question.kind == "numeric":
        return question.answer
    if question.kind == "order":
        return [question.shown.index(option) + 1 for option in question.options]
    chosen = [number for number, option in enumerate(question.options, 1) if option.right]
    return chosen if question.kind == "multiple" else chosen[0]


@pytest.mark.parametrize("kind", FIRST)
def test_a_right_answer_is_explained_kept_and_shown_again(kind):
    question = FIRST[kind]
    view = QuestionView(question, 1, 6)
    assert view.result.value == "" and quizzes.last(question) is None
    view.field.put(right_answer(question))
    view.send.click()
    assert "Right." in view.result.value and view.trouble.value == ""
    assert quizzes.last(question) == right_answer(question)
    again = QuestionView(question, 1, 6)
    assert again.field.given() == right_answer(question) and again.result.value == view.result.value


@pytest.mark.parametrize("kind", FIRST)
def test_no_answer_is_refused_in_words_and_not_kept(kind):
    view = QuestionView(FIRST[kind], 1, 6)
    view.send.click()
    assert "expected" in view.trouble.value and view.result.value == "" and quizzes.last(FIRST[kind]) is None


def test_a_wrong_answer_explains_every_option():
    question = FIRST["single"]
    wrong = right_answer(question) % len(question.options) + 1
    view = QuestionView(question, 1, 6)
    view.field.box.value = wrong
    view.send.click()
    assert "Not yet." in view.result.value and "your choice" in view.result.value
    assert view.result.value.count("<li>") == len(question.options)


def test_numbers_are_read_as_people_write_them():
    view = QuestionView(FIRST["numeric"], 1, 6)
    for text, number in (("0,25", 0.25), (" 3e-4 ", 3e-4), ("12 %", 12.0), ("1 000", 1000.0), ("0,125", 0.125)):
        view.field.box.value = text
        assert view.field.given() == number


@pytest.mark.parametrize(
    "text", ["", "abc", "\N{VULGAR FRACTION ONE HALF}", "nan", "inf", "1e999", "1,000", "12,000,000"]
)
def test_what_is_no_number_or_may_be_two_is_not_judged(text):
    view = QuestionView(FIRST["numeric"], 1, 6)
    view.field.box.value = text
    view.send.click()
    assert "expected a number" in view.trouble.value and not view.result.value
    assert records.last(FIRST["numeric"]) is None


def test_an_answer_to_an_older_form_of_a_question_is_left_out():
    for kind, older in (("single", "[1, 2]"), ("single", "99"), ("multiple", "99"), ("numeric", "[1]"), ("order", "1")):
        question = FIRST[kind]
        progress_file.insert("quiz_answers", question=question.id, at=1.0, answer=older, correct=0)
        assert not QuestionView(question, 1, 6).result.value
    progress_file.insert("quiz_answers", question=FIRST["single"].id, at=2.0, answer="[1]", correct=0)
    assert QuestionView(FIRST["single"], 1, 6).field.box.value == 1


def test_without_a_file_for_the_progress_a_quiz_is_judged_and_says_so(home):
    home.mkdir(parents=True, exist_ok=True)
    (home / "progress.db").write_bytes(b"no database" * 1000)
    view = QuestionView(FIRST["numeric"], 1, 6)
    assert "progress is not kept" in view.trouble.value
    view.field.box.value = f"{FIRST['numeric'].answer:g}"
    view.send.click()
    assert "Right." in view.result.value and "progress is not kept" in view.trouble.value


def test_two_steps_cannot_have_one_place():
    view = QuestionView(FIRST["order"], 1, 6)
    for field in view.field._places.values():
        field.value = 1
    view.send.click()
    assert "every place once" in view.trouble.value


@pytest.mark.parametrize("kind", FIRST)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_control_has_a_label(kind, language):
    i18n.use_language(language)
    controls = (widgets.Text, widgets.RadioButtons, widgets.Dropdown, widgets.Checkbox, widgets.Button)
    fields = [widget for widget in inside(QuestionView(FIRST[kind], 1, 6).box) if isinstance(widget, controls)]
    assert fields and all(field.description.strip() for field in fields)


def test_curves_come_with_words():
    shown = head(FIRST["plot"])
    assert "data:image/png;base64," in shown and "alt='1: " in shown and "Across: " in shown


def test_a_quiz_by_calls_alone():
    listed = tl_course.quiz("03", panel=False)
    assert listed is not None
    for question in quizzes.of_lesson("03"):
        assert question.id in repr(listed) and question.id in listed._repr_html_()
        shown = tl_course.answer(question.id, right_answer(question))
        assert "Right." in repr(shown) and "Right." in shown._repr_html_()
    with pytest.raises(BadInput):
        tl_course.answer("quiz-none", 1)


def test_the_panel_shows_the_questions_where_there_are_no_widgets(capsys, monkeypatch):
    bundles = []
    monkeypatch.setattr("tl_course.practice.panel_parts.display", lambda shown, raw=False: bundles.append(shown))
    assert tl_course.quiz("03") is None
    assert all(question.id in bundles[-1]["text/html"] for question in quizzes.of_lesson("03"))
    assert "application/vnd.jupyter.widget-view+json" in bundles[-1]
