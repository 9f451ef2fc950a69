"""When a card comes back: FSRS (Free Spaced Repetition Scheduler), replayed from the log of reviews.

Only reviews are kept, so nothing can contradict them: where a card stands follows from its reviews alone.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import zip_longest
from typing import TYPE_CHECKING

from tl_course.errors import BadInput
from tl_course.i18n import Language, _
from tl_course.practice.cards import Card, Level
from tl_course.progress_file import insert, select

if TYPE_CHECKING:
    import fsrs

RETENTION = 0.9  # cards come back when the chance to know them has fallen to this
RATINGS = (1, 2, 3, 4)  # again, hard, good, easy
LEVELS: tuple[Level, ...] = ("junior", "mid", "senior")


@dataclass(frozen=True)
class Standing:
    """Where a card stands after its reviews.

    Attributes:
        reviews: how many.
        rating: the last one, 1 (again) to 4 (easy).
        due: when to ask it again.
        recall: estimated probability to know it now.
    """

    reviews: int
    rating: int
    due: datetime
    recall: float


def record_review(card: Card, rating: int, seconds: float, answer: str, language: Language) -> Standing:
    """Write down how well a card was known, and say where it stands now.

    Args:
        card: which one.
        rating: 1 (again), 2 (hard), 3 (good) or 4 (easy).
        seconds: time the answer took.
        answer: what was answered.
        language: in which language it was asked.

    Raises:
        BadInput: no such rating.
        ProgressError: the progress file cannot be written.
    """
    if rating not in RATINGS:
        raise BadInput(_("a rating from 1 to 4"), repr(rating), _("1 again, 2 hard, 3 good, 4 easy"))
    text = answer.encode(errors="replace").decode()  # SQLite takes no lone surrogates
    insert("reviews", card=card.id, at=time.time(), rating=rating, seconds=seconds, answer=text, language=language)
    return standings()[card.id]


def standings(now: datetime | None = None) -> dict[str, Standing]:
    """Where each card stands that was reviewed at least once, by id."""
    now = now or datetime.now(UTC)
    logs = defaultdict(list)
    for row in select("SELECT card, at, rating FROM reviews ORDER BY at, id"):
        logs[row["card"]].append(row)
    return {name: replay([(row["at"], row["rating"]) for row in log], now) for name, log in logs.items()}


def replay(log: Sequence[tuple[float, int]], now: datetime) -> Standing:
    """Where something stands after its reviews, each the time (seconds since 1970) and a rating."""
    import fsrs

    card = fsrs.Card(card_id=0, due=datetime.fromtimestamp(log[0][0], UTC))
    for at, rating in log:
        card, _log = _scheduler().review_card(card, fsrs.Rating(rating), datetime.fromtimestamp(at, UTC))
    return Standing(len(log), log[-1][1], card.due, _scheduler().get_card_retrievability(card, now))


def select_cards(
    cards: Iterable[Card],
    topic: str | None = None,
    level: str | None = None,
    lesson: str | None = None,
    kind: str | None = None,
) -> list[Card]:
    """The cards of a topic, level, lesson ("06" is enough) and kind; None leaves any.

    Raises:
        BadInput: there are none; the message says which names there are.
    """
    found = list(cards)
    wanted = {"topic": topic, "level": level, "kind": kind, "lesson": lesson}
    for name, value in wanted.items():
        if value is None:
            continue
        names = sorted({getattr(card, name).partition("#")[0] for card in found})
        exact = name != "lesson"
        found = [c for c in found if (getattr(c, name) == value if exact else c.lesson.startswith(value))]
        if not found:
            expected = _("{name}: one of {names}").format(name=name, names=", ".join(names))
            raise BadInput(expected, repr(value), _("name one of them"))
    return found


def queue(cards: Sequence[Card], weak: bool = False, now: datetime | None = None) -> list[Card]:
    """The cards to ask, in order: due ones, those most likely forgotten first, then new ones.

    New ones go from junior to senior with the topics taking turns.

    Args:
        cards: to choose from.
        weak: ask what went badly instead, due or not: cards last rated 1 or 2, worst first, then new ones of the topics
            whose cards went worst.
        now: the time; the present where left away.
    """
    now = now or datetime.now(UTC)
    known = standings(now)
    seen = [card for card in cards if card.id in known]
    new = [card for card in cards if card.id not in known]
    if weak:
        asked = [card for card in seen if known[card.id].rating <= 2]
        asked.sort(key=lambda card: (known[card.id].rating, known[card.id].recall))
        marks = defaultdict(list)
        for card in seen:
            marks[card.topic].append(known[card.id].rating)
        bad = {topic: sum(values) / len(values) for topic, values in marks.items()}
        return asked + sorted((card for card in new if card.topic in bad), key=lambda card: bad[card.topic])
    due = sorted((card for card in seen if known[card.id].due <= now), key=lambda card: known[card.id].recall)
    return due + [card for level in LEVELS for card in _taking_turns([card for card in new if card.level == level])]


def when(standing: Standing) -> str:
    """How long until a card is due, in words."""
    wait = standing.due - datetime.now(UTC)
    if wait < timedelta(hours=1):
        return _("in {count} min").format(count=max(1, round(wait / timedelta(minutes=1))))
    if wait < timedelta(days=1):
        return _("in {count} h").format(count=round(wait / timedelta(hours=1)))
    return _("in {count} days").format(count=round(wait / timedelta(days=1)))


def nothing(selected: Sequence[Card], weak: bool) -> str:
    """Why `queue` has none of these cards to ask, in words."""
    if weak:
        return _("No weak spots here: nothing was rated again or hard.")
    known = standings()
    next_one = min((known[card.id] for card in selected), key=lambda standing: standing.due)
    return _("Nothing is due. The next card comes back {when}.").format(when=when(next_one))


def _taking_turns(cards: Sequence[Card]) -> list[Card]:
    topics = defaultdict(list)
    for card in cards:
        topics[card.topic].append(card)
    return [card for turn in zip_longest(*topics.values()) for card in turn if card is not None]


@cache
def _scheduler() -> "fsrs.Scheduler":
    import fsrs

    return fsrs.Scheduler(desired_retention=RETENTION, enable_fuzzing=False)  # the same log, the same dates
