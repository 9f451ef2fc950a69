"""What a mock interview showed: the score by area, what was missed, what to study, and how it compares with others."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tl_course.i18n import _
from tl_course.practice.mock import PARTS, Item, Mock
from tl_course.practice.names import title

ENOUGH = 0.75  # below this share an answer sends its learner back to the lesson


@dataclass(frozen=True)
class Line:
    """One question in a report.

    Attributes:
        item: the question.
        title: its text.
        score: 0 to 1; None where time ran out before it.
        seconds: what the answer took.
        missed: key points it left out.
        study: the section to read again.
    """

    item: Item
    title: str
    score: float | None
    seconds: float
    missed: tuple[str, ...]
    study: str


@dataclass(frozen=True)
class Report:
    """A finished interview.

    Attributes:
        mock: the interview.
        lines: one a question, in their order.
    """

    mock: Mock
    lines: tuple[Line, ...]

    @property
    def areas(self) -> dict[str, float]:
        """Kind of question -> mean score; a question that was not reached counts as 0, as it does in an interview."""
        values = {kind: [line.score or 0.0 for line in self.lines if line.item.kind == kind] for kind, *_rest in PARTS}
        return {kind: sum(scores) / len(scores) for kind, scores in values.items() if scores}

    @property
    def score(self) -> float:
        """Mean over all questions, each weighted by the minutes it was given."""
        total = sum(line.item.minutes for line in self.lines)
        return sum((line.score or 0.0) * line.item.minutes for line in self.lines) / total

    @property
    def study(self) -> list[str]:
        """Sections to read again, those of the worst answers first, each once."""
        weak = sorted((line for line in self.lines if (line.score or 0.0) < ENOUGH), key=lambda line: line.score or 0.0)
        return list(dict.fromkeys(line.study for line in weak))


def report(mock: Mock) -> Report:
    """The report on an interview; what was not scored yet counts as not reached."""
    return Report(mock, tuple(_line(mock, place) for place in range(len(mock.items))))


def compare(mocks: Sequence[Mock]) -> list[dict[str, str]]:
    """Finished interviews as rows, oldest first: date, level, seed, total, and each area, in per cent."""
    rows = []
    for known in map(report, mocks):
        row = {"date": f"{datetime.fromtimestamp(known.mock.at):%Y-%m-%d %H:%M}", "level": known.mock.level}
        row |= {"seed": str(known.mock.seed), "total": f"{known.score:.0%}"}
        rows.append(row | {kind: f"{value:.0%}" for kind, value in known.areas.items()})
    return rows


def compare_columns() -> dict[str, str]:
    """The titles of these rows."""
    titles = {"date": _("date"), "level": _("level"), "seed": _("seed"), "total": _("total")}
    return titles | {kind: title(kind) for kind, *_rest in PARTS}


def section(link: str) -> str:
    """A lesson's section as a reader finds it: the notebook's file, and the heading."""
    lesson, _mark, heading = link.partition("#")
    path = f"notebooks/{lesson}/{lesson}.ipynb"
    return f"{path} \N{RIGHTWARDS ARROW} {heading}" if heading else path


def _line(mock: Mock, place: int) -> Line:
    item = mock.items[place]
    row = mock.scores.get(place, {"score": None, "missed": "[]"})
    seconds = mock.answers.get(place, {"seconds": 0.0})["seconds"]
    if item.kind == "coding":
        title = _("{title} (coding, {framework})").format(title=item.exercise.title, framework=item.framework)
        return Line(item, title, row["score"], seconds, (), section(item.exercise.lesson))
    missed = tuple(str(item.card.key_points[number]) for number in json.loads(row["missed"]))
    return Line(item, str(item.card.question), row["score"], seconds, missed, section(item.card.lesson))
