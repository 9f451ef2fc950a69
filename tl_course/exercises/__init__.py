"""The exercise bank: one file an exercise, in a folder a topic. Importing it imports no framework."""

import difflib
import importlib
from functools import cache
from pathlib import Path
from typing import Any

from tl_course.errors import BadInput
from tl_course.exercises.engine.exercise import Exercise

_BANK = Path(__file__).parent


def _modules() -> dict[str, str]:
    """Exercise id to module name, for every exercise of the bank. Files whose name begins with _ are shared helpers."""
    files = sorted(
        file for file in _BANK.glob("*/*.py") if file.parent.name != "engine" and not file.stem.startswith("_")
    )
    return {file.stem.replace("_", "-"): f"{__name__}.{file.parent.name}.{file.stem}" for file in files}


def ids() -> list[str]:
    """The ids of all exercises; imports none of them."""
    return list(_modules())


def file_of(exercise_id: str) -> Path:
    """The file that holds an exercise."""
    return _BANK.joinpath(*_modules()[exercise_id].split(".")[-2:]).with_suffix(".py")


@cache
def get(exercise_id: str) -> Exercise:
    """The exercise with this id.

    Raises:
        BadInput: there is none; the message names those with similar ids.
    """
    modules = _modules()
    if exercise_id not in modules:
        close = difflib.get_close_matches(exercise_id, modules, n=3) or list(modules)[:3]
        raise BadInput(
            "an exercise id", repr(exercise_id), f"did you mean {', '.join(close)}? `tl-course exercises` lists all"
        )
    return importlib.import_module(modules[exercise_id]).EXERCISE


def all_exercises() -> list[Exercise]:
    """Every exercise, by lesson, from easy to hard."""
    found = [get(exercise_id) for exercise_id in _modules()]
    return sorted(found, key=lambda exercise: (exercise.lesson, exercise.difficulty, exercise.id))


def listing() -> list[dict[str, Any]]:
    """Every exercise as plain data: the rows of ``tl-course exercises``."""
    return [
        {
            "id": exercise.id,
            "title": exercise.title,
            "lesson": exercise.lesson,
            "frameworks": list(exercise.variants),
            "points": exercise.points,
            "difficulty": exercise.difficulty,
            "minutes": exercise.minutes,
            "alternatives": sum(len(variant.alternatives) for variant in exercise.variants.values()),
            "mistakes": sum(len(variant.mistakes) for variant in exercise.variants.values()),
            "hints": len(exercise.hints),
            "kind": exercise.kind,
        }
        for exercise in all_exercises()
    ]
