"""Progress survives upgrades of the course and moves between machines."""

import json
import sqlite3

import pytest

from tl_course import progress_file, records
from tl_course.errors import BadInput
from tl_course.exercises.engine.verdict import Verdict


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TL_COURSE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def fill() -> None:
    records.record_attempt(Verdict("masked-mean", "pytorch", 0.75, diagnosis="why", points=3), "def é(): 1")
    records.record_hint("masked-mean", 2)
    progress_file.insert("reviews", card="c", at=0.1 + 0.2, rating=3, seconds=7.0, answer="because", language="zh")


def test_the_file_of_an_older_course_keeps_its_rows_and_gets_what_is_new(home):
    home.mkdir()
    with sqlite3.connect(home / "progress.db") as old:
        old.execute(
            "CREATE TABLE attempts (id INTEGER PRIMARY KEY, exercise TEXT, framework TEXT, at FLOAT, score FLOAT)"
        )
        old.execute("INSERT INTO attempts VALUES (1, 'masked-mean', 'keras', 5.0, 1.0)")
    old.close()
    fill()
    first, second = records.attempts("masked-mean")
    assert (first["framework"], first["score"], first["source"]) == ("keras", 1.0, None)
    assert second["source"] == "def é(): 1"
    assert [row["card"] for row in progress_file.select("SELECT card FROM reviews")] == ["c"]


def test_an_older_course_can_still_write_into_a_newer_file(home):
    fill()
    with sqlite3.connect(home / "progress.db") as newer:
        newer.execute("ALTER TABLE hints ADD COLUMN later TEXT")
        newer.execute("CREATE TABLE later (id INTEGER PRIMARY KEY)")
    newer.close()
    records.record_hint("masked-mean", 3)
    assert records.hints_taken("masked-mean") == 3


def test_progress_moves_to_another_machine_and_twice_is_once(home, tmp_path, monkeypatch):
    fill()
    assert progress_file.export_json(tmp_path / "mine.json") == 3
    monkeypatch.setenv("TL_COURSE_HOME", str(tmp_path / "other"))
    records.record_hint("accuracy", 1)
    assert progress_file.import_json(tmp_path / "mine.json") == 3
    assert progress_file.import_json(tmp_path / "mine.json") == 0
    (row,) = progress_file.select("SELECT * FROM reviews")
    assert (row["at"], row["answer"], row["language"]) == (0.1 + 0.2, "because", "zh")
    assert records.attempts("masked-mean")[0]["source"] == "def é(): 1" and records.hints_taken("accuracy") == 1


@pytest.mark.parametrize("kind", ["missing", "no JSON", "another's", "no object", "lacking"])
def test_a_file_that_is_no_export_changes_nothing(kind, home, tmp_path):
    fill()
    file = tmp_path / "given.json"
    progress_file.export_json(file)
    content = json.loads(file.read_text(encoding="utf-8"))
    del content["tables"]["reviews"][0]["card"]
    content["tables"]["hints"][0]["number"] = 1  # new, but the file is not whole
    texts = {"no JSON": "{", "another's": '{"cells": []}', "no object": "[1]", "lacking": json.dumps(content)}
    if kind == "missing":
        file.unlink()
    else:
        file.write_text(texts[kind], encoding="utf-8")
    with pytest.raises(BadInput, match=r"export --progress|given\.json"):
        progress_file.import_json(file)
    assert records.hints_taken("masked-mean") == 2 and len(progress_file.select("SELECT * FROM hints")) == 1


def test_an_export_that_cannot_be_written_leaves_the_older_one(home, tmp_path, monkeypatch):
    fill()
    for wrong in (tmp_path / "no folder" / "mine.json", tmp_path / "mine.txt"):
        with pytest.raises(BadInput, match=r"written to|\.json"):
            progress_file.export_json(wrong)
    file = tmp_path / "mine.json"
    progress_file.export_json(file)
    before = file.read_text(encoding="utf-8")
    fill()
    monkeypatch.setattr("os.replace", lambda *paths: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(BadInput, match="No space left"):
        progress_file.export_json(file)
    assert file.read_text(encoding="utf-8") == before
    assert {path.name for path in tmp_path.iterdir()} == {"mine.json", "home"}


def test_a_damaged_file_is_named_and_a_new_one_begun_once_it_is_away(home, tmp_path):
    home.mkdir()
    damaged = home / "progress.db"
    damaged.write_bytes(b"no database" * 1000)
    with pytest.raises(progress_file.ProgressError, match=r"progress\.db is damaged.*move this file elsewhere"):
        records.hints_taken("masked-mean")
    damaged.rename(tmp_path / "away")
    assert records.hints_taken("masked-mean") == 0
