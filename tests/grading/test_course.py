"""A course folder's settings are the ones nbgrader's own commands use in it."""

import logging
import os
import sys

import pytest

from tl_course import lessons
from tl_course.errors import BadInput
from tl_course.grading.course import course, load_config


def settings(root, text: str):
    (root / "nbgrader_config.py").write_text(text, encoding="utf-8")
    return root


def test_this_course_can_be_read():
    found = course(lessons.ROOT)
    assert found.root == str(lessons.ROOT)
    assert found.db_url == f"sqlite:///{lessons.ROOT}/gradebook.db"
    assert found.format_path("submitted", "ann", "ps1") == str(lessons.ROOT / "submitted" / "ann" / "ps1")
    assert load_config(lessons.ROOT).GenerateAssignment.preprocessors


def test_the_gradebook_may_be_elsewhere_and_names_nbgrader_gave_up_still_count(tmp_path):
    root = settings(tmp_path, "c = get_config()\nc.NbGrader.db_url = 'postgresql://h/b'\nc.CourseDirectory.root = 'in'")
    found = course(root)
    assert found.db_url == "postgresql://h/b"
    assert found.root == str(tmp_path / "in")


def test_the_users_own_settings_count_unless_the_course_says_otherwise(tmp_path, monkeypatch):
    (tmp_path / "home").mkdir()
    settings(tmp_path / "home", "c.CourseDirectory.course_id = 'mine'\nc.CourseDirectory.db_url = 'sqlite:///mine'")
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "home"))
    found = course(settings(tmp_path, "c.CourseDirectory.course_id = 'course'"))
    assert (found.course_id, found.db_url) == ("course", "sqlite:///mine")


def test_settings_may_import_what_lies_beside_them(tmp_path):
    (tmp_path / "beside_the_settings.py").write_text("NAME = 'abc'", encoding="utf-8")
    root = settings(tmp_path, "from beside_the_settings import NAME\nc.CourseDirectory.course_id = NAME")
    assert course(root).course_id == "abc"


def test_reading_leaves_no_trace(tmp_path, capfd, monkeypatch):
    root = settings(tmp_path, "c.NbGrader.course_id = 'old name'")
    monkeypatch.setattr(sys, "argv", ["tl-course", "--db", "sqlite:///elsewhere"])
    before = (list(sys.path), os.getcwd(), logging.getLogger().handlers[:], sorted(tmp_path.iterdir()))
    assert course(root).db_url == f"sqlite:///{tmp_path}/gradebook.db"
    assert (list(sys.path), os.getcwd(), logging.getLogger().handlers[:], sorted(tmp_path.iterdir())) == before
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("text", [None, "c.CourseDirectory.db_url = 3", "1 / 0", "def", "raise SystemExit"])
def test_settings_that_cannot_be_used_are_named(tmp_path, text):
    if text is not None:
        settings(tmp_path, text)
    with pytest.raises(BadInput, match=r"nbgrader_config\.py"):
        course(tmp_path)
