"""What lessons and learners call in a notebook: start, check, hint, solution, reset, progress and claim."""

import html
import secrets
import sys
from dataclasses import replace
from typing import Any

from tl_course import exercises, progress_file, records
from tl_course.errors import BadInput, CourseError
from tl_course.exercises.engine.checking import check_source
from tl_course.exercises.engine.dependencies import find_answer
from tl_course.exercises.engine.exercise import PUBLIC_SEED, Exercise, chosen_seed
from tl_course.exercises.engine.render import box
from tl_course.exercises.engine.runner import runner
from tl_course.exercises.engine.stub import marker, stub
from tl_course.exercises.engine.verdict import Verdict
from tl_course.i18n import _

_cells: list[str] = []  # source of the cells run so far, the current one last
_watched: dict[str, Any] = {}  # the shell whose cells they are


class ClaimFailed(AssertionError):
    """A statement of a lesson that its measurement does not bear out."""


class Shown:
    """Something to read: HTML in a notebook, text elsewhere."""

    def __init__(self, text: str, content: str) -> None:
        self.text, self.content = text, content

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return self.content


def start(lesson: str) -> None:
    """Get ready to check a lesson's exercises: frameworks are loaded in the background while you read."""
    processes = {
        exercise.process(name)
        for exercise in exercises.all_exercises()
        if exercise.lesson == lesson
        for name in exercise.variants
    }
    if not processes:
        lessons = sorted({exercise.lesson for exercise in exercises.all_exercises()})
        raise BadInput("a lesson with exercises", repr(lesson), f"name one of {', '.join(lessons)}")
    for process in processes:
        runner(process).start()


def check(exercise_id: str, framework: str | None = None, seed: int | None = None) -> Verdict:
    """Check your answer to an exercise.

    Run the answer's cell first. Where an exercise can be answered in PyTorch and in Keras, answer in either, or in
    both: the better answer counts.

    Args:
        exercise_id: the id, as in ``check("masked-mean")``.
        framework: check this one only; otherwise every one that you answered.
        seed: draw other inputs than the ones everybody sees; such a check is not written down in your progress.

    Returns:
        The verdict, which a notebook shows; its ``score`` is the share of the points earned.
    """
    exercise = exercises.get(exercise_id)
    frameworks = [framework] if framework else list(exercise.variants)
    sources = {name: _answer(exercise, name) for name in frameworks}
    if not any(sources.values()):
        heads = _(" or ").join(f"`{marker(exercise_id, name)}`" for name in frameworks)
        problem = _("first run the cell with your answer, the one headed {heads}").format(heads=heads)
        name = " / ".join(frameworks)
        return Verdict(exercise_id, name, 0.0, problem=problem, answered=False, points=exercise.points)
    drawn = PUBLIC_SEED if seed is None else seed
    verdicts = {name: check_source(exercise_id, name, source, drawn) for name, source in sources.items() if source}
    if seed is None:
        _record(verdicts, sources)
    *others, best = sorted(verdicts.values(), key=lambda verdict: (verdict.score, verdict.answered))
    return replace(best, others=tuple(other for other in others if other.answered))


def grading_seed() -> int:
    """A grading seed nobody knows beforehand; ``TL_COURSE_SEED`` sets it, to grade an appeal on the same inputs."""
    return secrets.randbits(31) if (chosen := chosen_seed()) is None else chosen


def hint(exercise_id: str, number: int | None = None) -> Shown:
    """The next hint for an exercise, or the one with this number (1 to 3)."""
    exercise = exercises.get(exercise_id)
    count = len(exercise.hints)
    if number is not None and not 1 <= number <= count:
        raise BadInput(f"a hint number from 1 to {count}", repr(number), "call hint without a number for the next one")
    chosen: int = number or min(_quietly(records.hints_taken, exercise_id, default=0) + 1, count)
    _quietly(records.record_hint, exercise_id, chosen)
    title = _("Hint {number} of {count}").format(number=chosen, count=count)
    text = exercise.hints[chosen - 1]
    return Shown(f"{title}: {text}", box(f"<strong>{html.escape(title)}</strong><br>{html.escape(text)}"))


def solution(exercise_id: str, anyway: bool = False) -> Shown:
    """The reference answer, in every framework, once you have tried (or ``anyway=True``)."""
    exercise = exercises.get(exercise_id)
    if not anyway and not _quietly(records.attempts, exercise_id, default=[]):
        text = _(
            "Try first: run your answer and check it. To see the solution all the same: solution({id}, anyway=True)"
        )
        text = text.format(id=repr(exercise_id))
        return Shown(text, box(html.escape(text)))
    parts = {name: variant.reference.strip() for name, variant in exercise.variants.items()}
    plain = "\n\n".join(f"# {name}\n{code}" for name, code in parts.items())
    shown = "".join(
        f"<strong>{html.escape(name)}</strong><pre>{html.escape(code)}</pre>" for name, code in parts.items()
    )
    return Shown(plain, box(shown + _questions(exercise)))


def reset(exercise_id: str, framework: str | None = None) -> Shown:
    """Put the starting code of an exercise into a new cell below. Your own cell and all your attempts stay."""
    exercise = exercises.get(exercise_id)
    name = framework or next(iter(exercise.variants))
    code = f"{marker(exercise_id, name)}\n{stub(exercise.variant(name)).strip()}"
    _shell().set_next_input(code)
    text = _(
        "The starting code is in the new cell below. Copy it over your answer's cell to start again; nothing was "
        "removed."
    )
    return Shown(text, box(html.escape(text)))


def quiz(lesson: str, panel: bool = True) -> Shown | None:
    """The quiz of a lesson ("03" is enough); answers are kept, and wrong ones come back.

    Args:
        lesson: which one.
        panel: with widgets to answer; otherwise the questions to read, to be answered with `answer`.

    Raises:
        BadInput: the lesson has no quiz.
    """
    from tl_course import quizzes

    questions = quizzes.of_lesson(lesson)
    if panel:
        from tl_course.quizzes.panel import show

        show(questions)
        return None
    from tl_course.quizzes.page import page
    from tl_course.quizzes.text import as_text

    return Shown("\n\n".join(f"{question.id}\n{as_text(question)}" for question in questions), page(questions))


def answer(question_id: str, given: Any) -> Shown:
    """Answer a question of a quiz and see every explanation.

    Args:
        question_id: as `quiz(lesson, panel=False)` lists them.
        given: an option's number, a list of numbers (all that are right, or the steps in order), or a number.

    Raises:
        BadInput: no such question, or not an answer to it.
    """
    from tl_course import quizzes
    from tl_course.quizzes.page import result_html
    from tl_course.quizzes.text import result_text

    question = quizzes.get(question_id)
    judged = quizzes.record(question, given)
    return Shown(result_text(question, given, judged), result_html(question, given, judged))


def progress(lesson: str | None = None) -> Shown:
    """What you have done so far, in one lesson or in all."""
    rows = [row for row in records.summary() if lesson in (None, row["lesson"])]
    names = (_("Exercise"), _("Lesson"), _("Attempts"), _("Hints"), _("Best"))
    cells = [(r["title"], r["lesson"], str(r["attempts"]), str(r["hints"]), f"{r['best']:.0%}") for r in rows]
    plain = "\n".join(
        "  ".join(value.ljust(width) for value, width in zip(line, (40, 24, 8, 5, 5), strict=True))
        for line in [names, *cells]
    )
    head = "".join(f"<th style='text-align:left'>{html.escape(name)}</th>" for name in names)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(value)}</td>" for value in line) + "</tr>" for line in cells)
    return Shown(plain, f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")


def claim(statement: str, holds: bool, measured: str = "") -> Shown:
    """Assert a statement of the lesson on what was just measured.

    Args:
        statement: what is claimed, with its margin ("features beat the small network by 5 points or more at 5 labels").
        holds: whether the measurement bears it out.
        measured: the figures, for the reader.

    Raises:
        ClaimFailed: the measurement does not bear it out.
    """
    if not bool(holds):
        raise ClaimFailed(
            _("not borne out: {statement} (measured: {measured})").format(statement=statement, measured=measured)
        )
    text = f"{statement} [{measured}]" if measured else statement
    shown = f"<strong>{html.escape(_('Measured'))}</strong>: {html.escape(text)}"
    return Shown(_("claim holds: {statement}").format(statement=statement), box(shown, "#1a8f5c"))


def _answer(exercise: Exercise, framework: str) -> str | None:
    entry = exercise.variant(framework).entry
    several = len(exercise.variants) > 1
    _shell()
    return find_answer(_cells[:-1], marker(exercise.id, framework), "" if several else entry)


def _watch() -> Any:
    """Keep the source of every cell that is run from now on, and of those run before; gives IPython's shell, or None.

    IPython's own history would do, but runs that keep none, such as nbval's, leave it empty.
    """
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None and shell is not _watched.get("shell"):
        _watched["shell"] = shell
        _cells[:] = shell.user_ns.get("In", [])
        shell.events.register("pre_run_cell", lambda info: _cells.append(shell.transform_cell(info.raw_cell)))
    return shell


def _shell() -> Any:
    shell = _watch()
    if shell is None:
        raise CourseError(
            _("this works in a notebook; for a file use `tl-course check FILE --exercise ID --framework F`")
        )
    return shell


def _record(verdicts: dict[str, Verdict], sources: dict[str, str | None]) -> None:
    for name, verdict in verdicts.items():
        if verdict.answered:
            _quietly(records.record_attempt, verdict, sources[name])


def _quietly(call: Any, *arguments: Any, default: Any = None) -> Any:
    """Call what keeps the progress; where it cannot be kept, say so and go on."""
    try:
        return call(*arguments)
    except progress_file.ProgressError as error:
        _display(Shown(str(error), box(html.escape(str(error)))))
        return default


def _questions(exercise: Exercise) -> str:
    items = "".join(
        f"<details><summary>{html.escape(asked.question)}</summary><p>{html.escape(asked.answer)}</p></details>"
        for asked in exercise.follow_ups
    )
    return f"<strong>{html.escape(_('Asked next in an interview'))}</strong>{items}"


def _display(shown: Any) -> None:
    from IPython.display import display

    display(shown)


_watch()
