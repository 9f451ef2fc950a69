"""Grading into a gradebook that is PostgreSQL, started here from the system's packages."""

import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("psycopg", reason="psycopg is not installed")

import sqlalchemy as sa
from nbgrader import api

from tl_course.errors import BadInput
from tl_course.grading import batch, recording
from tl_course.grading.batch import Options

pytestmark = [pytest.mark.slow, pytest.mark.postgres, pytest.mark.sandbox, pytest.mark.timeout(300)]
COUNT = 6


class Postgres:
    """A database server on loopback, run by somebody who is not root, which PostgreSQL insists on."""

    def __init__(self, programs: Path, folder: Path, user: str | None) -> None:
        self.programs, self.folder, self.user = programs, folder, user
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"postgresql+psycopg://grader@127.0.0.1:{self.port}/postgres"
        self.process: subprocess.Popen[bytes] | None = None
        self.run("initdb", "--username", "grader", "--auth", "trust", "--encoding", "UTF8", "--locale", "C").wait()

    def run(self, program: str, *options: str) -> subprocess.Popen[bytes]:
        """Start one of PostgreSQL's programs on the data."""
        command = [str(self.programs / program), "-D", str(self.folder / "data"), *options]
        with (self.folder / f"{program}.log").open("ab") as log:
            return subprocess.Popen(command, cwd="/", user=self.user, group=self.user, stdout=log, stderr=log)

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        self.process = self.run("postgres", "-p", str(self.port), "-k", str(self.folder), "-h", "127.0.0.1", "-F")
        engine = sa.create_engine(self.url)
        deadline = time.monotonic() + 60
        while True:
            try:
                engine.connect().close()
                break
            except sa.exc.OperationalError:
                assert time.monotonic() < deadline, (self.folder / "postgres.log").read_text()
                time.sleep(0.2)
        engine.dispose()

    def crash(self) -> None:
        """End the server at once, as a power cut does: nothing is written, nobody is told."""
        if self.process is not None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(30)
        self.process = None


def find_programs() -> Path | None:
    """Where PostgreSQL's programs are: Debian keeps them out of PATH."""
    found = shutil.which("initdb")
    paths = [*sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), reverse=True), *([found] if found else [])]
    return Path(paths[0]).parent if paths else None


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    programs, user = find_programs(), "postgres" if os.geteuid() == 0 else None
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # a socket's path must be short, and its owner another user
    if user is not None:
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
    server = Postgres(programs, folder, user)
    try:
        server.start()
        yield server
    finally:
        server.crash()
        shutil.rmtree(folder)


@pytest.fixture
def course(postgres, quick_course, monkeypatch):
    """A course in that gradebook, with submissions."""
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)  # alembic, for a new gradebook
    made = quick_course(f'c.CourseDirectory.db_url = "{postgres.url}"')
    made.submit_class(COUNT)
    return made


def scores(url: str, course) -> dict[str, float]:
    with api.Gradebook(url, "tl_course") as gradebook:
        return {submission.student_id: submission.score for submission in gradebook.assignment_submissions(course.name)}


def test_grades_and_feedback_come_from_postgres_and_a_second_grader_is_refused(postgres, course):
    second = []

    def try_too(done: int, _total: int, _row: batch.Row) -> None:
        if done == 1:
            command = [str(Path(sys.executable).with_name("tl-course")), "grade", course.name]
            second.append(subprocess.run(command, cwd=course.root, capture_output=True, text=True, timeout=120))

    report = batch.grade(course.root, course.name, Options(workers=2), try_too)
    assert second[0].returncode == 2 and "a course that nobody is grading" in second[0].stderr
    full = report.rows[0].max_score
    assert [row.state for row in report.rows] == ["graded"] * COUNT
    assert [row.score for row in report.rows[::2]] == [full] * (COUNT // 2)
    assert max(row.score for row in report.rows[1::2]) < full
    assert scores(postgres.url, course) == {row.student: row.score for row in report.rows}
    assert not (course.root / "gradebook.db").exists()
    course.nbgrader("generate_feedback")
    for row in report.rows:
        page = course.root / "feedback" / row.student / course.name / f"{course.name}.html"
        assert f"(Score: {row.score} / {full})" in page.read_text(encoding="utf-8")
    again = batch.grade(course.root, course.name, Options(workers=2))
    assert not any(row.again for row in again.rows)
    assert [row.results for row in again.rows] == [row.results for row in report.rows]


def test_a_database_that_dies_meanwhile_costs_a_second_run(postgres, course):
    def crash(done: int, _total: int, _row: batch.Row) -> None:
        if done == 2:
            postgres.crash()

    report = batch.grade(course.root, course.name, Options(workers=2), crash)
    states = {row.student: row.state for row in report.rows}
    assert sorted(states.values()) == ["failed"] * (COUNT - 2) + ["graded"] * 2
    for row in report.rows:
        assert row.state == "graded" or ("\n" not in row.reason and 0 < len(row.reason) < 500), row.reason
    with pytest.raises(BadInput, match="a gradebook that can be reached"):
        batch.grade(course.root, course.name, Options())
    postgres.start()
    kept = scores(postgres.url, course)
    assert set(kept) == {student for student, state in states.items() if state == "graded"}
    second = batch.grade(course.root, course.name, Options(workers=2))
    assert [row.state for row in second.rows] == ["graded"] * COUNT
    assert {row.student for row in second.rows if row.again} == set(states) - set(kept)
    assert scores(postgres.url, course) == {row.student: row.score for row in second.rows}


def test_a_database_that_comes_back_is_used_again(postgres, course):
    def restart(done: int, _total: int, _row: batch.Row) -> None:
        if done == 2:
            postgres.crash()
            postgres.start()

    report = batch.grade(course.root, course.name, Options(workers=2), restart)
    states = [row.state for row in report.rows]
    assert states.count("failed") <= 1 and states.count("graded") >= COUNT - 1
    assert set(scores(postgres.url, course)) == {row.student for row in report.rows if row.state == "graded"}


def test_text_that_postgres_does_not_take_costs_no_grade(postgres, course):
    """A NUL in what a submission says, and half of a surrogate pair."""
    from tl_course.grading.course import course as directories
    from tl_course.grading.course import load_config

    odd = "a\0b\ud800"
    with recording.Recorder(directories(course.root), course.name, load_config(course.root)) as recorder:
        record = recording.Record("s00", "f", "v", 0, "needs_look", odd, (odd,))
        recorder.record(recording.Graded(record))
        assert "a" in recorder.records()["s00"].reason
