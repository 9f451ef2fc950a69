"""A mock interview: 45 minutes of concept, debugging, coding and design questions, chosen by level and seed.

What was planned, answered and scored is written down at once, row by row, so that an interview that was cut short,
by a crash or by its end, goes on where it was.
"""

import json
import random
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.practice.cards import Card, all_cards
from tl_course.practice.schedule import LEVELS
from tl_course.progress_file import insert, select

if TYPE_CHECKING:  # the bank imports NumPy, which the first screen does without
    from tl_course.exercises.engine.exercise import Exercise

MINUTES = 45
PARTS = (("concept", 4, 3), ("debugging", 2, 4), ("coding", 1, 17), ("design", 1, 8))  # kind, questions, minutes each
_DIFFICULTIES = {"junior": (1, 2), "mid": (3,), "senior": (4, 5)}  # of the coding problem


@dataclass(frozen=True)
class Item:
    """One question of an interview.

    Attributes:
        kind: "concept", "debugging", "coding" or "design".
        id: of the card; of the exercise where kind is "coding".
        minutes: what it should take.
        framework: of a coding problem.
    """

    kind: str
    id: str
    minutes: int
    framework: str | None = None

    @property
    def card(self) -> Card:
        """The question card."""
        return next(card for card in all_cards() if card.id == self.id)

    @property
    def exercise(self) -> "Exercise":
        """The coding problem."""
        from tl_course import exercises

        return exercises.get(self.id)


@dataclass(frozen=True)
class Mock:
    """An interview, with what has happened so far.

    Attributes:
        id: unique.
        at: when it began, in seconds since 1970.
        level, seed: what chose the questions.
        items: the questions in their order.
        answers: place -> the row of the answer: seconds, answer.
        scores: place -> the row of the score: score (0 to 1, None where time ran out), missed (key points' places).
    """

    id: str
    at: float
    level: str
    seed: int
    items: tuple[Item, ...]
    answers: dict[int, dict[str, Any]] = field(default_factory=dict)
    scores: dict[int, dict[str, Any]] = field(default_factory=dict)

    @property
    def seconds_left(self) -> float:
        """Of the 45 minutes; only time in which a question was open counts."""
        return 60 * MINUTES - sum(row["seconds"] for row in self.answers.values())

    @property
    def to_answer(self) -> list[int]:
        """Places of the questions still to come."""
        return [place for place in range(len(self.items)) if place not in self.answers | self.scores]

    @property
    def to_score(self) -> list[int]:
        """Places of the answers that were not scored yet."""
        return [place for place in self.answers if place not in self.scores]

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return len(self.scores) == len(self.items)


def plan(level: str, seed: int, framework: str = "pytorch") -> list[Item]:
    """The questions of an interview: the same ones for the same level, seed, framework and bank.

    Args:
        level: "junior", "mid" or "senior".
        seed: any whole number.
        framework: of the coding problem, where that problem has a variant in it; else NumPy's.

    Raises:
        BadInput: no such level or framework.
    """
    from tl_course.exercises.engine.exercise import FRAMEWORKS

    for value, allowed in ((level, LEVELS), (framework, FRAMEWORKS)):
        if value not in allowed:
            raise BadInput(_("one of {names}").format(names=", ".join(allowed)), repr(value), _("name one of them"))
    draw = random.Random(f"{level} {seed}")
    items = []
    topics: set[str] = set()
    for kind, count, minutes in PARTS:
        if kind == "coding":
            items.append(_coding(level, draw, framework, minutes))
            continue
        known = [card for card in all_cards() if card.kind == kind and card.level == level]
        draw.shuffle(known)
        known.sort(key=lambda card: card.topic in topics)  # other topics first
        chosen = _different_topics(known, count)
        topics |= {card.topic for card in chosen}
        items += [Item(kind, card.id, minutes) for card in chosen]
    return items


def begin(level: str, seed: int, framework: str = "pytorch") -> Mock:
    """Plan an interview and write the plan down; one that was left unfinished is closed. Raises as `plan` does."""
    items = plan(level, seed, framework)
    pending = unfinished()
    if pending is not None:
        end(pending)
    text = json.dumps([asdict(item) for item in items])
    insert("mocks", mock=uuid.uuid4().hex, at=time.time(), level=level, seed=seed, plan=text)
    return history()[-1]


def history() -> list[Mock]:
    """Every interview, oldest first."""
    answers = _by_mock(select("SELECT * FROM mock_answers ORDER BY id"))
    scores = _by_mock(select("SELECT * FROM mock_scores ORDER BY id"))
    return [
        Mock(
            row["mock"],
            row["at"],
            row["level"],
            row["seed"],
            tuple(Item(**item) for item in json.loads(row["plan"])),
            answers.get(row["mock"], {}),
            scores.get(row["mock"], {}),
        )
        for row in select("SELECT * FROM mocks ORDER BY at, id")
    ]


def finished() -> list[Mock]:
    """The interviews that came to their end, oldest first."""
    return [known for known in history() if known.finished]


def unfinished() -> Mock | None:
    """The last interview, where it was left before its end."""
    known = history()
    return known[-1] if known and not known[-1].finished else None


def record_answer(mock: Mock, place: int, seconds: float, answer: str) -> Mock:
    """Write an answer down, and return the interview as it is now."""
    text = answer.encode(errors="replace").decode()  # SQLite takes no lone surrogates
    insert("mock_answers", mock=mock.id, place=place, at=time.time(), seconds=seconds, answer=text)
    return _again(mock)


def record_score(mock: Mock, place: int, score: float | None, missed: Sequence[int] = ()) -> Mock:
    """Write down what an answer was worth (None: time ran out before it) and the places of the key points it missed."""
    insert("mock_scores", mock=mock.id, place=place, at=time.time(), score=score, missed=json.dumps(list(missed)))
    return _again(mock)


def record_points(mock: Mock, place: int, held: Iterable[int]) -> Mock:
    """Write down which key points of its card an answer had, by their places; the score is their share."""
    count, had = len(mock.items[place].card.key_points), set(held)
    return record_score(mock, place, len(had) / count, [number for number in range(count) if number not in had])


def end(mock: Mock) -> Mock:
    """Close an interview: what was not answered was not reached."""
    for place in mock.to_answer:
        mock = record_score(mock, place, None)
    return mock


def _again(mock: Mock) -> Mock:
    return next(other for other in history() if other.id == mock.id)


def _by_mock(rows: Sequence[dict[str, Any]]) -> dict[str, dict[int, dict[str, Any]]]:
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["mock"], {}).setdefault(row["place"], row)  # the first one counts
    return found


def _different_topics(cards: Sequence[Card], count: int) -> list[Card]:
    """The first cards whose topics differ; where there are too few topics, the next ones."""
    first: dict[str, Card] = {}
    for card in cards:
        first.setdefault(card.topic, card)
    others = [card for card in cards if card not in first.values()]
    return [*first.values(), *others][:count]


def _coding(level: str, draw: random.Random, framework: str, minutes: int) -> Item:
    from tl_course import exercises

    known = [
        exercise
        for exercise in exercises.all_exercises()
        if exercise.kind == "build"
        and exercise.difficulty in _DIFFICULTIES[level]
        and exercise.minutes <= minutes + 3
        and {framework, "numpy"} & exercise.variants.keys()
    ]
    chosen = draw.choice(known)
    return Item("coding", chosen.id, minutes, framework if framework in chosen.variants else "numpy")
