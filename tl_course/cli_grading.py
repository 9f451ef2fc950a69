"""The command `tl-course grade`."""

import math
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from tl_course.cli_output import answer, json_option


class Seconds(click.FloatRange):
    """A number of seconds; "nan" would pass every comparison."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number. Fails where it is none, or not in the range."""
        number = super().convert(value, param, ctx)
        return self.fail(f"{value} is not a number", param, ctx) if math.isnan(number) else number


@click.command()
@click.argument("assignment")
@click.option("--workers", type=click.IntRange(min=1), help="So many submissions at once; otherwise one a processor.")
@click.option(
    "--only", metavar="NAME", help="A student, or an exercise of the bank, which is then graded again for all."
)
@click.option("--force", is_flag=True, help="Grade also what did not change since it was graded.")
@click.option("--time-limit", type=Seconds(min=0.1, max=86_400), metavar="SECONDS", help="For an answer or a cell.")
@click.option("--memory-limit", type=click.IntRange(min=64, max=2**30), metavar="MB", help="For a submission.")
@click.option("--allow-unsafe", is_flag=True, help="Run submissions also where a protection is missing.")
@click.option("--scheduler", metavar="ADDRESS", help="Execute on the workers of this Dask scheduler.")
@click.option(
    "--html", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write a report on the class."
)
@json_option
def grade(
    assignment: str,
    workers: int | None,
    only: str | None,
    force: bool,
    time_limit: float | None,
    memory_limit: int | None,
    allow_unsafe: bool,
    scheduler: str | None,
    html: Path | None,
    as_json: bool,
) -> int:
    """Grade the submissions of ASSIGNMENT in a sandbox.

    Run it in the course's folder, where nbgrader_config.py is. What did not change is not graded again.
    """
    from tl_course import exercises
    from tl_course.grading.confinement import Limits
    from tl_course.grading.preload import Early

    if html is not None:
        _try_place(html)
    limits = Limits() if memory_limit is None else replace(Limits(), memory=memory_limit * 2**20)
    early = None if scheduler else Early(Path.cwd(), assignment, limits, allow_unsafe)
    _leave_out_unused()
    from tl_course.grading import batch
    from tl_course.grading.report import progress_bar, summary, write

    ids = set(exercises.ids()) if only else set()
    options = batch.Options(
        workers=workers,
        student=None if only in ids else only,
        exercise=only if only in ids else None,
        force=force,
        allow_unsafe=allow_unsafe,
        time_limit=time_limit,
        limits=limits,
        scheduler=scheduler,
    )

    def work() -> batch.Report:
        with progress_bar() as progress:
            report = batch.grade(Path.cwd(), assignment, options, progress, early)
        if html is not None:
            write(report, html)
        return report

    report = answer(as_json, work, lambda report: report.to_dict(), summary)
    return int(any(row.state != "graded" for row in report.rows))


def _try_place(html: Path) -> None:
    """Find out before anything is graded whether the report can be written. Raises BadInput where it cannot."""
    from tl_course.whole_file import draft

    class Tried(Exception):
        """Leaves what is there as it is."""

    with suppress(Tried), draft(html, (".html",)):
        raise Tried


def _leave_out_unused() -> None:
    """Keep jsonschema from building the grammar of a format that no notebook uses, which takes half a second."""
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
