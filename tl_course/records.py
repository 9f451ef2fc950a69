"""What a learner has done in the exercises: attempts with the answer's text, hints, texts put aside, time, results."""

import time
from typing import TYPE_CHECKING, Any

from tl_course.progress_file import insert, select

if TYPE_CHECKING:
    from tl_course.exercises.engine.verdict import Verdict


def record_attempt(verdict: "Verdict", source: str) -> None:
    """Write down one attempt with its answer.

    Raises:
        ProgressError: the progress file cannot be written.
    """
    insert(
        "attempts",
        exercise=verdict.exercise,
        framework=verdict.framework,
        at=time.time(),
        score=verdict.score,
        seconds=verdict.seconds,
        diagnosis=verdict.diagnosis,
        source=_storable(source),
    )


def record_hint(exercise_id: str, number: int) -> None:
    """Write down that a hint (1, 2 or 3) was shown."""
    insert("hints", exercise=exercise_id, at=time.time(), number=number)


def hints_taken(exercise_id: str) -> int:
    """The highest hint shown so far, 0 for none."""
    rows = select("SELECT max(number) AS number FROM hints WHERE exercise = :exercise", exercise=exercise_id)
    return rows[0]["number"] or 0


def attempts(exercise_id: str) -> list[dict[str, Any]]:
    """Every attempt at an exercise, oldest first: exercise, framework, at, score, seconds, diagnosis, source."""
    return select("SELECT * FROM attempts WHERE exercise = :exercise ORDER BY id", exercise=exercise_id)


def record_kept(exercise_id: str, framework: str, source: str) -> None:
    """Put an answer's text aside."""
    insert("kept", exercise=exercise_id, framework=framework, at=time.time(), source=_storable(source))


def kept(exercise_id: str, framework: str) -> list[str]:
    """The texts put aside for an exercise in a framework, oldest first."""
    query = "SELECT source FROM kept WHERE exercise = :exercise AND framework = :framework ORDER BY id"
    return [row["source"] for row in select(query, exercise=exercise_id, framework=framework)]


def record_work(exercise_id: str, seconds: float) -> None:
    """Write down time spent at an exercise's cells."""
    insert("worked", exercise=exercise_id, at=time.time(), seconds=seconds)


def seconds_worked(exercise_id: str | None = None) -> float:
    """The time spent at an exercise's cells so far, or at all exercises', as far as JupyterLab saw it."""
    chosen = "" if exercise_id is None else "WHERE exercise = :exercise"
    rows = select(f"SELECT sum(seconds) AS seconds FROM worked {chosen}", exercise=exercise_id)
    return rows[0]["seconds"] or 0.0


def summary() -> list[dict[str, Any]]:
    """One row for each exercise of the bank: id, lesson, title, attempts, hints, best (share of the points), last
    (seconds since 1970, or None)."""
    from tl_course import exercises

    counted = select(
        "SELECT exercise, count(*) AS attempts, max(score) AS best, max(at) AS last FROM attempts GROUP BY exercise"
    )
    hinted = {
        row["exercise"]: row["hints"]
        for row in select("SELECT exercise, max(number) AS hints FROM hints GROUP BY exercise")
    }
    tried = {row["exercise"]: row for row in counted}
    rows = []
    for exercise in exercises.all_exercises():
        row = tried.get(exercise.id, {"attempts": 0, "best": 0.0, "last": None})
        known = {"id": exercise.id, "lesson": exercise.lesson, "title": exercise.title, "points": exercise.points}
        done = {
            "attempts": row["attempts"],
            "hints": hinted.get(exercise.id, 0),
            "best": row["best"],
            "last": row["last"],
        }
        rows.append({**known, **done})
    return rows


def _storable(text: str) -> str:
    """The text as SQLite takes it: without lone surrogates."""
    return text.encode(errors="replace").decode()
