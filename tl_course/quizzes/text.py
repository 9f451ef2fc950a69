"""Questions and what an answer is worth, as text."""

from tl_course.exercises.engine.render import FAIL, PASS
from tl_course.i18n import _
from tl_course.quizzes.questions import Answer, Judged, Question


def how(question: Question) -> str:
    """What kind of answer is wanted, in words."""
    return {
        "single": _("Choose one."),
        "multiple": _("Choose all that are right."),
        "numeric": _("Answer with a number."),
        "order": _("Put the steps in order."),
        "plot": _("Which curve will the measurement give? Choose one."),
    }[question.kind]


def as_text(question: Question) -> str:
    """A question with its options, numbered as `judge` wants them."""
    lines = [str(question.prompt), how(question)]
    if question.axes:
        lines.append(axes(question))
    return "\n".join([*lines, *(f"  {number}. {option.text}" for number, option in enumerate(question.shown, 1))])


def axes(question: Question) -> str:
    """What the axes of a plot show."""
    return _("Across: {x}. Upwards: {y}.").format(x=question.axes[0], y=question.axes[1])


def result_text(question: Question, answer: Answer, judged: Judged) -> str:
    """What an answer is worth, with every explanation."""
    lines = [verdict(judged)]
    for title, why in remarks(question, answer, judged):
        lines += [f"  {title}", f"     {why}"] if title else [f"  {why}"]
    return "\n".join([*lines, *([f"  {question.why}"] if question.kind != "numeric" else [])])


def verdict(judged: Judged) -> str:
    """Right or not, in a word."""
    return f"{PASS} {_('Right.')}" if judged.right else f"{FAIL} {_('Not yet.')}"


def remarks(question: Question, answer: Answer, judged: Judged) -> list[tuple[str, str]]:
    """For each option what it says, whether it was chosen and is right, and why; steps stand in the right order."""
    if question.kind == "numeric":
        right = _("The answer: {answer:g} {unit}").format(answer=question.answer, unit=question.unit).strip()
        return [("" if judged.right else right, str(judged.remarks[-1])), *(("", str(w)) for w in judged.remarks[:-1])]
    if question.kind == "order":
        return [(f"{place}. {option.text}", str(option.why)) for place, option in enumerate(question.options, 1)]
    chosen = set(answer) if isinstance(answer, (list, tuple)) else {answer}
    rows = []
    for number, option in enumerate(question.shown, 1):
        yours = _(" (your choice)") if number in chosen else ""
        rows.append((f"{PASS if option.right else FAIL} {number}. {option.text}{yours}", str(option.why)))
    return rows
