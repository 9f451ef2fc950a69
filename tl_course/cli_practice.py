"""The command `practice`: question cards, coding problems, the clinic, mock interviews, and their progress."""

import random
import sys
import time
from pathlib import Path

import click

from tl_course import i18n
from tl_course.errors import BadInput
from tl_course.i18n import _

out_option = click.option("--out", "folder", type=click.Path(path_type=Path), default="practice", show_default=True)
framework_option = click.option("--framework", metavar="NAME", help="pytorch, keras or numpy.")
estimate_option = click.option(
    "--estimate/--no-estimate", default=True, help="Estimate which key points an answer covers (English, MiniLM)."
)


def _speak(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    """Speak the language asked for from now on."""
    if value is not None:
        i18n.use_language(value)


lang_option = click.option(
    "--lang", metavar="en|zh", expose_value=False, callback=_speak, help="Language; the system's where left away."
)


@click.group(invoke_without_command=True)
@lang_option
@click.pass_context
def practice(context: click.Context) -> int:
    """Practise for interviews: questions, code, faults, mock.

    Without a command: where you stand, and a menu. Everything works offline, and all of it is kept in one file on your
    machine (`tl-course doctor` says where).
    """
    return _menu(context) if context.invoked_subcommand is None else 0


@practice.command()
@click.option("--topic", metavar="NAME", help="Cards of one topic, such as distillation.")
@click.option("--level", metavar="NAME", help="junior, mid or senior.")
@click.option("--lesson", metavar="NN", help="Cards that a lesson teaches, such as 06.")
@click.option("--kind", metavar="NAME", help="concept, debugging or design.")
@click.option("--weak", is_flag=True, help="What went badly before, due or not.")
@click.option("--number", type=click.IntRange(min=1), default=10, show_default=True, help="At most so many.")
@estimate_option
@lang_option
def cards(weak: bool, number: int, estimate: bool, **chosen: str | None) -> int:
    """Answer question cards, due ones first."""
    from tl_course.practice import asking, schedule
    from tl_course.practice.cards import all_cards
    from tl_course.practice.terminal import Terminal

    ui = Terminal()
    selected = schedule.select_cards(all_cards(), **chosen)
    waiting = schedule.queue(selected, weak)[:number]
    if waiting:
        asking.practise(ui, waiting, estimate)
    else:
        ui.say(schedule.nothing(selected, weak))
    return 0


@practice.command()
@click.argument("exercise_id", metavar="ID", required=False)
@framework_option
@click.option("--lesson", metavar="NN", help="A problem of this lesson.")
@click.option("--difficulty", type=click.IntRange(1, 5), help="1 (warm-up) to 5.")
@out_option
@lang_option
def code(
    exercise_id: str | None, framework: str | None, lesson: str | None, difficulty: int | None, folder: Path
) -> int:
    """Solve a coding problem against the clock.

    The exercise named ID, or one that you have not solved yet.
    """
    from tl_course import exercises
    from tl_course.practice import coding
    from tl_course.practice.terminal import Leave, Terminal

    ui = Terminal()
    exercise = exercises.get(exercise_id) if exercise_id else _unsolved(framework, lesson, difficulty)
    try:
        coding.solve(ui, exercise, coding.choose_framework(exercise, framework), folder)
        coding.questions_after(ui, exercise)
    except Leave:
        ui.say(_("Your file stays where it is."))
    return 0


@practice.command()
@click.argument("case_id", metavar="CASE", required=False)
@out_option
@lang_option
def clinic(case_id: str | None, folder: Path) -> int:
    """Find and mend the faults of a program.

    Of the program CASE; without it, the programs are listed.
    """
    from tl_course.practice import clinic, reading
    from tl_course.practice.terminal import Leave, Terminal

    ui = Terminal()
    if case_id is None:
        rows = [
            {"id": case.id.removeprefix("clinic-"), "title": str(case.title), "faults": str(len(case.faults))}
            | {"framework": case.framework, "read": str(len(clinic.history(case)))}
            for case in clinic.all_cases()
        ]
        ui.table(rows, {"id": "CASE", "title": "", "framework": "", "faults": _("faults"), "read": _("times read")})
        return 0
    try:
        reading.treat(ui, clinic.get(case_id), folder)
    except Leave:
        ui.say(_("Your file stays where it is."))
    return 0


@practice.command()
@click.argument("lesson", metavar="LESSON", required=False)
@lang_option
def quiz(lesson: str | None) -> int:
    """Answer the questions of a lesson's quiz.

    Of LESSON, such as 03; without it those that are due, and where none is, the list of lessons.
    """
    from tl_course import quizzes
    from tl_course.practice.terminal import Terminal
    from tl_course.quizzes import asking

    ui = Terminal()
    questions = quizzes.of_lesson(lesson) if lesson else quizzes.due()
    if questions:
        asking.practise(ui, questions)
    else:
        ui.say(_("Nothing is due. Name a lesson, as in `tl-course practice quiz 03`:"))
        asking.overview(ui)
    return 0


@practice.command()
@click.option("--level", metavar="NAME", default="mid", show_default=True, help="junior, mid or senior.")
@click.option("--seed", type=int, help="The same seed asks the same questions; else a new one.")
@framework_option
@click.option("--new", is_flag=True, help="Begin a new one although the last was not finished.")
@out_option
@estimate_option
@lang_option
def mock(level: str, seed: int | None, framework: str | None, new: bool, folder: Path, estimate: bool) -> int:
    """Sit a mock interview, or go on with one.

    45 minutes of questions on concepts, debugging, code and design, then a report. One that was cut short goes on.
    """
    from tl_course.practice import interviewing, mock
    from tl_course.practice.terminal import Terminal

    pending = mock.unfinished()
    if pending is not None and not new and seed in (None, pending.seed):
        known = pending
    else:
        drawn = random.SystemRandom().randrange(10_000) if seed is None else seed
        known = mock.begin(level, drawn, framework or "pytorch")
    interviewing.interview(Terminal(), known, folder, estimate)
    return 0


@practice.command()
@lang_option
def progress() -> int:
    """How you stand in each topic, and your interviews."""
    from tl_course.practice import overview
    from tl_course.practice.terminal import Terminal

    overview.show_progress(Terminal())
    return 0


@practice.command("export")
@click.option("--anki", "form", flag_value="anki", help="The cards as an Anki deck (.apkg).")
@click.option("--sheet", "form", flag_value="sheet", help="The cards to print (.html or .pdf).")
@click.option("--progress", "form", flag_value="progress", help="All of your progress (.json).")
@click.option("--out", "path", type=click.Path(path_type=Path), required=True, help="The file to write.")
@click.option("--lang", metavar="en|zh|both", help="Language of the cards; that of the screen where left away.")
@click.option("--topic", metavar="NAME", help="Cards of one topic only.")
@click.option("--level", metavar="NAME", help="Cards of one level only.")
def export_cards(form: str | None, path: Path, lang: str | None, topic: str | None, level: str | None) -> int:
    """Write cards for Anki or paper, or your progress."""
    from tl_course import progress_file
    from tl_course.practice import anki, schedule, sheet
    from tl_course.practice.cards import all_cards

    if form == "progress":
        count = progress_file.export_json(path)
        click.echo(_("{count} rows of progress are in {path}").format(count=count, path=path))
        return 0
    if form is None:
        raise BadInput(_("one of --anki, --sheet, --progress"), _("none"), _("say what to write"))
    languages = {"en": ("en",), "zh": ("zh",), "both": ("en", "zh")}
    chosen = lang or i18n.language()
    if chosen not in languages:
        raise BadInput(_("a language out of en, zh, both"), repr(chosen), _("name one of them"))
    selected = schedule.select_cards(all_cards(), topic=topic, level=level)
    if path.suffix.lower() == ".pdf":
        click.echo(_("A PDF of many cards takes a minute or more ..."), err=True)
    {"anki": anki, "sheet": sheet}[form].export(selected, path, languages[chosen])
    click.echo(_("{count} cards are in {path}").format(count=len(selected), path=path))
    return 0


@practice.command("import")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@lang_option
def import_progress(path: Path) -> int:
    """Add exported progress to yours.

    FILE is what export --progress wrote; nothing of yours is replaced.
    """
    from tl_course import progress_file

    count = progress_file.import_json(path)
    click.echo(_("{count} rows were new and are added; nothing was replaced").format(count=count))
    return 0


def _menu(context: click.Context) -> int:
    """The first screen; on a terminal, one may choose from it."""
    from tl_course.practice import overview
    from tl_course.practice.terminal import Leave, Skip, Terminal

    ui = Terminal()
    commands = {"1": cards, "2": code, "3": clinic, "4": mock, "5": progress, "6": quiz}
    while True:
        overview.show(ui)
        if not sys.stdin.isatty():
            return 0
        try:
            chosen = ui.choice(_("What would you like to do?"), (*commands, "q"), "1")
        except (Leave, Skip):
            return 0
        if chosen == "q":
            return 0
        context.invoke(commands[chosen])
        if chosen == "3":
            _choose_case(context, ui)


def _choose_case(context: click.Context, ui) -> None:
    from tl_course.practice.clinic import all_cases
    from tl_course.practice.terminal import Leave, Skip

    names = tuple(case.id.removeprefix("clinic-") for case in all_cases())
    try:
        context.invoke(clinic, case_id=ui.choice("\n" + _("Which case?"), names))
    except (Leave, Skip):
        return


def _unsolved(framework: str | None, lesson: str | None, difficulty: int | None):
    """A problem that was not solved yet, drawn anew each time; once all are solved, any."""
    from tl_course import exercises, records

    best = {row["id"]: row["best"] for row in records.summary()}
    known = [
        exercise
        for exercise in exercises.all_exercises()
        if exercise.kind == "build"
        and exercise.lesson.startswith(lesson or "")
        and (framework is None or framework in exercise.variants)
        and difficulty in (None, exercise.difficulty)
    ]
    if not known:
        raise BadInput(_("a problem of that kind"), _("none"), _("see `tl-course exercises`"))
    waiting = [exercise for exercise in known if best[exercise.id] < 1]
    return random.Random(time.time()).choice(waiting or known)
