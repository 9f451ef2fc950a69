"""A class on one machine, as docs/classroom.md sets it up: nbgrader's panels in JupyterLab, pressed in a real browser.

Used by the browser tests and by scripts/screenshots.py.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import lab
from playwright.sync_api import Locator, Page

SETTINGS = """c = get_config()
c.Exchange.root = {exchange!r}
c.Exchange.cache = {cache!r}
c.ExecutePreprocessor.timeout = 300
"""
NO_NEWS = "lab/user-settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
STUDENT_SETTINGS = "c = get_config()\nc.CourseDirectory.student_id = {student!r}\n"


@dataclass(frozen=True)
class Classroom:
    """Folders of a class of one account: the course, a folder for each student, the exchange and Jupyter's settings.

    Args:
        folder: where they are. The course is made by the caller.
    """

    folder: Path

    @property
    def course(self) -> Path:
        """The teacher's folder, with nbgrader_config.py."""
        return self.folder / "course"

    def home(self, person: str) -> Path:
        """Where somebody's settings, submissions and progress are."""
        return self.folder / "home" / person

    def enrol(self, *people: str) -> None:
        """Make the exchange, and what each needs to use it; everybody but "teacher" gets an empty folder."""
        exchange = self.folder / "exchange"
        exchange.mkdir(exist_ok=True)
        exchange.chmod(0o777)
        for person in people:
            config = self.home(person) / "config"
            (config / NO_NEWS).parent.mkdir(parents=True)
            (config / NO_NEWS).write_text('{"fetchNews": "false"}', encoding="utf-8")
            settings = SETTINGS.format(exchange=str(exchange), cache=str(self.home(person) / "cache"))
            (config / "nbgrader_config.py").write_text(settings, encoding="utf-8")
            if person != "teacher":
                (self.folder / person).mkdir()
                own = STUDENT_SETTINGS.format(student=person)
                (self.folder / person / "nbgrader_config.py").write_text(own, encoding="utf-8")

    def environment(self, person: str) -> dict[str, str]:
        """What somebody's commands are started with."""
        path = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
        home = self.home(person)
        return {**os.environ, "PATH": path, "JUPYTER_CONFIG_DIR": str(home / "config"), "TL_COURSE_HOME": str(home)}

    @contextmanager
    def jupyterlab(self, person: str) -> Iterator[str]:
        """Somebody's JupyterLab; gives its address."""
        folder = self.course if person == "teacher" else self.folder / person
        with lab.served(["jupyter", "lab", "--allow-root"], folder, self.home(person)) as address:
            yield address


def sign_in(page: Page, address: str) -> None:
    """Open JupyterLab, which leaves the cookie that formgrader's pages ask for."""
    page.goto(f"{address}/lab?token={lab.TOKEN}")
    page.locator("#jp-top-panel").wait_for()


def open_panel(page: Page, name: str) -> None:
    """Open "Assignment List", "Course List" or "Formgrader" from JupyterLab's menu Nbgrader."""
    page.get_by_role("menuitem", name="Nbgrader").click()
    page.get_by_role("menuitem", name=name).click()


def row(page: Page, column: str, name: str) -> Locator:
    """The row of one of formgrader's tables that has a name in a column."""
    return page.locator("tr", has=page.locator(f"td.{column}").get_by_text(name, exact=True))


def press(page: Page, line: Locator, column: str) -> str:
    """Press a button of a row; gives the title of the message that says how it went, which is closed."""
    line.locator(f"td.{column} a").click()
    message = page.locator(".modal.in")
    message.wait_for()
    title = message.locator(".modal-title").inner_text()
    message.get_by_role("button", name="OK").click()
    message.wait_for(state="detached")
    return title


def open_submission(page: Page, link: Locator) -> None:
    """Open formgrader's page of a submission, and wait until its fields save what is written into them."""
    link.click()
    page.locator("input.score").first.wait_for()
    page.wait_for_function("formgrader.grades?.loaded && formgrader.comments?.loaded")


def grade(page: Page, test: str, points: float) -> None:
    """Give a test's cell points, on formgrader's page of a submission, and wait until they are saved."""
    field = page.locator(f"input.score[id='{test}']")
    field.fill(f"{points:g}")
    _saved(page, field)


def comment(page: Page, answer: str, text: str) -> None:
    """Comment on an answer's cell, on formgrader's page of a submission, and wait until that is saved."""
    field = page.locator(f"textarea[id='{answer}-comment']")
    field.fill(text)
    _saved(page, field)


def _saved(page: Page, field: Locator) -> None:
    with page.expect_response(lambda answer: answer.request.method == "PUT" and answer.ok):
        field.blur()


def listed(page: Page, part: str) -> Locator:
    """A part of the assignment list: "released", "fetched" or "submitted"."""
    return page.locator(f"#{part}_assignments_list")


def validate(page: Page, assignment: str, look: Callable[[], None] = lambda: None) -> str:
    """Press Validate in the assignment list, for a notebook named as its assignment.

    Args:
        page: with the assignment list.
        assignment: has been fetched.
        look: called when the result is shown, before it is closed.

    Returns:
        What was said.
    """
    fetched = listed(page, "fetched")
    button = fetched.get_by_role("button", name="Validate")
    if not button.is_visible():
        fetched.locator("a.assignment-notebooks-link", has_text=assignment).click()
    button.click()
    dialog = page.locator(".jp-Dialog")
    said = dialog.inner_text()
    look()
    dialog.get_by_role("button").last.click()
    return said
