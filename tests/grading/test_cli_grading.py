"""What the commands print when a place cannot be written to, and before what they say so."""

import os
import subprocess
import sys

import pytest

from tl_course.cli import main
from tl_course.grading import batch, preload

ANSWER = "import sys; from tl_course import cli_output; cli_output.answer({as_json}, lambda: {value!r}, list, ''.join)"
TEXT = """
import sys
from tl_course import cli, cli_output
cli.cli.main = lambda *arguments, **options: cli_output.answer(False, lambda: ["a"], list, "".join)
sys.exit(cli.main())
"""


@pytest.mark.parametrize("place", ["missing/report.html", "report.txt"])
def test_where_the_report_cannot_be_written_nothing_is_graded(tmp_path, monkeypatch, capsys, place):
    def never(*_arguments, **_options):
        pytest.fail("grading has started")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(preload, "Early", never)
    monkeypatch.setattr(batch, "grade", never)
    assert main(["grade", "ps1", "--html", place]) == 2
    said = capsys.readouterr()
    assert said.out == "" and len(said.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("option", "value"),
    [("--time-limit", "nan"), ("--time-limit", "inf"), ("--time-limit", "1e300"), ("--memory-limit", str(10**14))],
)
def test_a_limit_that_is_none_is_refused_before_anybody_is_graded_by_it(tmp_path, monkeypatch, capsys, option, value):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(preload, "Early", lambda *_arguments: pytest.fail("grading has started"))
    assert main(["grade", "ps1", option, value]) == 2
    assert f"expected a usable {option}" in capsys.readouterr().err


def test_trying_the_place_leaves_what_is_there(tmp_path, monkeypatch):
    def stop(*_arguments, **_options):
        raise KeyboardInterrupt

    (tmp_path / "report.html").write_text("before")
    monkeypatch.setattr(preload, "Early", stop)
    assert main(["grade", "ps1", "--html", str(tmp_path / "report.html")]) == 130
    assert os.listdir(tmp_path) == ["report.html"] and (tmp_path / "report.html").read_text() == "before"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
@pytest.mark.parametrize("command", [["-m", "tl_course.cli", "assets", "list", "--json"], ["-c", TEXT]])
def test_a_full_disk_is_one_line_and_exit_code_2(command):
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, *command], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr == "error: standard output: No space left on device\n"


@pytest.mark.parametrize(("as_json", "expected"), [(True, '["a?", "é"]\n'), (False, "a?é\n")])
def test_half_a_character_is_printed_as_a_question_mark(as_json, expected):
    code = ANSWER.format(as_json=as_json, value=["a\ud800", "é"])
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, timeout=60)
    assert done.stdout.decode() == expected and done.returncode == 0, done.stderr
