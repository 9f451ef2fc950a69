"""The cells that lessons are composed of: header, bootstrap, exercises, quiz, and what the lesson's source has."""

import copy
import re
from typing import TYPE_CHECKING, Any

from tl_course import bootstrap_cell as bootstrap_source
from tl_course import exercises, quizzes
from tl_course.exercises.engine.stub import marker, solution
from tl_course.i18n import _

if TYPE_CHECKING:
    from nbformat import NotebookNode

CLAIM = re.compile(r"^claim\(", re.MULTILINE)
IGNORE_OUTPUT = "nbval-ignore-output"
NBGRADER = {"schema_version": 3, "task": False}


def header(metadata: dict[str, Any], name: str, seconds: int | None) -> "NotebookNode":
    import nbformat

    ran = _("not measured yet") if seconds is None else _("{seconds} s on two cores").format(seconds=seconds)
    rows = [
        (_("Time"), _("about {minutes} minutes with the exercises").format(minutes=metadata["minutes"])),
        (_("Running every cell"), ran),
        (_("Know first"), metadata["know_first"]),
        (_("You will be able to"), metadata["aims"]),
    ]
    table = "\n".join(f"| **{title}** | {text} |" for title, text in rows)
    source = f"# {metadata['title']}\n\n| | |\n|:--|:--|\n{table}"
    return nbformat.v4.new_markdown_cell(source, id=f"{name}-header")


def bootstrap(name: str) -> "NotebookNode":
    """The cell that gets the course where a notebook was opened alone; shown folded."""
    import nbformat

    folded = {"jupyter": {"source_hidden": True}, "cellView": "form"}  # in JupyterLab, in Colab
    return nbformat.v4.new_code_cell(bootstrap_source.source(), id=f"{name}-bootstrap", metadata=folded)


def quiz_cells(name: str) -> list["NotebookNode"]:
    """The lesson's quiz, at its end; nothing where it has none."""
    import nbformat

    count = sum(question.lesson.partition("#")[0] == name for question in quizzes.all_questions())
    if not count:
        return []
    text = _(
        "## Quiz\n\n{count} questions on this lesson. Each option is explained once you have answered, and what you "
        "answered wrong comes back later: the start page and `tl-course practice quiz` say when."
    )
    code = f'from tl_course import quiz\n\nquiz("{name}")'
    return [
        nbformat.v4.new_markdown_cell(text.format(count=count), id=f"{name}-quiz-title"),
        nbformat.v4.new_code_cell(code, id=f"{name}-quiz", metadata={"tags": [IGNORE_OUTPUT]}),
    ]


def plain_cell(cell: "NotebookNode", name: str, number: int) -> "NotebookNode":
    new = copy.deepcopy(cell)
    new.id = f"{name}-{number:03d}"
    tags = list(new.metadata.get("tags", []))
    if new.cell_type == "code":
        new.execution_count, new.outputs = None, []
        # A claim asserts what it measured; the figures it shows differ a little between machines.
        tags += [IGNORE_OUTPUT] if "varies" in tags or CLAIM.search(new.source) else []
    new.metadata = type(new.metadata)({"tags": tags} if tags else {})
    return new


def exercise_cells(exercise_id: str) -> list["NotebookNode"]:
    import nbformat

    exercise = exercises.get(exercise_id)
    stars = "\N{BLACK STAR}" * exercise.difficulty + "\N{WHITE STAR}" * (5 - exercise.difficulty)
    about = _("{points} points · about {minutes} minutes · difficulty {stars}")
    about = about.format(points=exercise.points, minutes=exercise.minutes, stars=stars)
    help_line = _('Stuck? `hint("{id}")` in a new cell. Afterwards: `solution("{id}")`.').format(id=exercise_id)
    either = (
        _("Answer in one framework or in both: the better answer counts.") + " " if len(exercise.variants) > 1 else ""
    )
    statement = f"### {_('Exercise')}: {exercise.title}\n\n{about}\n\n{exercise.statement}\n\n{either}{help_line}"
    cells = [nbformat.v4.new_markdown_cell(statement, id=f"{exercise_id}-statement")]
    for framework, variant in exercise.variants.items():
        grade_id = f"{exercise_id}-{framework}"
        code = f"{marker(exercise_id, framework)}\n{solution(variant).strip()}"
        nbgrader = {**NBGRADER, "grade": False, "grade_id": grade_id, "locked": False, "solution": True}
        cells.append(nbformat.v4.new_code_cell(code, id=grade_id, metadata={"nbgrader": nbgrader}))
    grade_id = f"{exercise_id}-check"
    nbgrader = {
        **NBGRADER,
        "grade": True,
        "grade_id": grade_id,
        "locked": True,
        "points": exercise.points,
        "solution": False,
    }
    code = f'check("{exercise_id}")\n### BEGIN HIDDEN TESTS\nfrom tl_course.notebook import grading_seed\n\n'
    code += f'check("{exercise_id}", seed=grading_seed())\n### END HIDDEN TESTS'
    cells.append(nbformat.v4.new_code_cell(code, id=grade_id, metadata={"nbgrader": nbgrader}))
    return cells
