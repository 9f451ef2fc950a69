"""Judge a submission's notebook: execute what its plan asks for, and write verdicts where nbgrader looks for scores."""

import random
import re
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from nbformat import NotebookNode

from tl_course.exercises.engine.checking import diagnose, verdict_of
from tl_course.exercises.engine.exercise import Case, Exercise
from tl_course.exercises.engine.runner import Run, as_run
from tl_course.exercises.engine.verdict import Verdict
from tl_course.grading import imports, tests_of_teachers
from tl_course.grading.dependencies import without_talk
from tl_course.grading.outputs import show_verdict
from tl_course.grading.plan import CELL_LIMIT, Answer, BankTest, Plan, answer_task, answers, name, observe_task
from tl_course.grading.result import Judged, Result
from tl_course.i18n import _

Executor = Callable[[dict[str, Any]], dict[str, Any]]
SeedOf = Callable[[str], int]  # from an exercise's id
_ELSEWHERE = {
    "NameError": "",
    "ImportError": "",
    "ModuleNotFoundError": "",
    "OSError": "",
    "FileNotFoundError": "",
    "SyntaxError": "await|async",  # at the top level, which a notebook allows
    "AttributeError": r"^'NoneType' object has no attribute '__dict__'$",  # dataclasses look for the answer's module
}
"""Errors, with what their message says, of answers that a notebook's other cells or its interpreter may make work."""


class Judge:
    """Judges notebooks of an assignment. Safe to use from several threads: one thinks while others wait for sandboxes.

    Args:
        execute: runs a request in a sandbox (see execution.py), here or elsewhere.
        seed_of: the seed that an exercise's inputs are drawn from, for one submission.
        limit: seconds for a cell, and at most for an answer; None: the defaults.
    """

    def __init__(self, execute: Executor, limit: float | None = None) -> None:
        self._execute, self._limit = execute, limit
        self._mistakes: dict[tuple[str, str, int], list[Run]] = {}
        self._cases: dict[tuple[str, int], list[Case]] = {}
        self._lock = threading.Lock()  # Python 3.11 parses source text wrongly where two threads do it at once

    def judge(
        self, planned: Plan, notebook: NotebookNode, files: dict[str, bytes], seed_of: SeedOf, only: str | None = None
    ) -> Judged:
        """Execute and judge a repaired notebook; with ``only``, no more than the test of one exercise of the bank."""
        with self._lock:
            return self._judge(planned, notebook, files, seed_of, only)

    def _judge(
        self, planned: Plan, notebook: NotebookNode, files: dict[str, bytes], seed_of: SeedOf, only: str | None
    ) -> Judged:
        judged = Judged(notebook)
        given = answers(planned, notebook, only)
        tests = [test for test in planned.bank if only in (None, test.exercise.id)]
        whole = planned.whole and only is None
        cells = self._cells(planned, notebook) if whole else []
        request = {
            "files": files,
            "answers": [self._request(answer, seed_of) for answer in given],
            "cells": [cell.request for cell in cells],
        }
        response = self._executed(request) if given or cells else {"answers": {}, "cells": []}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd observations make NumPy warn
            verdicts = {answer.key: self._verdict(answer, response["answers"][answer.key], seed_of) for answer in given}
            self._again(planned, notebook, given, verdicts, files, seed_of)
        for test in tests:
            judged.results.append(self._settle(test, [a for a in given if a.test is test], verdicts, notebook, seed_of))
        if whole:
            tests_of_teachers.settle(cells, response["cells"], judged, self._careful(request))
        return judged

    def _executed(self, request: dict[str, Any]) -> dict[str, Any]:
        """What comes of a request; others may judge meanwhile."""
        self._lock.release()
        try:
            return self._execute(request)
        finally:
            self._lock.acquire()

    def _request(self, answer: Answer, seed_of: SeedOf, fresh: str = "") -> dict[str, Any]:
        """The request for an answer; in a process of its own where a text other than the first is named."""
        exercise = answer.test.exercise
        source = getattr(answer, fresh or "source")
        task = answer_task(exercise, answer.framework, source, self._drawn(exercise, seed_of(exercise.id)))
        return {"key": answer.key, "task": task, "limit": self._limit_of(exercise), "fresh": bool(fresh)}

    def _limit_of(self, exercise: Exercise) -> float:
        return min(exercise.time_limit, self._limit or exercise.time_limit)

    def _drawn(self, exercise: Exercise, seed: int) -> list[Case]:
        if (exercise.id, seed) not in self._cases:
            self._cases[exercise.id, seed] = exercise.draw(seed)
        return self._cases[exercise.id, seed]

    def _verdict(self, answer: Answer, reply: dict[str, Any], seed_of: SeedOf) -> tuple[Verdict, Run, str]:
        exercise = answer.test.exercise
        seed = seed_of(exercise.id)
        cases = self._drawn(exercise, seed)
        run = run_of(reply, len(cases))
        try:
            verdict = verdict_of(exercise, answer.framework, seed, cases, run)
        except Exception as error:  # whatever a judge makes of observations that no honest process sends
            problem = _("what came back could not be judged ({type})").format(type=type(error).__name__)
            verdict = Verdict(exercise.id, answer.framework, 0.0, points=exercise.points, seed=seed, problem=problem)
        if run.state == "timeout":
            text = _("it ran longer than {limit:g} seconds and was stopped: is there a loop that does not end?")
            verdict = replace(verdict, problem=text.format(limit=self._limit_of(exercise)))
        if reply["state"] == "memory":
            verdict = replace(verdict, problem=_("it took more memory than it may"))
        return verdict, run, "answer"

    def _again(
        self,
        planned: Plan,
        notebook: NotebookNode,
        given: Sequence[Answer],
        verdicts: dict[str, Any],
        files: dict[str, bytes],
        seed_of: SeedOf,
    ) -> None:
        """Give answers that fell short a process of their own, and those that lack something the whole notebook."""
        for fresh in ("full", "earlier"):
            alone = [answer for answer in _short(given, verdicts) if _is_new(answer, fresh, len(given))]
            if not alone:
                continue
            requests = [self._request(answer, seed_of, fresh) for answer in alone]
            response = self._executed({"files": files, "answers": requests, "cells": []})
            for answer in alone:
                self._keep(verdicts, answer, self._verdict(answer, response["answers"][answer.key], seed_of))
        short = _short(given, verdicts)
        lacking = [answer for answer in short if _lacks_something(*verdicts[answer.key][:2])]
        if lacking:
            cells, places = self._probed(planned, notebook, lacking, seed_of)
            replies = self._executed({"files": files, "answers": [], "cells": cells})["cells"]
            for answer in lacking:
                verdict, run, _path = self._verdict(answer, replies[places[answer.key]], seed_of)
                self._keep(verdicts, answer, (verdict, run, "notebook"))

    @staticmethod
    def _keep(verdicts: dict[str, Any], answer: Answer, new: tuple[Verdict, Run, str]) -> None:
        if new[0].score > verdicts[answer.key][0].score:
            verdicts[answer.key] = new

    def _probed(
        self, planned: Plan, notebook: NotebookNode, lacking: Sequence[Answer], seed_of: SeedOf
    ) -> tuple[list[dict[str, Any]], dict[str, int]]:
        """Requests for all cells of a notebook, with probes behind the cells of these answers; where each probe is."""
        tests = {test.cell.name for test in planned.bank} | {cell.name for cell in planned.own}
        wanted = {answer.test.answers[answer.framework]: answer for answer in lacking}
        requests, places = [], {}
        for cell in notebook.cells:
            if cell.cell_type != "code" or name(cell) in tests:
                continue
            answer = wanted.get(name(cell) or "")
            source = cell.source if answer is None else without_talk(cell.source)
            requests.append({"task": {"kind": "cell", "source": source}, "limit": self._limit or CELL_LIMIT})
            if answer is not None:
                exercise = answer.test.exercise
                task = observe_task(exercise, answer.framework, self._drawn(exercise, seed_of(exercise.id)))
                places[answer.key] = len(requests)
                requests.append({"task": task, "limit": self._limit_of(exercise)})
        return requests, places

    def _settle(
        self, test: BankTest, given: Sequence[Answer], verdicts: dict[str, Any], notebook: NotebookNode, seed_of: SeedOf
    ) -> Result:
        """Write the best verdict on a test's answers into its cell."""
        exercise, seed = test.exercise, seed_of(test.exercise.id)
        cell = next(cell for cell in notebook.cells if name(cell) == test.cell.name)
        if not given:
            verdict = Verdict(
                exercise.id, " / ".join(test.answers), 0.0, answered=False, points=test.cell.points, seed=seed
            )
            show_verdict(cell, verdict, test.cell.points, "answer")
            return Result(test.cell.name, exercise.id, None, 0.0, test.cell.points, answered=False, seed=seed)
        found = []
        for answer in given:
            verdict, run, path = verdicts[answer.key]
            if not verdict.passed:
                verdict = replace(verdict, diagnosis=self._diagnosis(answer, run, seed))
            found.append((replace(verdict, points=test.cell.points), answer, path))
        found.sort(key=lambda item: item[0].score)
        best, answer, path = found[-1]
        shown = replace(best, others=tuple(verdict for verdict, _answer, _path in found[:-1]))
        show_verdict(cell, shown, test.cell.points, path)
        allowed = imports.imported(exercise.variant(answer.framework).reference)
        texts = [text for one in given for text in dict.fromkeys((one.full, one.earlier))]
        noticed = tuple(dict.fromkeys(line for text in texts for line in imports.noticed(text, allowed)))
        told = {"diagnosis": best.diagnosis, "problem": best.problem, "path": path, "seed": seed, "noticed": noticed}
        return Result(test.cell.name, exercise.id, answer.framework, best.score, test.cell.points, **told)

    def _diagnosis(self, answer: Answer, run: Run, seed: int) -> str | None:
        exercise = answer.test.exercise
        mistakes = self._mistake_runs(exercise, answer.framework, seed)
        try:
            return diagnose(exercise, answer.framework, run, mistakes)
        except Exception:  # whatever comparing makes of observations that no honest process sends
            return None

    def _mistake_runs(self, exercise: Exercise, framework: str, seed: int) -> list[Run]:
        """What the named mistakes do on the cases of a seed, run once in a sandbox as answers are."""
        key = (exercise.id, framework, seed)
        if key in self._mistakes:
            return self._mistakes[key]
        variant, cases = exercise.variant(framework), self._drawn(exercise, seed)
        sources = [mistake.code(variant.reference) for mistake in variant.mistakes.values()]
        requests = [
            {
                "key": str(number),
                "task": answer_task(exercise, framework, source, cases),
                "limit": exercise.time_limit,
                "fresh": False,
            }
            for number, source in enumerate(sources)
        ]
        replies = self._executed({"files": {}, "answers": requests, "cells": []})["answers"]
        runs = [run_of(replies[str(number)], len(cases)) for number in range(len(sources))]
        return self._mistakes.setdefault(key, runs)

    def _cells(self, planned: Plan, notebook: NotebookNode) -> list["tests_of_teachers.Step"]:
        return tests_of_teachers.steps(planned, notebook, self._limit or CELL_LIMIT, random.SystemRandom())

    def _careful(self, request: dict[str, Any]) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
        return lambda cells: self._executed({"files": request["files"], "answers": [], "cells": cells})["cells"]


def run_of(reply: dict[str, Any], cases: int) -> Run:
    """What a sandbox says of an answer, as the engine's own kind of run."""
    if reply["state"] in ("timeout", "interrupted", "time"):
        return Run("timeout")
    try:
        return as_run(reply["value"], cases) if reply["state"] == "done" else Run("crashed")
    except ValueError:
        return Run("crashed")


def _short(given: Sequence[Answer], verdicts: dict[str, Any]) -> list[Answer]:
    """The answers that fell short."""
    return [answer for answer in given if not verdicts[answer.key][0].passed]


def _is_new(answer: Answer, fresh: str, given: int) -> bool:
    """Whether running one of an answer's texts in a process of its own is not what was done before."""
    if fresh == "full":
        return given > 1 or answer.full != answer.source
    return answer.earlier not in (answer.source, answer.full)


def _lacks_something(verdict: Verdict, run: Run) -> bool:
    """Whether an answer that fell short ended for want of something that was not found in the notebook's text."""
    if verdict.passed:
        return False
    errors = [run.error, *(observation.get("error") for observation in run.observations)]
    found = {(error["type"], error["message"]) for error in errors if error}
    return any(kind in _ELSEWHERE and re.search(_ELSEWHERE[kind], message) for kind, message in found)
