"""What a learner answered in the quizzes, and when a question comes back: as question cards do (FSRS)."""

import json
import time
from collections import defaultdict
from datetime import UTC, datetime

from tl_course.practice.schedule import Standing, replay
from tl_course.progress_file import insert, select
from tl_course.quizzes.questions import Answer, Judged, Question, all_questions, judge

_RATINGS = {True: 3, False: 1}  # what an answer counts for: good, or again


def record(question: Question, answer: Answer) -> Judged:
    """Judge an answer and write it down.

    Raises:
        BadInput: not an answer of this kind.
        ProgressError: the progress file cannot be written.
    """
    judged = judge(question, answer)
    given = json.dumps(list(answer) if isinstance(answer, (list, tuple)) else answer)
    insert("quiz_answers", question=question.id, at=time.time(), answer=given, correct=int(judged.right))
    return judged


def last(question: Question) -> Answer | None:
    """What was answered the last time, None where it never was."""
    rows = select(
        "SELECT answer FROM quiz_answers WHERE question = :question ORDER BY id DESC LIMIT 1", question=question.id
    )
    return json.loads(rows[0]["answer"]) if rows else None


def standings(now: datetime | None = None) -> dict[str, Standing]:
    """Where each question stands that was answered at least once, by id; rating 3 is right, 1 is wrong."""
    now = now or datetime.now(UTC)
    logs = defaultdict(list)
    for row in select("SELECT question, at, correct FROM quiz_answers ORDER BY at, id"):
        logs[row["question"]].append((row["at"], _RATINGS[bool(row["correct"])]))
    return {name: replay(log, now) for name, log in logs.items()}


def due(now: datetime | None = None) -> list[Question]:
    """Questions to answer again, those most likely forgotten first."""
    now = now or datetime.now(UTC)
    known = standings(now)
    waiting = [question for question in all_questions() if question.id in known and known[question.id].due <= now]
    return sorted(waiting, key=lambda question: known[question.id].recall)
