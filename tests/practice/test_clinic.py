"""The clinic's data agree with its programs, and reading is scored so that guessing does not pay."""

import re

import jupytext
import pytest

from tl_course import lessons
from tl_course.errors import BadInput
from tl_course.practice import clinic

CASES = clinic.all_cases()
IDS = [case.id for case in CASES]
CHINESE = re.compile(r"[\u4e00-\u9fff]")


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_case_belongs_to_its_exercise(case):
    exercise = case.exercise
    assert exercise.kind == "find-the-fault" and exercise.lesson == "11_interview_clinic"
    assert [fault.criterion for fault in case.faults] == list(exercise.criteria)
    assert len(case.faults) == exercise.points and case.framework == next(iter(exercise.variants))
    assert 1 <= case.right <= len(case.options)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_every_fault_sits_at_lines_of_the_program_that_occur_once(case):
    lines = [line.strip() for line in case.program.splitlines()]
    for fault in case.faults:
        assert [line for line in fault.lines if lines.count(line.strip()) != 1] == [], fault.criterion
    places = [case.line_numbers(fault) for fault in case.faults]
    assert len(set.union(*places)) >= len(case.faults), "each fault can be named by itself"
    assert 18 <= len(lines) <= 48


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_case_is_told_in_both_languages(case):
    texts = [
        case.title,
        case.task,
        case.question,
        *(text for option in case.options for text in (option.text, option.why)),
    ]
    for fault in case.faults:
        texts += [fault.name, fault.what, fault.production, fault.review]
    for text in texts:
        assert CHINESE.search(text.zh) and not CHINESE.search(text.en), text
    assert all(re.search(r"\b(19|20)\d\d\b|documentation", source) for source in case.sources)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_the_section_that_teaches_it_exists(case):
    lesson, mark, beginning = case.lesson.partition("#")
    cells = jupytext.read(lessons.SOURCES / f"{lesson}.py", fmt="py:percent").cells
    lines = [line for cell in cells if cell.cell_type == "markdown" for line in cell.source.splitlines()]
    assert mark and any(line.lstrip("# ").startswith(beginning) for line in lines if line.startswith("#"))


def test_fourteen_programs():
    assert len(set(IDS)) == 14


def test_reading_is_scored_by_faults_found_less_false_alarms():
    case = CASES[0]
    faulty = set.union(*(case.line_numbers(fault) for fault in case.faults))
    one_each = [min(case.line_numbers(fault)) for fault in case.faults]
    everything = range(1, len(case.program.splitlines()) + 1)
    assert clinic.search(case, one_each).score == 1 and clinic.search(case, faulty).score == 1
    assert clinic.search(case, []).score == 0 and clinic.search(case, everything).score == 0
    blank = next(number for number in everything if number not in faulty)
    result = clinic.search(case, [*one_each, blank])
    assert result.false_alarms == (blank,) and result.score == 1 - 1 / len(case.faults)
    with pytest.raises(BadInput, match="line numbers from 1"):
        clinic.search(case, [0])


def test_what_was_read_is_kept():
    case = CASES[0]
    clinic.record(case, 2, [3, 1, 3])
    (row,) = clinic.history(case)
    assert (row["prediction"], row["named"], row["faults"]) == (2, "[1, 3]", len(case.faults))


def test_a_case_is_found_by_its_short_name_and_others_are_named():
    assert clinic.get(CASES[0].id.removeprefix("clinic-")) is CASES[0]
    with pytest.raises(BadInput, match=CASES[-1].id):
        clinic.get("no-such-case")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[prediction]", "[predictions]", "missing or unknown"),
        ("lines = ", "line = ", "missing or unknown"),
        ("[[fault]]", "[[fault", "data in TOML"),
    ],
)
def test_a_file_that_does_not_keep_to_the_schema_is_refused(tmp_path, old, new, message):
    text = (clinic.FOLDER / f"{CASES[0].id}.toml").read_text(encoding="utf-8")
    file = tmp_path / "case.toml"
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(BadInput, match=message):
        clinic.read(file)
