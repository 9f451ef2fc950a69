"""Question cards in the terminal: answer in your own words, see what a full answer contains, rate yourself."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tl_course.i18n import _
from tl_course.practice.cards import Card
from tl_course.practice.estimating import Estimator
from tl_course.practice.mock_report import section
from tl_course.practice.names import headline
from tl_course.practice.rounds import Round
from tl_course.practice.schedule import when
from tl_course.practice.terminal import Leave, Skip, Terminal
from tl_course.practice.timing import Stopwatch, clock

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
    estimator = Estimator(estimate)
    going = Round(cards)
    while (card := going.card) is not None:
        place = _("{left} to go").format(left=going.left) if going.left else _("the last one")
        ui.heading(f"{headline(card)} {UNKNOWN} {place}")
        try:
            _ask(ui, card, going, estimator)
        except Skip:
            going.skip()
        except Leave:
            break
    ui.say()
    ui.say(_("{count} rated. Every rating is kept; come back when cards are due.").format(count=going.rated))
    return going.rated


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


def show_key_points(ui: Terminal, card: Card, covered: "Estimate | None", note: str) -> None:
    """The key points, with the estimate of which ones the answer covers and the note on it."""
    marks = [KNOWN if flag else UNKNOWN for flag in covered.covered] if covered else [""] * len(card.key_points)
    lines = [
        f"{place}. {mark} {point}" for place, (mark, point) in enumerate(zip(marks, card.key_points, strict=True), 1)
    ]
    ui.section(_("A full answer contains"), lines)
    if note:
        ui.say("  " + note, "dim")


def _ask(ui: Terminal, card: Card, going: Round, estimator: Estimator) -> None:
    answer, seconds = ask_answer(ui, str(card.question))
    covered = estimator.estimate(card, answer)
    show_key_points(ui, card, covered, estimator.note)
    show_answer(ui, card)
    ui.section(_("Asked next"), [str(card.follow_up.question)])
    prompt = _("How well did you know it? 1 again, 2 hard, 3 good, 4 easy; f: the answer to the next question")
    while (chosen := ui.choice("\n" + prompt, ("1", "2", "3", "4", "f"), "3" if answer else "1")) == "f":
        ui.section(str(card.follow_up.question), [str(card.follow_up.answer)])
    standing = going.rate(int(chosen), seconds, answer)
    ui.say(_("Comes back {when}.").format(when=when(standing)))
