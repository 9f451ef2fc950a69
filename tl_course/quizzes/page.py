"""Questions and what an answer is worth, as HTML for notebooks and exported pages."""

import base64
import html
import io
from collections.abc import Iterable
from functools import cache

from tl_course.exercises.engine.render import GREEN, ORANGE, box
from tl_course.i18n import _
from tl_course.practice.panel_parts import lesson_link, listed, markup, soft
from tl_course.quizzes.questions import Answer, Judged, Question
from tl_course.quizzes.text import axes, how, remarks, verdict


def page(questions: Iterable[Question]) -> str:
    """Questions to read, each under the name that `tl_course.answer` wants."""
    parts = (f"<p><code>{html.escape(question.id)}</code></p>{as_html(question)}" for question in questions)
    return "<div class='tl-practice'>" + "<hr>".join(parts) + "</div>"


def as_html(question: Question) -> str:
    """A question with its options, without a way to answer: what stands where there are no widgets."""
    options = [markup(option.text) for option in question.shown]
    return head(question) + (listed(options, "ol") if options else "")


def head(question: Question) -> str:
    """What is asked; with the curves to choose from."""
    picture = ""
    if question.kind == "plot":
        told = "; ".join(f"{number}: {option.text}" for number, option in enumerate(question.shown, 1))
        picture = f"<img alt='{html.escape(told)}' src='{_png(question)}' style='max-width:100%'>{soft(axes(question))}"
    return f"<div class='tl-question'>{markup(question.prompt)}</div>{soft(how(question))}{picture}"


def result_html(question: Question, answer: Answer, judged: Judged) -> str:
    """What an answer is worth, with every explanation."""
    parts = [f"<strong>{markup(verdict(judged))}</strong>"]
    rows = remarks(question, answer, judged)
    parts.append(
        listed((f"<strong>{markup(title)}</strong><br>" if title else "") + markup(why) for title, why in rows)
    )
    if question.kind != "numeric":
        parts.append(f"<p>{markup(question.why)}</p>")
    parts.append(f"<p>{markup(_('Read on'))}: {lesson_link(question.lesson)}</p>")
    return box("".join(parts), GREEN if judged.right else ORANGE)


@cache
def _png(question: Question) -> str:
    """The curves of a question, numbered, as the address of a picture."""
    from tl_course import plots

    file = io.BytesIO()
    numbered = {str(number): option.curve for number, option in enumerate(question.shown, 1)}
    plots.choices(question.x, numbered).savefig(file, format="png")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
