"""The commands `similarity` and `export`, in a course's folder with a gradebook and notebooks handed in."""

import json
import os
import shutil
import sqlite3
import sys
import warnings
from contextlib import closing
from pathlib import Path

import click
import nbformat
import pytest
from nbgrader.api import Gradebook
from sqlalchemy.exc import SAWarning

from tl_course import exercises
from tl_course.cli_integrity import export, similarity
from tl_course.errors import BadInput
from tl_course.exercises.engine.stub import marker, stub

EXERCISE, FRAMEWORK = "masked-mean", "pytorch"
NAME = f"{EXERCISE}-{FRAMEWORK}"
OWN = """def wordy(texts, least):
    counted = {}
    for text in sorted(texts, key=len):
        for word in text.lower().split():
            counted[word] = counted.get(word, 0) + 1
    kept = [word for word, count in counted.items() if count > least]
    return {word: place for place, word in enumerate(sorted(kept))}
"""
COPY = """def wordy(a: list, b: int) -> dict:
    c = {}
    for d in sorted(a, key=len):
        for e in d.lower().split():
            c[e] = c.get(e, 0) + 1
    return {g: h for h, g in enumerate(sorted([e for e, f in c.items() if b < f]))}
"""
OTHER = """from collections import Counter

def wordy(texts, least):
    words = Counter(" ".join(texts).casefold().split())
    frequent = filter(lambda word: words[word] >= least + 1, words)
    return dict(zip(sorted(frequent), range(len(words)), strict=False))
"""


def answers() -> dict[str, dict[str, str]]:
    """Student to grade id to source text."""
    variant = exercises.get(EXERCISE).variant(FRAMEWORK)
    head, reach = marker(EXERCISE, FRAMEWORK), "import tl_course.exercises\n"
    return {
        "ann": {NAME: f"{head}\n{variant.reference}", "own": OWN},
        "bob": {NAME: f"{head}\n{reach}{variant.reference}", "own": COPY},
        "eve": {NAME: f"{head}\n{stub(variant)}", "own": OTHER},
    }


def hand_in(root: Path, student: str, cells: dict[str, str]) -> None:
    """A notebook as JupyterLab saves it; the bank's cell has lost its grade id and kept its heading."""
    notebook = nbformat.v4.new_notebook()
    for name, source in cells.items():
        cell = nbformat.v4.new_code_cell(source)
        if name != NAME:
            cell.metadata["nbgrader"] = {"grade_id": name, "schema_version": 3, "solution": True}
        notebook.cells.append(cell)
    folder = root / "submitted" / student / "ps1"
    folder.mkdir(parents=True)
    nbformat.write(notebook, folder / "p1.ipynb")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The course's folder: ann, bob and eve handed in; ann and bob are graded; zoe's notebook is broken."""
    root = tmp_path_factory.mktemp("course")
    (root / "nbgrader_config.py").write_text("c.CourseDirectory.course_id = 'c'", encoding="utf-8")
    for student, cells in answers().items():
        hand_in(root, student, cells)
    (root / "submitted" / "zoe" / "ps1").mkdir(parents=True)
    (root / "submitted" / "zoe" / "ps1" / "p1.ipynb").write_text("{broken", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)  # nbgrader's own way of adding submissions
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)  # nbgrader runs alembic
        with Gradebook(f"sqlite:///{root}/gradebook.db", "c") as gradebook:
            gradebook.add_assignment("ps1")
            gradebook.add_notebook("p1", "ps1")
            head = marker(EXERCISE, FRAMEWORK)
            for name, source in ((NAME, head), ("own", "def wordy(texts, least):\n    ...")):
                gradebook.add_source_cell(name, "p1", "ps1", cell_type="code", source=source)
                gradebook.add_solution_cell(name, "p1", "ps1")
            gradebook.add_grade_cell("q1", "p1", "ps1", max_score=10, cell_type="code")
            for student, score in (("ann", 7.5), ("bob", 2.0)):
                gradebook.add_student(student)
                gradebook.add_submission("ps1", student)
                grade = gradebook.find_grade("q1", "p1", "ps1", student)
                grade.auto_score, grade.needs_manual_grade = score, False
            gradebook.db.commit()
    return root


def run(command: click.Command, *arguments: str) -> None:
    assert command.main([*arguments], standalone_mode=False) == 0


@pytest.fixture
def here(root, monkeypatch):
    monkeypatch.chdir(root)
    return root


def test_similarity_finds_the_copy_and_nothing_else(here, capsys):
    run(similarity, "ps1", "--json")
    found = json.loads(capsys.readouterr().out)
    exercises_found = {entry["exercise"]: entry for entry in found["exercises"]}
    (pair,) = exercises_found["own"]["pairs"]
    assert (pair["first"], pair["second"]) == ("ann", "bob")
    assert exercises_found[NAME]["pairs"] == [] and exercises_found[NAME]["short"] == ["ann", "bob", "eve"]
    assert [(row["student"], row["noticed"]) for row in found["noticed"]] == [
        ("bob", ["line 2: imports tl_course.exercises"])
    ]
    assert set(found["unread"]) == {"zoe"} and "no proof" in found["meaning"]


def test_similarity_of_one_exercise_as_text_and_as_a_page(here, capsys, tmp_path):
    run(similarity, "ps1", "--exercise", "own", "--html", str(tmp_path / "alike.html"))
    text, page = capsys.readouterr().out, (tmp_path / "alike.html").read_text(encoding="utf-8")
    assert "no proof" in text and "ann" in text and NAME not in text and "zoe: not read" in text
    assert "counted.get(word, 0)" in page and "c.get(e, 0)" in page and NAME not in page


def test_export_writes_what_is_graded_and_lists_what_is_not(here, capsys, tmp_path):
    target = tmp_path / "grades.csv"
    run(export, "ps1", "--to", "canvas", "--output", str(target), "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["written"] == ["ann", "bob"] and set(found["blank"]) == {"eve", "zoe"}
    assert found["blank"]["eve"] == "handed in, not graded yet"
    lines = target.read_text(encoding="utf-8").splitlines()
    assert lines[2:] == ["ann,,,ann,,7.5", "bob,,,bob,,2", "eve,,,eve,,", "zoe,,,zoe,,"]


def test_export_into_the_file_of_the_lms(here, capsys, tmp_path):
    source, target = tmp_path / "moodle.csv", tmp_path / "grades.csv"
    source.write_text("Kennung;Note A\nann;-\nxan;-\n", encoding="utf-8")
    options = ["--into", str(source), "--by", "Kennung", "--column", "Note A", "--missing-as-zero"]
    run(export, "ps1", "--to", "moodle", *options, "--output", str(target))
    assert target.read_text(encoding="utf-8") == "Kennung;Note A\nann;7.5\nxan;-\n"
    text = capsys.readouterr().out
    assert "not in the gradebook: row 3: xan" in text and "bob: not in the LMS's file" in text


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (similarity, ["ps9"]),
        (similarity, ["ps1", "--exercise", "nothing"]),
        (similarity, ["ps1", "--html", "page.txt"]),
        (export, ["ps9", "--to", "canvas", "--output", "a.csv"]),
        (export, ["ps1", "--to", "canvas", "--output", "a.txt"]),
        (export, ["ps1", "--to", "canvas", "--output", "a.csv", "--into", "nowhere.csv"]),
        (export, ["ps1", "--to", "canvas", "--output", "a.csv", "--feedback"]),
    ],
)
def test_what_cannot_be_done_is_bad_input_and_writes_nothing(here, command, arguments):
    before = sorted(here.iterdir())
    with pytest.raises(BadInput):
        command.main(arguments, standalone_mode=False)
    assert sorted(here.iterdir()) == before


@pytest.mark.parametrize("config", [False, True])
def test_elsewhere_the_commands_say_where_they_belong_and_make_no_gradebook(tmp_path, monkeypatch, config):
    if config:
        (tmp_path / "nbgrader_config.py").write_text("", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=r"gradebook\.db" if config else r"nbgrader_config\.py"):
        similarity.main(["ps1"], standalone_mode=False)
    assert not (tmp_path / "gradebook.db").exists()


def test_a_name_does_not_steer_the_terminal(here, capsys, tmp_path):
    folder = here / "submitted" / "a\x1b[2J\nb" / "ps1"
    folder.mkdir(parents=True)
    try:
        run(similarity, "ps1")
        run(export, "ps1", "--to", "canvas", "--output", str(tmp_path / "grades.csv"))
    finally:
        shutil.rmtree(folder.parent)
    said = capsys.readouterr().out
    assert "\x1b" not in said and said.count("a\ufffd[2J b: no") == 2


def test_a_gradebook_that_is_locked_is_told_in_one_line(here, tmp_path):
    with closing(sqlite3.connect(here / "gradebook.db")) as database:
        database.execute("BEGIN EXCLUSIVE")
        with pytest.raises(BadInput, match=r"gradebook that can be reached.*database is locked"):
            similarity.main(["ps1"], standalone_mode=False)
        with pytest.raises(BadInput, match=r"gradebook that can be reached.*database is locked"):
            export.main(["ps1", "--to", "canvas", "--output", str(tmp_path / "a.csv")], standalone_mode=False)
