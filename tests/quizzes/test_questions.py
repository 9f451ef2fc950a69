"""The quizzes' questions: schema, both languages, links into the lessons, and what each kind of answer is worth."""

import re
from collections import Counter
from dataclasses import replace

import pytest

from tl_course import lessons, quizzes
from tl_course.errors import BadInput
from tl_course.quizzes import questions
from tl_course.quizzes.text import as_text, remarks

BANK = quizzes.all_questions()
IDS = [question.id for question in BANK]
CHINESE = re.compile(r"[\u4e00-\u9fff]")
GOOD = """
[[question]]
id = "one"
kind = "single"
lesson = "01_concepts#The idea"
prompt = { en = "What?", zh = "什么?" }
why = { en = "So.", zh = "因此。" }
options = [
  { text = { en = "a", zh = "甲" }, why = { en = "x", zh = "因" }, right = true },
  { text = { en = "b", zh = "乙" }, why = { en = "y", zh = "果" } },
]
"""


def texts(question):
    """Every text of a question."""
    slips = [slip.why for slip in question.slips]
    options = [text for option in question.options for text in (option.text, option.why)]
    return [question.prompt, question.why, *question.axes, *options, *slips]


def first(kind):
    return next(question for question in BANK if question.kind == kind)


def test_every_lesson_has_a_quiz_of_every_kind():
    kinds = {name: set() for name in lessons.names()}
    for question in BANK:
        kinds[question.lesson.partition("#")[0]].add(question.kind)
    assert all(len(quizzes.of_lesson(name)) >= 5 for name in kinds)
    assert {name: found for name, found in kinds.items() if found != set(questions._OWN_FIELDS)} == {}


@pytest.mark.parametrize("question", BANK, ids=IDS)
def test_a_question_is_whole(question, headings):
    assert re.fullmatch(r"quiz-\d\d(-[a-z0-9]+)+", question.id)
    lesson, _mark, beginning = question.lesson.partition("#")
    assert question.id[5:7] == lesson[:2]
    assert beginning and any(heading.startswith(beginning) for heading in headings[lesson]), question.lesson
    for text in texts(question):
        assert not CHINESE.search(text.en), text
    assert CHINESE.search(question.prompt.zh) and CHINESE.search(question.why.zh)
    assert all(CHINESE.search(option.why.zh) for option in question.options)
    assert len({option.text.en for option in question.options}) == len(question.options)


@pytest.mark.parametrize("question", BANK, ids=IDS)
def test_the_right_answer_is_right_and_others_are_not(question):
    if question.kind == "numeric":
        assert question.tolerance >= 0 and quizzes.judge(question, question.answer).right
        for slip in question.slips:
            assert (
                not quizzes.judge(question, slip.value).right
                and slip.why in quizzes.judge(question, slip.value).remarks
            )
        return
    numbers = list(range(1, len(question.options) + 1))
    if question.kind == "order":
        right = [question.shown.index(option) + 1 for option in question.options]
        assert right != numbers and not quizzes.judge(question, numbers).right
        assert quizzes.judge(question, right).right and not quizzes.judge(question, right[::-1]).right
        return
    right = [number for number, option in enumerate(question.options, 1) if option.right]
    if question.kind == "multiple":
        assert 1 < len(right) < len(numbers)
        assert quizzes.judge(question, right).right and quizzes.judge(question, right[::-1]).right
        assert not quizzes.judge(question, right[1:]).right and not quizzes.judge(question, numbers).right
        return
    assert [number for number in numbers if quizzes.judge(question, number).right] == right


@pytest.mark.parametrize("question", [question for question in BANK if question.kind == "plot"], ids=lambda q: q.id)
def test_curves_can_be_told_apart(question):
    assert 5 <= len(question.x) <= 9 and sorted(question.x) == list(question.x) and len(question.axes) == 2
    values = [value for option in question.options for value in option.curve]
    height = max(values) - min(values)
    for number, option in enumerate(question.options):
        for other in question.options[:number]:
            gap = max(abs(a - b) for a, b in zip(option.curve, other.curve, strict=True))
            assert gap > 0.04 * height, (question.id, option.text.en, other.text.en)


def test_the_right_option_stands_in_every_place():
    places = Counter(
        next(number for number, option in enumerate(question.options, 1) if option.right)
        for question in BANK
        if question.kind in ("single", "plot")
    )
    assert max(places.values()) <= 0.5 * sum(places.values()), places


def test_a_right_option_is_not_known_by_its_length():
    single = [question for question in BANK if question.kind == "single"]
    longest = [max(question.options, key=lambda option: len(option.text.en)).right for question in single]
    assert sum(longest) <= 0.5 * len(single), "too often the longest option is the right one"


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("single", 0),
        ("single", 9),
        ("single", [1, 2]),
        ("single", True),
        ("single", "1"),
        ("multiple", [1, 1]),
        ("multiple", [1.5]),
        ("order", [1, 2]),
        ("order", 1),
        ("numeric", "many"),
        ("numeric", True),
        ("plot", None),
    ],
)
def test_what_is_no_answer_is_refused(kind, answer):
    with pytest.raises(BadInput, match=r"expected .+; got .+; "):
        quizzes.judge(first(kind), answer)


def test_steps_are_shown_mixed_and_always_in_the_same_way():
    question = first("order")
    assert question.shown != list(question.options) and question.shown == question.shown
    assert sorted(option.text.en for option in question.shown) == sorted(option.text.en for option in question.options)
    assert question.options[0].text.en in as_text(question)


def test_a_number_that_people_arrive_at_is_explained():
    question = next(question for question in BANK if question.slips)
    slip = question.slips[0]
    judged = quizzes.judge(question, slip.value)
    assert ("", str(slip.why)) in remarks(question, slip.value, judged)
    assert quizzes.judge(replace(question, tolerance=1e9), slip.value).right


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('kind = "single"', 'kind = "essay"', "kind among"),
        ('why = { en = "So.", zh = "因此。" }', "", "why"),
        (", right = true", "", "one right option"),
        ('why = { en = "y", zh = "果" }', 'why = { en = "y", zh = "" }', "both languages"),
        ('kind = "single"', 'kind = "plot"', "axes"),
        ('{ en = "What?"', '{ en = "What?', "TOML"),
        ('id = "one"', 'id = "one"\nhint = "x"', "hint"),
    ],
)
def test_a_file_that_does_not_keep_to_the_schema_is_refused(tmp_path, old, new, said):
    file = tmp_path / "01_concepts.toml"
    file.write_text(GOOD, encoding="utf-8")
    assert [question.id for question in questions.read(file)] == ["one"]
    file.write_text(GOOD.replace(old, new), encoding="utf-8")
    with pytest.raises(BadInput, match=said):
        questions.read(file)


def test_an_id_occurs_once(tmp_path, monkeypatch):
    (tmp_path / "01_concepts.toml").write_text(GOOD + GOOD, encoding="utf-8")
    monkeypatch.setattr(questions, "FOLDER", tmp_path)
    with pytest.raises(BadInput, match="one"):
        questions.all_questions.__wrapped__()


def test_lessons_and_questions_that_are_not_there():
    assert quizzes.of_lesson("03") == quizzes.of_lesson("03_feature_extraction")
    for wrong in ("99", ""):
        with pytest.raises(BadInput, match="a lesson with a quiz"):
            quizzes.of_lesson(wrong)
    with pytest.raises(BadInput, match="a question of a quiz"):
        quizzes.get("quiz-99")
