"""What a learner wrote survives a new version of the lesson, whatever either side did."""

import copy
import random
from collections import Counter

import nbformat
import pytest

from tl_course import lessons
from tl_course.merge_notebooks import Unreadable, merge, read, write

NBGRADER = {"schema_version": 3, "task": False, "cell_type": "code", "checksum": "0", "grade": False, "locked": False}


def markdown(name, source):
    return nbformat.v4.new_markdown_cell(source, id=name)


def code(name, source, **metadata):
    return nbformat.v4.new_code_cell(source, id=name, metadata=metadata)


def answer(exercise, source="raise NotImplementedError"):
    nbgrader = {**NBGRADER, "grade_id": f"{exercise}-numpy", "solution": True}
    return code(f"{exercise}-numpy", source, nbgrader=nbgrader, deletable=False)


def locked(exercise):
    nbgrader = {
        **NBGRADER,
        "grade_id": f"{exercise}-check",
        "solution": False,
        "grade": True,
        "locked": True,
        "points": 2,
    }
    return code(f"{exercise}-check", f'check("{exercise}")', nbgrader=nbgrader, deletable=False, editable=False)


def notebook(*cells):
    return nbformat.v4.new_notebook(
        cells=[copy.deepcopy(cell) for cell in cells], metadata={"tl_course": {"seconds": 3}}
    )


def sources(merged):
    return [cell.source for cell in merged.cells]


def ran(cell, text):
    cell.outputs, cell.execution_count = [nbformat.v4.new_output("stream", text=text)], 7


TITLE, TEXT, RUN, ANSWER, CHECK = (
    markdown("title", "# T"),
    markdown("l-1", "text"),
    code("l-2", "x = 1"),
    answer("e"),
    locked("e"),
)
BASE = notebook(TITLE, TEXT, RUN, ANSWER, CHECK)


@pytest.fixture
def mine():
    return copy.deepcopy(BASE)


@pytest.fixture
def theirs():
    return copy.deepcopy(BASE)


def test_nothing_changed_on_one_side_gives_the_other(mine, theirs):
    theirs.cells.insert(1, markdown("new", "new"))
    theirs.cells[2].source = "another text"
    assert merge(BASE, mine, theirs).notebook == theirs
    mine.cells[3].source = "return 1"
    mine.cells.append(code("own", "y"))
    assert merge(BASE, mine, BASE).notebook == mine


def test_an_answer_keeps_text_and_outputs_when_the_starting_code_changes(mine, theirs):
    mine.cells[3].source = "mine"
    ran(mine.cells[3], "ok")
    theirs.cells[3].source = "new start"
    theirs.cells[3].metadata["nbgrader"]["checksum"] = "1"
    merged = merge(BASE, mine, theirs)
    cell = merged.notebook.cells[3]
    assert (cell.source, cell.outputs[0].text, cell.metadata.nbgrader.checksum) == ("mine", "ok", "1")
    assert (merged.answers, merged.new_starts, merged.cells) == (1, ["e"], 0)


def test_an_untouched_answer_gets_the_new_starting_code(mine, theirs):
    ran(mine.cells[3], "NotImplementedError")
    theirs.cells[3].source = "new start"
    merged = merge(BASE, mine, theirs)
    assert merged.notebook.cells[3].source == "new start" and merged.notebook.cells[3].outputs == []
    assert (merged.answers, merged.new_starts) == (0, [])


def test_outputs_stay_where_the_cell_is_the_same(mine, theirs):
    ran(mine.cells[2], "1")
    ran(mine.cells[4], "verdict")
    theirs.cells.insert(0, markdown("first", "first"))
    cells = merge(BASE, mine, theirs).notebook.cells
    assert (cells[3].outputs[0].text, cells[5].outputs[0].text) == ("1", "verdict")


def test_both_versions_stand_where_both_changed_a_cell(mine, theirs):
    mine.cells[2].source, theirs.cells[2].source = "x = 2", "x = 3"
    merged = merge(BASE, mine, theirs)
    assert sources(merged.notebook)[2:4] == ["x = 3", "x = 2"]
    assert (merged.notebook.cells[2].id, merged.doubled) == ("l-2", 1)
    nbformat.validate(merged.notebook)


def test_a_locked_cell_is_the_courses_again_and_what_was_typed_into_it_follows(mine, theirs):
    mine.cells[4].source = "pass"
    check, own = merge(BASE, mine, theirs).notebook.cells[4:]
    assert (check.source, check.metadata) == ('check("e")', CHECK.metadata)
    assert (own.source, own.metadata) == ("pass", {})


def test_added_cells_stay_behind_the_cell_they_stood_behind(mine, theirs):
    mine.cells.insert(0, code("top", "top"))
    mine.cells.insert(4, code("note-1", "one"))
    mine.cells.insert(5, code("note-2", "two"))
    theirs.cells.insert(3, markdown("new", "new"))
    assert sources(merge(BASE, mine, theirs).notebook) == [
        *("top", "# T", "text", "x = 1", "one", "two", "new", "raise NotImplementedError", 'check("e")'),
    ]


def test_cells_that_the_course_removed_go_unless_the_learner_changed_them(mine, theirs):
    del theirs.cells[1:3]
    mine.cells[2].source = "x = 5"
    merged = merge(BASE, mine, theirs)
    assert sources(merged.notebook) == ["# T", "x = 5", "raise NotImplementedError", 'check("e")']


def test_an_answer_to_an_exercise_that_is_gone_is_an_ordinary_cell(mine, theirs):
    del theirs.cells[3:]
    mine.cells[3].source = "mine"
    last = merge(BASE, mine, theirs).notebook.cells[-1]
    assert (last.source, last.metadata) == ("mine", {})


def test_deleted_cells_come_back_only_if_graded_or_new(mine, theirs):
    del mine.cells[1:]
    theirs.cells[2].source = "x = 4"
    assert sources(merge(BASE, mine, theirs).notebook) == [
        *("# T", "x = 4", "raise NotImplementedError", 'check("e")'),
    ]


def test_ids_that_moved_to_other_cells_mislead_nobody(mine, theirs):
    """Ids of a lesson's cells count them: one cell more at the top, and each id names the cell before."""
    del mine.cells[1]
    mine.cells[1].source = "x = 9"
    theirs.cells[1:3] = [code("l-1", "setup"), markdown("l-2", "text"), code("l-3", "x = 1")]
    assert sources(merge(BASE, mine, theirs).notebook)[:3] == ["# T", "setup", "x = 9"]


def test_copies_with_the_same_id_are_all_kept(mine, theirs):
    twin = copy.deepcopy(mine.cells[3])
    twin.source = "second try"
    mine.cells[3].source = "first try"
    mine.cells.insert(4, twin)
    merged = merge(BASE, mine, theirs).notebook
    assert sources(merged)[3:5] == ["first try", "second try"]
    assert len({cell.id for cell in merged.cells}) == len(merged.cells)


def test_a_notebook_without_ids_is_matched_by_nbgrader_and_by_text(mine, theirs):
    mine.cells[3].source, mine.cells[2].source = "mine", "x = 2"
    mine.nbformat_minor = 4
    for cell in mine.cells:
        del cell["id"]
    mine = read(nbformat.v4.writes(mine).encode())
    merged = merge(BASE, mine, theirs).notebook
    assert sources(merged) == ["# T", "text", "x = 2", "mine", 'check("e")']
    assert (merged.cells[3].id, merged.nbformat_minor) == ("e-numpy", 5)


def test_the_learners_metadata_stay_and_the_courses_are_new(mine, theirs):
    mine.metadata["kernelspec"] = {"name": "other", "display_name": "Other"}
    mine.metadata["tl_course"] = {"seconds": 0}
    mine.cells[2].metadata["collapsed"] = True
    theirs.metadata["tl_course"] = {"seconds": 5}
    theirs.cells[2].metadata["tags"] = ["new"]
    merged = merge(BASE, mine, theirs).notebook
    assert (merged.metadata.kernelspec.name, merged.metadata.tl_course.seconds) == ("other", 5)
    assert merged.cells[2].metadata == {"collapsed": True, "tags": ["new"]}


def test_odd_ids_and_metadata_do_no_harm(mine, theirs):
    mine.cells[1].id, mine.cells[2].id = 3, ["x"]
    mine.cells[3].metadata["nbgrader"], mine.cells[4].metadata["nbgrader"] = 3, {"grade_id": []}
    assert sources(merge(BASE, mine, theirs).notebook) == sources(theirs)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"nbformat": 4}', '{"nbformat": 4, "cells": [1]}', "null", "\xe9"]
)
def test_what_is_no_notebook_is_refused(text):
    with pytest.raises(Unreadable):
        read(text.encode("latin-1"))


@pytest.fixture(scope="module")
def lesson():
    return read(lessons.notebook_path("01_concepts", lessons.RELEASED).read_bytes())


def shuffled(base, rng, name):
    """Another version of a notebook: cells edited, added, copied, moved, deleted."""
    changed = copy.deepcopy(base)
    for number in range(rng.randrange(1, 12)):
        place = rng.randrange(len(changed.cells))
        text = f"{name} {number}"
        match rng.choice(("edit", "edit", "add", "copy", "move", "delete", "type")):
            case "edit":
                changed.cells[place].source = text
            case "add":
                changed.cells.insert(place, nbformat.v4.new_code_cell(text))
            case "copy":
                changed.cells.insert(place, copy.deepcopy(changed.cells[place]))
            case "move":
                changed.cells.append(changed.cells.pop(place))
            case "delete":
                changed.cells.pop(place)
            case "type":
                changed.cells[place] = nbformat.v4.new_raw_cell(text, id=changed.cells[place].id)
    return changed


def renumbered(changed):
    """Ids that count the cells, as a build of the lesson gives them."""
    for number, cell in enumerate(changed.cells):
        if "nbgrader" not in cell.metadata:
            cell.id = f"lesson-{number:03d}"
    cells = {cell.metadata.get("nbgrader", {}).get("grade_id", cell.id): cell for cell in changed.cells}
    changed.cells = list(cells.values())
    return changed


@pytest.mark.parametrize("seed", range(60))
def test_no_text_that_a_learner_typed_is_lost(lesson, seed):
    rng = random.Random(seed)
    base = renumbered(copy.deepcopy(lesson))
    mine = shuffled(base, rng, "mine")
    theirs = renumbered(shuffled(base, rng, "theirs"))
    given = copy.deepcopy((base, mine, theirs))
    result = merge(base, mine, theirs)
    merged = result.notebook
    assert (base, mine, theirs) == given
    assert len({cell.id for cell in merged.cells}) == len(merged.cells)
    nbformat.validate(merged)
    there = Counter(sources(merged))
    for cell in mine.cells:
        assert not cell.source.startswith("mine") or there[cell.source], cell.source
    graded = [cell for cell in theirs.cells if "nbgrader" in cell.metadata]
    assert {cell.id for cell in graded} <= {cell.id for cell in merged.cells}
    for cell in theirs.cells:
        assert not cell.source.startswith("theirs") or there[cell.source] or "nbgrader" in cell.metadata
    again = merge(theirs, merged, theirs).notebook
    assert again.cells == merged.cells
    assert read(write(merged)) == merged
