"""Outcomes as notebook outputs, where nbgrader's scoring, formgrader and feedback find them."""

from typing import Any

import nbformat
from nbformat import NotebookNode

from tl_course.exercises.engine.render import as_html
from tl_course.exercises.engine.verdict import Verdict
from tl_course.i18n import _


def show_verdict(cell: NotebookNode, verdict: Verdict, points: float, path: str) -> None:
    """Write a verdict into its test's cell: the points as the value, which nbgrader reads, and the words as HTML."""
    notes = {"notebook": _("judged after running all cells of the notebook")}
    note = f"<p><small>{notes[path]}</small></p>" if path in notes else ""
    shown = "".join(as_html(one) for one in (*verdict.others, verdict)) + note
    data = {"text/plain": repr(round(verdict.score * points, 4)), "text/html": shown}
    cell.outputs = [nbformat.v4.new_output("execute_result", data=data, execution_count=1)]
    cell.execution_count = 1


def show_cell(cell: NotebookNode, outputs: list[dict[str, Any]]) -> None:
    """Write what a cell gave into it."""
    cell.outputs = [nbformat.from_dict(output) for output in outputs]
    cell.execution_count = 1


def show_error(cell: NotebookNode, title: str, text: str) -> None:
    """Write an error of the grading's own into a cell; nbgrader gives no points for it."""
    cell.outputs = [nbformat.v4.new_output("error", ename=title, evalue=text, traceback=[f"{title}: {text}"])]
    cell.execution_count = 1


def not_run(cell: NotebookNode, state: str) -> None:
    """Say why a cell has no outcome."""
    texts = {
        "timeout": _("it ran longer than it may and was stopped"),
        "interrupted": _("it ran longer than it may and was stopped"),
        "time": _("the notebook ran longer than it may and was stopped"),
        "memory": _("the notebook took more memory than it may and was stopped"),
        "crashed": _("the process that ran it ended"),
        "not run": _("it was not run, because the notebook's process had ended before"),
        "done": _("what its process sent back is no outcome"),
    }
    show_error(cell, "NotRun", texts.get(state, texts["crashed"]))
