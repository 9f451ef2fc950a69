"""A mock interview in the terminal: the questions against the clock, then the scores, then the report."""

from pathlib import Path

from tl_course.i18n import _
from tl_course.practice import asking, coding, mock
from tl_course.practice.estimating import Estimator
from tl_course.practice.mock import Item, Mock
from tl_course.practice.mock_report import Report, compare, compare_columns, report
from tl_course.practice.names import headline, title
from tl_course.practice.terminal import Leave, Skip, Terminal
from tl_course.practice.timing import Stopwatch, clock


def interview(ui: Terminal, known: Mock, folder: Path = coding.FOLDER, estimate: bool = True) -> Report | None:
    """Begin an interview, or go on with one; each answer and each score is kept at once.

    Returns:
        The report; None where the learner left before the end, which can be made up for later.
    """
    ui.heading(_("Mock interview: {level}, seed {seed}").format(level=title(known.level), seed=known.seed))
    ui.say(_("The clock runs while a question is open. :s passes on a question, :q stops; you can go on later."), "dim")
    try:
        for place in known.to_answer:
            if known.seconds_left <= 0:
                ui.say(_("Time is up."), "bold")
                break
            known = _ask(ui, known, place, folder)
        known = mock.end(known)
        known = _score_answers(ui, known, estimate)
    except Leave:
        left = clock(known.seconds_left)
        ui.say()
        ui.say(_("Stopped with {left} left. `tl-course practice mock` goes on from here.").format(left=left))
        return None
    found = report(known)
    show_report(ui, found)
    _after_coding(ui, known)
    return found


def show_report(ui: Terminal, found: Report) -> None:
    """Score by area, what was missed, what to study, and earlier interviews."""
    ui.heading(_("Report"))
    ui.say(_("{score:.0%} in all; questions that were not reached count as 0.").format(score=found.score), "bold")
    for line in found.lines:
        score = _("not reached") if line.score is None else f"{line.score:.0%}"
        spent = f"{clock(line.seconds)} / {line.item.minutes}:00"
        missed = [_("missed: {point}").format(point=point) for point in line.missed]
        ui.section(f"{score}  {title(line.item.kind)}  {spent}", [line.title, *missed])
    ui.section(_("Study next"), found.study or [_("Nothing fell below three quarters. Try a higher level.")])
    rows = compare(mock.finished())
    ui.section(_("Your interviews"), [])
    ui.table(rows, compare_columns())


def _ask(ui: Terminal, known: Mock, place: int, folder: Path) -> Mock:
    item = known.items[place]
    head = _("Question {number} of {count}").format(number=place + 1, count=len(known.items))
    times = _("{minutes} min, {left} left").format(minutes=item.minutes, left=clock(known.seconds_left))
    ui.heading(f"{head} {asking.UNKNOWN} {title(item.kind)} {asking.UNKNOWN} {times}")
    if item.kind == "coding":
        return _code(ui, known, place, folder)
    watch = Stopwatch()
    try:
        answer, seconds = asking.ask_answer(ui, str(item.card.question))
    except Skip:
        answer, seconds = "", watch.seconds
    return mock.record_answer(known, place, seconds, answer)


def _code(ui: Terminal, known: Mock, place: int, folder: Path) -> Mock:
    item = known.items[place]
    left = min(item.minutes, known.seconds_left / 60)
    outcome = coding.solve(ui, item.exercise, item.framework or "numpy", folder / known.id[:8], left)
    known = mock.record_answer(known, place, outcome.seconds, outcome.source)
    return mock.record_score(known, place, outcome.score)


def _after_coding(ui: Terminal, known: Mock) -> None:
    """What is asked about the code once it was written; it is not scored."""
    try:
        for place, item in enumerate(known.items):
            if item.kind == "coding" and known.scores[place]["score"] is not None:
                ui.heading(_("About your code: {title}").format(title=item.exercise.title))
                coding.questions_after(ui, item.exercise)
    except Leave:
        return


def _score_answers(ui: Terminal, known: Mock, estimate: bool) -> Mock:
    """Let the learner say which key points each answer had; the estimate only proposes."""
    if not known.to_score:
        return known
    ui.heading(_("The clock has stopped. Now your answers, one by one"))
    estimator = Estimator(estimate)
    for place in known.to_score:
        known = _score(ui, known, place, known.items[place], estimator)
    return known


def _score(ui: Terminal, known: Mock, place: int, item: Item, estimator: Estimator) -> Mock:
    card, answer = item.card, known.answers[place]["answer"]
    ui.heading(headline(card))
    ui.section(str(card.question), answer.splitlines() or [_("(no answer)")])
    covered = estimator.estimate(card, answer)
    asking.show_key_points(ui, card, covered, estimator.note)
    asking.show_answer(ui, card)
    count = len(card.key_points)
    proposed = [number for number, flag in enumerate(covered.covered, 1) if flag] if covered else []
    held = _held(ui, count, proposed, bool(answer))
    return mock.record_points(known, place, [number - 1 for number in held])


def _held(ui: Terminal, count: int, proposed: list[int], answered: bool) -> list[int]:
    """Numbers of the key points that the answer had, as its author sees it."""
    if not answered:
        return []
    shown = " ".join(map(str, proposed)) or _("none")
    prompt = _("Which of them did you say? Numbers, a for all, 0 for none; Enter: {shown}").format(shown=shown)
    while True:
        try:
            words = ui.line(f"\n{prompt} > ").replace(",", " ").split()
        except Skip:
            words = []
        if words in (["a"], ["0"]):
            return list(range(1, count + 1)) if words == ["a"] else []
        if all(word.isdecimal() and 1 <= int(word) <= count for word in words):
            return [int(word) for word in words] or proposed
        ui.say(_("Please type numbers from 1 to {highest}, like 2 5 9").format(highest=count))
