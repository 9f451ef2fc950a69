"""How the command `tl-course` prints what it found: as text, or as one JSON value and nothing else."""

import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import click

from tl_course import quiet
from tl_course.errors import CourseError
from tl_course.i18n import _

Result = TypeVar("Result")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON value and nothing else.")


def answer(
    as_json: bool, work: Callable[[], Result], value: Callable[[Result], Any], text: Callable[[Result], str]
) -> Result:
    """Do the work and print its result, as text or as one JSON value; whatever else writes goes to stderr.

    Raises:
        CourseError: standard output takes nothing more, on a full disk for one.
    """
    if not as_json:
        result = work()
        _print(text(result))
        return result
    with quiet.stdout_to_stderr():
        result = work()
        line = json.dumps(value(result), ensure_ascii=False, allow_nan=False)
    _print(line)
    return result


def _print(text: str) -> None:
    """Print a text; lone surrogates, which no file takes, become question marks."""
    try:
        click.echo(text.encode("utf-8", "replace").decode())
    except OSError as error:
        with suppress(OSError):  # what is left in the buffer would fail once more when Python ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise CourseError(_("standard output: {why}").format(why=error.strerror or error)) from error


def table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:
    """Rows as aligned columns under their names."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(_cell(row[name]) for name in columns))
    console = Console(width=None if sys.stdout.isatty() else 200)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _cell(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value or "")


def one_line(text: str) -> str:
    return " ".join(text.split())
