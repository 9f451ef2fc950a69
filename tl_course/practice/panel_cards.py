"""Question cards in the notebook panel: answer in your own words, see what a full answer contains, rate yourself."""

from functools import partial
from typing import TYPE_CHECKING

import ipywidgets as widgets

from tl_course.i18n import _
from tl_course.practice import schedule
from tl_course.practice.cards import Card, all_cards
from tl_course.practice.estimating import Estimator
from tl_course.practice.names import headline, title
from tl_course.practice.panel_parts import (
    FIELD,
    LABEL,
    View,
    choice,
    folded,
    lesson_link,
    listed,
    markup,
    paragraphs,
    row,
    shown,
    soft,
    text_area,
    titled,
)
from tl_course.practice.rounds import Round
from tl_course.practice.timing import Stopwatch

if TYPE_CHECKING:
    from tl_course.practice.key_points import Estimate


ANY = ""  # a list's choice that leaves any


class CardsView(View):
    """Choose cards, go through them one by one; each rating is kept at once."""

    def __init__(self, estimate: bool = True) -> None:
        super().__init__()
        self._estimate = estimate
        self.filters = {name: choice(label, _options(name), ANY) for name, label in _filters().items()}
        self.weak = widgets.Checkbox(description=_("What went badly before, due or not"), indent=False)
        most = _("At most")
        self.number = widgets.BoundedIntText(10, min=1, max=200, description=most, layout=FIELD, style=LABEL)
        self.begin = self.button(_("Begin"), self._begin, primary=True)
        self.setup = widgets.VBox([*self.filters.values(), self.number, self.weak, row(self.begin)])
        self.said, self.question, self.points, self.solution = (widgets.HTML() for _place in range(4))
        self.answer = text_area(_("Your answer, in your own words"), 6)
        self.reveal = self.button(_("Show the answer"), self._reveal, primary=True)
        self.skip = self.button(_("Skip"), self._skip)
        self.stop = self.button(_("Stop"), self._stop)
        names = {1: _("1 again"), 2: _("2 hard"), 3: _("3 good"), 4: _("4 easy")}
        self.ratings = [self.button(text, partial(self._rate, rating)) for rating, text in names.items()]
        self.rating = widgets.VBox([widgets.HTML(markup(_("How well did you know it?"))), row(*self.ratings)])
        buttons = row(self.reveal, self.skip, self.stop)
        self.asking = widgets.VBox([self.question, self.answer, buttons, self.points, self.rating, self.solution])
        self.box.children = (self.setup, self.said, self.asking, self.trouble)
        self._stop()

    def _begin(self) -> None:
        selected = schedule.select_cards(
            all_cards(), **{name: field.value or None for name, field in self.filters.items()}
        )
        waiting = schedule.queue(selected, self.weak.value)[: self.number.value]
        if not waiting:
            self.said.value = soft(schedule.nothing(selected, self.weak.value))
            return
        self.round, self.estimator = Round(waiting), Estimator(self._estimate)
        self.said.value = ""
        self._ask()

    def _ask(self) -> None:
        card = self.round.card
        if card is None:
            self.said.value += soft(
                _("{count} rated. Every rating is kept; come back when cards are due.").format(count=self.round.rated)
            )
            self._stop()
            return
        place = _("{place} of {total}").format(place=self.round.done + 1, total=self.round.total)
        self.question.value = soft(f"{place} \N{MIDDLE DOT} {headline(card)}") + question(card)
        self.answer.value, self.answer.disabled, self.points.value, self.solution.value = "", False, "", ""
        for widget, visible in ((self.setup, False), (self.asking, True), (self.reveal, True), (self.rating, False)):
            shown(widget, visible)
        self.watch = Stopwatch()
        self.answer.focus()

    def _reveal(self) -> None:
        card, self.seconds = self.round.card, self.watch.seconds
        if card is None or self.answer.disabled:
            return
        self.answer.disabled = True
        shown(self.reveal, False)
        self.points.value, self.solution.value = key_points(card, None, ""), full_answer(card)
        shown(self.rating, True)
        self.ratings[2 if self.answer.value.strip() else 0].focus()
        covered = self.estimator.estimate(card, self.answer.value.strip())
        self.points.value = key_points(card, covered, self.estimator.note)

    def _rate(self, rating: int) -> None:
        standing = self.round.rate(rating, self.seconds, self.answer.value.strip())
        self.said.value = soft(_("Comes back {when}.").format(when=schedule.when(standing)))
        self._ask()

    def _skip(self) -> None:
        self.round.skip()
        self.said.value = ""
        self._ask()

    def _stop(self) -> None:
        shown(self.asking, False)
        shown(self.setup, True)


def question(card: Card) -> str:
    """The question, as HTML."""
    return f"<div class='tl-question'>{markup(card.question)}</div>"


def key_points(card: Card, covered: "Estimate | None", note: str) -> str:
    """The key points as HTML, with the estimate of which ones the answer covers and the note on it."""
    flags = covered.covered if covered else [False] * len(card.key_points)
    mark = _("(estimate: covered)")
    found = f" <strong>\N{CHECK MARK} {markup(mark)}</strong>"
    points = [markup(point) + found * flag for point, flag in zip(card.key_points, flags, strict=True)]
    return titled(_("A full answer contains"), listed(points, "ol") + (soft(note) if note else ""))


def full_answer(card: Card) -> str:
    """What else a card says as HTML: answer, wrong answers, the next question folded, where it is taught, sources."""
    wrong = "".join(
        f"<dt>\N{BALLOT X} {markup(answer.claim)}</dt><dd>{markup(answer.why)}</dd>" for answer in card.wrong
    )
    after = folded(str(card.follow_up.question), paragraphs(card.follow_up.answer))
    parts = {
        _("A full answer"): paragraphs(card.answer),
        _("Often said, and wrong"): f"<dl>{wrong}</dl>",
        _("Asked next"): after,
        _("Read on"): listed(map(lesson_link, (card.lesson, *card.measured))),
        _("Sources"): listed(map(markup, card.sources)),
    }
    return "".join(titled(name, content) for name, content in parts.items())


def _filters() -> dict[str, str]:
    return {"topic": _("Topic"), "level": _("Level"), "lesson": _("Lesson"), "kind": _("Kind")}


def _options(name: str) -> list[tuple[str, str]]:
    """What a filter offers: any, then what the cards have."""
    found = dict.fromkeys(getattr(card, name).partition("#")[0] for card in all_cards())
    if name == "level":
        names = [(title(level), level) for level in schedule.LEVELS]
    elif name == "lesson":
        names = [(lesson, lesson) for lesson in sorted(found)]
    else:
        names = [(title(value), value) for value in found]
    return [(_("any"), ANY), *names]
