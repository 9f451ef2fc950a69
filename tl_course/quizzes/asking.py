"""Quizzes in the terminal: each question is answered and explained at once; every answer is kept."""

from collections.abc import Sequence

from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.practice.mock_report import section
from tl_course.practice.terminal import Leave, Skip, Terminal
from tl_course.quizzes import records
from tl_course.quizzes.questions import Answer, Question, all_questions, read_number
from tl_course.quizzes.text import as_text, result_text


def practise(ui: Terminal, questions: Sequence[Question]) -> int:
    """Ask questions one after the other; returns how many were answered."""
    answered = right = 0
    for number, question in enumerate(questions, 1):
        ui.heading(_("Question {number} of {count}").format(number=number, count=len(questions)))
        ui.say(as_text(question))
        ui.say(_("(:s skips the question, :q stops)"), "dim")
        try:
            right += _ask(ui, question)
        except Skip:
            continue
        except Leave:
            break
        answered += 1
    ui.say()
    ui.say(_("{right} of {answered} right. What was wrong comes back soon.").format(right=right, answered=answered))
    return answered


def overview(ui: Terminal) -> None:
    """Each lesson's quiz, how much of it was answered, and how much of that was right the last time."""
    known = records.standings()
    rows: dict[str, dict[str, int]] = {}
    for question in all_questions():
        row = rows.setdefault(question.lesson.partition("#")[0], {"questions": 0, "answered": 0, "right": 0})
        row["questions"] += 1
        row["answered"] += question.id in known
        row["right"] += question.id in known and known[question.id].rating > 1
    columns = {"lesson": _("lesson"), "questions": _("questions"), "answered": _("answered"), "right": _("right")}
    ui.table([{"lesson": lesson} | {k: str(v) for k, v in row.items()} for lesson, row in rows.items()], columns)


def _ask(ui: Terminal, question: Question) -> bool:
    while True:
        try:
            answer = _read(question, ui.line("> "))
            judged = records.record(question, answer)
        except BadInput as error:
            ui.say(str(error))
            continue
        ui.say(result_text(question, answer, judged))
        ui.say(_("Read on: {section}").format(section=section(question.lesson)), "dim")
        return judged.right


def _read(question: Question, line: str) -> Answer:
    """An answer as people type it.

    Raises:
        BadInput: no numbers.
    """
    if question.kind == "numeric":
        return read_number(line)
    try:
        numbers = [int(word) for word in line.replace(",", " ").split()]
    except ValueError:
        raise BadInput(_("numbers"), repr(line), _("type one number, or some with blanks between them")) from None
    return numbers if question.kind in ("multiple", "order") else _only(numbers, line)


def _only(numbers: list[int], line: str) -> int:
    if len(numbers) != 1:
        raise BadInput(_("one number"), repr(line), _("type one number, or some with blanks between them"))
    return numbers[0]
