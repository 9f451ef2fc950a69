"""The command `tl-course`, run as users run it: exit codes, one-line errors, pure JSON on standard output."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tl_course import exercises
from tl_course.cli import main
from tl_course.exercises.engine import audit, audit_record
from tl_course.exercises.engine.stub import solution

HELP_LIMIT = 1.0  # seconds; "well under" it on a quiet machine


def tl_course(*arguments: str, limit: float = 120, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tl_course.cli", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=limit, env={**os.environ, **environment}, check=False
    )


def json_of(done: subprocess.CompletedProcess[str]) -> object:
    """The one JSON value that standard output holds; json.loads refuses anything before or after it."""
    return json.loads(done.stdout)


def test_help_names_every_command_and_is_quick() -> None:
    seconds = []
    for _ in range(3):
        started = time.monotonic()
        done = tl_course("--help")
        seconds.append(time.monotonic() - started)
    assert done.returncode == 0
    for command in [
        "assets",
        "audit",
        "bench",
        "check",
        "doctor",
        "exercises",
        "learn",
        "lessons",
        "notebooks",
        "predict",
        "run",
    ]:
        assert f"\n  {command} " in done.stdout
    assert statistics.median(seconds) < HELP_LIMIT


def test_help_loads_neither_frameworks_nor_the_bank() -> None:
    code = "import sys; from tl_course.cli import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    loaded = set(done.stderr.split())
    assert "tl_course.cli" in loaded
    assert loaded & {"numpy", "torch", "tensorflow", "rich", "tl_course.assets", "tl_course.exercises"} == set()


@pytest.mark.parametrize(
    ("arguments", "got"),
    [
        ("frobnicate", "frobnicate"),
        ("assets frobnicate", "frobnicate"),
        ("check", "none"),
        ("check answer.py --framework pytorch", "none"),
        ("check answer.py --exercise", "'--exercise' requires an argument"),
        ("check --jsn", "--jsn"),
        ("check a.py b.py --exercise masked-mean --framework pytorch", "b.py"),
        ("check a.py --exercise masked-mean --framework pytorch --seed x", "'x' is not a valid integer"),
        ("check no_such_file.py --exercise masked-mean --framework pytorch", "no_such_file.py"),
        ("check {file} --exercise no-such-exercise --framework pytorch", "no-such-exercise"),
        ("check {file} --exercise masked-mean --framework caffe", "caffe"),
        ("assets fetch no_such_asset", "no_such_asset"),
        ("assets verify no_such_asset --json", "no_such_asset"),
        ("audit no-such-exercise --json", "no-such-exercise"),
        ("bench no_such_benchmark --json", "no_such_benchmark"),
        ("notebooks no_such_lesson", "no_such_lesson"),
    ],
)
def test_bad_input_is_one_line_with_exit_code_2(arguments: str, got: str, tmp_path: Path) -> None:
    file = tmp_path / "answer.py"
    file.write_text("x = 1\n")
    done = tl_course(*arguments.format(file=file).split())
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: expected ")
    assert len(line.split("; ")) >= 3
    assert got in line


def test_exercises_and_lessons_have_the_keys_that_others_read() -> None:
    rows = json_of(tl_course("exercises", "--json"))
    keys = [
        "id",
        "title",
        "lesson",
        "frameworks",
        "points",
        "difficulty",
        "minutes",
        "alternatives",
        "mistakes",
        "hints",
        "kind",
    ]
    assert isinstance(rows, list) and all(list(row) == keys for row in rows)
    assert {"masked-mean"} <= {row["id"] for row in rows}
    lessons = json_of(tl_course("lessons", "--json"))
    assert isinstance(lessons, list)
    assert all(list(row) == ["id", "title", "minutes", "after", "frameworks", "exercises", "claims"] for row in lessons)
    taught = {name for row in lessons for name in row["exercises"]}
    practised = {row["id"]: row["lesson"] for row in rows if row["id"] not in taught}  # in interviews only
    assert taught | practised.keys() == {row["id"] for row in rows} and set(practised.values()) == {
        "11_interview_clinic"
    }
    problems = Path(exercises.__file__).parent / "interview"
    assert practised.keys() == {file.stem.replace("_", "-") for file in problems.glob("[!_]*.py")}


@pytest.mark.parametrize("command", ["lessons", "exercises", "assets list"])
def test_listings_are_readable_without_json(command: str) -> None:
    done = tl_course(*command.split())
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 200
    assert len(done.stdout.splitlines()) > 2


NOISE = "import os; os.write(1, b'compiled noise\\n'); print('python noise')\n"


@pytest.mark.parametrize(("right", "code"), [(True, 0), (False, 1)])
def test_check_judges_a_file_and_keeps_its_noise_off_standard_output(right: bool, code: int, tmp_path: Path) -> None:
    exercise = exercises.get("accuracy")
    answer = solution(exercise.variant("numpy"))
    entry = exercise.variant("numpy").entry
    file = tmp_path / "answer.py"
    file.write_text(NOISE + (answer if right else f"def {entry}(*args, **kwargs):\n    return None\n"))
    done = tl_course("check", str(file), "--exercise", "accuracy", "--framework", "numpy", "--json")
    verdict = json_of(done)
    assert isinstance(verdict, dict)
    assert (done.returncode, verdict["passed"]) == (code, right)
    assert (verdict["score"] == 1) == right
    assert verdict["findings"] and {"criterion", "passed", "message"} <= verdict["findings"][0].keys()
    text = tl_course("check", str(file), "--exercise", "accuracy", "--framework", "numpy")
    assert text.returncode == code


def test_json_output_is_alone_even_if_python_or_compiled_code_writes_to_stdout() -> None:
    code = f"""if True:
        import json
        from tl_course import cli_output
        def work():
            {NOISE.strip()}
            return [1]
        cli_output.answer(True, work, list, str)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[1]\n"
    assert done.stderr == "compiled noise\npython noise\n"


def test_audit_of_one_exercise() -> None:
    done = tl_course("audit", "accuracy", "--json", limit=280)
    report = json_of(done)
    assert isinstance(report, dict)
    assert done.returncode == 0, done.stderr
    assert report["references"] == {"right": 1, "wrong": []}
    assert report["mutants"]["killed"] > 0


def test_only_an_audit_that_passes_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = tmp_path / "audited.json"
    monkeypatch.setattr(audit_record, "RECORD", record)
    monkeypatch.setattr(audit, "KILL_RATE", 1.1)  # too many mutants survive
    assert main(["audit", "accuracy", "--record"]) == 1 and not record.exists()
    monkeypatch.undo()
    monkeypatch.setattr(audit_record, "RECORD", record)
    assert main(["audit", "accuracy", "--record"]) == 0
    assert list(json.loads(record.read_text())) == ["accuracy"] == audit_record.unchanged()


def test_a_damaged_asset_is_found_and_mended(tmp_path: Path) -> None:
    source = json_of(tl_course("assets", "fetch", "sentiment", "--json"))
    assert isinstance(source, list)
    copy = tmp_path / "assets" / "sentiment"
    shutil.copytree(source[0]["path"], copy)
    assert tl_course("assets", "verify", "sentiment", TL_COURSE_CACHE=str(tmp_path)).returncode == 0
    next(copy.glob("*.txt")).write_text("cut off")
    done = tl_course("assets", "verify", "sentiment", "--json", TL_COURSE_CACHE=str(tmp_path))
    (row,) = json.loads(done.stdout)
    assert (done.returncode, row["status"]) == (1, "damaged")
    assert done.stderr == f"error: {row['error']}\n"
