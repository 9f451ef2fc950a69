"""Grade an assignment's submissions: in parallel, each whatever it holds, with one writer, from where it was left."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from tl_course.errors import BadInput
from tl_course.grading import assignment as assignments
from tl_course.grading import submission as submissions
from tl_course.grading.course import course, load_config
from tl_course.grading.database import reached
from tl_course.grading.grading_round import Round
from tl_course.grading.outcome import Options, Report, Row
from tl_course.grading.preload import Early
from tl_course.grading.recording import Recorder
from tl_course.i18n import _

LOCK = ".tl_course_grading.lock"
Progress = Callable[[int, int, Row], None]


def grade(
    root: Path,
    assignment: str,
    options: Options,
    progress: Progress = lambda done, total, row: None,
    early: Early | None = None,
) -> Report:
    """Grade an assignment of the course in ``root``, and record it.

    Args:
        root: the course's folder, with nbgrader_config.py.
        assignment: its name.
        options: how.
        progress: called after each submission, with how many are done, how many there are, and what became of it.
        early: a process that was started beforehand; it is ended here.

    Raises:
        BadInput: no such course, assignment, student or exercise; or it is being graded already.
        CourseError: a protection is missing (see `Warm`).
    """
    started = time.perf_counter()
    if early is None and options.scheduler is None:
        early = Early(root, assignment, options.limits, options.allow_unsafe)
    try:
        report = _grade(root, assignment, options, progress, early)
    finally:
        if early is not None:
            early.close()
    report.rows.sort(key=lambda row: row.student)
    report.seconds = time.perf_counter() - started
    return report


def _grade(root: Path, assignment: str, options: Options, progress: Progress, early: Early | None) -> Report:
    coursedir, config = course(root), load_config(root)
    if options.student is not None:
        coursedir.student_id = options.student
    with (
        _alone(Path(coursedir.root)),
        reached(coursedir),
        Recorder(coursedir, assignment, config) as recorder,
    ):
        known = assignments.load(recorder.gradebook, coursedir, assignment)
        found = submissions.find(coursedir, assignment)
        if not found:
            where = coursedir.format_path(coursedir.submitted_directory, options.student or "*", assignment)
            raise BadInput(
                _("submissions to grade"),
                _("none in {where}").format(where=where),
                _("run `nbgrader collect`, or copy them there"),
            )
        report = Report(assignment)
        round_ = Round(known, coursedir, recorder, options, report, early)
        for done, row in enumerate(round_.rows(found), 1):
            report.rows.append(row)
            progress(done, len(found), row)
    return report


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Hold the course's lock, which the system gives back when this process ends, however it does.

    Raises:
        BadInput: another process holds it, or it cannot be made.
    """
    lock = filelock.FileLock(root / LOCK)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise BadInput(
            _("a course that nobody is grading"), str(root / LOCK), _("wait until the other grading is done")
        ) from error
    except (OSError, NotImplementedError) as error:
        got = f"{root / LOCK}: {getattr(error, 'strerror', None) or error}"
        remedy = _("make room, or give yourself the right to write there")
        raise BadInput(_("a course's folder that can be written to"), got, remedy) from error
    try:
        yield
    finally:
        lock.release()
