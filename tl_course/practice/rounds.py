"""A round of question cards: which one is asked next, wherever it is asked."""

from collections import deque
from collections.abc import Sequence

from tl_course.i18n import language
from tl_course.practice.cards import Card
from tl_course.practice.schedule import Standing, record_review


class Round:
    """Cards asked one after the other; those rated 1 (again) come once more at the end.

    Attributes:
        done: cards asked so far.
        rated: ratings given so far.
    """

    def __init__(self, cards: Sequence[Card]) -> None:
        self._waiting, self._again = deque(cards), set[str]()
        self.done = self.rated = 0

    @property
    def card(self) -> Card | None:
        """The card to ask now; None at the end."""
        return self._waiting[0] if self._waiting else None

    @property
    def left(self) -> int:
        """How many come after this one."""
        return max(0, len(self._waiting) - 1)

    @property
    def total(self) -> int:
        """How many there are in all, those that come again counted twice."""
        return self.done + len(self._waiting)

    def skip(self) -> None:
        """Go on without a rating."""
        self._waiting.popleft()
        self.done += 1

    def rate(self, rating: int, seconds: float, answer: str) -> Standing:
        """Write the rating down, go on, and say where the card stands. Raises as `record_review` does."""
        card = self._waiting[0]
        standing = record_review(card, rating, seconds, answer, language())
        self.rated += 1
        self.skip()
        if rating == 1 and card.id not in self._again:
            self._again.add(card.id)
            self._waiting.append(card)
        return standing
