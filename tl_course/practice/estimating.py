"""The estimate of what an answer covers: it gets ready while the learner types, and may be missing."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from tl_course.errors import CourseError
from tl_course.i18n import language
from tl_course.practice.cards import Card

if TYPE_CHECKING:
    from tl_course.practice.key_points import Estimate


class Estimator:
    """Estimates which key points answers cover, where it is wanted and possible in the language of the interface."""

    def __init__(self, wanted: bool = True) -> None:
        self._ready: Future | None = None
        if not wanted:
            return
        try:
            from tl_course.practice import key_points
        except ImportError:
            return
        if key_points.available(language()):
            pool = ThreadPoolExecutor(1)
            self._ready = pool.submit(key_points.warm_up)
            pool.shutdown(wait=False)

    def estimate(self, card: Card, answer: str) -> "Estimate | None":
        """Which key points the answer covers; None without an answer, or where it cannot be estimated."""
        if self._ready is None or not answer:
            return None
        try:
            self._ready.result()
            from tl_course.practice import key_points

            return key_points.estimate(card, answer)
        except (CourseError, ImportError, OSError):
            return None
