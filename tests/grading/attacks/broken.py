"""Submissions that are broken: by a slip, by a tool, or on purpose."""

import copy
import json
import os
from pathlib import Path
from typing import Any

import nbformat

from .attack import WRONG, Attack, Build, by_id, cells, changed, hand_in, text
from .course import GOOD, OWN, RIGHT, answer

KIND = "broken"
CONFLICT = "<<<<<<< HEAD\n{0}\n=======\n{0}\n>>>>>>> theirs\n"


def _each(notebook: Any, /, **values: Any) -> None:
    for cell in notebook["cells"]:
        if "nbgrader" in cell["metadata"]:
            cell["metadata"]["nbgrader"].update(values)


def _drop(name: str) -> Build:
    return changed(lambda notebook: notebook["cells"].remove(by_id(notebook, name)))


def _twice(name: str, source: str | None = None) -> Build:
    def change(notebook: Any) -> None:
        again = copy.deepcopy(by_id(notebook, name))
        again["source"] = source or again["source"]
        notebook["cells"].append(again)

    return changed(change)


def _retyped(name: str, kind: str) -> Build:
    def change(notebook: Any) -> None:
        cell = by_id(notebook, name)
        cell["cell_type"] = kind
        del cell["outputs"], cell["execution_count"]

    return changed(change)


def _marked(name: str, **values: Any) -> Build:
    return changed(lambda notebook: by_id(notebook, name)["metadata"]["nbgrader"].update(values))


def _edited_test(folder: Path, notebook: Any) -> None:
    answer(notebook, WRONG)
    for name in ("add-test", "scale-test"):
        cell = by_id(notebook, name)
        cell["source"] = "pass"
        cell["metadata"]["nbgrader"].update(locked=False, grade=True)
    hand_in(folder, notebook)


def _old_format(folder: Path, notebook: Any) -> None:
    answer(notebook, RIGHT)
    hand_in(folder, nbformat.convert(nbformat.from_dict(notebook), 3))


def _named(name: str) -> Build:
    def build(folder: Path, notebook: Any) -> None:
        answer(notebook, RIGHT)
        (folder / name).write_text(json.dumps(notebook))

    return build


def _link(name: str, target: str, right: bool = False) -> Build:
    def build(folder: Path, notebook: Any) -> None:
        if right:
            changed(lambda notebook: None)(folder, notebook)
        os.symlink(target, folder / name)

    return build


def _linked_folder(folder: Path, notebook: Any) -> None:
    folder.rmdir()
    os.symlink(f"../{GOOD[1]}/{folder.name}", folder)


def _beside(name: bytes) -> Build:
    def build(folder: Path, notebook: Any) -> None:
        changed(lambda notebook: None)(folder, notebook)
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_text("a note")

    return build


def _unreadable(folder: Path, notebook: Any) -> None:
    changed(lambda notebook: None)(folder, notebook)
    (folder / "own.ipynb").chmod(0)


def _nested(notebook: str) -> str:
    return notebook.replace('"metadata": {', '"metadata": {"deep": ' + "[" * 100_000 + "]" * 100_000 + ", ", 1)


def _huge(notebook: Any) -> None:
    output = {"output_type": "stream", "name": "stdout", "text": "x" * 60_000_000}
    by_id(notebook, "add")["outputs"] = [output]


def _many_cells(notebook: Any) -> None:
    cell = {"cell_type": "code", "metadata": {}, "source": "", "outputs": [], "execution_count": None}
    notebook["cells"] += [{**cell, "id": f"c{number}"} for number in range(100_000)]


def _wrong_types(notebook: Any) -> None:
    by_id(notebook, "add-test")["metadata"]["nbgrader"].update(points="many", grade="yes", schema_version="three")
    by_id(notebook, "scale-test")["metadata"] = {"nbgrader": ["not", "a", "table"]}
    notebook["cells"][0]["metadata"] = []


def _same_ids(notebook: Any) -> None:
    for cell in notebook["cells"]:
        cell["id"] = "same"


def _surrogate(notebook: Any) -> None:
    by_id(notebook, "add")["source"] += "\n# \ud800"


def _no_sources(notebook: Any) -> None:
    for cell in notebook["cells"]:
        cell["source"] = 7


def _ir(notebook: Any) -> None:
    notebook["metadata"]["kernelspec"] = {"name": "ir", "language": "R", "display_name": "R"}


def _reversed(notebook: Any) -> None:
    notebook["cells"].reverse()


def _attack(name: str, about: str, build: Build, deserves: float = 0.0, **options: Any) -> Attack:
    return Attack(name, KIND, about, build, OWN, deserves, **options)


def _timestamp(content: str) -> Build:
    return cells(RIGHT, files={"timestamp.txt": content})


def _beside_wrong(name: str) -> Build:
    """Wrong answers under the assignment's name, and right ones in another notebook."""

    def build(folder: Path, notebook: Any) -> None:
        other = copy.deepcopy(notebook)
        answer(other, RIGHT)
        answer(notebook, WRONG)
        hand_in(folder, notebook)
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(other))

    return build


def _claims(notebook: Any) -> None:
    told = {"student_id": GOOD[0], "assignment_id": "hw", "course_id": "other", "score": 5}
    notebook["metadata"]["nbgrader"] = told
    _each(notebook, student_id=GOOD[0], assignment="hw", notebook="hw")


ATTACKS = [
    _attack("broken_json", "half of the file is missing", text(lambda content: content[: len(content) // 2])),
    _attack("empty_file", "the notebook has no bytes", text(lambda content: "")),
    _attack("merge_conflict", "Git's conflict markers around the notebook", text(CONFLICT.format), 5, exact=False),
    _attack("wrong_name", "homework.ipynb, answers right", _named("homework.ipynb"), 5, exact=False),
    _attack("missing_notebook", "a folder with a text file only", lambda folder, _: _note(folder)),
    _attack("empty_folder", "a folder with nothing in it", lambda folder, _: None),
    _attack("nbformat_3", "an old notebook format, answers right", _old_format, 5, exact=False),
    _attack("schema_1", "nbgrader's schema 1", changed(lambda n: _each(n, schema_version=1)), 5),
    _attack("schema_99", "nbgrader's schema 99", changed(lambda n: _each(n, schema_version=99)), 5),
    _attack("deleted_test", "a test cell deleted, answers right", _drop("add-test"), 5),
    _attack("deleted_answer", "one answer deleted, the other right", _drop("add"), 2),
    _attack("doubled_test", "a test cell twice, answers right", _twice("add-test"), 5),
    _attack("doubled_answer", "an answer twice, wrong the second time", _twice("add", WRONG["add"]), 5, exact=False),
    _attack("renamed", "an answer under another grade id", _marked("add", grade_id="sum"), 5, exact=False),
    _attack("retyped_answer", "a right answer made Markdown", _retyped("add", "markdown"), 5, exact=False),
    _attack("retyped_test", "a test made raw text, answers right", _retyped("add-test", "raw"), 5),
    _attack("edited_tests", "tests unlocked and emptied, answers wrong", _edited_test),
    _attack("points_1000", "a test said to be worth 1,000 points", _marked("add-test", points=1000), 5),
    _attack("reordered", "cells in reverse order, answers right", changed(_reversed), 5, exact=False),
    _attack("other_kernel", "the kernel is said to be R", changed(_ir), 5),
    _attack("linked_notebook", "a link to solutions/", _link("own.ipynb", "../../../solutions/own/own.ipynb")),
    _attack(
        "linked_gradebook", "a data file that links to the gradebook", _link("x.csv", "../../../gradebook.db", True), 5
    ),
    _attack("linked_folder", "a link to another student's folder", _linked_folder),
    _attack("dangling_link", "a link to nothing", _link("own.ipynb", "nowhere.ipynb")),
    _attack("link_to_itself", "a link to itself", _link("own.ipynb", "own.ipynb")),
    _attack("latin_file", "a file name that is not UTF-8", _beside(b"caf\xe9.txt"), 5),
    _attack("line_break", "a file name with a line break", _beside(b"a\nb.txt"), 5),
    _attack(
        "latin_student",
        "a student's name that is not UTF-8",
        changed(lambda n: None),
        5,
        exact=False,
        student=os.fsdecode(b"m_caf\xe9"),
    ),
    _attack("pipe", "the notebook is a named pipe", lambda folder, _: os.mkfifo(folder / "own.ipynb")),
    _attack("pipe_beside", "a named pipe beside the notebook", lambda folder, n: _pipe_beside(folder, n), 5),
    _attack("folder", "the notebook is a folder", lambda folder, _: (folder / "own.ipynb").mkdir()),
    _attack("unreadable", "nobody may read the notebook", _unreadable, 5, exact=False),
    _attack("huge", "60 MB of saved output, answers right", changed(_huge), 5, exact=False),
    _attack("nested", "JSON nested 100,000 deep", text(_nested), 5, exact=False),
    _attack("many_cells", "100,000 cells more, answers right", changed(_many_cells), 5, exact=False),
    _attack("long_number", "a number of 9,999 digits", text(lambda c: c.replace("null", "9" * 9999)), 5, exact=False),
    _attack("list", "the notebook is a JSON list", changed(lambda n: [n])),
    _attack("surrogate", "half a character in a right answer", changed(_surrogate), 5, exact=False),
    _attack("wrong_types", "metadata of the wrong types, answers right", changed(_wrong_types), 5, exact=False),
    _attack("no_sources", "the cells' sources are numbers", changed(_no_sources)),
    _attack("byte_order_mark", "UTF-8 with a byte-order mark", text(lambda c: c.encode("utf-8-sig")), 5, exact=False),
    _attack("utf_16", "a notebook in UTF-16", text(lambda c: c.encode("utf-16")), 5, exact=False),
    _attack("same_ids", "every cell has the same id", changed(_same_ids), 5),
    _attack("syntax_error", "an answer does not parse, the other is right", cells({**RIGHT, "add": "def add(a b)"}), 2),
    _attack(
        "long_source",
        "52 MB of short lines in a right answer",
        cells({**RIGHT, "add": RIGHT["add"] + "\n#x" * 13_000_000}),
        5,
        exact=False,
    ),
    _attack("claims_another", "metadata that names another student and assignment", changed(_claims), 5),
    _attack("two_notebooks", "right answers in a second notebook", _beside_wrong("own2.ipynb")),
    _attack(
        "checkpoint", "right answers in .ipynb_checkpoints", _beside_wrong(".ipynb_checkpoints/own-checkpoint.ipynb")
    ),
    _attack("timestamp_past", "timestamp.txt says 1970", _timestamp("1970-01-01 00:00:00 UTC"), 5),
    _attack("timestamp_odd", "timestamp.txt of a megabyte", _timestamp("2026-01-01 " * 95_000), 5),
    _attack("linked_proc", "a data file that links into /proc", _link("x.csv", "/proc/self/environ", True), 5),
    _attack(
        "shell_student",
        "a student's name with shell and HTML in it",
        changed(lambda n: None),
        5,
        student="m_$(touch told.txt);`id`<b>&'\"",
    ),
    _attack(
        "line_student", "a student's name with a line break", changed(lambda n: None), 5, exact=False, student="m_a\nb"
    ),
    _attack("own_data", "data.csv made anew", cells({**RIGHT, "scale": WRONG["scale"]}, files={"data.csv": "0"}), 3),
]


def _note(folder: Path) -> None:
    (folder / "notes.txt").write_text("I could not finish.")


def _pipe_beside(folder: Path, notebook: Any) -> None:
    changed(lambda notebook: None)(folder, notebook)
    os.mkfifo(folder / "pipe.csv")
