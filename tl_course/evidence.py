"""Results of experiments that take longer than a lesson may: made by a script, committed, and drawn by the lessons.

Each is ``benchmarks/evidence/NAME.json``, written by ``benchmarks/evidence/NAME.py`` with its settings, seeds, versions
and date. A lesson that draws one names the command that remakes it and runs one slice of it live.
"""

import json
from pathlib import Path
from typing import Any

from tl_course.errors import BadInput

FOLDER = Path(__file__).parent.parent / "benchmarks" / "evidence"


def names() -> list[str]:
    """Every experiment with committed results."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def load(name: str) -> dict[str, Any]:
    """The results of an experiment: name, settings, seeds, results, versions, date.

    Raises:
        BadInput: there is no such experiment, or its file is not readable as JSON.
    """
    path = FOLDER / f"{name}.json"
    if not path.exists():
        known = ", ".join(names()) or "none"
        raise BadInput(
            "an experiment with committed results", repr(name), f"name one of: {known}; or run {command(name)}"
        )
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadInput("results in JSON", f"{path.name}: {error}", f"make them again with {command(name)}") from error


def command(name: str) -> str:
    """What remakes an experiment's results."""
    return f"python benchmarks/evidence/{name}.py"
