"""A case of the clinic in the terminal: read, predict, name the faulty lines, mend, and read the review."""

from pathlib import Path

from tl_course.i18n import _
from tl_course.practice import clinic, coding
from tl_course.practice.clinic import Case, Search
from tl_course.practice.mock_report import section
from tl_course.practice.terminal import Skip, Terminal


def treat(ui: Terminal, case: Case, folder: Path = coding.FOLDER) -> float:
    """Go through a case. What was predicted and named is kept before anything is shown.

    Returns:
        The score, 0 to 1: the mean of what was found by reading and of what was mended.
    """
    ui.heading(f"{case.title} ({case.framework})")
    ui.say()
    ui.say(str(case.task))
    ui.say()
    ui.code(case.program)
    predicted = _predict(ui, case)
    result = _name_faults(ui, case, predicted)
    ui.section(_("Now mend it"), [_("Every fault, in the program's own file.")])
    outcome = coding.solve(ui, case.exercise, case.framework, folder)
    show_review(ui, case, result)
    score = (result.score + outcome.score) / 2
    ui.say()
    text = _("Found {found:.0%} (false alarms count against it), mended {mended:.0%}: {score:.0%} in all.")
    ui.say(text.format(found=result.score, mended=outcome.score, score=score), "bold")
    return score


def _predict(ui: Terminal, case: Case) -> int:
    """Ask what happens, and return the number chosen (0: none); the answer is told only once the faults were named."""
    letters = "abcd"[: len(case.options)]
    options = [f"{letter}  {option.text}" for letter, option in zip(letters, case.options, strict=True)]
    ui.section(str(case.question), options)
    try:
        return letters.index(ui.choice("\n" + _("Your prediction?"), tuple(letters))) + 1
    except Skip:
        return 0


def _name_faults(ui: Terminal, case: Case, predicted: int) -> Search:
    prompt = _("Lines with a fault ({count} faults; a missing step counts where it should stand):")
    highest = len(case.program.splitlines())
    try:
        named = ui.numbers("\n" + prompt.format(count=len(case.faults)) + " ", highest)
    except Skip:
        named = []
    result = clinic.record(case, predicted, named)
    right = case.options[case.right - 1]
    told = _("What happens: {text}") if predicted == case.right else _("Not what you predicted. What happens: {text}")
    ui.section(told.format(text=right.text), [str(right.why)])
    if predicted not in (0, case.right):
        ui.section(str(case.options[predicted - 1].text), [str(case.options[predicted - 1].why)])
    found = _("{found} of {count} faults found; false alarms: {alarms}").format(
        found=len(result.found),
        count=len(case.faults),
        alarms=", ".join(map(str, result.false_alarms)) or _("none"),
    )
    ui.section(found, [f"\N{CHECK MARK} {fault.name}" for fault in result.found])
    return result


def show_review(ui: Terminal, case: Case, result: Search) -> None:
    """Every fault with what it does in production, and the review."""
    for fault in case.faults:
        mark = "\N{CHECK MARK}" if fault in result.found else "\N{BALLOT X}"
        lines = ", ".join(map(str, sorted(case.line_numbers(fault))))
        heading = _("{mark} {name} (line {lines})").format(mark=mark, name=fault.name, lines=lines)
        production = _("In production: {text}").format(text=fault.production)
        review = _("The review: {text}").format(text=fault.review)
        ui.section(heading, [str(fault.what), production, review])
    ui.section(_("Read on"), [section(case.lesson)])
    ui.section(_("Sources"), list(case.sources))
