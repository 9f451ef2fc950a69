"""The questions of the quizzes: data files with a checked schema, one file a lesson, and what an answer is worth."""

import math
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.practice.schema import Text, check_count, check_fields, read_text, read_toml

FOLDER = Path(__file__).parent / "lessons"

_TWO_WAYS = re.compile(r"[1-9]\d{0,2}(,\d{3})+")  # a comma for the point, or between thousands
Kind = Literal["single", "multiple", "numeric", "order", "plot"]
Answer = int | float | Sequence[int]
_OWN_FIELDS = {
    "single": {"options"},
    "multiple": {"options"},
    "numeric": {"answer", "tolerance", "unit", "slips"},
    "order": {"options"},
    "plot": {"options", "x", "axes"},
}


@dataclass(frozen=True)
class Option:
    """One answer to choose, or one step to put in its place.

    Attributes:
        text: what it says; for a plot, what its curve does.
        why: why it is right or wrong; for a step, why it stands where it does.
        right: whether it belongs to the answer; of no meaning for a step.
        curve: its values, one for each place on the axis, for a plot.
    """

    text: Text
    why: Text
    right: bool = False
    curve: tuple[float, ...] = ()


@dataclass(frozen=True)
class Slip:
    """A wrong number that people arrive at.

    Attributes:
        value: the number.
        why: how one arrives at it.
    """

    value: float
    why: Text


@dataclass(frozen=True)
class Question:
    """One question of a quiz.

    Attributes:
        id: kebab-case, unique.
        kind: "single" (one option is right), "multiple" (several may be), "numeric", "order" (put steps in order),
            "plot" (say before the measurement which curve it gives).
        lesson: the section that answers it: a lesson's id, "#", and the beginning of a heading.
        prompt: what is asked.
        why: the explanation of the answer as a whole.
        options: for all kinds but numeric; of "order", in the right order.
        answer, tolerance, unit: of a number; the tolerance is absolute.
        slips: numbers that people arrive at instead.
        x: places on the axis of a plot.
        axes: what its two axes show.
    """

    id: str
    kind: Kind
    lesson: str
    prompt: Text
    why: Text
    options: tuple[Option, ...] = ()
    answer: float = 0.0
    tolerance: float = 0.0
    unit: str = ""
    slips: tuple[Slip, ...] = ()
    x: tuple[float, ...] = ()
    axes: tuple[Text, ...] = ()

    @property
    def shown(self) -> list[Option]:
        """The options as they are shown and numbered, from 1: steps are mixed, always in the same way."""
        mixed = list(self.options)
        if self.kind == "order":
            rng = random.Random(self.id)
            while mixed == list(self.options):
                rng.shuffle(mixed)
        return mixed


@dataclass(frozen=True)
class Judged:
    """What an answer is worth.

    Attributes:
        right: whether all of it is right.
        remarks: an explanation for each option, or for the number that was given, in the question's order.
    """

    right: bool
    remarks: tuple[Text, ...]


@cache
def all_questions() -> tuple[Question, ...]:
    """Every question, lesson by lesson.

    Raises:
        BadInput: a file or a question does not keep to the schema, or an id occurs twice; the message names it.
    """
    questions = tuple(question for file in sorted(FOLDER.glob("*.toml")) for question in read(file))
    seen: set[str] = set()
    for question in questions:
        if question.id in seen:
            raise BadInput(_("ids that occur once"), question.id, _("rename one of the two questions"))
        seen.add(question.id)
    return questions


def of_lesson(lesson: str) -> list[Question]:
    """The questions of a lesson ("03" is enough).

    Raises:
        BadInput: there are none.
    """
    found = [question for question in all_questions() if question.lesson.partition("#")[0].startswith(lesson)]
    if not found or not lesson:
        names = sorted({question.lesson.partition("#")[0] for question in all_questions()})
        raise BadInput(_("a lesson with a quiz: {names}").format(names=", ".join(names)), repr(lesson), _("name one"))
    return found


def get(question_id: str) -> Question:
    """The question with this id.

    Raises:
        BadInput: there is none.
    """
    for question in all_questions():
        if question.id == question_id:
            return question
    raise BadInput(
        _("a question of a quiz"), repr(question_id), _("list them with `tl_course.quiz(lesson, panel=False)`")
    )


def judge(question: Question, answer: Answer) -> Judged:
    """Judge an answer.

    Args:
        question: which one.
        answer: an option's number as it is shown, from 1 (single, plot); the numbers of all right ones (multiple) or of
            the steps in their order (order); or a number (numeric).

    Raises:
        BadInput: not an answer of this kind.
    """
    if question.kind == "numeric":
        return _judge_number(question, answer)
    chosen = [question.shown[number - 1] for number in _numbers(question, answer)]
    if question.kind == "order":
        right = chosen == list(question.options)
    else:
        right = all((option in chosen) == option.right for option in question.options)
    return Judged(right, tuple(option.why for option in question.options))


def read_number(text: str) -> float:
    """A number as people write it: a comma may stand for the point, and a percent sign behind it.

    Raises:
        BadInput: no number, or one that may be read in two ways, as 1,000.
    """
    plain = "".join(text.split()).removesuffix("%")
    if _TWO_WAYS.fullmatch(plain):
        raise BadInput(_("a number"), repr(text), _("write it without a comma, like 1000 or 1.25"))
    try:
        number = float(plain.replace(",", "."))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise BadInput(_("a number"), repr(text), _("write digits, like 0.25"))
    return number


def read(file: Path) -> list[Question]:
    """The questions of one file.

    Raises:
        BadInput: not TOML, or a question that does not keep to the schema.
    """
    rows = read_toml(file).get("question", [])
    return [_question(row, f"{file.name}, question {place}") for place, row in enumerate(rows, 1)]


def _judge_number(question: Question, answer: Answer) -> Judged:
    if isinstance(answer, bool) or not isinstance(answer, (int, float)):
        raise BadInput(_("a number"), repr(answer), _("answer with one number"))
    if abs(answer - question.answer) <= question.tolerance:
        return Judged(True, (question.why,))
    slips = [slip.why for slip in question.slips if abs(answer - slip.value) <= question.tolerance]
    return Judged(False, (*slips, question.why))


def _numbers(question: Question, answer: Answer) -> list[int]:
    """The numbers of the chosen options."""
    given = list(answer) if isinstance(answer, Sequence) else [answer]
    count = len(question.options)
    wanted = {
        "order": _("the numbers 1 to {count}, each once, in order"),
        "multiple": _("different numbers from 1 to {count}"),
    }
    whole = all(isinstance(number, int) and not isinstance(number, bool) and 1 <= number <= count for number in given)
    enough = {"order": len(given) == count, "multiple": True}.get(question.kind, len(given) == 1)
    if not whole or not enough or len(set(given)) != len(given):
        expected = wanted.get(question.kind, _("one number from 1 to {count}")).format(count=count)
        raise BadInput(expected, repr(answer), _("look at the options again"))
    return [int(number) for number in given]


def _question(row: Mapping[str, Any], place: str) -> Question:
    where = f"{place} ({row.get('id', '?')})"
    kind: Any = row.get("kind")
    if kind not in get_args(Kind):
        kinds = ", ".join(get_args(Kind))
        raise BadInput(_("a kind among {kinds}").format(kinds=kinds), repr(kind), _("see {where}").format(where=where))
    own = _OWN_FIELDS[kind]
    check_fields(row, {"id", "kind", "lesson", "prompt", "why"} | own, {"unit", "slips"}, where)
    options = tuple(_option(option, kind, len(row.get("x", ())), where) for option in row.get("options", ()))
    if kind != "numeric":
        check_count(row, "options", 2 if kind == "single" else 3, 6, where)
    right = sum(option.right for option in options)
    if (kind in ("single", "plot") and right != 1) or (kind == "multiple" and right < 1):
        raise BadInput(_("one right option"), str(right), _("see {where}").format(where=where))
    slips = tuple(_slip(slip, where) for slip in row.get("slips", ()))
    return Question(
        id=row["id"],
        kind=kind,
        lesson=row["lesson"],
        prompt=read_text(row["prompt"], where),
        why=read_text(row["why"], where),
        options=options,
        answer=float(row.get("answer", 0)),
        tolerance=float(row.get("tolerance", 0)),
        unit=row.get("unit", ""),
        slips=slips,
        x=tuple(map(float, row.get("x", ()))),
        axes=tuple(read_text(axis, where) for axis in row.get("axes", ())),
    )


def _option(row: Any, kind: str, places: int, where: str) -> Option:
    fields = {"text", "why", *({"right"} if kind != "order" else ()), *({"curve"} if kind == "plot" else ())}
    check_fields(row, fields, {"right"}, where)
    curve = tuple(map(float, row.get("curve", ())))
    if kind == "plot" and len(curve) != places:
        expected = _("{count} values of a curve").format(count=places)
        raise BadInput(expected, str(len(curve)), _("see {where}").format(where=where))
    return Option(read_text(row["text"], where), read_text(row["why"], where), row.get("right", False), curve)


def _slip(row: Any, where: str) -> Slip:
    check_fields(row, {"value", "why"}, set(), where)
    return Slip(float(row["value"]), read_text(row["why"], where))
