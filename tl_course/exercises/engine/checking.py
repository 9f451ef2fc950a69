"""Check an answer: run it apart, judge what was observed, and look for the misconception behind a failure."""

import ast
import os
import time
import warnings
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path

from tl_course import exercises
from tl_course.errors import BadInput
from tl_course.exercises.engine.exercise import PUBLIC_SEED, Case, Exercise
from tl_course.exercises.engine.runner import Run, runner
from tl_course.exercises.engine.stub import is_untouched
from tl_course.exercises.engine.verdict import Verdict, judge, matches, score

FILE_LIMIT = 2**20  # bytes of an answer


def check_source(exercise_id: str, framework: str, source: str, seed: int = PUBLIC_SEED) -> Verdict:
    """Judge an answer given as source text.

    Args:
        exercise_id: which exercise.
        framework: "numpy", "pytorch" or "keras".
        source: the whole answer, imports included.
        seed: what the cases are drawn from.

    Raises:
        BadInput: no such exercise, or not in this framework.
    """
    start = time.perf_counter()
    exercise = exercises.get(exercise_id)
    exercise.variant(framework)
    with warnings.catch_warnings():
        # Odd source text makes Python warn, odd observations NumPy, and nbgrader takes any warning for a failure.
        warnings.simplefilter("ignore")
        if is_untouched(exercise, framework, source):
            return Verdict(exercise_id, framework, 0.0, answered=False, points=exercise.points, seed=seed)
        cases = exercise.draw(seed)
        (run,) = runner(exercise.process(framework)).run(exercise_id, cases, [source], exercise.time_limit, alone=True)
        verdict = verdict_of(exercise, framework, seed, cases, run)
        if not verdict.passed:
            verdict = replace(
                verdict, diagnosis=diagnose(exercise, framework, run, mistake_runs(exercise.id, framework, seed))
            )
    return replace(verdict, seconds=time.perf_counter() - start)


def verdict_of(exercise: Exercise, framework: str, seed: int, cases: list[Case], run: Run) -> Verdict:
    """The verdict on a run on the cases of a seed, without a diagnosis. Runs no learner code."""
    findings, problem = judge(exercise, cases, run)
    found = {"findings": findings, "problem": problem, "output": run.output}
    return Verdict(exercise.id, framework, score(findings), points=exercise.points, seed=seed, **found)


def check_file(path: str | Path, exercise_id: str, framework: str, seed: int = PUBLIC_SEED) -> Verdict:
    """Judge a plain Python file (see `check_source`).

    Raises:
        BadInput: the file cannot be read as Python source text, or there is no such exercise or framework.
    """
    try:
        size = os.stat(path).st_size
        if size > FILE_LIMIT:
            raise BadInput("an answer of at most 1 MiB", f"{size:,} bytes", "hand in the source text of your answer")
        if not Path(path).is_file() and not Path(path).is_dir():  # reading a device or a pipe may never end
            raise BadInput("a Python file", f"{path}, which is something else", "check the path")
        source = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise BadInput("a readable Python file", f"{path}: {error.strerror}", "check the path") from error
    except UnicodeDecodeError as error:
        raise BadInput("a Python file in UTF-8", f"{path}: byte {error.start} is not", "save it as UTF-8") from error
    return check_source(exercise_id, framework, source, seed)


def diagnose(exercise: Exercise, framework: str, run: Run, mistakes: Iterable[Run]) -> str | None:
    """The message of the named mistake that was observed to do what this run does, or None.

    Args:
        exercise: which exercise.
        framework: in which framework.
        run: of the answer.
        mistakes: runs of the variant's mistakes, in their order, on the same cases.
    """
    position = recognised(run, mistakes)
    return None if position is None else list(exercise.variant(framework).mistakes.values())[position].message


def recognised(run: Run, mistakes: Iterable[Run]) -> int | None:
    """The position of the first run of a mistake that was observed to do what this run does, or None."""
    if run.state not in ("ran", "stopped"):
        return None
    return next((position for position, other in enumerate(mistakes) if matches(run, other)), None)


@cache
def mistake_runs(exercise_id: str, framework: str, seed: int) -> list[Run]:
    """What the named mistakes do on the cases of a seed."""
    exercise = exercises.get(exercise_id)
    variant = exercise.variant(framework)
    sources = [mistake.code(variant.reference) for mistake in variant.mistakes.values()]
    return runner(exercise.process(framework)).run(
        exercise_id, exercise.draw(seed), sources, exercise.time_limit, alone=False
    )


def defines(source: str, name: str) -> bool:
    """Whether source text defines a function or class of this name at its top level (False when it does not parse)."""
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(
        isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)) and node.name == name for node in body
    )
