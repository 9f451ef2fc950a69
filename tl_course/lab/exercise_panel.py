"""The panel under an exercise, as HTML, and what its buttons do; `handlers` serves both to JupyterLab."""

import html
from collections.abc import Callable, Mapping
from typing import Any

from tl_course import assistance, exercises, records
from tl_course.errors import BadInput
from tl_course.exercises.engine.exercise import Exercise
from tl_course.i18n import _
from tl_course.progress_file import ProgressError
from tl_course.shown import told

Cells = Mapping[str, str]
"""A framework -> the source of the answer's cell in it."""


def panel(exercise_id: str) -> str:
    """The buttons, and where the learner stands with the exercise; where the progress cannot be read, why not.

    Raises:
        BadInput: no such exercise.
    """
    exercise = exercises.get(exercise_id)
    try:
        taken, facts = records.hints_taken(exercise_id), _facts(exercise)
    except ProgressError as error:  # a check and a hint need none
        taken, facts = 0, html.escape(str(error))
    hints = _("Hint {number} of {count}").format(number=min(taken + 1, len(exercise.hints)), count=len(exercise.hints))
    buttons = [
        ("check", _("Check"), _("Run the answer's cells and check them")),
        ("hint", hints, _("The next hint")),
        ("compare", _("Compare"), _("Your answer beside the solution, once you have tried")),
        ("reset", _("Reset"), _("Back to the starting code; what is there now is put aside")),
        ("restore", _("Restore"), _("Bring back what was put aside")),
    ]
    shown = "".join(
        f"<button type='button' class='tl-button tl-{name}' data-do='{name}' title='{html.escape(title, quote=True)}'>"
        f"{html.escape(label)}</button>"
        for name, label, title in buttons
    )
    name = html.escape(_("Exercise: {title}").format(title=exercise.title), quote=True)
    return f"<div role='toolbar' aria-label='{name}'>{shown}<span class='tl-facts'>{facts}</span></div>"


def act(exercise_id: str, name: str, cells: Cells) -> dict[str, Any]:
    """Do what a button says.

    Args:
        exercise_id: whose panel it is.
        name: hint, compare, reset, restore, or work, which only writes down the time.
        cells: the answers as they are now.

    Returns:
        html: what is to be said; cells: the answers as they are to be, where they change.

    Raises:
        BadInput: no such exercise, button or framework.
        ProgressError: the progress cannot be read or written; then nothing is to change.
    """
    exercise = exercises.get(exercise_id)
    for framework in cells:
        exercise.variant(framework)
    if name not in _ACTIONS:
        raise BadInput(", ".join(_ACTIONS), repr(name), _("reload the page"))
    return _ACTIONS[name](exercise, cells)


def _hint(exercise: Exercise, cells: Cells) -> dict[str, Any]:
    return {"html": assistance.hint(exercise.id).content}


def _compare(exercise: Exercise, cells: Cells) -> dict[str, Any]:
    return {"html": assistance.comparison(exercise, cells).content}


def _reset(exercise: Exercise, cells: Cells) -> dict[str, Any]:
    """Everything is put aside before anything changes."""
    for framework, source in cells.items():
        assistance.keep(exercise.id, framework, source)
    starting = {name: assistance.starting_code(exercise.id, name)[1] for name in cells or exercise.variants}
    text = _("The starting code is back. What was there is put aside: Restore brings it back.")
    return {"html": told(text).content, "cells": starting}


def _restore(exercise: Exercise, cells: Cells) -> dict[str, Any]:
    before = {
        name: assistance.kept_before(exercise.id, name, cells.get(name, "")) for name in cells or exercise.variants
    }
    found = {name: source for name, source in before.items() if source is not None}
    if not found:
        known = any(records.kept(exercise.id, name) for name in before)
        none = _("Nothing was put aside for this exercise; a reset does that.")
        return {"html": told(_("What was put aside is here already.") if known else none).content}
    for name in found:
        assistance.keep(exercise.id, name, cells.get(name, ""), again=False)
    text = _("What was there before is back.")
    if any(assistance.kept_before(exercise.id, name, source) for name, source in found.items()):
        text = _("What was there before is back. Restore again goes further back, and from the oldest to the newest.")
    return {"html": told(text).content, "cells": found}


def _work(exercise: Exercise, cells: Cells) -> dict[str, Any]:
    return {}


_ACTIONS: dict[str, Callable[[Exercise, Cells], dict[str, Any]]] = {
    "hint": _hint,
    "compare": _compare,
    "reset": _reset,
    "restore": _restore,
    "work": _work,
}


def _facts(exercise: Exercise) -> str:
    """Attempts, best result, time and difficulty, in one line."""
    attempts = records.attempts(exercise.id)
    best = max((row["score"] for row in attempts), default=0.0)
    tried = _("no attempt yet")
    if attempts:
        tried = _("attempts: {count}, best {best}").format(count=len(attempts), best=f"{best:.0%}")
    minutes = round(records.seconds_worked(exercise.id) / 60)
    time = _("{minutes} of about {planned} min").format(minutes=minutes, planned=exercise.minutes)
    difficulty = _("difficulty {level} of 5").format(level=exercise.difficulty)
    return html.escape(" · ".join([tried, time, difficulty]))
