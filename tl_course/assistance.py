"""Help with an exercise: hint, solution, compare, reset, restore.

In a notebook these are calls; JupyterLab's panel under each exercise calls the same.
"""

import html
from collections.abc import Mapping

from tl_course import exercises, records
from tl_course.errors import BadInput
from tl_course.exercises.engine import side_by_side
from tl_course.exercises.engine.exercise import Exercise
from tl_course.exercises.engine.render import box
from tl_course.exercises.engine.stub import is_untouched, marker, stub
from tl_course.i18n import _
from tl_course.notebook_cells import answer_cell, shell
from tl_course.shown import Shown, quietly, told


def hint(exercise_id: str, number: int | None = None) -> Shown:
    """The next hint for an exercise, or the one with this number (1 to 3)."""
    exercise = exercises.get(exercise_id)
    count = len(exercise.hints)
    if number is not None and not 1 <= number <= count:
        raise BadInput(f"a hint number from 1 to {count}", repr(number), "call hint without a number for the next one")
    chosen: int = number or min(quietly(records.hints_taken, exercise_id, default=0) + 1, count)
    quietly(records.record_hint, exercise_id, chosen)
    title = _("Hint {number} of {count}").format(number=chosen, count=count)
    text = exercise.hints[chosen - 1]
    return Shown(f"{title}: {text}", box(f"<strong>{html.escape(title)}</strong><br>{html.escape(text)}"))


def solution(exercise_id: str, anyway: bool = False) -> Shown:
    """The reference answer, in every framework, once you have tried (or ``anyway=True``)."""
    exercise = exercises.get(exercise_id)
    if not anyway and not _tried(exercise_id):
        return _try_first(exercise_id)
    parts = {name: variant.reference.strip() for name, variant in exercise.variants.items()}
    plain = "\n\n".join(f"# {name}\n{code}" for name, code in parts.items())
    shown = "".join(
        f"<strong>{html.escape(name)}</strong><pre>{html.escape(code)}</pre>" for name, code in parts.items()
    )
    return Shown(plain, box(shown + _questions(exercise)))


def compare(exercise_id: str) -> Shown:
    """Your answer beside the reference, the lines marked in which they differ, once you have tried."""
    exercise = exercises.get(exercise_id)
    cells = {name: answer_cell(exercise, name) for name in exercise.variants}
    return comparison(exercise, {name: cell for name, cell in cells.items() if cell})


def comparison(exercise: Exercise, answers: Mapping[str, str]) -> Shown:
    """The same for answers that are given: source text by framework. Those that were not begun are left out."""
    if not _tried(exercise.id):
        return _try_first(exercise.id)
    begun = {name: text for name, text in answers.items() if not is_untouched(exercise, name, text)}
    if not begun:
        return told(_("There is no answer to compare: write one, and run its cell."))
    texts, pages = [], []
    for name, answer in begun.items():
        reference = f"{marker(exercise.id, name)}\n{exercise.variant(name).reference.strip()}"
        texts.append(f"# {name}\n{side_by_side.as_text(answer.strip(), reference)}")
        pages.append(f"<p><em>{html.escape(name)}</em></p>{side_by_side.as_html(answer.strip(), reference)}")
    note = _("Another way of writing it may be as right: the check tells.")
    return Shown("\n\n".join([*texts, note]), f"{''.join(pages)}<p>{html.escape(note)}</p>{_questions(exercise)}")


def reset(exercise_id: str, framework: str | None = None) -> Shown:
    """Put the starting code of an exercise into a new cell below. Your own cell and all your attempts stay."""
    name, code = starting_code(exercise_id, framework)
    mine = answer_cell(exercises.get(exercise_id), name)
    if mine:
        quietly(keep, exercise_id, name, mine)
    shell().set_next_input(code)
    return told(
        _(
            "The starting code is in the new cell below. Copy it over your answer's cell to start again; nothing was "
            "removed."
        )
    )


def restore(exercise_id: str, framework: str | None = None) -> Shown:
    """Put the answer that was there before the last reset into a new cell below. Your own cell stays."""
    exercise = exercises.get(exercise_id)
    name = framework or next(iter(exercise.variants))
    kept = quietly(kept_before, exercise_id, name, answer_cell(exercise, name) or "")
    if kept is None:
        return told(_("Nothing was put aside for this exercise; a reset does that."))
    shell().set_next_input(kept)
    return told(_("What was there before is in the new cell below."))


def starting_code(exercise_id: str, framework: str | None = None) -> tuple[str, str]:
    """A framework, the exercise's first unless one is named, and the cell that a learner starts from in it."""
    exercise = exercises.get(exercise_id)
    name = framework or next(iter(exercise.variants))
    return name, f"{marker(exercise_id, name)}\n{stub(exercise.variant(name)).strip()}"


def keep(exercise_id: str, framework: str, source: str, again: bool = True) -> None:
    """Put an answer's text aside, unless it is empty, the starting code, or what was put aside last.

    Args:
        exercise_id: whose answer it is.
        framework: in which.
        source: the text.
        again: also where it was put aside before, and something else since.

    Raises:
        ProgressError: it cannot be written.
    """
    if source.strip() and not is_untouched(exercises.get(exercise_id), framework, source):
        kept = records.kept(exercise_id, framework)
        if source not in (kept[-1:] if again else kept):
            records.record_kept(exercise_id, framework, source)


def kept_before(exercise_id: str, framework: str, source: str) -> str | None:
    """The text put aside before this one, from the oldest round to the newest, so that all of them can be had.

    For a text that was not put aside it is the newest; None where there is no other.
    """
    texts = {text.strip(): text for text in reversed(records.kept(exercise_id, framework))}
    order = list(texts)
    if source.strip() not in texts:
        return texts[order[0]] if order else None
    before = order[(order.index(source.strip()) + 1) % len(order)]
    return texts[before] if len(order) > 1 else None


def _tried(exercise_id: str) -> bool:
    return bool(quietly(records.attempts, exercise_id, default=[]))


def _try_first(exercise_id: str) -> Shown:
    text = _("Try first: run your answer and check it. To see the solution all the same: solution({id}, anyway=True)")
    return told(text.format(id=repr(exercise_id)))


def _questions(exercise: Exercise) -> str:
    items = "".join(
        f"<details><summary>{html.escape(asked.question)}</summary><p>{html.escape(asked.answer)}</p></details>"
        for asked in exercise.follow_ups
    )
    return f"<strong>{html.escape(_('Asked next in an interview'))}</strong>{items}"
