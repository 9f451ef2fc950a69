"""Submissions are found and read without being trusted: links, pipes, odd names and odd encodings included."""

import codecs
import json
import os
from datetime import datetime
from pathlib import Path

import pytest
from nbgrader.coursedir import CourseDirectory
from traitlets.config import Config

from tl_course.grading import safe_files, submission
from tl_course.grading.assignment import SourceCell, SourceNotebook

HEAD = "# exercise: one (numpy)"
ANSWER = SourceCell("one", "code", f"{HEAD}\ndef one(): ...", "", False, False, True, False, 0.0)
TEST = SourceCell("one-test", "code", "assert one()", "", True, True, False, False, 1.0)
SOURCE = SourceNotebook("lesson", (ANSWER, TEST), None)


def cell(name: str | None, source: str = "x = 1") -> dict:
    metadata = {"nbgrader": {"grade_id": name}} if name else {}
    return {"cell_type": "code", "metadata": metadata, "source": source, "outputs": [], "execution_count": None}


def content(*cells: dict) -> dict:
    return {"cells": list(cells or (cell("one"), cell("one-test"))), "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def write(path: Path, notebook: dict | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook or content()), encoding="utf-8")
    return path


def coursedir(root: Path, **settings: str) -> CourseDirectory:
    config = Config()
    config.CourseDirectory.update(root=str(root), **settings)
    return CourseDirectory(config=config)


def read(folder: Path) -> submission.Reading:
    return submission.read_notebook(folder, SOURCE)


def read_bytes(folder: Path, data: bytes) -> submission.Reading:
    (folder / "lesson.ipynb").write_bytes(data)
    return read(folder)


# ---- finding


def test_submissions_are_found_by_student(tmp_path):
    for student in ("zoe", "adam"):
        write(tmp_path / "submitted" / student / "hw" / "lesson.ipynb")
    write(tmp_path / "submitted" / "eve" / "other" / "lesson.ipynb")
    found = submission.find(coursedir(tmp_path), "hw")
    assert [(item.student, item.problem) for item in found] == [("adam", None), ("zoe", None)]
    assert found[0].folder == tmp_path / "submitted" / "adam" / "hw"


def test_the_courses_settings_choose_the_students(tmp_path):
    for student in ("a1", "a2", "b1"):
        (tmp_path / "in" / "hw" / student).mkdir(parents=True)
    settings = {"submitted_directory": "in", "directory_structure": "{nbgrader_step}/{assignment_id}/{student_id}"}
    found = submission.find(coursedir(tmp_path, student_id="a*", student_id_exclude="a2, x", **settings), "hw")
    assert [item.student for item in found] == ["a1"]


def test_names_with_the_marks_of_patterns_stand_for_themselves(tmp_path):
    root = tmp_path / "course [1]"
    (root / "submitted" / "adam" / "hw*").mkdir(parents=True)
    (root / "submitted" / "adam" / "hw2").mkdir(parents=True)
    (found,) = submission.find(coursedir(root), "hw*")
    assert found.folder.name == "hw*"


def test_folders_that_cannot_be_graded_say_why(tmp_path):
    submitted = tmp_path / "submitted"
    outside = tmp_path / "outside"
    (outside / "hw").mkdir(parents=True)
    for name in ("linked", "file", "a[b]", " space", "new\nline", os.fsdecode(b"caf\xe9")):
        (submitted / name).mkdir(parents=True)
    (submitted / "linked" / "hw").symlink_to(outside / "hw")
    (submitted / "file" / "hw").write_text("x")
    (submitted / "student-link").symlink_to(outside)
    for name in ("a[b]", " space", "new\nline", os.fsdecode(b"caf\xe9")):
        (submitted / name / "hw").mkdir()
    found = {item.student: item.problem for item in submission.find(coursedir(tmp_path), "hw")}
    assert len(found) == 7 and all(found.values())
    assert "link" in found["linked"] and "link" in found["student-link"]
    assert "not a folder" in found["file"]
    assert "UTF-8" in found["caf\\xe9"]
    assert all("nbgrader cannot take" in found[name] for name in ("a[b]", " space", "new\nline"))


def test_without_submissions_nothing_is_found(tmp_path):
    assert submission.find(coursedir(tmp_path), "hw") == []


# ---- reading a notebook


def test_a_notebook_is_read_as_it_is(tmp_path):
    write(tmp_path / "lesson.ipynb")
    assert read(tmp_path) == submission.Reading(content(), None, ())


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"{", "is not JSON"),
        (b"\x89PNG\r\n\x1a\n\0\0", "is not JSON"),
        (b"[1]", "is not a notebook"),
        (b"3", "is not a notebook"),
        (b'{"a": 1}', "is not a notebook"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"worksheets": 3, "nbformat": 3}', "nbformat 3 and cannot"),
        (b"<<<<<<< a\n{\n=======\n[\n>>>>>>> b\n", "merge conflict"),
        (b"<<<<<<< a\n" * 2000, "merge conflict"),
    ],
)
def test_what_is_no_notebook_says_why(tmp_path, data, problem):
    reading = read_bytes(tmp_path, data)
    assert reading.notebook is None and problem in reading.problem and "'lesson.ipynb'" in reading.problem


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda text: codecs.BOM_UTF8 + text.encode(), "byte order mark"),
        (lambda text: text.encode("utf-16"), "UTF-16"),
        (lambda text: text.encode("utf-16-le"), "UTF-16"),
        (lambda text: text.encode("utf-16-be"), "UTF-16"),
        (lambda text: text.encode("latin-1"), "Latin-1"),
        (lambda text: (text + "\n</html>").encode(), "after the notebook's end"),
        (lambda text: text.replace('"x": 0', '"x": NaN').encode(), "NaN"),
        (lambda text: text.replace('"x": 0', '"x": ' + "9" * 5000).encode(), "5000 digits"),
        (lambda text: text.replace('"nbformat": 4', '"nbformat": 5').encode(), "nbformat 5"),
        (lambda text: f"<<<<<<< mine\n{text}\n=======\n{{\n>>>>>>> theirs".encode(), "the first version"),
        (lambda text: f"<<<<<<< mine\n{{\n||||||| base\n3\n=======\n{text}\n>>>>>>> theirs".encode(), "the second"),
    ],
)
def test_what_can_be_mended_is_read_with_a_note(tmp_path, change, note):
    text = json.dumps({**content(cell("one", "'é'"), cell("one-test")), "x": 0}, ensure_ascii=False)
    reading = read_bytes(tmp_path, change(text))
    assert reading.problem is None and len(reading.notes) == 1 and note in reading.notes[0]
    assert reading.notebook["cells"][0]["source"] == "'é'"


def test_a_notebook_of_old_is_brought_up_to_date(tmp_path):
    old = {"cell_type": "code", "input": "x = 1", "language": "python", "outputs": [], "metadata": {}}
    worksheets = [{"cells": [old, {"cell_type": "heading", "level": 1, "source": "T"}]}]
    reading = read_bytes(tmp_path, json.dumps({"nbformat": 3, "worksheets": worksheets}).encode())
    assert [item["source"] for item in reading.notebook["cells"]] == ["x = 1", "# T"]
    assert reading.notes == ("it was written in nbformat 3",)


def test_a_link_is_not_followed(tmp_path):
    secret = write(tmp_path / "secret.ipynb")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "lesson.ipynb").symlink_to(secret)
    assert "is a link" in read(tmp_path / "in").problem
    (tmp_path / "folder").symlink_to(tmp_path)
    assert "link" in read(tmp_path / "folder").problem


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "lesson.ipynb")
    assert "not a regular file" in read(tmp_path).problem
    (tmp_path / "two" / "lesson.ipynb").mkdir(parents=True)
    assert "not a regular file" in read(tmp_path / "two").problem


def test_a_large_notebook_is_refused(tmp_path, monkeypatch):
    write(tmp_path / "lesson.ipynb")
    monkeypatch.setattr(submission, "MAX_NOTEBOOK", 10)
    assert "larger than" in read(tmp_path).problem


def test_a_missing_notebook_or_folder_is_told(tmp_path):
    assert read(tmp_path).problem == "'lesson.ipynb' is missing"
    assert "the folder is missing" in read(tmp_path / "nowhere").problem


@pytest.mark.parametrize(
    "name", ["lesson (1).ipynb", "sub/lesson.ipynb", "Lesson.IPYNB", os.fsdecode(b"caf\xe9.ipynb")]
)
def test_a_notebook_of_another_name_is_taken(tmp_path, name):
    write(tmp_path / name)
    write(tmp_path / "notes.ipynb", content(cell(None)))
    write(tmp_path / ".ipynb_checkpoints" / "lesson-checkpoint.ipynb")
    reading = read(tmp_path)
    assert reading.notebook == content()
    assert reading.notes[0].startswith("'lesson.ipynb' is missing; taken from '")
    reading.notes[0].encode("utf-8")


def test_headings_do_where_labels_are_gone(tmp_path):
    write(tmp_path / "mine.ipynb", content(cell(None, f"{HEAD}\ndef one(): return 1")))
    assert read(tmp_path).notebook is not None


def test_of_two_notebooks_neither_is_taken_unless_they_are_the_same(tmp_path):
    write(tmp_path / "a.ipynb")
    write(tmp_path / "b.ipynb")
    assert read(tmp_path).notebook == content()
    write(tmp_path / "b.ipynb", content(cell("one", "other")))
    assert "several notebooks could be it: a.ipynb, b.ipynb" in read(tmp_path).problem


def test_another_name_is_no_way_round_the_rules(tmp_path):
    secret = write(tmp_path / "secret" / "lesson.ipynb")
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.ipynb").symlink_to(secret)
    (folder / "b").symlink_to(secret.parent)
    os.mkfifo(folder / "c.ipynb")
    assert read(folder).problem == "'lesson.ipynb' is missing"


# ---- the other files


def test_files_are_read_and_the_assignments_own_win(tmp_path):
    own = tmp_path / "own.csv"
    own.write_text("right")
    folder = tmp_path / "in"
    write(folder / "lesson.ipynb")
    (folder / "data").mkdir()
    (folder / "data" / "x.txt").write_text("x")
    (folder / "own.csv").write_text("forged")
    (folder / "other").write_text("in the way")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "m.pyc").write_text("x")
    files, notes = submission.read_files(folder, {"own.csv": own, "other/more.csv": own})
    assert files == {"data/x.txt": b"x", "own.csv": b"right", "other/more.csv": b"right"}
    assert len(notes) == 2 and "'own.csv'" in notes[0] and "'other'" in notes[1]


def test_what_is_no_plain_file_is_left_out_with_a_note(tmp_path):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_text("secret")
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "link.txt").symlink_to(tmp_path / "secret" / "key")
    (folder / "linked").symlink_to(tmp_path / "secret")
    os.mkfifo(folder / "pipe")
    (folder / os.fsdecode(b"caf\xe9.txt")).write_text("x")
    files, notes = submission.read_files(folder, {})
    assert files == {} and len(notes) == 4
    "".join(notes).encode("utf-8")


def test_files_have_limits(tmp_path, monkeypatch):
    for name in "abcd":
        (tmp_path / name).write_bytes(b"x" * 10)
    (tmp_path / "e").write_bytes(b"x" * 30)
    monkeypatch.setattr(submission, "MAX_FILE", 20)
    monkeypatch.setattr(submission, "MAX_FILES", 35)
    files, notes = submission.read_files(tmp_path, {})
    assert sorted(files) == ["a", "b", "c"] and len(notes) == 2
    monkeypatch.setattr(submission, "MAX_COUNT", 2)
    files, notes = submission.read_files(tmp_path, {})
    assert sorted(files) == ["a", "b"] and notes == ["more than 2 files; the rest was left out"]


def test_a_bottomless_folder_has_an_end(tmp_path):
    folder = tmp_path
    for _ in range(60):
        folder = folder / "d"
        folder.mkdir()
        (folder / "f").write_text("x")
    files, _notes = submission.read_files(tmp_path, {})
    assert 10 <= len(files) <= 20


# ---- fingerprint and time


def test_the_fingerprint_changes_with_what_is_graded_only(tmp_path):
    folder, other = tmp_path / "in", tmp_path / "other"
    write(folder / "lesson.ipynb")
    first = submission.fingerprint(folder)
    (folder / "timestamp.txt").write_text("2026-01-01 00:00:00 UTC")
    os.utime(folder / "lesson.ipynb", (1, 1))
    assert submission.fingerprint(folder) == first
    write(other / "lesson.ipynb")
    assert submission.fingerprint(other) == first
    seen = {first}
    for change in (
        lambda: (folder / "lesson.ipynb").write_text("x"),
        lambda: (folder / "lesson.ipynb").rename(folder / "b.ipynb"),
        lambda: (folder / "link").symlink_to("/etc/passwd"),
        lambda: os.mkfifo(folder / "pipe"),
        lambda: (folder / os.fsdecode(b"caf\xe9")).write_text(""),
        lambda: (folder / "sub").mkdir(),
    ):
        change()
        seen.add(submission.fingerprint(folder))
    assert len(seen) == 7


@pytest.mark.parametrize("place", ["data", "."])
def test_a_data_set_beside_the_notebook_hides_nothing_of_it(tmp_path, monkeypatch, place):
    monkeypatch.setattr(safe_files, "MAX_ENTRIES", 10)
    (tmp_path / place).mkdir(exist_ok=True)
    for number in range(20):
        (tmp_path / place / f"{number:02}.txt").write_text("x")
    write(tmp_path / "other.ipynb")
    first = submission.fingerprint(tmp_path)
    write(tmp_path / "other.ipynb", content(cell("one", "x = 2"), cell("one-test")))
    assert submission.fingerprint(tmp_path) != first
    assert read(tmp_path).notebook is not None  # found, though it has another name


def test_files_come_before_folders(tmp_path, monkeypatch):
    monkeypatch.setattr(submission, "MAX_COUNT", 1)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "1.txt").write_text("x")
    (tmp_path / "helper.py").write_text("y")
    assert submission.read_files(tmp_path, {})[0] == {"helper.py": b"y"}


def test_files_that_cannot_stand_beside_the_notebook_are_left_out(tmp_path):
    (tmp_path / "lesson.ipynb").mkdir()
    (tmp_path / "lesson.ipynb" / "x.txt").write_text("x")
    deep = os.open(tmp_path, os.O_RDONLY)
    for _level in range(10):  # as a whole, too long a path for most systems
        os.mkdir("d" * 250, dir_fd=deep)
        deep, above = os.open("d" * 250, os.O_RDONLY, dir_fd=deep), deep
        os.close(above)
    os.close(os.open("y", os.O_CREAT | os.O_WRONLY, dir_fd=deep))
    os.close(deep)
    files, notes = submission.read_files(tmp_path, {})
    assert files == {}
    assert any("'lesson.ipynb/x.txt' lies in a folder that is called a notebook" in note for note in notes)
    assert any("has too long a path" in note for note in notes)


def test_names_and_bytes_are_told_apart(tmp_path):
    for place, name, text in (("a", "xy", "z"), ("b", "x", "yz")):
        (tmp_path / place).mkdir()
        (tmp_path / place / name).write_text(text)
    assert submission.fingerprint(tmp_path / "a") != submission.fingerprint(tmp_path / "b")


def test_what_a_link_points_to_is_not_in_the_fingerprint(tmp_path):
    target = tmp_path / "target"
    target.write_text("a")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(target)
    first = submission.fingerprint(tmp_path / "in")
    target.write_text("b")
    assert submission.fingerprint(tmp_path / "in") == first
    assert len(submission.fingerprint(tmp_path / "nowhere")) == 64


def test_a_file_beyond_the_limit_counts_by_its_size(tmp_path, monkeypatch):
    monkeypatch.setattr(submission, "MAX_NOTEBOOK", 10)
    (tmp_path / "large").write_bytes(b"x" * 100)
    first = submission.fingerprint(tmp_path)
    (tmp_path / "large").write_bytes(b"x" * 101)
    assert submission.fingerprint(tmp_path) != first


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-02-03 10:20:30.5 UTC", datetime(2026, 2, 3, 10, 20, 30, 500000)),
        ("2026-02-03 10:20:30\n", datetime(2026, 2, 3, 10, 20, 30)),
        ("2026-02-03T10:20:30+01:00", datetime(2026, 2, 3, 9, 20, 30)),
        ("2026-02-03", datetime(2026, 2, 3)),
        ("", None),
        ("yesterday", None),
        ("5", None),
        ("2026-02-31 10:00:00 UTC", None),
        ("2026-02-03 10:20:30 99999999999999999999", None),
        ("2026-02-03 10:20:30 /etc/localtime", None),
        ("2026-02-03 10:20:30 ../../etc/localtime", None),
        ("0001-01-01 00:00:00 +1400", None),
        ("x" * 1000, None),
        ("\0", None),
    ],
)
def test_the_time_of_submission(tmp_path, text, expected):
    (tmp_path / "timestamp.txt").write_text(text)
    assert submission.timestamp(tmp_path) == expected


def test_without_a_readable_time_there_is_none(tmp_path):
    assert submission.timestamp(tmp_path) is None
    (tmp_path / "timestamp.txt").write_bytes(b"\xff\xfe")
    assert submission.timestamp(tmp_path) is None
    (tmp_path / "timestamp.txt").unlink()
    os.mkfifo(tmp_path / "timestamp.txt")
    assert submission.timestamp(tmp_path) is None
