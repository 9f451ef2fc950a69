"""formgrader's own buttons: a submission is judged in the sandbox, marked, and its feedback is made."""

import lab
import nbgrader_lab
import pytest
from nbgrader.api import Gradebook

from tl_course.bench import grade_courses
from tl_course.grading.confinement import PRIVATE
from tl_course.lessons import read_notebook, write_notebook

pytestmark = [
    pytest.mark.browser,
    pytest.mark.sandbox,
    pytest.mark.timeout(600),
    pytest.mark.skipif(lab.CHROMIUM is None, reason="needs chromium"),
]
RIGHT = "submitted/s001/small/small.ipynb"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A course of a small notebook, with a wrong submission and a right one that says where it runs."""
    root = tmp_path_factory.mktemp("class") / "course"
    config = grade_courses.OURS_CONFIG.read_text(encoding="utf-8")
    grade_courses.make(root, grade_courses.KINDS["small notebook"], config, 2)
    notebook = read_notebook(root / RIGHT)
    notebook.cells[1].source = "import os\nos.getcwd()"
    write_notebook(notebook, root / RIGHT)
    return root


def test_the_buttons_of_a_submission(root):
    with (
        lab.served(["jupyter", "lab", "--allow-root"], root, root.parent / "home") as address,
        lab.browser_page() as page,
    ):
        nbgrader_lab.sign_in(page, address)
        page.goto(f"{address}/formgrader/manage_submissions/small")
        for student, shown in (("s000", "0 / 3"), ("s001", "3 / 3")):
            row = nbgrader_lab.row(page, "student-id", student)
            row.get_by_text("needs autograding").wait_for()
            assert nbgrader_lab.press(page, row, "autograde") == "Success"
            row.get_by_text(shown, exact=True).wait_for()
            assert nbgrader_lab.press(page, row, "generate-feedback") == "Success"
            feedback = (root / "feedback" / student / "small" / "small.html").read_text(encoding="utf-8")
            assert "HIDDEN TESTS" not in feedback and "[2.0, 8.0]" not in feedback
    graded = read_notebook(root / RIGHT.replace("submitted", "autograded"))
    assert graded.cells[1].outputs[0].data["text/plain"] == repr(f"{PRIVATE}/work")
    with Gradebook(f"sqlite:///{root}/gradebook.db", "tl_course") as gradebook:
        scores = {one.student_id: one.score for one in gradebook.assignment_submissions("small")}
    assert scores == {"s000": 0, "s001": 3}
