"""Question cards in the terminal: answer in your own words, see what a full answer contains, rate yourself."""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tl_course.errors import CourseError
from tl_course.i18n import _, language
from tl_course.practice.cards import Card
from tl_course.practice.mock_report import section
from tl_course.practice.schedule import Standing, record_review
from tl_course.practice.terminal import Leave, Skip, Stopwatch, Terminal, clock

if TYPE_CHECKING:
    from tl_course.practice.key_points import Estimate

KNOWN, UNKNOWN = "\N{CHECK MARK}", "\N{MIDDLE DOT}"


def practise(ui: Terminal, cards: Sequence[Card], estimate: bool = True) -> int:
    """Ask cards one after the other; those rated 1 (again) come once more at the end. Each rating is kept at once.

    Args:
        ui: the terminal.
        cards: in their order.
        estimate: whether to estimate which key points an answer covers.

    Returns:
        The number of ratings given.
    """
    from tl_course.practice import key_points

    ready = Background(key_points.warm_up) if estimate and key_points.available(language()) else None
    waiting, again, rated = deque(cards), set(), 0
    while waiting:
        card = waiting.popleft()
        place = _("{left} to go").format(left=len(waiting)) if waiting else _("the last one")
        ui.heading(f"{headline(card)} {UNKNOWN} {place}")
        try:
            rating = _ask(ui, card, ready)
        except Skip:
            continue
        except Leave:
            break
        rated += 1
        if rating == 1 and card.id not in again:
            again.add(card.id)
            waiting.append(card)
    ui.say()
    ui.say(_("{count} rated. Every rating is kept; come back when cards are due.").format(count=rated))
    return rated


def headline(card: Card) -> str:
    """A card's topic, level and kind."""
    return f" {UNKNOWN} ".join((topic_title(card.topic), _(card.level), _(card.kind)))


def topic_title(topic: str) -> str:
    """A topic as readers see it."""
    return _(topic.replace("_", " "))


def ask_answer(ui: Terminal, question: str) -> tuple[str, float]:
    """Ask a question and take the answer: its text, and the seconds it took."""
    ui.say()
    ui.say(question, "bold")
    ui.say()
    ui.say(_("In your own words; an empty line ends the answer (:s skips the question, :q stops)."), "dim")
    watch = Stopwatch()
    answer = ui.text(lambda: f"{clock(watch.seconds)} > ")
    return answer, watch.seconds


def show_answer(ui: Terminal, card: Card) -> None:
    """What a card says: answer, wrong answers, where it is taught, sources."""
    ui.section(_("A full answer"), [str(card.answer)])
    ui.section(_("Often said, and wrong"), [f"\N{BALLOT X} {wrong.claim}\n  {wrong.why}" for wrong in card.wrong])
    ui.section(_("Read on"), [section(card.lesson), *map(section, card.measured)])
    ui.section(_("Sources"), list(card.sources))


def show_key_points(ui: Terminal, card: Card, covered: "Estimate | None") -> None:
    """The key points, with the estimate of which ones the answer covers, marked as one."""
    marks = [KNOWN if flag else UNKNOWN for flag in covered.covered] if covered else [""] * len(card.key_points)
    lines = [
        f"{place}. {mark} {point}" for place, (mark, point) in enumerate(zip(marks, card.key_points, strict=True), 1)
    ]
    ui.section(_("A full answer contains"), lines)
    if covered:
        ui.say("  " + covered.note(), "dim")


class Background:
    """Something slow that gets ready while the learner types."""

    def __init__(self, work) -> None:
        pool = ThreadPoolExecutor(1)
        self._done: Future = pool.submit(work)
        pool.shutdown(wait=False)

    def estimate(self, card: Card, answer: str) -> "Estimate | None":
        """Which key points the answer covers; None without an answer, or where it cannot be estimated."""
        from tl_course.practice import key_points

        try:
            self._done.result()
            return key_points.estimate(card, answer) if answer else None
        except (CourseError, ImportError, OSError):
            return None


def _ask(ui: Terminal, card: Card, ready: Background | None) -> int:
    answer, seconds = ask_answer(ui, str(card.question))
    show_key_points(ui, card, ready.estimate(card, answer) if ready else None)
    show_answer(ui, card)
    ui.section(_("Asked next"), [str(card.follow_up.question)])
    prompt = _("How well did you know it? 1 again, 2 hard, 3 good, 4 easy; f: the answer to the next question")
    while (chosen := ui.choice("\n" + prompt, ("1", "2", "3", "4", "f"), "3" if answer else "1")) == "f":
        ui.section(str(card.follow_up.question), [str(card.follow_up.answer)])
    standing = record_review(card, int(chosen), seconds, answer, language())
    ui.say(_("Comes back {when}.").format(when=when(standing)))
    return int(chosen)


def when(standing: Standing) -> str:
    """How long until a card is due, in words."""
    wait = standing.due - datetime.now(UTC)
    if wait < timedelta(hours=1):
        return _("in {count} min").format(count=max(1, round(wait / timedelta(minutes=1))))
    if wait < timedelta(days=1):
        return _("in {count} h").format(count=round(wait / timedelta(hours=1)))
    return _("in {count} days").format(count=round(wait / timedelta(days=1)))
