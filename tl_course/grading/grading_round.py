"""Submissions on their way from folder to gradebook: read, mended, executed, judged in parallel, recorded in turn."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from nbgrader.coursedir import CourseDirectory

import tl_course
from tl_course.errors import BadInput, CourseError
from tl_course.grading import assignment as assignments
from tl_course.grading import submission as submissions
from tl_course.grading.execution import execute
from tl_course.grading.judging import Executor, Judge
from tl_course.grading.outcome import Options, Report, Row
from tl_course.grading.plan import name, plan, processes
from tl_course.grading.preload import Early, modules
from tl_course.grading.recording import Graded, Record, Recorder, attempt, seed_for
from tl_course.grading.repair import repair
from tl_course.grading.result import Judged, Result
from tl_course.i18n import _


class Round:
    """One grading of an assignment."""

    def __init__(
        self,
        known: assignments.Assignment,
        coursedir: CourseDirectory,
        recorder: Recorder,
        options: Options,
        report: Report,
        early: Early | None,
    ) -> None:
        self.known, self.coursedir, self.recorder = known, coursedir, recorder
        self.options, self.report, self.early = options, report, early
        self.plans = [plan(source) for source in known.notebooks]
        self.version = _version(known)
        self.before, self.there = recorder.records(), recorder.students()
        self.secret = recorder.secret()
        if options.exercise is not None and options.exercise not in {t.exercise.id for p in self.plans for t in p.bank}:
            ids = ", ".join(test.exercise.id for planned in self.plans for test in planned.bank) or _("none")
            raise BadInput(
                _("an exercise of this assignment"), repr(options.exercise), _("name one of: {ids}").format(ids=ids)
            )

    def rows(self, found: Sequence[submissions.Submission]) -> Iterator[Row]:
        """Grade submissions, and record each as soon as it is judged."""
        changed = []
        for one in found:
            mark = None if one.problem else _quietly(submissions.fingerprint, one.folder)
            if mark is not None and self._is_done(one.student, mark):
                yield self._row_of(self.before[one.student], again=False)
            else:
                changed.append((one, mark))
        if not changed:
            return
        with self._executor([one for one, _mark in changed]) as (run, workers), ThreadPoolExecutor(workers) as pool:
            judge = Judge(run, self.options.time_limit)
            waiting: deque[tuple[submissions.Submission, str | None, Future[Graded]]] = deque()
            failed: list[tuple[submissions.Submission, str | None]] = []
            for one, mark in [*changed, (None, None)]:
                if one is not None:
                    waiting.append((one, mark, pool.submit(self._judged, judge, one, mark)))
                while len(waiting) > (3 * workers if one is not None else 0):
                    first, its_mark, future = waiting.popleft()
                    row = self._recorded(first, future)
                    if row.state == "failed":
                        failed.append((first, its_mark))
                    else:
                        yield row
            for one, mark in failed:  # once more: what kept it from being graded may have passed
                yield self._recorded(one, pool.submit(self._judged, judge, one, mark))

    @contextmanager
    def _executor(self, found: Sequence[submissions.Submission]) -> Iterator[tuple[Executor, int]]:
        """What executes requests, a warm process here or a cluster's workers, and how many at once."""
        texts = _texts(self.coursedir, self.known, found) if any(planned.whole for planned in self.plans) else []
        wanted = modules(texts, processes(self.plans))
        if self.options.scheduler is not None:
            from tl_course.grading.scheduler import cluster

            with cluster(self.options.scheduler, wanted, self.options.limits, self.options.allow_unsafe) as run:
                self.report.unprotected = run.unprotected
                yield run, self.options.workers or run.threads
            return
        assert self.early is not None
        warm = self.early.take()
        warm.need(wanted)
        self.report.unprotected = warm.unprotected
        workers = self.options.workers or os.cpu_count() or 1
        threads = max(1, (os.cpu_count() or 1) // workers)
        yield (lambda request: execute(warm, request, threads)), workers

    def _is_done(self, student: str, mark: str) -> bool:
        before = self.before.get(student)
        if before is None or student not in self.there or self.options.force or self.options.exercise is not None:
            return False
        copies = all(
            (self.recorder.folder(student) / f"{source.name}.ipynb").exists() for source in self.known.notebooks
        )
        return copies and (before.fingerprint, before.version) == (mark, self.version)

    def _judged(self, judge: Judge, one: submissions.Submission, mark: str | None) -> Graded:
        """Read, mend, execute and judge one submission. Runs in a worker's thread."""
        if one.problem is not None or mark is None:
            raise CourseError(one.problem or _("the submission cannot be read"))
        before = self.before.get(one.student)
        number = attempt(before, mark)
        copies = self._copies(one.student, mark)
        partly = before if copies is not None else None
        files, notes = submissions.read_files(one.folder, self.known.files)
        version = partly.version if partly else self.version  # what else was set anew is graded the next time
        record = Record(one.student, mark, version, number, "graded")
        graded = Graded(record, files=files, timestamp=submissions.timestamp(one.folder))
        results: list[Result] = []
        reasons: list[str] = []
        for planned in self.plans:
            reading = submissions.read_notebook(one.folder, planned.source)
            notebook, mended = repair(reading.notebook or {}, planned.source)
            if reading.problem is not None:
                reasons.append(f"{planned.source.name}: {reading.problem}")
                mended = [reading.problem]
            notes += [*reading.notes, *mended]
            judged = judge.judge(
                planned,
                notebook,
                files,
                lambda exercise: seed_for(self.secret, exercise, number),
                self.options.exercise if partly else None,
            )
            if copies is not None:
                notebook = _merged(copies[planned.source.name], judged)
            graded.notebooks[planned.source.name] = notebook
            results += [replace(result, notebook=planned.source.name) for result in judged.results]
            reasons += judged.reasons
        if partly:
            new = {(result.notebook, result.test): result for result in results}
            results = [new.get((result.notebook, result.test), result) for result in partly.results]
            reasons = [partly.reason] if partly.state == "needs_look" else []
            notes = list(partly.notes)
        state = "needs_look" if reasons else "graded"
        problems = [f"{result.test}: {result.problem}" for result in results if result.problem and result.exercise]
        reason = "; ".join(reasons or problems)
        graded.record = replace(record, state=state, reason=reason, notes=tuple(notes), results=tuple(results))
        return graded

    def _copies(self, student: str, mark: str) -> dict[str, Any] | None:
        """The autograded copies, where one exercise alone can be judged again in them; None where all has to be."""
        from tl_course.lessons import read_notebook

        before = self.before.get(student)
        if self.options.exercise is None or before is None or before.fingerprint != mark:
            return None
        tests = {(p.source.name, cell.name) for p in self.plans for cell in [*(test.cell for test in p.bank), *p.own]}
        if not tests <= {(result.notebook, result.test) for result in before.results}:
            return None
        folder = self.recorder.folder(student)
        try:
            return {p.source.name: read_notebook(folder / f"{p.source.name}.ipynb") for p in self.plans}
        except Exception:  # whatever somebody has made of the copies
            return None

    def _recorded(self, one: submissions.Submission, future: "Future[Graded]") -> Row:
        """Record a judged submission; what cannot be is left as it was, and said."""
        student = one.student.encode("utf-8", "backslashreplace").decode()
        try:
            graded = future.result()
            score, possible = self.recorder.record(graded)
        except Exception as error:  # one submission must not keep the others from being graded
            state = "needs_look" if one.problem else "failed"
            reason = str(error) if isinstance(error, CourseError) else f"{type(error).__name__}: {error}"
            return Row(student, state, None, None, " ".join(reason.split()))
        record = graded.record
        return Row(student, record.state, score, possible, record.reason, record.notes, record.results)

    def _row_of(self, record: Record, again: bool) -> Row:
        score, possible = self.recorder.score(record.student)
        return Row(record.student, record.state, score, possible, record.reason, record.notes, record.results, again)


def _merged(notebook: Any, judged: Judged) -> Any:
    """An autograded copy with the outcome of the tests that were judged again."""
    tests = {result.test for result in judged.results}
    new = {name(cell): cell for cell in judged.notebook.cells}
    for cell in notebook.cells:
        if name(cell) in tests:
            cell.outputs = new[name(cell)].outputs
    return notebook


def _version(known: assignments.Assignment) -> str:
    """Changes with what was set and with the course that judges."""
    cells = [[replace(cell, released=None) for cell in source.cells] for source in known.notebooks]
    files = {name: _quietly(_digest, path) for name, path in known.files.items()}
    return sha256(repr((tl_course.__version__, cells, files)).encode()).hexdigest()


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _texts(coursedir: Any, known: assignments.Assignment, found: Sequence[submissions.Submission]) -> list[str]:
    """Source text of what was handed out and of some submissions, to see what they import."""
    texts = [cell.source for source in known.notebooks for cell in source.cells]
    for one in [one for one in found if one.problem is None][:20]:
        for source in known.notebooks:
            notebook = submissions.read_notebook(one.folder, source).notebook or {}
            texts += _sources(notebook)
    return texts


def _sources(notebook: dict[str, Any]) -> Iterator[str]:
    cells = notebook.get("cells")
    for cell in cells if isinstance(cells, list) else []:
        source = cell.get("source") if isinstance(cell, dict) else None
        if isinstance(source, str):
            yield source
        elif isinstance(source, list):
            yield "".join(part for part in source if isinstance(part, str))


def _quietly(call: Callable[[Path], str], path: Path) -> str | None:
    try:
        return call(path)
    except OSError:
        return None
