"""Hidden tests stay hidden: in what learners' processes are given, and in the feedback that learners read."""

import ast
from typing import Any

from nbformat import NotebookNode
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import is_grade

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

    Other text is left out: a learner's code that a hidden test calls could write the test's text there.
    """
    words = _strings(source)
    shown = []
    for output in outputs:
        if output.get("output_type") == "error":
            said = output["evalue"] if output.get("evalue") in words else ""
            text = f"{output['ename']}: {said}" if said else str(output["ename"])
            shown.append({"output_type": "error", "ename": output["ename"], "evalue": said, "traceback": [text]})
        elif output.get("output_type") == "execute_result" and _is_number(output):
            data = {"text/plain": output["data"]["text/plain"]}
            shown.append({**output, "data": data, "metadata": {}})
    return shown


class HideTests(NbGraderPreprocessor):
    """Takes the hidden tests out of feedback."""

    def preprocess_cell(self, cell: NotebookNode, resources: Any, cell_index: int) -> tuple[NotebookNode, Any]:
        """The cell as learners may see it."""
        if is_grade(cell):
            cell.source = visible(cell.source)
        return cell, resources


def _strings(source: str) -> set[str]:
    """The string constants of a cell, such as the messages of its asserts."""
    try:
        nodes = ast.walk(ast.parse(source))
    except (SyntaxError, ValueError, RecursionError):
        return set()
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def _is_number(output: dict[str, Any]) -> bool:
    try:
        float(output["data"]["text/plain"])
    except (KeyError, TypeError, ValueError):
        return False
    return True
