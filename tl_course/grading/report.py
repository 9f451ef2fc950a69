"""What a teacher sees of a graded class: a progress bar, a summary, and a report as a page."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tl_course.grading.batch import Progress, Report, Row
from tl_course.grading.class_figures import BINS, histogram, shares, spread
from tl_course.grading.report_texts import (
    clean,
    counts,
    diagnoses,
    noticed,
    problems,
    shortened,
    state_name,
    waiting,
)
from tl_course.i18n import _
from tl_course.whole_file import draft

_WIDTH = 40  # signs of the longest bar
_MOST = 10  # findings listed


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A bar on standard error that moves with each submission; a line for every tenth where that is no terminal."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn(_("grading")),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def show(done: int, total: int, row: Row) -> None:
            done = max(done, int(bar.tasks[0].completed))
            bar.update(task, completed=done, total=total, description=shortened(row.student, 30))

        yield show


def _lines() -> Progress:
    """Writes a line to standard error whenever another tenth is done."""
    told = 0

    def show(done: int, total: int, row: Row) -> None:
        nonlocal told
        tenth = 10 * done // max(total, 1)
        if tenth > told:
            told = tenth
            print(_("graded {done} of {total}").format(done=done, total=total), file=sys.stderr, flush=True)

    return show


def summary(report: Report) -> str:
    """The class in a few lines: states, scores, who needs a look and why, most frequent diagnoses."""
    blocks = [
        [_state_line(report)],
        _score_lines(report),
        [f"{clean(row.student)}: {state_name(row.state)}: {clean(row.reason)}" for row in waiting(report.rows)],
        _finding_lines(report),
        _other_lines(report),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _state_line(report: Report) -> str:
    number = counts(report.rows)
    return _(
        "{assignment}: {submissions} submissions in {seconds:.1f} s: {graded} graded, {needs_look} to look at, "
        "{failed} failed; {now} judged now, {unchanged} unchanged"
    ).format(assignment=clean(report.assignment), seconds=report.seconds, **vars(number))


def _score_lines(report: Report) -> list[str]:
    """Five numbers and a bar for each tenth of the points, of the submissions that are graded."""
    values = shares(report.rows)
    five = spread(values)
    if five is None:
        return [_("No score yet.")]
    line = _(
        "Share of the points: median {median:.0%}, quartiles {first_quartile:.0%} and {third_quartile:.0%}, "
        "from {low:.0%} to {high:.0%}"
    ).format(**vars(five))
    bins = histogram(values)
    scale = min(1.0, _WIDTH / max(bins))
    bars = [
        f"{number * 100 // BINS:3}–{(number + 1) * 100 // BINS:3} %  {count:4}  {_bar(count, scale)}".rstrip()
        for number, count in enumerate(bins)
    ]
    return [line, *bars]


def _bar(count: int, scale: float) -> str:
    return "█" * max(round(count * scale), int(count > 0))


def _finding_lines(report: Report) -> list[str]:
    lines = []
    for title, found in (
        (_("Most frequent diagnoses (students):"), diagnoses(report)),
        (_("Could not be observed (students):"), problems(report)),
    ):
        if found:
            lines.append(title)
            lines += [
                f"{len(one.students):4}  {clean(one.exercise)}: {shortened(one.message)}" for one in found[:_MOST]
            ]
        if len(found) > _MOST:
            lines.append(_("{count} more are not shown.").format(count=len(found) - _MOST))
    return lines


def _other_lines(report: Report) -> list[str]:
    """What was mended, what was noticed, and which protections were missing."""
    lines = []
    mended = sum(bool(row.notes) for row in report.rows)
    if mended:
        lines.append(_("Mended before grading: {count} submissions").format(count=mended))
    lines += [
        _("Noticed: {student}, {exercise}: {line}").format(
            student=clean(student), exercise=clean(exercise), line=shortened(line, 150)
        )
        for student, exercise, line in noticed(report)
    ]
    if report.unprotected:
        names = ", ".join(map(clean, report.unprotected))
        lines.append(_("Graded without these protections: {names}").format(names=names))
    return lines


def write(report: Report, path: Path) -> None:
    """Write the report on the class as a page of its own.

    Raises:
        BadInput: the file's name does not end in .html, or it cannot be written.
    """
    from tl_course.grading.report_page import page

    text = page(report)
    with draft(path, (".html",)) as file:
        file.write_text(text, encoding="utf-8")
