"""nbgrader's own `autograde`, and formgrader's button, grade as `tl-course grade` does. See nbgrader_config.py."""

import atexit
import os
import threading
from pathlib import Path
from typing import Any

from nbconvert.exporters import NotebookExporter
from nbformat import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Bool, Float

from tl_course.grading import assignment as assignments
from tl_course.grading import submission as submissions
from tl_course.grading.execution import execute
from tl_course.grading.judging import Judge
from tl_course.grading.plan import Plan, plan, processes
from tl_course.grading.preload import modules
from tl_course.grading.recording import Recorder, attempt, seed_for
from tl_course.grading.repair import repair
from tl_course.grading.sandbox import Warm

_warm: dict[bool, Warm] = {}
_lock = threading.Lock()


class RepairingExporter(NotebookExporter):
    """Reads a submission whatever it holds, and mends it, before nbgrader's own steps see it."""

    def from_filename(self, filename: str, resources: Any = None, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        """The mended notebook; a copy of ours that nbgrader reads again is left as it is."""
        known = resources["nbgrader"]
        coursedir = CourseDirectory(parent=self, config=self.config)
        submitted = Path(coursedir.format_path(coursedir.submitted_directory, known["student"], known["assignment"]))
        if Path(filename).parent.absolute() != submitted.absolute():
            return super().from_filename(filename, resources, **kwargs)
        source = next(source for source in _assignment(coursedir, known).notebooks if source.name == known["notebook"])
        reading = submissions.read_notebook(submitted, source)
        notebook, notes = repair(reading.notebook or {}, source)
        reasons = [reading.problem] if reading.problem else []
        for note in (*reading.notes, *notes, *reasons):
            self.log.warning("%s: %s", known["student"], note)
        notebook.metadata["tl_course"] = {"needs_look": reasons}
        _remove_linked(
            submitted,
            Path(coursedir.format_path(coursedir.autograded_directory, known["student"], known["assignment"])),
        )
        return self.from_notebook_node(notebook, resources, **kwargs)


class JudgeNotebook(NbGraderPreprocessor):
    """Executes a submission in a sandbox and writes verdicts into its tests. Takes the place of nbgrader's Execute."""

    allow_unsafe = Bool(False, help="Run submissions also where a protection is missing.").tag(config=True)
    time_limit = Float(None, allow_none=True, help="Seconds for an answer or a cell.").tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        """The judged notebook."""
        known = resources["nbgrader"]
        coursedir = CourseDirectory(parent=self, config=self.config)
        assignment = _assignment(coursedir, known)
        planned = plan(next(source for source in assignment.notebooks if source.name == known["notebook"]))
        folder = Path(coursedir.format_path(coursedir.submitted_directory, known["student"], known["assignment"]))
        files, _notes = submissions.read_files(folder, assignment.files)
        with Recorder(coursedir, known["assignment"], self.config) as recorder:
            secret, before = recorder.secret(), recorder.records().get(known["student"])
        number = attempt(before, submissions.fingerprint(folder))
        warm = _warm_for(planned, nb, self.allow_unsafe)
        judge = Judge(lambda request: execute(warm, request, os.cpu_count() or 1), self.time_limit)
        judged = judge.judge(planned, nb, files, lambda exercise: seed_for(secret, exercise, number))
        for reason in judged.reasons:
            self.log.warning("%s needs a look: %s", known["student"], reason)
        nb.metadata.setdefault("tl_course", {}).setdefault("needs_look", []).extend(judged.reasons)
        return nb, resources


class AskForLook(NbGraderPreprocessor):
    """Marks the grades of a notebook that somebody has to look at, for formgrader. Comes after SaveAutoGrades."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        """The notebook as it is."""
        known = resources["nbgrader"]
        if nb.metadata.get("tl_course", {}).get("needs_look"):
            with Gradebook(known["db_url"]) as gradebook:
                found = gradebook.find_submission_notebook(known["notebook"], known["assignment"], known["student"])
                for grade in found.grades:
                    grade.needs_manual_grade = True
                gradebook.db.commit()
        return nb, resources


def _assignment(coursedir: CourseDirectory, known: dict[str, Any]) -> assignments.Assignment:
    with Gradebook(known["db_url"]) as gradebook:
        return assignments.load(gradebook, coursedir, known["assignment"])


def _warm_for(planned: Plan, notebook: NotebookNode, allow_unsafe: bool) -> Warm:
    """A warm process with what this notebook uses; kept for the next one."""
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "code"] if planned.whole else []
    wanted = modules(texts, processes([planned]))
    with _lock:
        warm = _warm.get(allow_unsafe)
        if warm is None or not warm.alive():
            warm = _warm[allow_unsafe] = Warm((), allow_unsafe=allow_unsafe)
            atexit.register(warm.close)
        warm.need(wanted)
        return warm


def _remove_linked(submitted: Path, copy: Path) -> None:
    """Remove from the copy what nbgrader copied through links, which may point anywhere."""
    for path in submitted.rglob("*"):
        if path.is_symlink():
            (copy / path.relative_to(submitted)).unlink(missing_ok=True)
