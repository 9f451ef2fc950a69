"""After the clock has stopped, in the notebook panel: the learner ticks the key points that each answer had."""

from collections.abc import Callable

import ipywidgets as widgets

from tl_course.i18n import _
from tl_course.practice import mock
from tl_course.practice.estimating import Estimator
from tl_course.practice.mock import Mock
from tl_course.practice.names import headline
from tl_course.practice.panel_cards import full_answer, question
from tl_course.practice.panel_parts import View, markup, row, soft, titled


class ScoreView(View):
    """One answer with its key points to tick; the estimate only proposes.

    Attributes:
        points: one checkbox a key point.
    """

    def __init__(self, go_on: Callable[[Mock], None], estimate: bool) -> None:
        super().__init__()
        self._go_on, self._estimate, self._estimator = go_on, estimate, None
        self.head, self.note, self.solution = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self.points = widgets.VBox()
        self.save = self.button(_("Save this score"), self._save, primary=True)
        self.box.children = (self.head, self.points, self.note, row(self.save), self.solution, self.trouble)

    def show(self, known: Mock, place: int) -> None:
        """Show one answer."""
        self._estimator = self._estimator or Estimator(self._estimate)
        self.known, self.place = known, place
        card, answer = known.items[place].card, known.answers[place]["answer"]
        left = _("The clock has stopped. Tick what you said; {count} answers to go").format(count=len(known.to_score))
        words = answer or _("(no answer)")
        own = f"<div class='tl-own'>{markup(words)}</div>"
        ask = titled(_("Which of these key points did you say?"), "")
        self.head.value = soft(f"{left} \N{MIDDLE DOT} {headline(card)}") + question(card) + own + ask
        self.points.children = [
            widgets.Checkbox(description=str(point).replace("`", ""), indent=False) for point in card.key_points
        ]
        self.solution.value, self.note.value = full_answer(card), ""
        self.points.children[0].focus()
        covered = self._estimator.estimate(card, answer)
        if covered:
            for box, flag in zip(self.points.children, covered.covered, strict=True):
                box.value = box.value or flag
        self.note.value = soft(self._estimator.note)

    def _save(self) -> None:
        held = [place for place, box in enumerate(self.points.children) if box.value]
        self._go_on(mock.record_points(self.known, self.place, held))
