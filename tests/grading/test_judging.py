"""What a notebook's answers are found worth, wherever in the notebook what they need is written."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import nbformat
import numpy as np
import pytest
from nbgrader.api import Gradebook

from tl_course import exercises, lessons
from tl_course.exercises.engine.checking import check_source
from tl_course.exercises.engine.stub import marker
from tl_course.grading import assignment as assignments
from tl_course.grading import course as courses
from tl_course.grading.assignment import SourceNotebook
from tl_course.grading.execution import execute
from tl_course.grading.judging import Judge, run_of
from tl_course.grading.plan import answers, plan
from tl_course.grading.repair import repair
from tl_course.grading.result import Judged, Result
from tl_course.grading.sandbox import Warm

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(120)]
SEED = 11
MORE = "\n# %% exercise: worst-group-accuracy\n\n# %% exercise: coral-loss\n"
MEAN = "import numpy as np\ndef accuracy(logits, labels):\n    return np.mean(logits.argmax(axis={}) == labels)"
RIGHT = "import numpy as np\ndef accuracy(logits, labels):\n    return np.mean(logits.argmax(axis=1) == labels)"


@dataclass
class Bench:
    """A course's notebook as it was set and as it was handed out, and a judge with a sandbox."""

    source: SourceNotebook
    released: Any
    judge: Judge

    def notebook(self, **answers: str) -> Any:
        """The released notebook with answers, by exercise and framework: accuracy_numpy."""
        notebook = nbformat.from_dict(self.released)
        for key, source in answers.items():
            exercise, _, framework = key.rpartition("_")
            name = f"{exercise.replace('_', '-')}-{framework}"
            (cell,) = [cell for cell in notebook.cells if cell.id == name]
            cell.source = f"{marker(exercise.replace('_', '-'), framework)}\n{source}"
        return notebook

    def judged(self, notebook: Any, only: str | None = None, **points: float) -> Judged:
        cells = [
            replace(cell, points=points.get(cell.name.replace("-", "_"), cell.points)) for cell in self.source.cells
        ]
        source = replace(self.source, cells=tuple(cells))
        mended, _notes = repair(notebook, source)
        return self.judge.judge(plan(source), mended, {}, lambda exercise: SEED, only)

    def runs(self, notebook: Any) -> tuple[Result, int]:
        """The result, and how often the whole notebook was run for it."""
        whole: list[bool] = []

        def counted(request: dict[str, Any]) -> dict[str, Any]:
            whole.append(bool(request["cells"]))
            return self.judge._execute(request)

        mended, _notes = repair(notebook, self.source)
        judged = Judge(counted, 2.0).judge(plan(self.source), mended, {}, lambda exercise: SEED)
        (found,) = [result for result in judged.results if result.test == "accuracy-check"]
        return found, sum(whole)

    def result(self, notebook: Any, test: str = "accuracy-check", **options: Any) -> Result:
        (found,) = [result for result in self.judged(notebook, **options).results if result.test == test]
        return found


@pytest.fixture(scope="module")
def bench(module_course: Callable[..., Any]) -> Iterator[Bench]:
    course = module_course(more=MORE)
    with Gradebook(f"sqlite:///{course.root}/gradebook.db") as gradebook:
        known = assignments.load(gradebook, courses.course(course.root), course.name)
    released = lessons.read_notebook(course.root / "notebooks" / course.name / f"{course.name}.ipynb")
    warm = Warm(["numpy"])
    yield Bench(known.notebooks[0], released, Judge(lambda request: execute(warm, request), 2.0))
    warm.close()


def cell_of(judged: Judged, name: str) -> Any:
    return next(cell for cell in judged.notebook.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == name)


def with_cell(notebook: Any, source: str, last: bool = False) -> Any:
    notebook.cells.insert(len(notebook.cells) if last else 0, nbformat.v4.new_code_cell(source))
    return notebook


def mistakes(exercise_id: str = "accuracy", framework: str = "numpy") -> list[tuple[str, float, str]]:
    """Named mistakes: source, score in the engine's own process, message."""
    variant = exercises.get(exercise_id).variant(framework)
    found = []
    for mistake in variant.mistakes.values():
        code = mistake.code(variant.reference)
        found.append((code, check_source(exercise_id, framework, code, seed=SEED).score, mistake.message))
    return found


def test_a_right_answer_gets_everything(bench):
    result = bench.result(bench.notebook(accuracy_numpy=RIGHT))
    expected = (1.0, "accuracy", "numpy", "answer", SEED, None, True)
    got = (result.score, result.exercise, result.framework, result.path, result.seed, result.diagnosis, result.answered)
    assert got == expected


def test_a_stub_that_was_not_touched_is_no_answer(bench):
    judged = bench.judged(bench.notebook())
    assert {result.answered for result in judged.results} == {False} and {r.score for r in judged.results} == {0.0}
    assert judged.reasons == []
    assert bench.result(bench.notebook(accuracy_numpy="")).answered is False
    assert bench.result(bench.notebook(accuracy_numpy="pass")).answered is True


def test_wrong_answers_get_what_the_engine_gives_and_the_diagnosis(bench):
    tried = mistakes()
    assert any(0 < score < 1 for _code, score, _message in tried)
    for code, score, message in tried:
        result = bench.result(bench.notebook(accuracy_numpy=code))
        assert result.score == pytest.approx(score) and score < 1
        assert result.diagnosis == message


def test_an_unknown_mistake_has_no_diagnosis(bench):
    judged = bench.judged(bench.notebook(accuracy_numpy="def accuracy(logits, labels):\n    return 17.25"))
    result = next(result for result in judged.results if result.answered)
    assert (result.score, result.diagnosis, result.problem) == (0.0, None, None)


@pytest.mark.parametrize(
    "helper",
    ["import numpy as np", "import numpy as np\ndef best(x):\n    return x.argmax(axis=1)", "from numpy import *"],
    ids=["import", "function", "star"],
)
@pytest.mark.parametrize("last", [False, True], ids=["before", "after"])
def test_what_other_cells_define_is_found(bench, helper, last):
    best = "best(logits)" if "best" in helper else "logits.argmax(axis=1)"
    mean = "mean" if "*" in helper else "np.mean"
    source = f"def accuracy(logits, labels):\n    return {mean}({best} == labels)"
    result = bench.result(with_cell(bench.notebook(accuracy_numpy=source), helper, last))
    assert (result.score, result.path) == (1.0, "answer")


def test_magics_do_no_harm(bench):
    source = f"%matplotlib inline\n!ls\n{RIGHT}\nspent = %timeit -o -n1 -r1 1 + 1\n?accuracy"
    assert bench.result(bench.notebook(accuracy_numpy=source)).score == 1.0
    timed = f"%%time\n{RIGHT}"
    notebook = bench.notebook()
    (cell,) = [cell for cell in notebook.cells if cell.id == "accuracy-numpy"]
    cell.source = timed
    assert bench.result(notebook).score == 1.0


def test_names_that_only_running_the_notebook_makes_are_had_by_running_it(bench):
    hidden = "import numpy\nglobals()['mean_' + 'of'] = numpy.mean"
    source = "def accuracy(logits, labels):\n    return mean_of(logits.argmax(axis=1) == labels)"
    judged = bench.judged(with_cell(bench.notebook(accuracy_numpy=source), hidden))
    result = next(result for result in judged.results if result.answered)
    assert (result.score, result.path) == (1.0, "notebook")
    shown = cell_of(judged, "accuracy-check").outputs[0]["data"]
    assert shown["text/plain"] == "2.0" and "running all cells" in shown["text/html"]


@pytest.mark.parametrize(
    ("before", "answer", "after"),
    [
        ("AXIS = 1", MEAN.format("AXIS"), "AXIS = 0"),
        ("def axis(): return 1", MEAN.format("axis()"), "def axis(): return 0"),
        ("axis = {}\naxis['of'] = 1", MEAN.format("axis['of']"), "axis = {'of': 0}"),
        ("pass", MEAN.format("axis()"), "def axis(): return 1"),
    ],
)
def test_what_later_cells_give_another_meaning_is_taken_as_it_was_at_the_test(bench, before, answer, after):
    notebook = with_cell(with_cell(bench.notebook(accuracy_numpy=answer), before), after, last=True)
    result, whole = bench.runs(notebook)
    assert (result.score, result.path, whole) == (1.0, "answer", 0)


@pytest.mark.parametrize("cell", ["a = 7 % 5\n" * 60_000, f"N = {'9' * 300_000!r}"], ids=["statements", "text"])
def test_a_cell_of_any_length_holds_up_nobody(bench, cell):
    notebook = with_cell(with_cell(bench.notebook(accuracy_numpy=MEAN.format("AXIS")), "AXIS = 1"), cell)
    mended, _notes = repair(notebook, bench.source)
    start = time.process_time()
    (answer,) = [answer for answer in answers(plan(bench.source), mended) if answer.key == "accuracy/numpy"]
    assert answer.source == answer.full == f"AXIS = 1\n{answer.cell}"
    assert time.process_time() - start < 2
    long = nbformat.from_dict({**notebook, "cells": [{**c, "source": c.source + "\n" + cell} for c in notebook.cells]})
    assert all(answer.source == answer.cell for answer in answers(plan(bench.source), long))


def test_a_name_that_nobody_makes_is_missing(bench):
    result = bench.result(bench.notebook(accuracy_numpy="def accuracy(logits, labels):\n    return nobody(logits)"))
    assert result.score == 0.0 and result.answered


@pytest.mark.parametrize(
    ("cells", "answer"),
    [
        ([], f'{RIGHT}\ncheck("accuracy")'),
        ([], f'{RIGHT}\nfrom tl_course import hint\nhint("accuracy")'),
        (["import numpy as np"], "from __future__ import annotations\n" + RIGHT.partition("\n")[2]),
        (["CFG = {}", "CFG['axis'] = 1"], MEAN.format("CFG['axis']")),
        (["class CFG:\n    axis = 0", "CFG.axis = 1  # found out"], MEAN.format("CFG.axis")),
    ],
    ids=["check", "hint", "future", "item", "attribute"],
)
def test_a_right_answer_of_any_shape_needs_no_more_than_its_text(bench, cells, answer):
    notebook = bench.notebook(accuracy_numpy=answer)
    for source in reversed(cells):
        with_cell(notebook, source)
    result, whole = bench.runs(notebook)
    assert (result.score, result.path, whole) == (1.0, "answer", 0)


@pytest.mark.parametrize(
    ("cell", "answer"),
    [
        ("%%writefile beside.py\naxis = 1", f"import beside\n{MEAN.format('beside.axis')}"),
        ("open('axis.txt', 'w').write('1')", f"axis = int(open('axis.txt').read())\n{MEAN.format('axis')}"),
        ("pass", f"{RIGHT}\nimport asyncio\nawait asyncio.sleep(0)"),
        ("f = 1", f"{RIGHT}\ntry:\n    f{'.a' * 2500}()\nexcept AttributeError:\n    pass"),
        (
            "pass",
            f"from dataclasses import dataclass\n@dataclass\nclass C:\n    a: 'int' = 1\n{MEAN.format('C().a')}",
        ),
    ],
    ids=["module", "file", "await", "deep", "annotation"],
)
def test_what_only_the_notebook_has_is_had_by_running_it(bench, cell, answer):
    result, whole = bench.runs(with_cell(bench.notebook(accuracy_numpy=answer), cell))
    assert (result.score, result.path, whole) == (1.0, "notebook", 1)


@pytest.mark.parametrize(
    "answer",
    [
        MEAN.format("0"),
        "def accuracy(logits, labels)\n    return 1",
        "def accuracy(logits, labels):\n    return {}['x']",
        "def accuracy(logits, labels):\n    return logits.missing",
        "raise ValueError('await')",
        "return",
        MEAN.format("CFG['axis']"),
    ],
)
def test_a_wrong_answer_is_no_reason_to_run_the_notebook(bench, answer):
    notebook = with_cell(with_cell(bench.notebook(accuracy_numpy=answer), "CFG['axis'] = 0"), "CFG = {}")
    result, whole = bench.runs(notebook)
    assert result.answered and result.score < 1 and whole == 0


@pytest.mark.parametrize("value", [np.array(0, "datetime64[s]"), np.zeros((), [("a", float)]), np.array("x"), [[{}]]])
def test_observations_that_no_honest_process_sends_are_judged(bench, value):
    def answered(request: dict[str, Any]) -> dict[str, Any]:
        reply = bench.judge._execute(request)
        if len(request["answers"]) == 1:  # not the named mistakes
            (one,) = reply["answers"].values()
            one["value"]["observations"] = [{"value": {"accuracy": value}} for _case in one["value"]["observations"]]
        return reply

    mended, _notes = repair(bench.notebook(accuracy_numpy=RIGHT), bench.source)
    judged = Judge(answered, 2.0).judge(plan(bench.source), mended, {}, lambda exercise: SEED)
    result = next(result for result in judged.results if result.answered)
    assert (result.score, result.diagnosis) == (0.0, None)


def test_one_answer_cannot_spoil_another(bench):
    spoil = "import numpy as np\nnp.mean = None\nnp.bincount = np.unique = None\n"
    wrong = spoil + "def worst_group_accuracy(*a, **k):\n    return 0.0"
    judged = bench.judged(bench.notebook(accuracy_numpy=RIGHT, worst_group_accuracy_numpy=wrong))
    scores = {result.test: result.score for result in judged.results}
    assert scores["accuracy-check"] == 1.0
    right = exercises.get("worst-group-accuracy").variant("numpy").reference
    spoiled = spoil + "def accuracy(*a):\n    return 0.0"
    judged = bench.judged(bench.notebook(accuracy_numpy=spoiled, worst_group_accuracy_numpy=right))
    scores = {result.test: result.score for result in judged.results}
    assert (scores["accuracy-check"], scores["worst-group-accuracy-check"]) == (0.0, 1.0)


@pytest.mark.parametrize(("good", "bad"), [("numpy", "pytorch"), ("pytorch", "numpy")])
def test_the_better_of_two_answers_counts(bench, good, bad):
    exercise = exercises.get("coral-loss")
    right, entry = exercise.variant(good).reference, exercise.variant(bad).entry
    answers = {f"coral_loss_{good}": right, f"coral_loss_{bad}": f"def {entry}(*a):\n    raise ValueError('no')"}
    judged = bench.judged(bench.notebook(**answers))
    result = next(result for result in judged.results if result.answered)
    assert (result.test, result.framework, result.score) == ("coral-loss-check", good, 1.0)
    assert "no" in cell_of(judged, "coral-loss-check").outputs[0]["data"]["text/html"]  # the other is shown too


def test_points_are_the_teacher_s(bench):
    notebook = bench.notebook(accuracy_numpy=RIGHT)
    judged = bench.judged(notebook, accuracy_check=10.0)
    result = next(result for result in judged.results if result.answered)
    assert (result.score, result.points) == (1.0, 10.0)
    assert cell_of(judged, "accuracy-check").outputs[0]["data"]["text/plain"] == "10.0"
    code, score, _message = next(one for one in mistakes() if 0 < one[1] < 1)
    judged = bench.judged(bench.notebook(accuracy_numpy=code), accuracy_check=10.0)
    assert float(cell_of(judged, "accuracy-check").outputs[0]["data"]["text/plain"]) == pytest.approx(
        10 * score, abs=1e-4
    )


def test_only_one_exercise_is_judged_when_told_so(bench):
    right = exercises.get("worst-group-accuracy").variant("numpy").reference
    notebook = bench.notebook(accuracy_numpy=RIGHT, worst_group_accuracy_numpy=right)
    judged = bench.judged(notebook, only="accuracy")
    assert [result.test for result in judged.results] == ["accuracy-check"]
    assert cell_of(judged, "worst-group-accuracy-check").outputs == []


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("import os\ndef accuracy(logits, labels):\n    os._exit(0)", True),
        ("def accuracy(logits, labels):\n    while True: pass", True),
        ("def accuracy(logits, labels)\n    return 1", True),
        ("def other(logits, labels):\n    return 1", True),
        ("raise SystemExit", True),
        ("def accuracy(logits, labels):\n    return 'x' * 10**7", False),
        ("def accuracy(logits, labels):\n    return object()", False),
        ("accuracy = 5", False),
    ],
)
def test_answers_that_cannot_be_observed_get_nothing_and_the_rest_is_judged(bench, source, problem):
    right = exercises.get("worst-group-accuracy").variant("numpy").reference
    judged = bench.judged(bench.notebook(accuracy_numpy=source, worst_group_accuracy_numpy=right))
    scores = {result.test: result for result in judged.results}
    assert (scores["accuracy-check"].score, scores["worst-group-accuracy-check"].score) == (0.0, 1.0)
    assert scores["accuracy-check"].answered and bool(scores["accuracy-check"].problem) is problem
    assert cell_of(judged, "accuracy-check").outputs[0]["data"]["text/plain"] == "0.0"


ODD = [
    {},
    {"observations": None},
    {"observations": []},
    {"observations": [{"value": {}}] * 3},
    {"observations": [{"value": 5}]},
    {"observations": [{"error": 5}]},
    {"observations": [{"error": {"type": 5, "message": [], "line": "x", "where": {}}}]},
    {"error": "text"},
    {"error": {"type": "E"}},
    {"observations": [{"value": {}}], "output": 5},
    {"interrupted": True},
]


@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize("state", ["done", "interrupted", "crashed", "timeout", "memory", "time"])
def test_whatever_comes_back_is_judged(bench, value, state):
    judge = Judge(
        lambda request: {"answers": {one["key"]: {"state": state, "value": value} for one in request["answers"]}}
    )
    source, notebook = bench.source, bench.notebook(accuracy_numpy=RIGHT)
    mended, _notes = repair(notebook, source)
    judged = judge.judge(plan(source), mended, {}, lambda exercise: SEED)
    result = next(result for result in judged.results if result.answered)
    assert result.score == 0.0
    assert run_of({"state": state, "value": value}, 1).state in ("ran", "stopped", "crashed", "timeout")
    nbformat.validate(judged.notebook)


def test_imports_of_the_bank_are_noticed(bench):
    source = f"from tl_course.exercises import get\n{RIGHT}"
    assert bench.result(bench.notebook(accuracy_numpy=RIGHT)).noticed == ()
    assert len(bench.result(bench.notebook(accuracy_numpy=source)).noticed) == 1
