"""A grading that is killed at any moment leaves whole submissions behind, and the next one completes it.

TL_COURSE_KILLS says how often it is killed; fifty times take about three minutes.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from nbgrader.api import Gradebook
from sqlalchemy import create_engine, text

from tl_course import exercises
from tl_course.lessons import read_notebook

pytestmark = [pytest.mark.slow, pytest.mark.sandbox, pytest.mark.timeout(1200)]
ROUNDS = int(os.environ.get("TL_COURSE_KILLS", "16"))
CLASS, POINTS, SEED = 6, 2.0, 20
VARIANT = exercises.get("accuracy").variant("numpy")
WRONG = "def accuracy(logits, labels):\n    return 17.25"


class Class:
    """A course, and what each student has handed in last."""

    def __init__(self, course: Any) -> None:
        self.course, self.expected = course, {}
        self.url = f"sqlite:///{course.root}/gradebook.db"
        self.versions = 0

    def path(self, step: str, student: str) -> Path:
        return self.course.root / step / student / self.course.name / f"{self.course.name}.ipynb"

    def hand_in(self, student: str, score: float) -> None:
        """Hand in something new that is worth this much: it counts as changed."""
        self.versions += 1
        self.course.submit(student, f"# version {self.versions}\n{VARIANT.reference if score else WRONG}")
        self.expected[student] = score

    def start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tl_course.cli", "grade", self.course.name, "--json", "--workers", "2"]
        with open(self.course.root / "said", "wb") as said:
            return subprocess.Popen(command, cwd=self.course.root, stdout=said, stderr=said)

    def recorded(self) -> dict[str, tuple[float, str, int]]:
        """What is recorded: student to score, fingerprint and attempt, read without the package."""
        engine = create_engine(self.url)
        with engine.connect() as connection:
            if not connection.execute(text("select 1 from sqlite_master where name = 'tl_course_graded'")).scalar():
                return {}
            rows = connection.execute(text("select student, fingerprint, attempt, results from tl_course_graded"))
            found = {row.student: (row.fingerprint, row.attempt) for row in rows}
        engine.dispose()
        with Gradebook(self.url) as gradebook:
            graded = {row["student"]: row["score"] for row in gradebook.submission_dicts(self.course.name)}
            for submission in gradebook.find_assignment(self.course.name).submissions:
                (notebook,) = submission.notebooks
                assert [grade.auto_score is not None for grade in notebook.grades] == [True]
                assert [grade.needs_manual_grade for grade in notebook.grades] == [False]
        assert set(graded) == set(found), "grades and records belong together"
        return {student: (graded[student], *found[student]) for student in found}

    def check_copies(self, recorded: dict[str, Any]) -> None:
        """Every recorded submission has a copy, and what is there as a copy is a whole notebook."""
        for student in recorded:
            assert self.path("autograded", student).is_file()
        for student in self.expected:
            path = self.path("autograded", student)
            if path.exists():
                nbformat.validate(read_notebook(path))


def after_changes(places: list[Path], count: int) -> Callable[[], bool]:
    """Whether so many of some files and folders have changed since now."""
    before = [place.stat().st_mtime_ns for place in places]
    return lambda: sum(place.stat().st_mtime_ns != old for place, old in zip(places, before, strict=True)) >= count


def left(below: list[psutil.Process]) -> list[psutil.Process]:
    """Processes of a grading that still run, after a while."""
    _gone, alive = psutil.wait_procs(below, timeout=10)
    return [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


def kill_after(process: subprocess.Popen[bytes], moment: Callable[[], bool], seconds: float) -> list[psutil.Process]:
    """Kill a grading, and nothing else, at a moment or after so many seconds; gives what ran below it."""
    grader, below, deadline = psutil.Process(process.pid), [], time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline and not moment():
        time.sleep(0.005)
    if process.poll() is None:
        below = grader.children(recursive=True)
        process.send_signal(signal.SIGKILL)
    process.wait()
    return below


def test_killed_again_and_again_and_nothing_is_lost(module_course):
    work, rng = Class(module_course()), random.Random(SEED)
    for number in range(CLASS):
        work.hand_in(f"s{number}", POINTS if number % 2 else 0.0)
    begun = time.monotonic()
    assert work.start().wait() == 0
    whole = time.monotonic() - begun  # how long it takes on this machine now
    before = work.recorded()
    assert {student: row[0] for student, row in before.items()} == work.expected
    killed = finished = partly = 0
    for number in range(ROUNDS):
        changed = rng.sample(sorted(work.expected), 3)
        for student in changed:
            work.hand_in(student, POINTS - work.expected[student])
        places = [work.course.root / "gradebook.db", *[work.path("autograded", one).parent for one in changed]]
        # Every other time in the middle of recording, otherwise whenever it is.
        moment = after_changes(places, rng.randint(1, 4)) if number % 2 else bool
        delay = whole * 3 if number % 2 else whole * rng.uniform(0.3, 1.1)
        process = work.start()
        below = kill_after(process, moment, delay)
        killed += process.returncode == -signal.SIGKILL
        finished += process.returncode == 0
        assert process.returncode in (0, -signal.SIGKILL), (work.course.root / "said").read_text()
        assert left(below) == []
        after = work.recorded()
        work.check_copies(after)
        assert set(after) == set(work.expected)  # what was recorded never disappears
        for student, row in after.items():
            if row != before[student]:
                assert student in work_to_do(work, before) and row[0] == work.expected[student]
                assert row[2] == before[student][2] + 1
        partly += 0 < len(work_to_do(work, after)) < len(work_to_do(work, before))
        before = after
    said = f"killed {killed} of {ROUNDS}, finished before {finished}, left partly graded {partly}, {whole:.2f} s a run"
    assert killed >= ROUNDS // 2 and partly >= ROUNDS // 16, said  # it was killed where it matters
    assert work.start().wait() == 0
    assert {student: row[0] for student, row in work.recorded().items()} == work.expected
    assert work_to_do(work, work.recorded()) == set()
    drafts = list((work.course.root / "autograded").rglob(".*.new"))
    assert drafts == []
    print(said)


def work_to_do(work: Class, recorded: dict[str, Any]) -> set[str]:
    """Students whose last submission is not the recorded one."""
    from tl_course.grading.submission import fingerprint

    return {
        student
        for student in work.expected
        if student not in recorded or recorded[student][1] != fingerprint(work.path("submitted", student).parent)
    }
