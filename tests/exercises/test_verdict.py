"""From observations to points and words: partial credit, needs, errors, escaping, and nothing given away."""

import json

import numpy as np
import pytest

from tl_course import exercises
from tl_course.exercises.engine.checking import check_source
from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, FollowUp, Variant
from tl_course.exercises.engine.runner import Run
from tl_course.exercises.engine.verdict import Verdict, judge, matches, score

REFERENCE = '''
def double(x):
    """Twice x."""
    return x + x
'''


def judged(case, observed):
    if case.name == "sign":
        return [holds("odd", observed["negative"] == -observed["y"], "the sign does not carry over")]
    return [close("value", observed["y"], 2 * case.inputs["x"], "y")]


def made(**changes) -> Exercise:
    """A small exercise: twice x."""
    fields = {
        "id": "twice",
        "title": "Twice",
        "lesson": "00_test",
        "minutes": 1,
        "difficulty": 1,
        "points": 4,
        "statement": "",
        "hints": ("a", "b", "c"),
        "follow_ups": (FollowUp("why", "so"),),
        "criteria": {
            "value": Criterion("is twice x", weight=3),
            "odd": Criterion("keeps the sign", needs=("value",)),
        },
        "cases": lambda rng: [
            Case("one", {"x": 1.0}, ("value",)),
            Case("two", {"x": 2.0}, ("value",)),
            Case("sign", {"x": 3.0}, ("odd",)),
        ],
        "judge": judged,
        "variants": {"numpy": Variant(REFERENCE, lambda candidate, inputs: {}, {}, {})},
    }
    return Exercise(**{**fields, **changes})


def ran(*observations) -> Run:
    return Run("ran", observations=list(observations))


ERROR = {"type": "ValueError", "message": "no", "line": 3, "where": "raise"}
ONE, TWO, SIGN = {"value": {"y": 2.0}}, {"value": {"y": 4.0}}, {"value": {"y": 6.0, "negative": -6.0}}
NO_SIGN = {"value": {"y": 0.0, "negative": 1.0}}


@pytest.mark.parametrize(
    ("observations", "points", "passed"),
    [
        ((ONE, TWO, SIGN), 1.0, [True, True]),
        ((ONE, TWO, NO_SIGN), 0.75, [True, False]),
        (({"value": {"y": 9.0}}, TWO, SIGN), 0.0, [False, False]),
        ((ONE, TWO, {"error": ERROR}), 0.75, [True, False]),
        ((ONE, {"error": ERROR}, SIGN), 0.0, [False, False]),
        (({"value": {}}, TWO, SIGN), 0.0, [False, False]),
        (({"value": {"y": "text"}}, TWO, SIGN), 0.0, [False, False]),
        ((ONE, TWO, {"value": {"y": np.ones(3), "negative": None}}), 0.75, [True, False]),
        ((ONE, TWO), 0.75, [True, False]),
        ((), 0.0, [False, False]),
    ],
    ids=["right", "partial", "needs", "error", "error in one of two", "missing", "text", "odd", "cut", "none"],
)  # fmt: skip
def test_points(observations, points, passed):
    exercise = made()
    lines, problem = judge(exercise, exercise.draw(0), ran(*observations))
    assert problem is None
    assert score(lines) == pytest.approx(points)
    assert [line.passed for line in lines] == passed
    assert all(line.message for line in lines if not line.passed) or len(observations) < 3


def test_what_holds_but_does_not_count_yet_says_so():
    exercise = made()
    lines, _problem = judge(exercise, exercise.draw(0), ran({"value": {"y": 9.0}}, TWO, SIGN))
    assert lines[1].message == "counts only once the answer is right otherwise"


def test_needs_reach_through_needs():
    criteria = {
        "value": Criterion("value"),
        "odd": Criterion("odd", needs=("value",)),
        "third": Criterion("third", needs=("odd",)),
    }
    exercise = made(
        criteria=criteria,
        cases=lambda rng: [Case("c", {}, ("value", "odd", "third"))],
        judge=lambda case, seen: [holds("value", False, "no"), holds("odd", True, ""), holds("third", True, "")],
    )
    lines, _problem = judge(exercise, exercise.draw(0), ran({"value": {}}))
    assert score(lines) == 0


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (Run("timeout"), "longer than 10 seconds"),
        (Run("crashed"), "ended before it returned"),
        (Run("stopped", error={**ERROR, "type": "MissingAnswer", "message": "double"}), "named double"),
        (Run("stopped", error=ERROR), "it stopped with ValueError: no in line 3: raise"),
    ],
    ids=["timeout", "crashed", "missing", "stopped"],
)  # fmt: skip
def test_why_nothing_was_observed(run, words):
    exercise = made()
    lines, problem = judge(exercise, exercise.draw(0), run)
    assert words in problem and score(lines) == 0


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (ran(ONE, TWO), ran(ONE, TWO), True),
        (ran(ONE, TWO), ran(ONE, ONE), False),
        (ran(ONE, {"error": ERROR}), ran(ONE, {"error": {**ERROR, "line": 9, "where": "other"}}), True),
        (ran({"error": ERROR}), ran({"error": {**ERROR, "message": "other"}}), False),
        (ran({"error": ERROR}), ran(ONE), False),
        (Run("stopped", error=ERROR), Run("stopped", error=ERROR), True),
        (Run("stopped", error=ERROR), ran(ONE), False),
        (Run("timeout"), Run("timeout"), False),
        (ran({"value": {"y": 10**30}}), ran({"value": {"y": 0.5}}), False),
    ],
)
def test_runs_that_match(a, b, expected):
    assert matches(a, b) is expected


def verdict(**changes) -> Verdict:
    return Verdict(**{"exercise": "twice", "framework": "numpy", "score": 0.5, "points": 3, **changes})


def test_the_repr_is_the_number_of_points():
    assert float(repr(verdict())) == 1.5
    assert repr(verdict(score=1.0)) == "3.0"
    assert float(repr(verdict(score=0.0))) == 0
    assert float(repr(verdict(score=1 / 3))) == pytest.approx(1, abs=1e-3)


def test_passed_only_with_every_point():
    assert verdict(score=1.0).passed and not verdict(score=0.999).passed


def test_keys_that_other_programs_read():
    shown = check_source("masked-mean", "pytorch", "def masked_mean(hidden, mask): return hidden.sum(1)").to_dict()
    assert {"passed", "score", "diagnosis", "findings"} <= shown.keys()
    assert all(set(finding) == {"criterion", "passed", "message"} for finding in shown["findings"])
    assert isinstance(shown["passed"], bool) and 0 <= shown["score"] <= 1
    assert json.loads(json.dumps(shown)) == shown


def test_partial_credit_of_a_real_exercise():
    exercise = exercises.get("masked-mean")
    variant = exercise.variant("pytorch")
    seen = check_source("masked-mean", "pytorch", variant.mistakes["no-guard"].code(variant.reference))
    assert seen.score == pytest.approx(0.75)
    assert [finding.passed for finding in seen.findings] == [True, True, False]


SCRIPT = "<script>alert(1)</script>"


@pytest.mark.parametrize(
    "code",
    [
        f"print('{SCRIPT}')\ndef masked_mean(h, m): return h",
        f"def masked_mean(h, m): raise ValueError('{SCRIPT}')",
        f"def masked_mean(h, m): raise type('{SCRIPT}', (Exception,), {{}})",
        f"def masked_mean(h, m): return type('{SCRIPT}', (), {{}})()",
        f"def masked_mean(h, m): {SCRIPT}",
        f"raise ValueError('{SCRIPT}')",
    ],
    ids=["printed", "message", "error type", "result type", "syntax", "top level"],
)
def test_what_comes_from_the_answer_is_escaped(code):
    seen = check_source("masked-mean", "pytorch", code)
    page = seen._repr_html_()
    assert "<script" not in page and "&lt;script" in page
    assert "<script" in seen.render_text()


def test_diagnosis_and_names_are_escaped():
    page = verdict(diagnosis=SCRIPT, problem=SCRIPT, exercise=SCRIPT, output=SCRIPT)._repr_html_()
    assert "<script" not in page and page.count("&lt;script") == 4


def test_a_verdict_gives_nothing_away_that_could_be_pasted():
    """At most one expected value a criterion is shown, and never a reference."""
    exercise = exercises.get("masked-mean")
    right = exercise.variant("pytorch")
    for mistake in right.mistakes.values():
        seen = check_source("masked-mean", "pytorch", mistake.code(right.reference))
        shown = seen.render_text() + seen._repr_html_() + json.dumps(seen.to_dict())
        assert "clamp(min=1)" not in shown and "weights.sum" not in shown
        assert all(finding.message.count("expected ") <= 1 for finding in seen.findings)


def test_unanswered_is_neither_right_nor_wrong():
    unanswered = verdict(score=0.0, answered=False)
    assert "not answered yet" in unanswered.render_text() and not unanswered.passed
