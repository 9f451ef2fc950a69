"""Whatever is handed in, a repaired notebook is valid and holds every cell that was set once, around the answers."""

import copy
import json
import os
import random
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from nbgrader.api import Gradebook
from nbgrader.apps import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from nbgrader.nbgraderformat import MetadataValidator
from nbgrader.preprocessors import OverwriteCells
from nbgrader.utils import compute_checksum, determine_grade
from traitlets.config import Config

from tl_course import exercises
from tl_course.exercises.engine.stub import stub
from tl_course.grading import assignment
from tl_course.grading.repair import MAX_CELLS, repair

HEADS = {"one": "# exercise: one (numpy)", "two": "# exercise: two (numpy)"}
FLAGS = (False, False, True, False)  # of an answer: locked, grade, solution, task
NAMES = ["given", "one", "one-test", "two", "two-test", "essay", "task"]


def label(name: str, **flags) -> dict:
    flags = {"grade": False, "solution": False, "locked": False, "task": False, **flags}
    return {"nbgrader": {"schema_version": 3, "grade_id": name, **flags}}


def source_notebook():
    cells = [new_markdown_cell("# Lesson"), new_code_cell("import math", metadata=label("given", locked=True))]
    for name, points in (("one", 1), ("two", 2)):
        answer = f"{HEADS[name]}\ndef {name}():\n    ### BEGIN SOLUTION\n    return {points}\n    ### END SOLUTION"
        hidden = f"assert {name}()\n### BEGIN HIDDEN TESTS\nassert {name}() == {points}\n### END HIDDEN TESTS"
        cells.append(new_code_cell(answer, metadata=label(name, solution=True)))
        cells.append(new_code_cell(f"print({name}())"))
        test = label(f"{name}-test", grade=True, locked=True, points=points)
        cells.append(new_code_cell(hidden, metadata=test))
    cells.append(new_markdown_cell("Because.", metadata=label("essay", grade=True, solution=True, points=2)))
    cells.append(new_markdown_cell("Draw one.", metadata=label("task", task=True, points=4)))
    return new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """The course's directory, the notebook as it was set, and as learners got it."""
    root = tmp_path_factory.mktemp("course")
    (root / "source" / "hw").mkdir(parents=True)
    nbformat.write(source_notebook(), root / "source" / "hw" / "lesson.ipynb")
    config = Config()
    config.CourseDirectory.root = str(root)
    coursedir = CourseDirectory(config=config)
    with pytest.MonkeyPatch.context() as patch:  # a new gradebook runs the command alembic
        patch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
        result = NbGraderAPI(coursedir, config=config).generate_assignment("hw", create=True)
    assert result["success"], result["log"]
    with Gradebook(coursedir.db_url) as gradebook:
        (source,) = assignment.load(gradebook, coursedir, "hw").notebooks
    return coursedir, source, nbformat.read(root / "release" / "hw" / "lesson.ipynb", 4)


@pytest.fixture
def source(course) -> assignment.SourceNotebook:
    return course[1]


@pytest.fixture
def notebook(course):
    """A submission in which both answers are right and the essay is written."""
    handed_in = copy.deepcopy(course[2])
    find(handed_in, "one").source = f"{HEADS['one']}\ndef one(): return 1"
    find(handed_in, "two").source = f"{HEADS['two']}\ndef two(): return 2"
    find(handed_in, "essay").source = "My essay."
    return handed_in


def name_of(cell) -> str | None:
    found = cell["metadata"].get("nbgrader", {})
    return found.get("grade_id") if isinstance(found, dict) else None


def find(notebook, name: str):
    (cell,) = [cell for cell in notebook["cells"] if name_of(cell) == name]
    return cell


def names(notebook) -> list[str | None]:
    return [name_of(cell) for cell in notebook["cells"] if name_of(cell)]


def check(repaired, source: assignment.SourceNotebook) -> None:
    """Valid for nbformat and nbgrader, with every cell that was set once and as it was set."""
    nbformat.validate(repaired, version=4, version_minor=5)
    MetadataValidator().validate_nb(repaired)
    assert sorted(names(repaired)) == sorted(cell.name for cell in source.cells)
    assert len({cell.id for cell in repaired.cells}) == len(repaired.cells)
    for wanted in source.cells:
        cell = find(repaired, wanted.name)
        meta = cell.metadata.nbgrader
        assert cell.cell_type == wanted.cell_type
        assert [meta[flag] for flag in ("grade", "solution", "locked", "task")] == [
            wanted.grade,
            wanted.solution,
            wanted.locked,
            wanted.task,
        ]
        assert meta.get("points", 0) == wanted.points and meta.get("checksum", "") == wanted.checksum
        if wanted.locked:
            assert cell.source == wanted.source and compute_checksum(cell) == wanted.checksum
    assert all(cell.outputs == [] for cell in repaired.cells if cell.cell_type == "code")
    assert repaired.metadata.kernelspec.name == "python3"


def repaired(handed_in, source: assignment.SourceNotebook):
    """Repair, check the result, and check that repairing it again is nothing new."""
    done, notes = repair(handed_in, source)
    check(done, source)
    again, more = repair(done, source)
    assert more == [] and again == done
    return done, notes


def test_a_sound_submission_is_left_alone(notebook, source):
    ids = [cell.id for cell in notebook.cells]
    done, notes = repaired(notebook, source)
    assert notes == []
    assert [cell.id for cell in done.cells] == ids
    assert find(done, "one").source.endswith("return 1") and find(done, "essay").source == "My essay."


def test_the_submission_itself_is_not_changed(notebook, source):
    before = copy.deepcopy(notebook)
    repair(notebook, source)
    assert notebook == before


def test_labels_are_what_nbgrader_itself_leaves(course, notebook):
    coursedir, source, _released = course
    done, _notes = repaired(notebook, source)
    resources = {"nbgrader": {"notebook": "lesson", "assignment": "hw", "db_url": coursedir.db_url}}
    theirs, _resources = OverwriteCells().preprocess(copy.deepcopy(notebook), resources)
    for name in NAMES:
        ours, expected = (dict(find(each, name).metadata.nbgrader) for each in (done, theirs))
        if name == "task":  # nbgrader writes a checksum that its own schema refuses, and no type
            assert expected.pop("checksum") is None and ours.pop("cell_type") == "markdown"
        assert ours == expected
        assert find(done, name).source == find(theirs, name).source


def test_hidden_tests_come_back_and_are_no_edit(notebook, source):
    done, notes = repaired(notebook, source)
    assert "HIDDEN" in find(done, "one-test").source and notes == []


def test_without_the_released_text_hidden_tests_are_no_edit_either(notebook, source):
    cells = tuple(assignment.SourceCell(**{**vars(cell), "released": None}) for cell in source.cells)
    _done, notes = repair(notebook, assignment.SourceNotebook(source.name, cells, source.kernelspec))
    assert notes == []


def test_an_edited_test_is_put_back(notebook, source):
    find(notebook, "one-test").source = "pass"
    _done, notes = repaired(notebook, source)
    assert notes == ["'one-test' had been edited; its text was put back."]


def test_an_earlier_release_is_told_from_an_edit(notebook, source):
    test = find(notebook, "one-test")
    test.source = "assert one() is not None"
    test.metadata.nbgrader.checksum = compute_checksum(test)
    _done, notes = repaired(notebook, source)
    assert notes == ["'one-test' was an earlier release's; its text was brought up to date."]


@pytest.mark.parametrize("name", NAMES)
def test_a_deleted_cell_comes_back_in_its_place(notebook, source, name):
    notebook.cells.remove(find(notebook, name))
    done, notes = repaired(notebook, source)
    assert names(done) == NAMES
    assert len(notes) == 1 and f"'{name}'" in notes[0] and "missing" in notes[0]


def test_a_deleted_answer_counts_as_none(notebook, source):
    notebook.cells.remove(find(notebook, "essay"))
    done, _notes = repaired(notebook, source)
    assert determine_grade(find(done, "essay")) == (0, 2)


def test_everything_comes_back_into_an_empty_notebook(source):
    for handed_in in ({}, {"cells": None}, {"cells": []}, {"cells": {}, "metadata": None, "nbformat": "x"}):
        done, notes = repaired(handed_in, source)
        assert names(done) == NAMES
        assert sum("missing" in note for note in notes) == len(NAMES)


def test_an_answer_in_an_unlabelled_cell_is_adopted_by_its_heading(notebook, source):
    answer = find(notebook, "two")
    del answer.metadata["nbgrader"]
    answer.id = "something-else"
    done, notes = repaired(notebook, source)
    assert find(done, "two").source.endswith("def two(): return 2")
    assert notes == ["Cell 6 had lost its label and was recognised as 'two'."]


def test_a_heading_counts_for_more_than_the_cells_id(notebook, source):
    one, two = find(notebook, "one"), find(notebook, "two")
    one.id, two.id = "two", "one"
    del one.metadata["nbgrader"], two.metadata["nbgrader"]
    done, _notes = repaired(notebook, source)
    assert find(done, "two").source.endswith("return 2") and find(done, "one").source.endswith("return 1")


def test_a_cell_without_label_is_recognised_by_its_id(notebook, source):
    essay = find(notebook, "essay")
    essay.id = "essay"
    del essay.metadata["nbgrader"]
    done, notes = repaired(notebook, source)
    assert find(done, "essay").source == "My essay." and len(notes) == 1


def test_the_last_of_two_copies_counts_as_with_nbgrader(notebook, source):
    copied = copy.deepcopy(find(notebook, "one"))
    copied.source = f"{HEADS['one']}\ndef one(): return 99"
    notebook.cells.insert(notebook.cells.index(find(notebook, "one")) + 1, copied)
    done, notes = repaired(notebook, source)
    assert find(done, "one").source.endswith("return 99")
    assert any(cell.source.endswith("return 1") for cell in done.cells if not name_of(cell))
    assert notes == ["Cell 3 is an earlier copy of 'one' and became an ordinary cell; the last one counts."]


@pytest.mark.parametrize("tail", ["", "\n", "# my notes", f"{HEADS['one']}\n", "the stub"])
def test_of_a_cell_that_was_split_the_part_with_the_answer_counts(course, notebook, source, tail):
    copied = copy.deepcopy(find(notebook, "one"))
    copied.source = find(course[2], "one").source if tail == "the stub" else tail
    notebook.cells.insert(notebook.cells.index(find(notebook, "one")) + 1, copied)
    done, notes = repaired(notebook, source)
    assert find(done, "one").source.endswith("return 1")
    assert any(cell.source == copied.source for cell in done.cells if not name_of(cell))
    assert notes == ["Cell 4 is a copy of 'one' without an answer and became an ordinary cell."]


def test_of_copies_without_an_answer_and_of_locked_cells_the_last_counts(notebook, source):
    find(notebook, "one").source = "# nothing yet"
    for name in ("one", "one-test"):
        copied = copy.deepcopy(find(notebook, name))
        copied.source = ""
        notebook.cells.append(copied)
    done, notes = repaired(notebook, source)
    assert find(done, "one").source == "" and find(done, "one-test").source.startswith("assert one()")
    assert [note for note in notes if "copy" in note] == [
        "Cell 3 is an earlier copy of 'one' and became an ordinary cell; the last one counts.",
        "Cell 5 is an earlier copy of 'one-test' and became an ordinary cell; the last one counts.",
    ]


@pytest.mark.parametrize("own", ["the stub", "", "# see below"])
def test_an_answer_in_a_new_cell_with_its_heading_counts_where_its_own_cell_was_left(course, notebook, source, own):
    find(notebook, "one").source = find(course[2], "one").source if own == "the stub" else own
    for number in (98, 99):
        notebook.cells.insert(4, new_code_cell(f"{HEADS['one']}\ndef one(): return {number}"))
    done, notes = repaired(notebook, source)
    assert find(done, "one").source.endswith("return 98")
    assert any(cell.source.endswith("return 99") for cell in done.cells if not name_of(cell))
    assert notes == ["'one' does not hold the answer; Cell 6 does and was taken for it."]


def test_an_answer_in_its_own_cell_goes_before_a_new_cell_with_its_heading(notebook, source):
    for text in (f"{HEADS['one']}\ndef one(): return 99", HEADS["one"]):
        notebook.cells.append(new_code_cell(text))
    done, notes = repaired(notebook, source)
    assert find(done, "one").source.endswith("return 1") and notes == []


def test_what_the_course_brings_back_is_no_answer():
    text = stub(exercises.get("accuracy").variant("numpy"))
    head = "# exercise: accuracy (numpy)"
    name = "accuracy-numpy"
    answer = assignment.SourceCell(name, "code", f"{head}\nraise NotImplementedError()", "", *FLAGS, points=0.0)
    cells = [
        new_code_cell(f"{head}\n{text}", metadata=label(name, solution=True)),
        new_code_cell(f"{head}\naccuracy = 1"),
    ]
    done, _notes = repair(new_notebook(cells=cells), assignment.SourceNotebook("lesson", (answer,), None))
    assert find(done, name).source == f"{head}\naccuracy = 1"


ANSWER, HEAD = "import numpy as np\ndef accuracy(logits, labels):\n    return 1.0", "# exercise: accuracy (numpy)"


def of_the_bank(exercise: str, *texts: str, head: str = HEAD) -> tuple[str, list[str]]:
    """The answer in a notebook whose first cell has the answer's label, and what was noted; None: no such cell."""
    name = f"{exercise}-numpy"
    answer = assignment.SourceCell(name, "code", f"{head}\nraise NotImplementedError()", "", *FLAGS, points=0.0)
    cells = [new_code_cell(text) for text in texts]
    cells[0].metadata.update(label(name, solution=True))
    cells = [cell for cell in cells if cell.source != "gone"]
    source = assignment.SourceNotebook("lesson", (answer,), None)
    done, notes = repair(new_notebook(cells=cells), source)
    assert repair(done, source) == (done, [])
    return find(done, name).source, notes


@pytest.mark.parametrize("own", [HEAD, "", f"{HEAD}\nraise NotImplementedError()", f"{HEAD}\nimport numpy as np"])
def test_an_answer_in_a_new_cell_without_heading_counts_where_its_own_cell_does_not_name_it(own):
    found, notes = of_the_bank("accuracy", own, ANSWER, f"{HEAD}\nx = 1", "accuracy(x, y)")
    assert found == ANSWER and notes == ["'accuracy-numpy' does not hold the answer; Cell 2 does and was taken for it."]


@pytest.mark.parametrize(
    "text", [ANSWER, f"#exercise: accuracy\n{ANSWER}", f"# mine\n{HEAD}\n{ANSWER}", f"!ls\n{ANSWER}"]
)
def test_an_answer_in_a_new_cell_counts_where_its_own_cell_is_gone(text):
    found, notes = of_the_bank("accuracy", "gone", text, "x = 1")
    assert found == text and notes == ["Cell 1 had lost its label and was recognised as 'accuracy-numpy'."]


@pytest.mark.parametrize(
    "own", ["accuracy = len", "def accuracy(logits, labels)\n    return 1", "from mine import accuracy", ANSWER]
)
def test_an_answer_in_its_own_cell_that_names_it_stays(own):
    assert of_the_bank("accuracy", own, ANSWER.replace("1.0", "2.0")) == (own, [])


def test_a_definition_that_another_exercise_or_framework_may_mean_is_no_answer():
    other = f"# exercise: macro-accuracy (numpy)\n{ANSWER}"
    assert of_the_bank("accuracy", HEAD, other)[0] == HEAD
    head = "# exercise: coral-loss (numpy)"
    entry = exercises.get("coral-loss").variant("numpy").entry
    assert of_the_bank("coral-loss", head, f"def {entry}(): return 1", head=head)[0] == head


@pytest.mark.parametrize(
    "tail", ["def best(x):\n    return x", "print('done')", "accuracy([], [])", "check('accuracy')"]
)
def test_of_a_cell_that_was_split_the_part_that_defines_the_answer_counts(tail):
    answer = assignment.SourceCell("accuracy-numpy", "code", HEAD, "", *FLAGS, points=0.0)
    cells = [new_code_cell(text, metadata=label("accuracy-numpy", solution=True)) for text in (ANSWER, tail)]
    done, notes = repair(new_notebook(cells=cells), assignment.SourceNotebook("lesson", (answer,), None))
    assert find(done, "accuracy-numpy").source == ANSWER
    assert notes == ["Cell 2 is a copy of 'accuracy-numpy' without an answer and became an ordinary cell."]


def test_an_unknown_label_is_taken_off(notebook, source):
    find(notebook, "essay").metadata.nbgrader.grade_id = "essay2"
    done, notes = repaired(notebook, source)
    assert any(cell.source == "My essay." and "nbgrader" not in cell.metadata for cell in done.cells)
    assert "'essay' was missing" in notes[0] and "'essay2', which was not set" in notes[1]


def test_a_retyped_answer_is_what_it_was(notebook, source):
    nbformat_cell = find(notebook, "one")
    nbformat_cell.cell_type = "markdown"
    del nbformat_cell["outputs"], nbformat_cell["execution_count"]
    essay = find(notebook, "essay")
    essay.cell_type = "raw"
    essay.attachments = {"x.png": {"image/png": "AAAA"}}
    done, notes = repaired(notebook, source)
    assert find(done, "one").source.endswith("return 1") and find(done, "essay").attachments
    assert notes == [
        "'one' had become a markdown cell; that was undone.",
        "'essay' had become a raw cell; that was undone.",
    ]


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("one-test", {"points": 100}, "100 points; it has 1"),
        ("one-test", {"points": "1"}, "malformed label (points)"),
        ("one-test", {"points": float("nan")}, "malformed label (points)"),
        ("one-test", {"points": 10**400}, "malformed label (points)"),
        ("one-test", {"grade": False, "locked": False}, "another role (grade)"),
        ("one-test", {"solution": True}, "another role (solution)"),
        ("given", {"locked": False}, "had been unlocked"),
        ("task", {"locked": True}, "had been locked"),
        ("task", {"points": 5}, "5 points; it has 4"),
        ("one", {"solution": "yes"}, "malformed label (solution)"),
        ("one", {"schema_version": 1}, "schema version 1"),
        ("one", {"schema_version": 4}, "schema version 4"),
        ("one", {"schema_version": None}, "schema version none"),
        ("one", {"schema_version": True}, "schema version True"),
        ("one", {"extra": 1, "cell_type": "markdown", "checksum": 7}, None),
    ],
)
def test_a_changed_label_is_put_back(notebook, source, name, change, said):
    find(notebook, name).metadata.nbgrader.update(change)
    _done, notes = repaired(notebook, source)
    assert len(notes) == (said is not None)
    assert said is None or (said in notes[0] and f"'{name}'" in notes[0])


@pytest.mark.parametrize("value", [[1], "x", 3, True])
def test_a_label_of_the_wrong_type_is_taken_off(notebook, source, value):
    dict.__setitem__(find(notebook, "one").metadata, "nbgrader", value)
    done, notes = repaired(notebook, source)
    assert notes[0] == "Cell 3 had a malformed label and became an ordinary cell."
    assert find(done, "one").source.endswith("return 1"), "recognised by its heading"


def test_a_test_before_its_answer_is_moved_behind_it(notebook, source):
    test = find(notebook, "one-test")
    notebook.cells.remove(test)
    notebook.cells.insert(0, test)
    done, notes = repaired(notebook, source)
    assert names(done) == NAMES
    assert notes == ["The test 'one-test' stood before its answer and was moved behind it."]


def test_exercises_in_another_order_stay_so(notebook, source):
    two, test = find(notebook, "two"), find(notebook, "two-test")
    for cell in (test, two):
        notebook.cells.remove(cell)
        notebook.cells.insert(1, cell)
    done, notes = repaired(notebook, source)
    assert names(done)[:4] == ["two", "two-test", "given", "one"] and notes == []


def test_odd_cells_become_valid_or_go(notebook, source):
    odd = [
        "text",
        None,
        {"cell_type": "heading", "source": "Title", "level": 2},
        {"cell_type": "code", "source": ["a = 1\n", "b = 2"], "metadata": None, "outputs": "x", "id": "bad id"},
        {"cell_type": "markdown", "source": 7, "metadata": [], "attachments": {"x": 1}},
        {"cell_type": ["code"], "source": ["x", 3]},
        {"source": "\ud800", "outputs": []},
    ]
    done, notes = repaired({**notebook, "cells": [*odd, *notebook.cells]}, source)
    assert [(cell.cell_type, cell.source) for cell in done.cells[:5]] == [
        ("raw", "Title"),
        ("code", "a = 1\nb = 2"),
        ("markdown", ""),
        ("raw", "x"),
        ("code", "?"),
    ]
    assert [note.split()[1] for note in notes] == ["1", "2", "3", "5", "5", "6", "6", "7", "7"]


def test_cell_ids_are_unique_and_cells_that_were_set_choose_first(notebook, source):
    wanted = find(notebook, "one-test").id
    notebook.cells.insert(0, {"cell_type": "code", "source": "x", "metadata": {}, "id": wanted})
    done, notes = repaired(notebook, source)
    assert find(done, "one-test").id == wanted and notes == []


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"kernelspec": {"name": "ir", "language": "R"}}, "kernel ir"),
        ({"kernelspec": {"name": "ir"}, "language_info": {"name": "R"}}, "kernel ir"),
        ({"language_info": {"name": "julia"}}, "kernel julia"),
        ({"kernelspec": {"name": "conda-env-a", "language": "python"}}, None),
        ({"kernelspec": 3, "language_info": [], "title": 1, "authors": 2, "orig_nbformat": "a"}, None),
        (None, None),
    ],
)
def test_the_kernel_is_the_assignments(notebook, source, metadata, said):
    _done, notes = repaired({**notebook, "metadata": metadata}, source)
    assert len(notes) == (said is not None)
    assert said is None or said in notes[0]


def test_a_million_cells_are_cut_but_no_answer_is_lost(notebook, source):
    filler = [{"cell_type": "code", "source": "", "metadata": {}} for _ in range(1_000_000)]
    done, notes = repaired({**notebook, "cells": [*filler, *notebook.cells]}, source)
    assert len(done.cells) == MAX_CELLS + len(NAMES)
    assert find(done, "two").source.endswith("return 2") and len(notes) == 1


def test_a_cut_notebook_to_which_a_cell_was_added_is_not_cut_again(notebook, source):
    notebook.cells.remove(find(notebook, "one"))
    filler = [{"cell_type": "raw", "source": "", "metadata": {}} for _ in range(MAX_CELLS)]
    done, _notes = repaired({**notebook, "cells": [*notebook.cells, *filler]}, source)
    assert len(done.cells) > MAX_CELLS


VALUES = [None, True, 0, -1, 10**30, 1.5, float("nan"), float("inf"), "", "x", "\ud83d", "one", "a,b", [], ["x"], [[1]]]
VALUES += [{}, {"x": "y"}, {"grade_id": "one"}, {"nbgrader": {"grade_id": "two", "solution": True}}, "code", "markdown"]
KEYS = ["cell_type", "source", "metadata", "id", "outputs", "attachments", "execution_count", "input"]
META = ["nbgrader", "tags", "name", "collapsed", "scrolled", "jupyter", "execution", "format", "deletable", "x"]
LABEL = ["grade_id", "grade", "solution", "locked", "task", "points", "schema_version", "checksum", "cell_type", "x"]


def corrupt(notebook: dict, chance: random.Random) -> None:
    """Change one thing about a notebook that may be broken already."""
    cells = notebook.get("cells")
    if not isinstance(cells, list) or not cells or chance.random() < 0.03:
        notebook[chance.choice(["cells", "metadata", "nbformat", "worksheets"])] = copy.deepcopy(chance.choice(VALUES))
        return
    place, value = chance.randrange(len(cells)), copy.deepcopy(chance.choice(VALUES))
    cell, kind = cells[place], chance.randrange(8)
    if kind == 0:
        del cells[place]
    elif kind == 1:
        cells.insert(chance.randrange(len(cells) + 1), copy.deepcopy(cell))
    elif kind == 2:
        chance.shuffle(cells)
    elif kind == 3:
        cells[place] = value
    elif isinstance(cell, dict):
        meta = cell.get("metadata")
        mark = meta.get("nbgrader") if isinstance(meta, dict) else None
        target, keys = (cell, KEYS) if kind == 4 else (meta, META) if kind == 5 else (mark, LABEL)
        if isinstance(target, dict):
            key = chance.choice(keys)
            if chance.random() < 0.4:
                target.pop(key, None)
            else:
                target[key] = value


def test_any_corruption_is_repaired(notebook, source):
    for seed in range(400):
        chance = random.Random(seed)
        broken = json.loads(json.dumps(notebook))
        for _ in range(chance.randrange(1, 12)):
            corrupt(broken, chance)
        try:
            done, _notes = repaired(broken, source)
            nbformat.writes(done).encode("utf-8")
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error


def test_deeply_nested_metadata_is_cut(notebook, source):
    deep: dict = {}
    for _ in range(5000):
        deep = {"x": deep}
    cells = [{"cell_type": "code", "source": "", "metadata": deep}, *notebook.cells]
    done, _notes = repaired({**notebook, "cells": cells, "metadata": deep}, source)
    nbformat.writes(done)
