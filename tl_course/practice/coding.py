"""Coding problems as in an interview: blank file, timer, no hint unless asked, verdict, then the questions after."""

from dataclasses import dataclass
from pathlib import Path

from tl_course import records
from tl_course.errors import BadInput
from tl_course.exercises.engine.checking import check_file
from tl_course.exercises.engine.exercise import Exercise
from tl_course.exercises.engine.stub import stub
from tl_course.exercises.engine.verdict import Verdict
from tl_course.i18n import _
from tl_course.practice.terminal import Skip, Terminal
from tl_course.practice.timing import Stopwatch, clock

FOLDER = Path("practice")  # where answers are written, below the folder one works in


@dataclass(frozen=True)
class Outcome:
    """How a problem went.

    Attributes:
        score: share of the points of the best check, 0 to 1.
        seconds: from the statement to the end.
        source: the answer as it was left.
    """

    score: float
    seconds: float
    source: str


def choose_framework(exercise: Exercise, framework: str | None) -> str:
    """The framework asked for, or the first one that the problem has.

    Raises:
        BadInput: the problem has no variant in it.
    """
    chosen = framework or next(iter(exercise.variants))
    exercise.variant(chosen)
    return chosen


def blank_file(exercise: Exercise, framework: str, folder: Path = FOLDER) -> tuple[Path, bool]:
    """The file to answer in: signature and description only, or the faulty program. One that is there is left as it is.

    Returns:
        Its path, and whether it was made now.

    Raises:
        BadInput: it cannot be written.
    """
    path = folder / f"{exercise.id.replace('-', '_')}_{framework}.py"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(stub(exercise.variant(framework)))
    except FileExistsError:
        return path, False
    except OSError as error:
        raise BadInput(
            _("a folder to write in"), f"{folder}: {error.strerror}", _("name another with --out")
        ) from error
    return path, True


def solve(
    ui: Terminal, exercise: Exercise, framework: str, folder: Path = FOLDER, minutes: float | None = None
) -> Outcome:
    """Work on a problem until it is right, given up (:s) or left (:q); each check and each hint is kept.

    Args:
        ui: the terminal.
        exercise: the problem.
        framework: which of its variants.
        folder: where the answer's file is.
        minutes: what it may take; the problem's own time where left away.
    """
    path, new = blank_file(exercise, framework, folder)
    allowed = 60 * (minutes or exercise.minutes)
    ui.section(f"{exercise.title} ({framework})", [exercise.statement])
    ui.say()
    ui.say(
        _("Write your answer in {path}.").format(path=path)
        if new
        else _("Your file is still there: {path}.").format(path=path)
    )
    ui.say(_("Enter: check it. h: a hint. e: open it in your editor. :s: give up. :q: stop; the file stays."), "dim")
    watch, best = Stopwatch(), 0.0
    try:
        while best < 1:
            chosen = ui.choice(f"\n{clock(allowed - watch.seconds)} >", ("", "h", "e"))
            if chosen == "h":
                _hint(ui, exercise)
            elif chosen == "e":
                _edit(path)
            else:
                best = max(best, check(ui, path, exercise, framework).score)
    except Skip:
        ui.section(_("What we teach"), [exercise.variant(framework).reference.strip()])
    return Outcome(best, watch.seconds, path.read_text(encoding="utf-8", errors="replace"))


def check(ui: Terminal, path: Path, exercise: Exercise, framework: str) -> Verdict:
    """Judge the file, show the verdict and keep the attempt."""
    ui.say(_("Checking ..."), "dim")
    verdict = check_file(path, exercise.id, framework)
    ui.say(verdict.render_text())
    if verdict.answered:
        records.record_attempt(verdict, path.read_text(encoding="utf-8", errors="replace"))
    return verdict


def questions_after(ui: Terminal, exercise: Exercise) -> None:
    """What an interviewer asks once the code runs: its cost, and what follows."""
    for asked in exercise.questions_after():
        ui.section(_("Asked next"), [asked.question])
        try:
            ui.line("\n" + _("Say it aloud, then press Enter.") + " ")
        except Skip:
            continue
        ui.section(_("A good answer"), [asked.answer])


def _hint(ui: Terminal, exercise: Exercise) -> None:
    number = min(records.hints_taken(exercise.id) + 1, len(exercise.hints))
    records.record_hint(exercise.id, number)
    title = _("Hint {number} of {count}").format(number=number, count=len(exercise.hints))
    ui.section(title, [exercise.hints[number - 1]])


def _edit(path: Path) -> None:
    import click

    click.edit(filename=str(path))
