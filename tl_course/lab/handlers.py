"""What the Jupyter server answers to JupyterLab: the start page, an exercise's panel, and what its buttons do.

Everything needs the server's token, as its other addresses do. Answers are JSON; an error has the key ``message``.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any

from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web

from tl_course import home_page, progress_file, records
from tl_course.errors import BadInput, CourseError
from tl_course.i18n import _
from tl_course.lab import exercise_panel
from tl_course.progress_file import ProgressError
from tl_course.standing import standing

MOST_SECONDS = 3600.0  # more at once was not spent at one exercise


def handlers(base_url: str) -> list[tuple[str, type[APIHandler]]]:
    """The addresses below ``tl-course`` and who answers there."""
    return [
        (url_path_join(base_url, "tl-course", "texts"), Texts),
        (url_path_join(base_url, "tl-course", "home"), Home),
        (url_path_join(base_url, "tl-course", "exercises", r"([a-z0-9-]+)"), Exercise),
        (url_path_join(base_url, "tl-course", "exercises", r"([a-z0-9-]+)", r"([a-z]+)"), Action),
    ]


def _answered(method: Callable[..., dict[str, Any]]) -> Callable[..., None]:
    """Give what a method returns as JSON, and the course's own errors as such."""

    @wraps(method)
    def answer(self: APIHandler, *arguments: str) -> None:
        try:
            self.finish(json.dumps(method(self, *arguments)))
        except BadInput as error:
            self.set_status(400)
            self.finish(json.dumps({"message": str(error)}))
        except CourseError as error:
            self.set_status(500)
            self.finish(json.dumps({"message": str(error)}))

    return answer


class Texts(APIHandler):
    """What JupyterLab calls the course's parts, and what the extension says itself, in the reader's language."""

    @web.authenticated
    @_answered
    def get(self) -> dict[str, Any]:
        """By name in the extension."""
        return {
            "category": _("Transfer learning"),
            "home": _("Course start page"),
            "home-caption": _("Lessons, what is done, what is due"),
            "home-tab": _("Course"),
            "check": _("Check this exercise"),
            "hint": _("Hint for this exercise"),
            "compare": _("Compare this exercise with the solution"),
            "reset": _("Reset this exercise"),
            "restore": _("Restore this exercise"),
            "checking": _("Checking … To stop it: Kernel → Interrupt Kernel."),
            "stopped": _("The check did not come to its end: the cells above say why. Then check again."),
            "no-kernel": _("No kernel is running: choose one at the top right, then check again."),
            "away": _(
                "The Jupyter server does not answer. Start it again as before, and keep this page open: what you typed "
                "is in it."
            ),
        }


class Home(APIHandler):
    """The start page; without its HTML where nothing has changed since the state that the page names."""

    @web.authenticated
    @_answered
    def get(self) -> dict[str, Any]:
        """Keys: state (of the progress), and html unless it is the same as before."""
        state = _state()
        if self.get_query_argument("state", "") == state:
            return {"state": state}
        return {"state": state, "html": home_page.as_html(standing(), self._link)}

    def _link(self, lesson: str, exercise: str | None, content: str) -> str:
        """A button that JupyterLab opens the lesson with; only the words where the lesson is out of its reach."""
        path = Path("notebooks", lesson, f"{lesson}.ipynb")
        if not Path(self.contents_manager.root_dir, path).is_file():
            return content
        cell = f" data-cell='{exercise}-statement'" if exercise else ""
        return f"<button type='button' class='tl-open' data-path='{path.as_posix()}'{cell}>{content}</button>"


class Exercise(APIHandler):
    """The panel under an exercise."""

    @web.authenticated
    @_answered
    def get(self, exercise_id: str) -> dict[str, Any]:
        """Keys: html."""
        return {"html": exercise_panel.panel(exercise_id)}


class Action(APIHandler):
    """What a button of the panel does. The body has ``cells`` (source of the answers' cells, by framework)."""

    @web.authenticated
    @_answered
    def post(self, exercise_id: str, name: str) -> dict[str, Any]:
        """Keys: html (to be said), and cells (what is to stand in the answers' cells) where they change."""
        body = self.get_json_body() or {}
        seconds, cells = body.get("seconds", 0), body.get("cells", {})
        texts = isinstance(cells, dict) and all(isinstance(text, str) for text in cells.values())
        if not texts or not isinstance(seconds, (int, float)):
            raise BadInput("cells with source text, and seconds", repr(body)[:100], "reload the page")
        said = exercise_panel.act(exercise_id, name, cells)
        if seconds > 0:
            with suppress(ProgressError):  # what was asked for is done all the same; the panel says what is wrong
                records.record_work(exercise_id, min(seconds, MOST_SECONDS))
        return said


def _state() -> str:
    """Changes when the progress does."""
    files = [progress_file.home() / name for name in ("progress.db", "progress.db-wal")]
    return repr([(file.stat().st_mtime_ns, file.stat().st_size) for file in files if file.exists()])
