"""What the buttons under an exercise do with the answers' cells."""

import pytest

from tl_course import assistance, records
from tl_course.errors import BadInput
from tl_course.lab import exercise_panel
from tl_course.progress_file import ProgressError

NAME = "masked-mean"
STUBS = {name: assistance.starting_code(NAME, name)[1] for name in ("pytorch", "keras")}
MINE = {name: code.replace("raise NotImplementedError()", f"return '{name}'") for name, code in STUBS.items()}


@pytest.fixture(autouse=True)
def own(home):
    return home


def act(name, cells):
    return exercise_panel.act(NAME, name, cells)


def test_the_panel_names_its_exercise_and_its_buttons():
    shown = exercise_panel.panel(NAME)
    assert "role='toolbar' aria-label='Exercise: " in shown and "no attempt yet" in shown
    assert [part.split("'")[0] for part in shown.split("data-do='")[1:]] == [
        "check",
        "hint",
        "compare",
        "reset",
        "restore",
    ]
    records.record_hint(NAME, 1)
    assert ">Hint 2 of 3<" in exercise_panel.panel(NAME)


def test_reset_gives_the_starting_code_and_restore_what_was_there():
    reset = act("reset", MINE)
    assert reset["cells"] == STUBS and "put aside" in reset["html"]
    restored = act("restore", STUBS)
    assert restored["cells"] == MINE


def test_restore_again_brings_back_what_it_replaced():
    act("reset", MINE)
    later = {**STUBS, "pytorch": STUBS["pytorch"] + "\n# later\nx = 1"}
    assert act("restore", later)["cells"] == MINE
    assert act("restore", MINE)["cells"]["pytorch"] == later["pytorch"]


def test_two_resets_lose_nothing():
    act("reset", MINE)
    act("reset", STUBS)
    assert act("restore", STUBS)["cells"] == MINE


def test_restore_goes_back_through_all_that_was_put_aside():
    written = [{**STUBS, "pytorch": f"{STUBS['pytorch']}\n# {text}\nx = 1"} for text in ("first", "second", "third")]
    for cells in written:
        act("reset", cells)
    seen, cells = [], STUBS
    for _turn in range(4):
        cells = act("restore", cells)["cells"] | {"keras": STUBS["keras"]}
        seen.append(cells)
    assert seen == [*reversed(written), written[-1]]
    changed = {**STUBS, "pytorch": "# exercise: masked-mean (pytorch)\ny = 2"}
    act("restore", changed)
    assert changed["pytorch"] in records.kept(NAME, "pytorch")


def test_where_the_cells_are_gone_they_come_back():
    assert act("reset", {})["cells"] == STUBS
    act("reset", MINE)
    assert act("restore", {})["cells"] == MINE


def test_nothing_to_restore_is_said():
    answer = act("restore", STUBS)
    assert "cells" not in answer and "Nothing was put aside" in answer["html"]


def test_a_reset_that_cannot_be_kept_changes_nothing(home):
    home.mkdir(parents=True, exist_ok=True)
    (home / "progress.db").write_bytes(b"no database" * 1000)
    with pytest.raises(ProgressError):
        act("reset", MINE)


def test_restore_promises_what_it_can_do():
    act("reset", MINE)
    first = act("restore", STUBS)
    assert "is back" in first["html"] and "Restore again" not in first["html"]
    assert "is here already" in act("restore", MINE)["html"]
    act("reset", {**MINE, "keras": MINE["keras"] + "\n# later"})
    assert "Restore again" in act("restore", STUBS)["html"]


def test_without_a_file_for_the_progress_there_are_buttons_and_hints(home):
    home.mkdir(parents=True, exist_ok=True)
    (home / "progress.db").write_bytes(b"no database" * 1000)
    shown = exercise_panel.panel(NAME)
    assert "data-do='check'" in shown and "progress.db is damaged" in shown
    assert "Hint 1 of 3" in act("hint", MINE)["html"]


def test_hints_are_counted():
    assert "Hint 1 of 3" in act("hint", {})["html"]
    assert "Hint 2 of 3" in act("hint", {})["html"]
    assert records.hints_taken(NAME) == 2


def test_what_there_is_not_is_named():
    for name, cells, told in (("dance", {}, "'dance'"), ("hint", {"jax": ""}, "jax")):
        with pytest.raises(BadInput, match=told):
            act(name, cells)
    with pytest.raises(BadInput, match="no-such"):
        exercise_panel.panel("no-such")
