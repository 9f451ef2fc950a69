"""A named mistake is told by its own message, a right answer by none. `tl-course audit` sees to all of the bank."""

import pytest

from tl_course import exercises
from tl_course.exercises.engine.checking import check_source, defines
from tl_course.exercises.engine.stub import is_untouched

VARIANTS = [pytest.param(e, f, id=f"{e.id}-{f}") for e in exercises.all_exercises() for f in e.variants]
ONE_A_PROCESS = [
    ("to-unit-range", "numpy"),
    ("masked-mean", "pytorch"),
    ("masked-mean", "keras"),
    ("missing-class", "pytorch"),  # with transformers at hand
]


@pytest.mark.parametrize(("exercise_id", "framework"), ONE_A_PROCESS)
def test_each_mistake_gets_its_own_message_and_a_right_answer_none(exercise_id, framework):
    variant = exercises.get(exercise_id).variant(framework)
    for mistake in variant.mistakes.values():
        verdict = check_source(exercise_id, framework, mistake.code(variant.reference))
        if verdict.answered:  # a starter handed in as it is counts as no answer
            assert verdict.diagnosis == mistake.message
        assert verdict.score < 1
    for code in (variant.reference, *variant.alternatives.values()):
        verdict = check_source(exercise_id, framework, code)
        assert verdict.passed and verdict.diagnosis is None, verdict.render_text()


@pytest.mark.parametrize(("exercise", "framework"), VARIANTS)
def test_only_a_starter_handed_in_as_it_is_counts_as_no_answer(exercise, framework):
    variant = exercise.variant(framework)
    for code in (variant.reference, *variant.alternatives.values()):
        assert not is_untouched(exercise, framework, code)
    for mistake in variant.mistakes.values():
        assert variant.starter or not is_untouched(exercise, framework, mistake.code(variant.reference))


def test_an_answer_unlike_any_mistake_gets_no_diagnosis():
    source = "def masked_mean(hidden, mask): return hidden.mean(1) + 17"
    verdict = check_source("masked-mean", "pytorch", source)
    assert verdict.score == 0 and verdict.diagnosis is None


def test_another_seed_draws_other_inputs_and_diagnoses_alike():
    variant = exercises.get("masked-mean").variant("pytorch")
    code = variant.mistakes["not-divided"].code(variant.reference)
    first, second = check_source("masked-mean", "pytorch", code), check_source("masked-mean", "pytorch", code, seed=7)
    assert first.diagnosis == second.diagnosis == variant.mistakes["not-divided"].message
    assert first.findings[0].message != second.findings[0].message


def test_defines():
    assert defines("def f(): pass", "f") and defines("async def f(): pass", "f") and defines("class f: pass", "f")
    assert not any(defines(text, "f") for text in ("", "f = 1", "def g():\n  def f(): pass", "def f(", "\0"))
