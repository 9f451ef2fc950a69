"""Grading: `tl-course grade` against plain `nbgrader autograde`, the same submissions on the same processors.

Both are run as a teacher runs them, as commands, start-up included; their scores have to be equal. Before that each has
graded one submission, so that neither is the first to read the frameworks' files from the disk. The notebook that
computes for two seconds is compared with the least that is possible: its own computing divided by the processors.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from nbgrader.api import Gradebook

from tl_course.bench.grade_courses import KINDS, OURS_CONFIG, PLAIN_CONFIG, Kind, environment, make, nbgrader
from tl_course.bench.timing import Comparison, machine, seconds
from tl_course.errors import CourseError

SUBMISSIONS = 40
PLAIN = {"both frameworks": 8, "whole lesson": 3, "two-second notebook vs floor": 4}
# So many are graded by plain nbgrader, one after the other: what one takes it takes for each, and 40 lessons take most
# of an hour.
ROUNDS = 1
FLOOR = "two-second notebook vs floor"
FLOOR_SECONDS = 2.0  # of computing in each notebook


def run(submissions: int = SUBMISSIONS, rounds: int = ROUNDS, labels: tuple[str, ...] = tuple(KINDS)) -> dict[str, Any]:
    """Run the comparisons.

    Args:
        submissions: of each kind.
        rounds: times that each is graded, anew every time.
        labels: which comparisons.

    Returns:
        name; ratios: medians over the rounds of submissions a second, ours over theirs; details: spread, times, and how
        many submissions plain nbgrader graded; runs; machine.

    Raises:
        CourseError: the scores differ, or one of the two failed.
    """
    details = {}
    for label in labels:
        with tempfile.TemporaryDirectory(prefix="tl_course_bench_") as folder:
            details[label] = _compare(Path(folder), label, submissions, rounds)
    return {
        "name": "grade",
        "ratios": {label: detail["ratio"] for label, detail in details.items()},
        "runs": rounds,
        "machine": machine(),
        "details": details,
    }


def _compare(folder: Path, label: str, submissions: int, rounds: int) -> dict[str, Any]:
    kind = KINDS[label]
    plain = min(submissions, PLAIN.get(label, submissions))
    ours, theirs = [], []
    _both(folder / "warm-up", kind, 1, 1)
    for number in range(rounds):
        mine, other = _both(folder / str(number), kind, submissions, plain)
        ours.append(mine / submissions)
        theirs.append(other / plain)
    if label == FLOOR:
        theirs = [FLOOR_SECONDS / (os.cpu_count() or 1)] * rounds
    facts = {"submissions": submissions, "graded by plain nbgrader": plain}
    return {**Comparison(tuple(ours), tuple(theirs)).as_dict(), **facts}


def _both(folder: Path, kind: Kind, submissions: int, plain: int) -> tuple[float, float]:
    """Seconds that each takes for so many new submissions."""
    mine, other = folder / "ours", folder / "plain"
    make(mine, kind, OURS_CONFIG.read_text(encoding="utf-8"), submissions)
    make(other, kind, PLAIN_CONFIG, plain)
    times = seconds(lambda: _ours(mine, kind)), seconds(lambda: nbgrader(other, "autograde", kind.name))
    _same_scores(mine, other, kind)
    return times


def _ours(root: Path, kind: Kind) -> None:
    command = [sys.executable, "-m", "tl_course.cli", "grade", kind.name, "--json"]
    done = subprocess.run(command, cwd=root, env=environment(root), capture_output=True, text=True)
    if done.returncode:
        raise CourseError(f"tl-course grade failed: {' '.join((done.stderr + done.stdout).split())[-500:]}")


def _same_scores(ours: Path, plain: Path, kind: Kind) -> None:
    mine, theirs = _scores(ours, kind), _scores(plain, kind)
    different = {student: (mine.get(student), score) for student, score in theirs.items() if mine.get(student) != score}
    if different or not theirs:
        raise CourseError(f"the scores are not the same: {different or 'none'} (ours, plain nbgrader's)")


def _scores(root: Path, kind: Kind) -> dict[str, float]:
    with Gradebook(f"sqlite:///{root}/gradebook.db", "tl_course") as gradebook:
        return {one.student_id: round(one.score, 3) for one in gradebook.assignment_submissions(kind.name)}
