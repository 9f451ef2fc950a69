"""Progress is never lost: not by two writers, not by a crash, not by a file that cannot be used."""

import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from tl_course import progress_file, records
from tl_course.exercises.engine.verdict import Verdict

VERDICT = Verdict("masked-mean", "pytorch", 0.75, diagnosis="why", points=3, seconds=0.5)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TL_COURSE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_home_is_where_the_variable_says(home, monkeypatch):
    assert progress_file.home() == home
    monkeypatch.setenv("TL_COURSE_HOME", "~/course")
    assert "~" not in str(progress_file.home())
    monkeypatch.delenv("TL_COURSE_HOME")
    assert "tl_course" in str(progress_file.home())


def test_what_is_written_is_read_back(home):
    assert records.attempts("masked-mean") == [] and records.hints_taken("masked-mean") == 0
    records.record_attempt(VERDICT, "def masked_mean(): 'é'")
    records.record_hint("masked-mean", 2)
    records.record_hint("masked-mean", 1)
    (row,) = records.attempts("masked-mean")
    assert row["score"] == 0.75 and row["diagnosis"] == "why" and row["source"] == "def masked_mean(): 'é'"
    assert abs(row["at"] - time.time()) < 60 and row["framework"] == "pytorch"
    assert records.hints_taken("masked-mean") == 2 and records.attempts("other") == []
    assert (home / "progress.db").exists()


def test_summary_counts_every_exercise_of_the_bank():
    from tl_course import exercises

    records.record_attempt(VERDICT, "a")
    records.record_attempt(Verdict("masked-mean", "keras", 0.25), "b")
    records.record_attempt(Verdict("no-longer-there", "keras", 1.0), "c")
    rows = {row["id"]: row for row in records.summary()}
    assert set(rows) == {exercise.id for exercise in exercises.all_exercises()}
    assert rows["masked-mean"]["attempts"] == 2 and rows["masked-mean"]["best"] == 0.75
    assert all(row["attempts"] == 0 and row["last"] is None for name, row in rows.items() if name != "masked-mean")


@pytest.mark.parametrize("source", ["", "x\0y", "\ud800", "'; DROP TABLE attempts; --", "a" * 2**21])
def test_any_text_can_be_an_answer(source):
    records.record_attempt(VERDICT, source)
    (row,) = records.attempts("masked-mean")
    assert row["source"] == source.encode(errors="replace").decode()


WRITER = """
import sys
from tl_course import progress_file, records
from tl_course.exercises.engine.verdict import Verdict
for number in range(int(sys.argv[2])):
    records.record_attempt(Verdict("masked-mean", "pytorch", number / 1000), sys.argv[1] + str(number))
    records.record_hint("masked-mean", 1)
    print(number, flush=True)
"""


def writer(name: str, count: int) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", WRITER, name, str(count)], stdout=subprocess.PIPE, text=True)


def test_two_notebooks_writing_at_once_lose_nothing():
    processes = [writer(name, 50) for name in "ab"]
    for process in processes:
        process.communicate(timeout=120)
        assert process.returncode == 0
    sources = {row["source"] for row in records.attempts("masked-mean")}
    assert sources == {f"{name}{number}" for name in "ab" for number in range(50)}


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_crash_in_the_middle_keeps_what_was_written(home):
    with writer("a", 100_000) as process:
        for _ in range(20):
            last = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
    kept = [row["source"] for row in records.attempts("masked-mean")]
    assert kept[: last + 1] == [f"a{number}" for number in range(last + 1)]
    records.record_attempt(VERDICT, "afterwards")
    assert records.attempts("masked-mean")[-1]["source"] == "afterwards"
    with sqlite3.connect(home / "progress.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def unusable(kind: str, home, monkeypatch) -> None:
    if kind == "corrupt":
        home.mkdir()
        (home / "progress.db").write_bytes(b"these are my marks, do not lose them" * 200)
    elif kind == "damaged inside":
        records.record_attempt(VERDICT, "x" * 100_000)
        path = home / "progress.db"
        data = bytearray(path.read_bytes())
        data[4096:] = b"\xa5" * (len(data) - 4096)
        path.write_bytes(data)
    elif kind == "a folder":
        (home / "progress.db").mkdir(parents=True)
    elif kind == "below a file":
        home.write_text("a file")
    elif kind == "another program's":
        home.mkdir()
        with sqlite3.connect(home / "progress.db") as connection:
            connection.execute("CREATE TABLE attempts (other TEXT)")
        connection.close()
    elif kind == "locked":
        records.record_attempt(VERDICT, "x")
        monkeypatch.setattr(progress_file, "LOCK_WAIT", 0.2)
    elif kind == "read-only":
        home.mkdir()
        home.chmod(0o500)
        if os.access(home, os.W_OK):  # root may write everywhere: a file system that nobody may write to instead
            monkeypatch.setenv("TL_COURSE_HOME", "/proc/1/course")


KINDS = ["corrupt", "damaged inside", "a folder", "below a file", "another program's", "read-only"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_cannot_be_used_is_named_and_left_alone(kind, home, monkeypatch):
    unusable(kind, home, monkeypatch)
    path = home / "progress.db"
    before = path.read_bytes() if path.is_file() else None
    for call in (
        lambda: records.record_attempt(VERDICT, "y"),
        lambda: records.record_hint("masked-mean", 1),
        lambda: records.attempts("masked-mean"),
    ):
        try:
            call()
        except progress_file.ProgressError as error:
            text = str(error)
            assert str(progress_file.home()) in text and "TL_COURSE_HOME" in text and "\n" not in text
        else:
            assert kind in ("another program's", "damaged inside")
    if kind == "corrupt":
        assert path.read_bytes() == before
    with pytest.raises(progress_file.ProgressError):
        records.record_attempt(VERDICT, "y")
        records.attempts("masked-mean")


def test_a_writer_that_waits_too_long_says_so(home, monkeypatch):
    unusable("locked", home, monkeypatch)
    other = sqlite3.connect(home / "progress.db")
    other.execute("BEGIN EXCLUSIVE")
    begin = time.monotonic()
    with pytest.raises(progress_file.ProgressError, match="locked"):
        records.record_attempt(VERDICT, "y")
    assert time.monotonic() - begin < 5
    other.rollback()
    other.close()
    records.record_attempt(VERDICT, "z")
    assert [row["source"] for row in records.attempts("masked-mean")] == ["x", "z"]
