"""Each named mistake of the bank is told by its own message, and right answers by none."""

import pytest

from tl_course import exercises
from tl_course.exercises.engine.checking import check_source, defines

VARIANTS = [(e.id, f, v) for e in exercises.all_exercises() for f, v in e.variants.items()]
MISTAKES = [
    pytest.param(i, f, v.reference, m, id=f"{i}-{f}-{n}") for i, f, v in VARIANTS for n, m in v.mistakes.items()
]
RIGHT = [
    pytest.param(i, f, code, id=f"{i}-{f}-{name}")
    for i, f, v in VARIANTS
    for name, code in {"reference": v.reference, **v.alternatives}.items()
]


@pytest.mark.parametrize(("exercise_id", "framework", "reference", "mistake"), MISTAKES)
def test_a_mistake_gets_its_own_message(exercise_id, framework, reference, mistake):
    code = mistake.code(reference)
    verdict = check_source(exercise_id, framework, code)
    if verdict.answered:  # a starter handed in as it is counts as no answer
        assert verdict.diagnosis == mistake.message
        assert verdict.score < 1
    else:
        assert exercises.get(exercise_id).variant(framework).starter is not None


@pytest.mark.parametrize(("exercise_id", "framework", "code"), RIGHT)
def test_a_right_answer_gets_none(exercise_id, framework, code):
    verdict = check_source(exercise_id, framework, code)
    assert verdict.passed and verdict.diagnosis is None, verdict.render_text()


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
