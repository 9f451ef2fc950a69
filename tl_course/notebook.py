"""What lessons and learners call in a notebook: start, check, quiz, answer, progress, home and claim."""

import html
import secrets
from dataclasses import replace
from typing import Any

from tl_course import exercises, records
from tl_course.errors import BadInput
from tl_course.exercises.engine.checking import check_source
from tl_course.exercises.engine.exercise import PUBLIC_SEED, chosen_seed
from tl_course.exercises.engine.render import box
from tl_course.exercises.engine.runner import runner
from tl_course.exercises.engine.stub import marker
from tl_course.exercises.engine.verdict import Verdict
from tl_course.i18n import _
from tl_course.notebook_cells import answer_source
from tl_course.shown import Shown, quietly


class ClaimFailed(AssertionError):
    """A statement of a lesson that its measurement does not bear out."""


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
    sources = {name: answer_source(exercise, name) for name in frameworks}
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


def home() -> Shown:
    """The start page: the lessons as a map, what you have done and what is due, and where to go on."""
    from tl_course import home_page
    from tl_course.practice.panel_parts import lesson_link
    from tl_course.standing import standing

    now = standing()
    page = home_page.as_html(now, lambda lesson, _exercise, content: lesson_link(lesson, content))
    return Shown(home_page.as_text(now), page)


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


def _record(verdicts: dict[str, Verdict], sources: dict[str, str | None]) -> None:
    for name, verdict in verdicts.items():
        if verdict.answered:
            quietly(records.record_attempt, verdict, sources[name])
