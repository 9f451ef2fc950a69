"""The estimate of key points, made ready while the learner types, and left out where it cannot be had."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from tl_course.errors import CourseError
from tl_course.i18n import language
from tl_course.practice.cards import Card

if TYPE_CHECKING:
    from tl_course.practice.key_points import Estimate


class Estimator:
    """Estimates which key points answers cover, where it is wanted and possible in the language of the interface.

    Attributes:
        note: what to say of the last estimate: how far to trust it, or why there is none; empty where none was wanted.
    """

    def __init__(self, wanted: bool = True) -> None:
        from tl_course.practice import key_points

        self.note = ""
        self._ready: Future[None] | None = None
        if wanted and key_points.available(language()):
            pool = ThreadPoolExecutor(1)
            self._ready = pool.submit(key_points.warm_up)
            pool.shutdown(wait=False)

    def estimate(self, card: Card, answer: str) -> "Estimate | None":
        """Which key points the answer covers; None without an answer, or where it cannot be estimated."""
        from tl_course.practice import key_points

        self.note = ""
        if self._ready is None or not answer.strip():
            return None
        try:
            self._ready.result()
            found = key_points.estimate(card, answer)
        except CourseError as error:
            self.note = str(error)
            return None
        self.note = found.note()
        return found
