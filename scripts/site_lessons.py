"""The lessons as pages of the site: the executed notebooks, with the learner's cells shown and the answers folded."""

import base64
import copy
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import unquote

import nbformat

from tl_course import lessons

if TYPE_CHECKING:
    from nbformat import NotebookNode

_HIDDEN_TESTS = re.compile(r"\n### BEGIN HIDDEN TESTS.*### END HIDDEN TESTS", re.DOTALL)
_SPOILERS = ("panel.review(", "solution(")  # what these show is the answer
_WIDE = 900  # pixels of a figure, beyond which a phone cannot show it whole
_LINK = re.compile(r"notebooks/(\w+)/\1\.ipynb#([^\"']+)")  # to a section, as JupyterLab names it
_FENCE = re.compile(r"^\s*(```|~~~)")
_HEADING = re.compile(r"^#{1,6} +(.+)$")


def page(name: str) -> "NotebookNode":
    """A lesson as it is shown. Above each heading stands a target that other pages link to: see `sections`."""
    notebook = lessons.read_notebook(lessons.notebook_path(name))
    released = lessons.read_notebook(lessons.notebook_path(name, lessons.RELEASED))
    starts = {_grade_id(cell): cell for cell in released.cells if _grade_id(cell)}
    targets = iter(label for label, _heading in _sections(notebook, name))
    shown = [nbformat.v4.new_markdown_cell(_downloads(name), id="downloads")]
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            exercise = cell.id.removesuffix("-statement") if cell.id.endswith("-statement") else None
            shown.append(_with_targets(cell, targets, exercise))
        elif cell.metadata.get("nbgrader", {}).get("solution"):
            shown += [_start(starts[_grade_id(cell)]), _folded_answer(cell)]
        elif not cell.id.endswith("-bootstrap"):  # which is for those who opened a notebook alone
            shown.append(_code(cell))
    shown[0], shown[1] = shown[1], shown[0]  # the title comes first
    notebook.cells = shown
    return notebook


def sections(name: str) -> list[tuple[str, str]]:
    """A lesson's headings in order: (the target on its page, the heading without its marks)."""
    return _sections(lessons.read_notebook(lessons.notebook_path(name)), name)


def _sections(notebook: "NotebookNode", name: str) -> list[tuple[str, str]]:
    lines = [line for cell in notebook.cells if cell.cell_type == "markdown" for line in _outside_fences(cell.source)]
    headings = [found[1].strip() for line in lines if (found := _HEADING.match(line))]
    return [(f"lesson-{name[:2]}-{number}", heading) for number, heading in enumerate(headings)]


def _outside_fences(source: str) -> list[str]:
    """The lines of Markdown; those of code are empty."""
    lines, inside = [], False
    for line in source.splitlines():
        fence = _FENCE.match(line) is not None
        lines.append("" if inside or fence else line)
        inside ^= fence
    return lines


def _with_targets(cell: "NotebookNode", targets: Iterator[str], exercise: str | None) -> "NotebookNode":
    lines = []
    for line, plain in zip(cell.source.splitlines(), _outside_fences(cell.source), strict=True):
        if _HEADING.match(plain):
            lines += [f"(exercise-{exercise})="] if exercise else []
            lines.append(f"({next(targets)})=")
        lines.append(line)
    return nbformat.v4.new_markdown_cell("\n".join(lines), id=cell.id)


def _downloads(name: str) -> str:
    return (
        f"{{download}}`Download this lesson <../downloads/{name}.ipynb>`, "
        f"or {{download}}`as it ran, with answers <../downloads/{name}_solutions.ipynb>`. "
        "Both need [the course](../README.md#start)."
    )


def _start(cell: "NotebookNode") -> "NotebookNode":
    """What the learner's notebook has in the place of an answer."""
    return nbformat.v4.new_code_cell(cell.source, id=f"{cell.id}-start")


def _folded_answer(cell: "NotebookNode") -> "NotebookNode":
    prompts = {"code_prompt_show": "Show an answer", "code_prompt_hide": "Hide the answer"}
    new = copy.deepcopy(cell)
    new.metadata = type(cell.metadata)({"tags": ["hide-input"], "mystnb": prompts})
    return new


def _code(cell: "NotebookNode") -> "NotebookNode":
    new = copy.deepcopy(cell)
    new.source = _HIDDEN_TESTS.sub("", cell.source)
    image = {"alt": _descriptions(cell), "classes": "wide" if _width(cell) > _WIDE else ""}
    new.metadata = type(cell.metadata)({"mystnb": {"image": image}})
    if new.source.startswith(_SPOILERS):
        new.metadata["tags"] = ["hide-output"]
        new.metadata["mystnb"] |= {"code_prompt_show": "Show the answer", "code_prompt_hide": "Hide the answer"}
    for output in new.outputs:
        if "text/html" in output.get("data", {}):
            output.data["text/html"] = _LINK.sub(_section_address, output.data["text/html"])
    return new


def _section_address(found: re.Match[str]) -> str:
    """Where a link to a section in another notebook leads on the site."""
    lesson, place = found[1], unquote(found[2])
    targets = {heading.replace(" ", "-"): target for target, heading in sections(lesson)}
    return f"{lesson}.html#{targets[place]}"


def _figures(cell: "NotebookNode") -> "list[NotebookNode]":
    return [output for output in cell.outputs if "image/png" in output.get("data", {})]


def _descriptions(cell: "NotebookNode") -> str:
    """What the figures that a cell shows say, in words (`plots.alt_text`)."""
    return " ".join(figure.metadata["image/png"]["alt"] for figure in _figures(cell))


def _width(cell: "NotebookNode") -> int:
    """Width in pixels of the widest figure that a cell shows, as its PNG's header says; 0 without one."""
    headers = [base64.b64decode(figure.data["image/png"][:32]) for figure in _figures(cell)]
    return max((int.from_bytes(header[16:20], "big") for header in headers), default=0)


def _grade_id(cell: "NotebookNode") -> str | None:
    return cell.metadata.get("nbgrader", {}).get("grade_id")
