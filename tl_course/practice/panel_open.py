"""The open question of a mock interview in the notebook panel, with its clock: words or code."""

from collections.abc import Callable

import ipywidgets as widgets

from tl_course import assistance, records
from tl_course.errors import CourseError
from tl_course.exercises.engine.checking import check_source
from tl_course.exercises.engine.render import as_html
from tl_course.exercises.engine.runner import runner
from tl_course.exercises.engine.stub import stub
from tl_course.i18n import _
from tl_course.practice import draft, mock
from tl_course.practice.draft import Draft
from tl_course.practice.mock import Item, Mock
from tl_course.practice.names import title
from tl_course.practice.panel_cards import question
from tl_course.practice.panel_parts import View, markup, paragraphs, row, shown, soft, text_area
from tl_course.practice.timing import Stopwatch, Ticker, clock

KEEP_EVERY = 5  # seconds; what is typed is kept at once, the time every so often


class OpenQuestion(View):
    """One question of an interview while the clock runs.

    Attributes:
        known: the interview.
        place: of the question.
    """

    def __init__(self, go_on: Callable[[Mock], None], choose: Callable[[], None]) -> None:
        super().__init__()
        self._go_on, self._choose = go_on, choose
        self._ticker: Ticker | None = None  # none while no question is open
        self.known: Mock
        self.place = 0
        self.head, self.clock, self.question, self.verdict = (widgets.HTML() for _place in range(4))
        self.words = text_area(_("Your answer, in your own words"), 8)
        self.code = text_area(_("Your code"), 22, code=True)
        for field in (self.words, self.code):
            field.observe(lambda _change: self.guarded(self._keep), "value")
        self.check = self.button(_("Check"), self._check, primary=True)
        self.next = self.button(_("Next question"), self._next, primary=True)
        self.hint = self.button(_("Hint"), self._hint)
        self.skip = self.button(_("Pass"), self._pass)
        self.stop = self.button(_("Stop for now"), self._stop)
        buttons = row(self.check, self.next, self.hint, self.skip, self.stop)
        parts = (self.head, self.clock, self.question, self.words, self.code, buttons, self.verdict, self.trouble)
        self.box.children = parts

    @property
    def item(self) -> Item:
        """What is asked."""
        return self.known.items[self.place]

    @property
    def field(self) -> widgets.Textarea:
        """Where the answer is written."""
        return self.code if self.item.kind == "coding" else self.words

    def show(self, known: Mock, place: int) -> None:
        """Open a question; a draft of its answer is still there, and its time goes on."""
        self.leave()
        self.known, self.place = known, place
        coding, kept = self.item.kind == "coding", draft.read(known, place)
        parts = (
            _("Question {number} of {count}").format(number=place + 1, count=len(known.items)),
            title(self.item.kind),
            _("{minutes} min").format(minutes=self.item.minutes),
        )
        self.head.value, self.verdict.value = soft(" \N{MIDDLE DOT} ".join(parts)), ""
        for widget, visible in ((self.words, not coding), (self.skip, not coding), (self.stop, True)):
            shown(widget, visible)
        self._may_check(coding)
        self.next.description = _("Hand in") if coding else _("Next question")
        start = self._describe_problem() if coding else self._describe_card()
        self.field.value = kept.text or start
        self._watch = Stopwatch(kept.seconds)
        self._show_time()
        self._ticker = Ticker(self._tick)

    def leave(self) -> None:
        """Stop the clock; what is written so far is kept."""
        if self._ticker is not None:
            self._keep()
            self._stop_clock()

    def _describe_problem(self) -> str:
        """Show the problem, and return the code to begin with."""
        exercise, framework = self.item.exercise, self.item.framework or "numpy"
        name = f"{exercise.title} ({framework})"
        self.question.value = f"<div class='tl-question'>{markup(name)}</div>{paragraphs(exercise.statement)}"
        runner(exercise.process(framework)).start()  # frameworks are loaded while the learner thinks
        return stub(exercise.variant(framework)).strip() + "\n"

    def _describe_card(self) -> str:
        self.question.value = question(self.item.card)
        return ""

    def _may_check(self, coding: bool) -> None:
        for widget in (self.check, self.hint, self.code):
            shown(widget, coding)
        self.code.disabled = False
        self.next.button_style = "" if coding else "primary"

    def _tick(self) -> None:
        """Once a second, in a thread: show the time, and keep it."""
        self._show_time()
        if int(self._watch.seconds) % KEEP_EVERY == 0:
            try:
                self._keep()
            except CourseError as error:
                self.tell(error)

    def _show_time(self) -> None:
        seconds, minutes = self._watch.seconds, self.item.minutes
        here = _("This question: {left} of {minutes}:00 left")
        whole = _("Interview: {left} left").format(left=clock(self.known.seconds_left - seconds))
        text = f"{here.format(left=clock(60 * minutes - seconds), minutes=minutes)} \N{MIDDLE DOT} {whole}"
        self.clock.value = f"<div class='tl-clock' role='timer'>{markup(text)}</div>"

    def _keep(self) -> None:
        if self._ticker is not None:
            draft.write(self.known, self.place, Draft(self.field.value, self._watch.seconds))

    def _stop_clock(self) -> None:
        ticker, self._ticker = self._ticker, None
        if ticker is not None:
            ticker.stop()

    def _check(self) -> None:
        """Judge the code and keep the attempt; once it is right, the clock stops and its score is written down."""
        framework, source = self.item.framework or "numpy", self.code.value
        self.check.disabled, self.verdict.value = True, soft(_("Checking ..."))
        try:
            verdict = check_source(self.item.id, framework, source)
            if verdict.answered:
                records.record_attempt(verdict, source)
        finally:
            self.check.disabled, self.verdict.value = False, ""
        self.verdict.value = as_html(verdict)
        if verdict.passed:
            self._hand_in()
            self._may_check(False)
            shown(self.code, True)
            self.code.disabled = True
            shown(self.stop, False)
            self.next.description = _("Next question")
            self.next.focus()

    def _hint(self) -> None:
        self.verdict.value = assistance.hint(self.item.id).content

    def _next(self) -> None:
        if self._ticker is not None:
            self._hand_in() if self.item.kind == "coding" else self._record(self.words.value.strip())
        self._go_on(self.known)

    def _pass(self) -> None:
        self._record("")
        self._go_on(self.known)

    def _stop(self) -> None:
        self.leave()
        self._choose()

    def _hand_in(self) -> None:
        """Write the code down, and what its best check was worth."""
        tried = [row for row in records.attempts(self.item.id) if row["at"] >= self.known.at]
        best = max((row["score"] for row in tried if row["framework"] == self.item.framework), default=0.0)
        self._record(self.code.value)
        self.known = mock.record_score(self.known, self.place, best)

    def _record(self, answer: str) -> None:
        """Write the answer down; then its clock stops, and its draft is not needed any more."""
        known = mock.record_answer(self.known, self.place, self._watch.seconds, answer)
        self._stop_clock()
        draft.remove(self.known, self.place)
        self.known = known
