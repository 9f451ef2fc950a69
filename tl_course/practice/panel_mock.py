"""A mock interview in the notebook panel: begin or go on, the questions against the clock, the scores, the report."""

import random

import ipywidgets as widgets

from tl_course.i18n import _
from tl_course.practice import mock
from tl_course.practice.mock import Mock
from tl_course.practice.mock_report import compare, compare_columns
from tl_course.practice.names import title
from tl_course.practice.panel_open import OpenQuestion
from tl_course.practice.panel_parts import FIELD, LABEL, View, choice, markup, row, shown, table, titled
from tl_course.practice.panel_report import report_html
from tl_course.practice.panel_score import ScoreView
from tl_course.practice.schedule import LEVELS
from tl_course.practice.timing import clock

FRAMEWORKS = (("PyTorch", "pytorch"), ("Keras", "keras"), ("NumPy", "numpy"))


class MockView(View):
    """An interview from its choice to its report; whatever was answered or scored is kept at once."""

    def __init__(self, estimate: bool = True) -> None:
        super().__init__()
        self.level = choice(_("Level"), [(title(level), level) for level in LEVELS], "mid")
        seed = random.SystemRandom().randrange(10_000)
        self.seed = widgets.IntText(seed, description=_("Seed"), layout=FIELD, style=LABEL)
        self.framework = choice(_("Framework"), FRAMEWORKS, "pytorch")
        self.begin = self.button(_("Begin a new interview"), self._begin)
        self.resume = self.button(_("Go on"), self._resume, primary=True)
        self.about, self.earlier, self.report = widgets.HTML(), widgets.HTML(), widgets.HTML()
        fields = widgets.VBox([self.level, self.seed, self.framework])
        self.setup = widgets.VBox([self.about, fields, row(self.resume, self.begin), self.earlier])
        self.open = OpenQuestion(self._go_on, self._choose)
        self.score = ScoreView(self._go_on, estimate)
        self.again = self.button(_("Back to the interviews"), self._choose)
        self.result = widgets.VBox([self.report, self.again])
        self.stages = (self.setup, self.open.box, self.score.box, self.result)
        self.box.children = (*self.stages, self.trouble)
        self._choose()

    def close(self) -> None:
        """Stop the clock, and keep what is written so far."""
        self.open.leave()

    def _stage(self, stage: widgets.VBox) -> None:
        for known in self.stages:
            shown(known, known is stage)

    def _choose(self) -> None:
        """Show what can be begun or gone on with, and what there was."""
        self.guarded(self._describe)
        self._stage(self.setup)

    def _describe(self) -> None:
        pending = mock.unfinished()
        shown(self.resume, pending is not None)
        lines = [
            _("45 minutes: concepts, debugging, a coding problem, a design question. The same seed asks the same."),
            _("The clock runs while a question is open; you can stop at any time and go on later."),
        ]
        if pending:
            found = _("An interview is not finished: {level}, seed {seed}, {left} left. A new one would close it.")
            left = clock(pending.seconds_left)
            lines.append(found.format(level=title(pending.level), seed=pending.seed, left=left))
        self.about.value = "".join(f"<p>{markup(line)}</p>" for line in lines)
        rows = compare(mock.finished())
        self.earlier.value = titled(_("Your interviews"), table(rows, compare_columns())) if rows else ""

    def _begin(self) -> None:
        self._go_on(mock.begin(self.level.value, self.seed.value, self.framework.value))

    def _resume(self) -> None:
        pending = mock.unfinished()
        if pending is None:
            self._choose()
        else:
            self._go_on(pending)

    def _go_on(self, known: Mock) -> None:
        """Show what comes next: a question, an answer to score, or the report."""
        if known.to_answer and known.seconds_left > 0:
            self.open.show(known, known.to_answer[0])
            self._stage(self.open.box)
            self.open.field.focus()
            return
        known = mock.end(known)
        if known.to_score:
            self._stage(self.score.box)
            self.score.show(known, known.to_score[0])
        else:
            self.report.value = report_html(known)
            self._stage(self.result)
            self.again.focus()
