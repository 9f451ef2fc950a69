"""The commands `similarity` and `export`: answers that are alike, and grades for Canvas and Moodle."""

from pathlib import Path
from typing import Any, Literal

import click

from tl_course.cli_output import answer, json_option, table
from tl_course.errors import BadInput
from tl_course.i18n import _

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("assignment")
@click.option("--exercise", metavar="ID", default="", help="This exercise only, by its id or its cell's grade id.")
@click.option("--html", "page", type=_FILE, metavar="FILE", help="Write a page with both answers side by side.")
@json_option
def similarity(assignment: str, exercise: str, page: Path | None, as_json: bool) -> int:
    """List answers of a class that are alike.

    Reads what was handed in for ASSIGNMENT, in the course's folder. A report for the teacher, never a verdict.
    """
    answer(as_json, lambda: _similar(assignment, exercise, page), lambda found: found[0], _similar_text)
    return 0


def _similar(assignment: str, exercise: str, page: Path | None) -> tuple[dict[str, Any], list[Any]]:
    """What there is to tell, as plain data, and the comparisons; the page is written where one is asked for."""
    from tl_course.grading.answers import collect
    from tl_course.grading.course import course, gradebook
    from tl_course.grading.database import reached
    from tl_course.grading.imports import noticed
    from tl_course.grading.similarity import meaning, report_html, study
    from tl_course.whole_file import draft

    coursedir = course(Path.cwd())
    with reached(coursedir), gradebook(coursedir) as book:
        tasks, problems = collect(book, coursedir, assignment, exercise)
    comparisons = [study(task.name, task.answers, task.known) for task in tasks]
    seen = [
        {"exercise": task.name, "student": student, "noticed": lines}
        for task in tasks
        for student, text in sorted(task.answers.items())
        if (lines := noticed(text, task.allowed))
    ]
    listed = [comparison.to_dict() for comparison in comparisons]
    found = {"assignment": assignment, "meaning": meaning(), "exercises": listed, "noticed": seen, "unread": problems}
    if page is not None:
        with draft(page, (".html",)) as file:
            file.write_text(report_html(assignment, comparisons), encoding="utf-8")
    return found, comparisons


def _similar_text(result: tuple[dict[str, Any], list[Any]]) -> str:
    from tl_course.grading.report_texts import clean
    from tl_course.grading.similarity import rows

    found, comparisons = result
    columns = ("exercise", "first", "second", "similarity", "typical", "size", "shared")
    pairs = rows(comparisons)
    numbers = {
        "answers": sum(len(comparison.compared) for comparison in comparisons),
        "short": sum(len(comparison.short) for comparison in comparisons),
        "unreadable": sum(len(comparison.unreadable) for comparison in comparisons),
    }
    summary = _("{answers} answers compared; {short} too short to say anything, {unreadable} not Python").format(
        **numbers
    )
    lines = [table(pairs, columns) if pairs else _("No pair is listed."), summary]
    if more := sum(comparison.more for comparison in comparisons):
        lines.append(_("{count} more pairs are not shown.").format(count=more))
    said = [
        _("{student}, {exercise}: {lines}").format(
            student=row["student"], exercise=row["exercise"], lines="; ".join(row["noticed"])
        )
        for row in found["noticed"]
    ]
    said += [_("{student}: not read: {reason}").format(student=k, reason=v) for k, v in found["unread"].items()]
    lines += map(clean, said)  # what students wrote must not steer the terminal
    return "\n".join([*lines, found["meaning"]])


@click.command()
@click.argument("assignment")
@click.option("--to", "lms", type=click.Choice(["canvas", "moodle"]), required=True, help="The LMS it is for.")
@click.option("--into", type=_FILE, metavar="CSV", help="Fill in this file, which the LMS exported.")
@click.option("--output", type=_FILE, metavar="CSV", required=True, help="The file to write.")
@click.option("--column", default="", metavar="HEADER", help="The assignment's column, if not its name.")
@click.option("--by", default="", metavar="HEADER", help="The column that identifies students, if not found by itself.")
@click.option("--feedback", is_flag=True, help="Moodle: the graders' comments too.")
@click.option("--missing-as-zero", is_flag=True, help="0 for what was not handed in; otherwise it stays blank.")
@json_option
def export(assignment: str, lms: Literal["canvas", "moodle"], output: Path, as_json: bool, **options: Any) -> int:
    """Write grades as CSV for Canvas or Moodle.

    The grades of ASSIGNMENT, late penalties taken off. Submissions that need a look stay blank and are listed.
    """
    from tl_course.grading import lms as exporting
    from tl_course.grading.report_texts import clean

    def work() -> exporting.Export:
        done = _exported(assignment, lms, **options)
        exporting.save(output, done)
        return done

    def text(done: exporting.Export) -> str:
        written = _("{path}: {count} grades").format(path=output, count=len(done.written))
        return "\n".join([written, *map(clean, exporting.describe(done))])

    answer(as_json, work, lambda done: {"file": str(output), **done.to_dict()}, text)
    return 0


def _exported(
    assignment: str,
    lms: Literal["canvas", "moodle"],
    into: Path | None,
    column: str,
    by: str,
    feedback: bool,
    missing_as_zero: bool,
) -> Any:
    from tl_course.grading import lms as exporting
    from tl_course.grading.course import course, gradebook
    from tl_course.grading.database import reached
    from tl_course.grading.lms_grades import grades

    if lms == "canvas" and feedback:
        got, remedy = "--to canvas --feedback", _("leave --feedback away: Canvas imports no comments")
        raise BadInput(_("--feedback with --to moodle"), got, remedy)
    content = exporting.read_file(into) if into else None
    coursedir = course(Path.cwd())
    with reached(coursedir), gradebook(coursedir) as book:
        found = grades(book, assignment, _waiting(book, coursedir, assignment), missing_as_zero)
    if content is None:
        return exporting.new_file(lms, {column or assignment: found}, by, feedback)
    return exporting.fill(lms, content, assignment, found, column, by, feedback)


def _waiting(book: Any, coursedir: Any, assignment: str) -> dict[str, str]:
    """Students who handed in and have not been graded, each with the reason."""
    from tl_course.grading.submission import find

    graded = {submission.student_id for submission in book.assignment_submissions(assignment)}
    return {
        submission.student: submission.problem or _("handed in, not graded yet")
        for submission in find(coursedir, assignment)
        if submission.student not in graded
    }
