"""The cells that were run in this notebook, and the answers among them."""

import sys
from typing import Any

from tl_course.errors import CourseError
from tl_course.exercises.engine.dependencies import find_answer
from tl_course.exercises.engine.exercise import Exercise
from tl_course.exercises.engine.stub import marker
from tl_course.i18n import _

_cells: list[str] = []  # source of the cells run so far, the current one last
_watched: dict[str, Any] = {}  # the shell whose cells they are


def answer_source(exercise: Exercise, framework: str) -> str | None:
    """The answer run last, with what it needs from other cells; None where there is none.

    Raises:
        CourseError: this is no notebook.
    """
    entry = exercise.variant(framework).entry
    several = len(exercise.variants) > 1
    shell()
    return find_answer(_cells[:-1], marker(exercise.id, framework), "" if several else entry)


def answer_cell(exercise: Exercise, framework: str) -> str | None:
    """The cell of the answer run last, as it was run; None where there is none, or where it has lost its first line."""
    shell()
    head = marker(exercise.id, framework)
    found = [cell for cell in _cells[:-1] if head in (line.strip() for line in cell.splitlines())]
    return found[-1] if found else None


def shell() -> Any:
    """IPython's shell.

    Raises:
        CourseError: there is none.
    """
    found = watch()
    if found is None:
        raise CourseError(
            _("this works in a notebook; for a file use `tl-course check FILE --exercise ID --framework F`")
        )
    return found


def watch() -> Any:
    """Keep the source of every cell that is run from now on, and of those run before; gives IPython's shell, or None.

    IPython's own history would do, but runs that keep none, such as nbval's, leave it empty.
    """
    found = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if found is not None and found is not _watched.get("shell"):
        _watched["shell"] = found
        _cells[:] = found.user_ns.get("In", [])
        found.events.register("pre_run_cell", lambda info: _cells.append(found.transform_cell(info.raw_cell)))
    return found


watch()
