"""A teacher's round with lesson 03, for docs/classroom.md and README.md. A student validates the lesson: minutes."""

import shutil
import subprocess
from pathlib import Path

import lab
from nbgrader_lab import Classroom, comment, grade, listed, open_panel, open_submission, press, row, sign_in, validate
from playwright.sync_api import Page

from pictures import save
from tl_course import exercises, lessons
from tl_course.exercises.engine.stub import marker

NAME = "03_feature_extraction"
NOTEBOOK = f"{NAME}/{NAME}.ipynb"
NAMES = {"ada": "Alvarez", "ben": "Bianchi", "eve": "Eriksen"}
UNANSWERED = {"ada": {"linear-probe-model"}, "ben": {"serve-mismatch"}, "eve": {"knn-predict", "leaky-probe"}}
WRONG = {"ada": {"global-average-pool"}, "ben": {"masked-mean", "cache-key"}, "eve": {"few-shot-indices"}}
SAID = "The largest value is a pooling as well, but not the average. One point for the right axes."
VALIDATION = 900_000  # milliseconds that a student's whole lesson may take


def take(folder: Path) -> None:
    """classroom_*.png, in the order of the round."""
    room = Classroom(folder)
    for name in ("solutions", "notebooks"):
        shutil.copytree(lab.ROOT / name / NAME, room.course / name / NAME)
    shutil.copy(lab.ROOT / "nbgrader_config.py", room.course)
    room.enrol("teacher", *NAMES)
    with room.jupyterlab("teacher") as teacher, room.jupyterlab("ada") as student:
        with lab.browser_page(1280, 620) as page:
            _release(page, teacher)
        with lab.browser_page(1280, 620) as page:
            _hand_in(page, student, room)
        with lab.browser_page(1280, 620) as page:
            _mark(page, teacher, room)
        with lab.browser_page(1280, 620) as page:
            _read_feedback(page, student)


def _release(page: Page, address: str) -> None:
    sign_in(page, address)
    open_panel(page, "Course List")
    page.get_by_role("link", name="tl_course").wait_for()
    save(page, "classroom_courses", 240)
    page.goto(f"{address}/formgrader/manage_assignments")
    line = row(page, "name", NAME)
    press(page, line, "assign")
    press(page, line, "release")
    line.get_by_text("released").wait_for()
    save(page, "classroom_released", 470)


def _hand_in(page: Page, address: str, room: Classroom) -> None:
    sign_in(page, address)
    open_panel(page, "Assignment List")
    listed(page, "released").get_by_role("button", name="Fetch").wait_for()
    save(page, "classroom_fetch", 330)
    listed(page, "released").get_by_role("button", name="Fetch").click()
    listed(page, "fetched").get_by_role("button", name="Submit").wait_for()
    _answer(room.folder / "ada" / NOTEBOOK, "ada")
    page.set_default_timeout(VALIDATION)
    validate(page, NAME, lambda: save(page, "classroom_validate"))
    listed(page, "fetched").get_by_role("button", name="Submit").click()
    listed(page, "submitted").get_by_text(NAME).first.wait_for()
    for other in NAMES.keys() - {"ada"}:
        shutil.copytree(room.course / "notebooks" / NAME, room.folder / other / NAME)
        _answer(room.folder / other / NOTEBOOK, other)
        _run(room, other, "nbgrader", "submit", NAME, "--course=tl_course")
    save(page, "classroom_submitted", 370)


def _mark(page: Page, address: str, room: Classroom) -> None:
    sign_in(page, address)
    page.goto(f"{address}/formgrader/manage_assignments")
    press(page, row(page, "name", NAME), "collect")
    for student, name in NAMES.items():
        names = (f"--first-name={student.title()}", f"--last-name={name}")
        _run(room, "teacher", "nbgrader", "db", "student", "add", student, *names)
    _run(room, "teacher", "tl-course", "grade", NAME)
    page.goto(f"{address}/formgrader/manage_submissions/{NAME}")
    line = row(page, "student-id", "ada")
    line.get_by_text("graded", exact=True).wait_for()
    save(page, "classroom_graded", 520)
    page.goto(f"{address}/formgrader/gradebook/{NAME}/{NAME}")
    page.locator("td.name a").first.wait_for()
    page.get_by_role("button", name="Show All Names").click()
    save(page, "classroom_gradebook", 430)
    open_submission(page, page.get_by_role("link", name=NAMES["ada"]))
    comment(page, "global-average-pool-pytorch", SAID)
    page.locator("textarea[id='global-average-pool-pytorch-comment']").scroll_into_view_if_needed()
    save(page, "classroom_comment")
    grade(page, "global-average-pool-check", 1)
    page.locator("input[id='global-average-pool-check']").evaluate("field => field.scrollIntoView({block: 'center'})")
    save(page, "classroom_points")
    page.goto(f"{address}/formgrader/manage_assignments")
    line = row(page, "name", NAME)
    press(page, line, "generate-feedback")
    press(page, line, "release-feedback")
    print(_run(room, "teacher", "tl-course", "export", NAME, "--to", "canvas", "--output", "grades.csv"))


def _read_feedback(page: Page, address: str) -> None:
    sign_in(page, address)
    open_panel(page, "Assignment List")
    listed(page, "submitted").get_by_role("button", name="Fetch Feedback").click()
    listed(page, "submitted").get_by_text("view feedback").click()
    page.locator(".jp-DirListing-item", has_text=f"{NAME}.html").dblclick()
    page.frame_locator(".jp-HTMLViewer iframe").get_by_text(SAID).first.scroll_into_view_if_needed()
    save(page, "classroom_feedback")


def _answer(path: Path, student: str) -> None:
    """Fill in a student's notebook, in PyTorch where that is asked for: references, some mistakes, some left out."""
    notebook = lessons.read_notebook(path)
    answers = {cell.metadata.nbgrader.grade_id: cell for cell in notebook.cells if "nbgrader" in cell.metadata}
    for exercise in exercises.all_exercises():
        framework = "pytorch" if "pytorch" in exercise.variants else next(iter(exercise.variants))
        cell = answers.get(f"{exercise.id}-{framework}")
        if cell is not None and exercise.id not in UNANSWERED[student]:
            variant = exercise.variant(framework)
            wrong = next(iter(variant.mistakes.values())).code(variant.reference)
            text = wrong if exercise.id in WRONG[student] else variant.reference
            cell.source = f"{marker(exercise.id, framework)}\n{text.strip()}"
    lessons.write_notebook(notebook, path)


def _run(room: Classroom, person: str, *command: str) -> str:
    folder = room.course if person == "teacher" else room.folder / person
    environment = room.environment(person)
    return subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True).stdout
