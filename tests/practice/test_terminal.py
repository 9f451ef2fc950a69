"""Practice as its users have it: a real terminal, typed into."""

import os
import re
import signal
import sys

import pytest

from tl_course import progress_file, records
from tl_course.exercises import get
from tl_course.practice import clinic, mock, schedule

pexpect = pytest.importorskip("pexpect", reason="there are no pseudo-terminals here")
QUESTION = r"Question 1 of 8"


def _hear_ctrl_c() -> None:
    """Undo what a test run in the background hands down to its children: there a shell has Ctrl-C ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def type_into(home, tmp_path):
    """Start `tl-course practice ...` in a terminal; whatever is left running is ended."""
    started = []

    def start(*arguments: str, lang: str = "en"):
        environment = {**os.environ, "TL_COURSE_HOME": str(home), "TERM": "dumb", "COLUMNS": "100", "EDITOR": "true"}
        command = ["-m", "tl_course.cli", "practice", "--lang", lang, *arguments]
        options = {"env": environment, "cwd": tmp_path, "encoding": "utf-8", "timeout": 60}
        child = pexpect.spawn(sys.executable, command, preexec_fn=_hear_ctrl_c, **options)
        child.setecho(False)
        started.append(child)
        return child

    yield start
    for child in started:
        child.close(force=True)


def say(child, *lines: str) -> None:
    """Type an answer and end it with an empty line."""
    for line in (*lines, ""):
        child.expect(r"\d:\d\d > $")
        child.sendline(line)


def test_the_first_screen_leads_to_everything_and_back(type_into):
    child = type_into()
    child.expect("0 cards due, [0-9]+ new")
    child.expect(r"What would you like to do\? \[1\] $")
    child.sendline("9")
    child.expect("Please type one of: 1, 2, 3, 4, 5, 6, q")
    child.sendline("5")
    child.expect("By topic")
    child.expect("to do")
    child.sendline("q")
    child.expect(pexpect.EOF)
    child.wait()
    assert child.exitstatus == 0


def test_a_round_of_cards(type_into):
    child = type_into("cards", "--number", "2", "--topic", "distillation", "--no-estimate")
    for rating in ("4", "1"):
        say(child, "the teacher's classes", "are related")
        child.expect("A full answer contains")
        child.expect("Often said, and wrong")
        child.expect(r"notebooks/06_distillation")
        child.expect(r"easy; f: the answer to the next question \[3\] $")
        child.sendline("f")
        child.expect(r"\[3\] $")
        child.sendline(rating)
        child.expect("Comes back in")
    say(child)  # the one rated 1 comes once more; nothing said this time
    child.expect(r"\[1\] $")
    child.sendline("")
    child.expect("3 rated")
    child.expect(pexpect.EOF)
    rows = progress_file.select("SELECT * FROM reviews ORDER BY id")
    assert [row["rating"] for row in rows] == [4, 1, 1] and rows[1]["card"] == rows[2]["card"] != rows[0]["card"]
    assert rows[0]["answer"] == "the teacher's classes\nare related" and rows[2]["answer"] == ""
    assert len(schedule.standings()) == 2


def test_cards_in_chinese(type_into):
    child = type_into("cards", "--number", "1", lang="zh")
    say(child, "不知道")
    child.expect("完整的回答包含")
    child.expect(r"\[3\] $")
    child.sendline(":q")
    child.expect(pexpect.EOF)
    assert progress_file.select("SELECT * FROM reviews") == []


def test_leaving_with_ctrl_c_keeps_what_was_rated(type_into):
    child = type_into("cards", "--number", "3", "--no-estimate")
    say(child, "something")
    child.expect(r"\[3\] $")
    child.sendline("2")
    child.expect(r"\d:\d\d > $")
    child.sendintr()
    child.expect("1 rated")
    child.expect(pexpect.EOF)
    assert len(schedule.standings()) == 1


def test_a_coding_problem_from_the_blank_file_to_the_questions_after(type_into, tmp_path):
    exercise = get("accuracy")
    framework = next(iter(exercise.variants))
    child = type_into("code", "accuracy")
    child.expect(r"Write your answer in practice/accuracy_(\w+)\.py")
    file = tmp_path / "practice" / f"accuracy_{framework}.py"
    assert "NotImplementedError" in file.read_text() and exercise.variants[framework].entry in file.read_text()
    child.expect(r"\d:\d\d >")
    child.sendline("")
    child.expect("not answered yet")
    child.sendline("h")
    child.expect("Hint 1 of 3")
    mistake = next(iter(exercise.variants[framework].mistakes.values()))
    file.write_text(mistake.code(exercise.variants[framework].reference))
    child.sendline("")
    child.expect("What this looks like")
    file.write_text(exercise.variants[framework].reference)
    child.sendline("")
    child.expect("right, ")
    child.expect("What does it cost, in time and in memory")
    child.sendline("")
    child.expect("A good answer")
    child.sendline(":q")
    child.expect(pexpect.EOF)
    assert [row["score"] < 1 for row in records.attempts("accuracy")] == [True, False]
    assert records.hints_taken("accuracy") == 1 and file.read_text() == exercise.variants[framework].reference


def test_a_file_that_is_there_is_never_overwritten(type_into, tmp_path):
    file = tmp_path / "practice" / "accuracy_numpy.py"
    file.parent.mkdir()
    file.write_text("# mine")
    child = type_into("code", "accuracy", "--framework", "numpy")
    child.expect("Your file is still there")
    child.expect(r"\d:\d\d >")
    child.sendline(":q")
    child.expect(pexpect.EOF)
    assert file.read_text() == "# mine"


def test_a_case_of_the_clinic(type_into, tmp_path):
    case = clinic.all_cases()[0]
    child = type_into("clinic", case.id.removeprefix("clinic-"))
    child.expect("Your prediction")
    child.sendline("abcd"[case.right % len(case.options)])  # not the right one
    child.expect("Lines with a fault")
    found = case.faults[0]
    lines = sorted(case.line_numbers(found))
    child.sendline(f"{lines[0]}, 1")
    child.expect("Not what you predicted")
    child.expect(rf"(\d+) of {len(case.faults)} faults found")
    child.expect(r"\d:\d\d >")
    (tmp_path / "practice" / f"{case.id.replace('-', '_')}_{case.framework}.py").write_text(
        case.exercise.variant(case.framework).reference
    )
    child.sendline("")
    child.expect("right, ", timeout=120)
    child.expect("In production")
    child.expect("mended 100%")
    child.expect(pexpect.EOF)
    (row,) = clinic.history(case)
    assert row["found"] >= 1 and row["faults"] == len(case.faults) and row["prediction"] != case.right


def test_a_mock_interview_that_is_killed_goes_on_to_its_report(type_into, tmp_path):
    child = type_into("mock", "--level", "junior", "--seed", "5", "--no-estimate")
    child.expect(QUESTION)
    say(child, "first answer")
    child.expect("Question 2 of 8")
    child.expect(r"\d:\d\d > $")
    child.kill(9)
    child = type_into("mock", "--no-estimate")
    child.expect("junior, seed 5")
    child.expect("Question 2 of 8")
    known = mock.unfinished()
    assert known is not None and known.answers[0]["answer"] == "first answer"
    for place in known.to_answer:
        if known.items[place].kind == "coding":
            child.expect(r"\d:\d\d >")
            child.sendline(":s")
        else:
            say(child, f"answer {place}")
    child.expect("The clock has stopped")
    for place in range(7):
        child.expect("Which of them did you say")
        child.sendline("a" if place == 0 else "1")
    child.expect("Report")
    child.expect("Study next")
    child.expect("Your interviews")
    child.expect("Say it aloud")
    child.sendline(":q")
    child.expect(pexpect.EOF)
    (known,) = mock.history()
    assert known.finished and len(known.answers) == 8
    assert known.scores[0]["score"] == 1 and 0 < known.scores[1]["score"] < 1
    (coding,) = [place for place, item in enumerate(known.items) if item.kind == "coding"]
    assert known.scores[coding]["score"] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("cards", "--topic", "cooking"), "distillation"),
        (("cards", "--level", "expert"), "senior"),
        (("cards", "--lang", "fr"), "a language out of en, zh"),
        (("code", "no-such-problem"), "an exercise id"),
        (("code", "accuracy", "--framework", "jax"), "framework"),
        (("clinic", "no-such-case"), "a case of the clinic"),
        (("mock", "--level", "expert"), "one of junior"),
        (("export", "--out", "x.apkg"), "--anki"),
        (("export", "--anki", "--out", "x.apkg", "--lang", "fr"), "zh"),
        (("import", "missing.json"), "export --progress"),
    ],
)
def test_bad_input_is_answered_in_one_line(type_into, arguments, said):
    child = type_into(*arguments)
    child.expect(pexpect.EOF)
    child.wait()
    words = re.sub(r"\s+", " ", child.before)
    assert child.exitstatus == 2 and words.startswith("error: expected") and said in words


def test_progress_is_written_out_and_read_in(type_into, tmp_path):
    records.record_hint("accuracy", 1)
    child = type_into("export", "--progress", "--out", "mine.json")
    child.expect("1 rows of progress")
    child.expect(pexpect.EOF)
    child = type_into("import", "mine.json")
    child.expect("0 rows were new")
    child.expect(pexpect.EOF)
