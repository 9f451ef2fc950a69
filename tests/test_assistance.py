"""Compare, reset and restore: nothing that a learner wrote is lost. `test_notebook` has them in a shell."""

import pytest

from tl_course import assistance, exercises, records
from tl_course.errors import BadInput
from tl_course.exercises.engine import side_by_side
from tl_course.exercises.engine.verdict import Verdict

EXERCISE = exercises.get("masked-mean")
STUB = assistance.starting_code("masked-mean", "pytorch")[1]
MINE = f"{STUB.splitlines()[0]}\ndef masked_mean(states, mask):\n    return states.mean(1)  # <mine>"


@pytest.fixture(autouse=True)
def own(home):
    return home


def tried():
    records.record_attempt(Verdict(EXERCISE.id, "pytorch", 0.5, points=4), MINE)


def test_the_starting_code_is_the_first_frameworks_unless_one_is_named():
    assert assistance.starting_code("masked-mean") == ("pytorch", STUB)
    assert assistance.starting_code("masked-mean", "keras")[1].startswith("# exercise: masked-mean (keras)\n")
    with pytest.raises(BadInput, match="numpy"):
        assistance.starting_code("masked-mean", "numpy")


def test_what_is_put_aside_comes_back_last_first():
    for text in ("first", "second", "second"):
        assistance.keep("masked-mean", "pytorch", text)
    assert records.kept("masked-mean", "pytorch") == ["first", "second"]
    assert assistance.kept_before("masked-mean", "pytorch", STUB) == "second"
    assert assistance.kept_before("masked-mean", "pytorch", "second ") == "first"
    assert assistance.kept_before("masked-mean", "keras", STUB) is None


def test_only_what_a_learner_wrote_is_put_aside():
    for text in (STUB, "", "  \n", STUB + "\n\n# a comment"):
        assistance.keep("masked-mean", "pytorch", text)
    assert records.kept("masked-mean", "pytorch") == []
    broken = STUB + "\n    return ("  # does not parse: it is the learner's all the same
    assistance.keep("masked-mean", "pytorch", broken)
    assert records.kept("masked-mean", "pytorch") == [broken]


def test_the_solution_is_shown_after_an_attempt_only():
    assert "Try first" in assistance.comparison(EXERCISE, {"pytorch": MINE}).text
    tried()
    shown = assistance.comparison(
        EXERCISE, {"pytorch": MINE, "keras": assistance.starting_code("masked-mean", "keras")[1]}
    )
    assert "-     return states.mean(1)  # <mine>" in shown.text and "# keras" not in shown.text
    assert "&lt;mine&gt;" in shown.content and "<mine>" not in shown.content
    assert EXERCISE.follow_ups[0].answer[:20] in shown.content
    assert "There is no answer to compare" in assistance.comparison(EXERCISE, {"pytorch": STUB}).text


def test_lines_that_differ_are_marked_on_both_sides():
    shown = side_by_side.as_html("a\nb\nc", "a\nB\nc\nd")
    sign = "\N{BLACK RIGHT-POINTING SMALL TRIANGLE} "
    marked = [part.split("</span>")[0].split(sign)[1] for part in shown.split("<span")[1:]]
    assert marked == ["b", "B", "d"]
    assert side_by_side.as_text("a\nb", "a\nc").splitlines() == ["  a", "- b", "+ c"]
