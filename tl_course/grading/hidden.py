"""Hidden tests stay hidden: in what learners' processes are given, and in the feedback that learners read."""

import ast
import builtins
from typing import Any

from nbformat import NotebookNode
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import is_grade

from tl_course.i18n import _

_ERRORS = {name for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, BaseException)}
_ERRORS |= {"AxisError", "LinAlgError", "OutOfMemoryError", "InvalidArgumentError", "NotFittedError"}
_OURS = {"NotBelieved", "NotRun"}
BEGIN, END = "BEGIN HIDDEN TESTS", "END HIDDEN TESTS"


def visible(source: str) -> str:
    """A test cell's text without its hidden tests."""
    lines, hidden = [], False
    for line in source.split("\n"):
        if BEGIN in line:
            hidden = True
        elif END in line:
            hidden = False
        elif not hidden:
            lines.append(line)
    return "\n".join(lines)


def presentable(outputs: list[dict[str, Any]], source: str) -> list[dict[str, Any]]:
    """What a test's outputs may show to a learner: a score, or an error with the teacher's own words for it.

    Other text is left out: a learner's code that a hidden test calls could write the test's text there. Where the test
    has hidden parts, so is the name of the error: which one it is can be made to tell a few bits of them.
    """
    words = _messages(source)
    secret = visible(source) != source
    shown = []
    for output in outputs:
        if output.get("output_type") == "error":
            said = output["evalue"] if output.get("evalue") in words else ""
            name = output["ename"] if output.get("ename") in _ERRORS and not secret else "Error"
            said = said or (_("the test did not pass") if secret else "")
            text = f"{name}: {said}" if said else name
            shown.append({"output_type": "error", "ename": name, "evalue": said, "traceback": [text]})
        elif output.get("output_type") == "execute_result" and (points := _number(output)) is not None:
            data = {"text/plain": repr(round(points, 4))}
            shown.append({"output_type": "execute_result", "data": data, "metadata": {}, "execution_count": 1})
    return shown[-1:]  # no honest cell has more, and how many there are would tell something too


def known_error(outputs: list[dict[str, Any]]) -> str | None:
    """The name of an error among a cell's outputs: "Error" for one that is not generally known; None without one."""
    names = [output.get("ename") for output in outputs if output.get("output_type") == "error"]
    return next((name if name in _ERRORS | _OURS else "Error" for name in names), None)


class HideTests(NbGraderPreprocessor):
    """Takes the hidden tests out of feedback."""

    def preprocess_cell(self, cell: NotebookNode, resources: Any, cell_index: int) -> tuple[NotebookNode, Any]:
        """The cell as learners may see it."""
        if is_grade(cell):
            cell.source = visible(cell.source)
        return cell, resources


def _messages(source: str) -> set[str]:
    """The texts that a cell's asserts and raised errors are to show; no other constant, which might be an answer."""
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError, RecursionError):
        return set()
    parts: list[ast.AST | None] = [node.msg for node in nodes if isinstance(node, ast.Assert)]
    for node in nodes:
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            parts += node.exc.args
    return {part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)}


def _number(output: dict[str, Any]) -> float | None:
    try:
        return float(output["data"]["text/plain"])
    except (KeyError, TypeError, ValueError):
        return None
