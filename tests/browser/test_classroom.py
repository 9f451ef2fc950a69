"""A teacher's round in JupyterLab, as docs/classroom.md tells it: from release to feedback and the LMS's CSV."""

import csv
import subprocess

import lab
import nbgrader_lab
import pytest
from nbgrader.api import Gradebook

from tl_course.bench import grade_courses

pytestmark = [
    pytest.mark.browser,
    pytest.mark.sandbox,
    pytest.mark.timeout(600),
    pytest.mark.skipif(lab.CHROMIUM is None, reason="needs chromium"),
]
NAME = "small"
WRONG = "def scale(values, factor):\n    return torch.as_tensor(values) + factor"
COMMENT = "You add where you should multiply."


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """A course of one small notebook that nobody has taught yet, its teacher and a student."""
    room = nbgrader_lab.Classroom(tmp_path_factory.mktemp("class"))
    config = grade_courses.OURS_CONFIG.read_text(encoding="utf-8")
    grade_courses.make(room.course, grade_courses.KINDS["small notebook"], config, 0)
    (room.course / "gradebook.db").unlink()
    room.enrol("teacher", "ada")
    return room


@pytest.fixture(scope="module")
def teacher(room):
    """JupyterLab's address."""
    with room.jupyterlab("teacher") as address:
        yield address


@pytest.fixture(scope="module")
def student(room):
    """JupyterLab's address."""
    with room.jupyterlab("ada") as address:
        yield address


def test_a_round(room, teacher, student):
    with lab.browser_page() as page:
        _release(page, teacher)
    with lab.browser_page() as page:
        _hand_in(page, student)
    with lab.browser_page() as page:
        _mark(page, teacher)
    with lab.browser_page() as page:
        feedback = _fetch_feedback(page, student)
    assert COMMENT in feedback and "1.5" in feedback
    assert "HIDDEN TESTS" not in feedback and "[2.0, 8.0]" not in feedback
    with Gradebook(f"sqlite:///{room.course}/gradebook.db", "tl_course") as gradebook:
        assert gradebook.find_submission(NAME, "ada").score == 1.5
    command = ["tl-course", "export", NAME, "--to", "canvas", "--output", "grades.csv"]
    environment = room.environment("teacher")
    subprocess.run(command, cwd=room.course, env=environment, check=True, capture_output=True)
    with open(room.course / "grades.csv", encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    assert any("ada" in line and "1.5" in line for line in rows), rows


def test_the_menu(teacher):
    """Course list and formgrader inside JupyterLab; nothing asks for attention on the way."""
    with lab.browser_page() as page:
        nbgrader_lab.sign_in(page, teacher)
        nbgrader_lab.open_panel(page, "Course List")
        page.get_by_role("link", name="tl_course").wait_for()
        nbgrader_lab.open_panel(page, "Formgrader")
        page.frame_locator("iframe").get_by_role("link", name=NAME, exact=True).wait_for()


def _release(page, address):
    nbgrader_lab.sign_in(page, address)
    page.goto(f"{address}/formgrader/manage_assignments")
    line = nbgrader_lab.row(page, "name", NAME)
    assert nbgrader_lab.press(page, line, "assign") == "Success"
    assert nbgrader_lab.press(page, line, "release") == "Success"


def _hand_in(page, address):
    nbgrader_lab.sign_in(page, address)
    nbgrader_lab.open_panel(page, "Assignment List")
    nbgrader_lab.listed(page, "released").get_by_role("button", name="Fetch").click()
    fetched = nbgrader_lab.listed(page, "fetched")
    fetched.locator("a.assignment-notebooks-link", has_text=NAME).click()
    fetched.locator(".nested_list_item a", has_text=NAME).click()
    cell = lab.cell(page, "def scale")
    lab.write(page, cell, WRONG)
    lab.save(page)
    page.locator(".lm-TabBar-tab", has_text="Assignments").click()
    assert "scale([1, 2], 3) is [3, 6]" in nbgrader_lab.validate(page, NAME)
    fetched.get_by_role("button", name="Submit").click()
    nbgrader_lab.listed(page, "submitted").get_by_text(NAME).first.wait_for()


def _mark(page, address):
    nbgrader_lab.sign_in(page, address)
    page.goto(f"{address}/formgrader/manage_assignments")
    line = nbgrader_lab.row(page, "name", NAME)
    assert nbgrader_lab.press(page, line, "collect") == "Success"
    page.goto(f"{address}/formgrader/manage_submissions/{NAME}")
    line = nbgrader_lab.row(page, "student-id", "ada")
    assert nbgrader_lab.press(page, line, "autograde") == "Success"
    line.get_by_text("0 / 3", exact=True).wait_for()
    page.goto(f"{address}/formgrader/gradebook/{NAME}/{NAME}")
    nbgrader_lab.open_submission(page, page.locator("td.name a").first)
    nbgrader_lab.grade(page, "scale-test", 1.5)
    nbgrader_lab.comment(page, "scale", COMMENT)
    page.goto(f"{address}/formgrader/manage_submissions/{NAME}")
    line.get_by_text("1.5 / 3", exact=True).wait_for()
    assert nbgrader_lab.press(page, line, "generate-feedback") == "Success"
    assert nbgrader_lab.press(page, line, "release-feedback") == "Success"


def _fetch_feedback(page, address):
    """The page that the student reads."""
    nbgrader_lab.sign_in(page, address)
    nbgrader_lab.open_panel(page, "Assignment List")
    submitted = nbgrader_lab.listed(page, "submitted")
    submitted.get_by_role("button", name="Fetch Feedback").click()
    submitted.get_by_text("view feedback").click()
    page.locator(".jp-DirListing-item", has_text=f"{NAME}.html").dblclick()
    return page.frame_locator(".jp-HTMLViewer iframe").locator("body").inner_text()
