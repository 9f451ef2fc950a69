"""Where a learner stands in the course: each lesson's exercises, quiz and cards, and where to go on."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime

from tl_course import lessons, quizzes, records
from tl_course.practice.cards import all_cards
from tl_course.practice.schedule import standings


@dataclass(frozen=True)
class LessonStanding:
    """A lesson, and what is done of it.

    Attributes:
        id: as in the notebook's name.
        title: with its number.
        minutes: how long it takes, exercises included.
        after: ids of the lessons to do before.
        exercises: ids, in order.
        solved: those of them that have all their points.
        begun: whether any of them was tried, or any of its quiz.
        questions: how many its quiz has.
        known: how many of these were answered right the last time.
        due: questions of its quiz and cards on it that are due again.
    """

    id: str
    title: str
    minutes: int
    after: tuple[str, ...]
    exercises: tuple[str, ...]
    solved: frozenset[str]
    begun: bool
    questions: int
    known: int
    due: int

    @property
    def done(self) -> bool:
        """Whether every exercise has all its points."""
        return len(self.solved) == len(self.exercises)


@dataclass(frozen=True)
class Standing:
    """Where a learner stands.

    Attributes:
        lessons: all of them, in order.
        cards_due, cards_new, cards: question cards that are due, were never asked, and all.
        questions_due: quiz questions that are due.
        next: lesson and exercise to go on with; the exercise is None at a lesson's start, both are None at the end.
        minutes: time at the exercises' cells so far, as far as JupyterLab saw it.
    """

    lessons: tuple[LessonStanding, ...]
    cards_due: int
    cards_new: int
    cards: int
    questions_due: int
    next: tuple[str | None, str | None]
    minutes: float


def standing() -> Standing:
    """Where the learner stands now.

    Raises:
        ProgressError: the progress file cannot be read.
    """
    now = datetime.now(UTC)
    reviewed, answered = standings(now), quizzes.standings(now)
    cards, questions_due = all_cards(), quizzes.due(now)
    due_cards = [card for card in cards if card.id in reviewed and reviewed[card.id].due <= now]
    due = Counter(one.lesson.partition("#")[0] for one in (*due_cards, *questions_due))
    questions = Counter(one.lesson.partition("#")[0] for one in quizzes.all_questions())
    right = Counter(
        one.lesson.partition("#")[0]
        for one in quizzes.all_questions()
        if one.id in answered and answered[one.id].rating > 1
    )
    tried = {row["id"]: row for row in records.summary()}
    asked = {one.lesson.partition("#")[0] for one in quizzes.all_questions() if one.id in answered}
    rows = []
    for name in lessons.names():
        known, own = lessons.header(name), lessons.exercises_of(name)
        row = LessonStanding(
            id=name,
            title=known["title"],
            minutes=known["minutes"],
            after=tuple(known["after"]),
            exercises=tuple(own),
            solved=frozenset(one for one in own if tried[one]["best"] >= 1),
            begun=name in asked or any(tried[one]["attempts"] for one in own),
            questions=questions[name],
            known=right[name],
            due=due[name],
        )
        rows.append(row)
    last = {row.id: max((tried[one]["last"] or 0.0 for one in row.exercises), default=0.0) for row in rows}
    return Standing(
        lessons=tuple(rows),
        cards_due=len(due_cards),
        cards_new=sum(card.id not in reviewed for card in cards),
        cards=len(cards),
        questions_due=len(questions_due),
        next=_next(rows, last),
        minutes=records.seconds_worked() / 60,
    )


def _next(rows: list[LessonStanding], last: dict[str, float]) -> tuple[str | None, str | None]:
    """The first exercise that is not solved, in the lesson worked at last; after it, in the first that has one."""
    current = max(rows, key=lambda row: last[row.id], default=None)
    waiting = [row for row in rows if not row.done]
    if current is not None and last[current.id] and not current.done:
        chosen = current
    elif waiting:
        chosen = waiting[0]
    else:
        return None, None
    return chosen.id, next(one for one in chosen.exercises if one not in chosen.solved) if chosen.begun else None
