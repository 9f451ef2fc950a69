"""The command `tl-course`. Exit code 0: fine; 1: the thing checked is wrong; 2: bad input, said in one line.

What a command needs is imported when it runs, so that `tl-course --help` is instant.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from click.exceptions import NoSuchCommand

from tl_course import cli_grading, cli_integrity, cli_practice, cli_systems, cli_upkeep
from tl_course.cli_output import answer, json_option, one_line, table
from tl_course.errors import BadInput, CourseError
from tl_course.i18n import _

FIRST_LESSON = "00_start_here"
LAB_CONFIG = Path(__file__).parent / "lab" / "config"  # for `learn` only: no question about news, no language server


@click.group(invoke_without_command=True)
@click.version_option(package_name="tl-course")
@click.pass_context
def cli(context: click.Context) -> None:
    """A transfer-learning course that grades itself, in PyTorch and Keras."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


cli.add_command(cli_systems.run)
cli.add_command(cli_systems.predict)
cli.add_command(cli_practice.practice)
cli.add_command(cli_grading.grade)
cli.add_command(cli_integrity.similarity)
cli.add_command(cli_integrity.export)
cli.add_command(cli_upkeep.update)
cli.add_command(cli_upkeep.uninstall)


@cli.command()
@json_option
def doctor(as_json: bool) -> int:
    """What works here, what does not, what to do."""
    from tl_course import doctor

    checks = answer(as_json, doctor.examine, doctor.to_dict, doctor.render_text)
    return int(not doctor.healthy(checks))


@cli.group(invoke_without_command=True)
@click.pass_context
def assets(context: click.Context) -> None:
    """Pretrained weights and data: list, fetch, verify."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@assets.command("list")
@json_option
def list_assets(as_json: bool) -> int:
    """Each asset with its state, size and source."""
    from tl_course import assets

    columns = ("name", "status", "size", "source", "origin", "version")
    answer(as_json, assets.list_assets, list, lambda rows: table(rows, columns))
    return 0


@assets.command()
@click.argument("names", nargs=-1)
@json_option
def fetch(names: tuple[str, ...], as_json: bool) -> int:
    """Fetch what is missing or damaged.

    Of the assets NAMES, or of all that are not optional.
    """
    from tl_course import assets

    rows = answer(
        as_json,
        lambda: assets.fetch_all(names or None, progress=not as_json),
        list,
        lambda rows: table(rows, ("name", "status", "path")),
    )
    return _report_errors([row["error"] for row in rows])


@assets.command()
@click.argument("names", nargs=-1)
@json_option
def verify(names: tuple[str, ...], as_json: bool) -> int:
    """Hash the files anew.

    Of the assets NAMES, or of all but optional ones that were never fetched.
    """
    from tl_course import assets

    def work() -> list[dict[str, Any]]:
        states = {name: assets.status(name) for name in names or assets.ASSETS}
        unneeded = {name for name in states if not names and assets.ASSETS[name].optional and states[name] == "missing"}
        return [_verified(name) for name in states if name not in unneeded]

    rows = answer(as_json, work, list, lambda rows: table(rows, ("name", "status")))
    return _report_errors([row["error"] for row in rows])


@cli.command()
@json_option
def lessons(as_json: bool) -> int:
    """Every lesson, with its time and frameworks."""
    from tl_course import lessons

    answer(as_json, lessons.listing, list, lambda rows: table(rows, ("id", "title", "minutes", "frameworks")))
    return 0


@cli.command()
@json_option
def exercises(as_json: bool) -> int:
    """Every exercise of the bank."""
    from tl_course import exercises

    columns = ("id", "title", "lesson", "frameworks", "points", "minutes", "kind")
    answer(as_json, exercises.listing, list, lambda rows: table(rows, columns))
    return 0


@cli.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--exercise", "exercise_id", metavar="ID", required=True, help="As `tl-course exercises` lists them.")
@click.option("--framework", metavar="NAME", required=True, help="pytorch, keras or numpy.")
@click.option("--seed", type=int, default=0, show_default=True, help="Draws the inputs; 0 is what learners see.")
@json_option
def check(file: Path, exercise_id: str, framework: str, seed: int, as_json: bool) -> int:
    """Judge the answer to an exercise in a plain FILE."""
    from tl_course.exercises.engine.checking import check_file

    verdict = answer(
        as_json,
        lambda: check_file(file, exercise_id, framework, seed),
        lambda verdict: verdict.to_dict(),
        lambda verdict: verdict.render_text(),
    )
    return int(not verdict.passed)


@cli.command()
@click.argument("ids", nargs=-1)
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="So many processes at once.")
@click.option("--changed", is_flag=True, help="In full only what changed since it passed; of the rest, right answers.")
@click.option("--record", is_flag=True, help="Note what passed in full, for --changed, if the audit passes.")
@json_option
def audit(ids: tuple[str, ...], jobs: int, changed: bool, record: bool, as_json: bool) -> int:
    """Try the bank's own answers, mistakes and mutants.

    Of the exercises IDS, or of all.
    """
    from tl_course.exercises.engine import audit, audit_record

    def run() -> audit.AuditReport:
        known = audit_record.unchanged() if changed else ()
        report = audit.run(ids or None, lambda name: click.echo(name, err=True), jobs, known)
        if record and report.ok:  # that enough mutants are killed is said of the whole
            audit_record.note(report.sound)
        return report

    report = answer(as_json, run, lambda report: report.to_dict(), lambda report: report.render_text())
    return int(not report.ok)


@cli.command()
@click.argument("name")
@json_option
def bench(name: str, as_json: bool) -> int:
    """Measure NAME against what others offer."""
    from tl_course import bench

    def text(result: dict[str, Any]) -> str:
        rows = [{"ours over": label, "ratio": f"{ratio:.2f}"} for label, ratio in result["ratios"].items()]
        return table(rows, ("ours over", "ratio"))

    answer(as_json, lambda: bench.run(name), dict, text)
    return 0


@cli.command()
@click.argument("names", nargs=-1)
@click.option("--no-execute", is_flag=True, help="Compose the notebooks without running them.")
def notebooks(names: tuple[str, ...], no_execute: bool) -> int:
    """Make solutions/ and notebooks/ from lessons/.

    Of the lessons NAMES, or of all.
    """
    from tl_course import i18n, lessons

    i18n.use_language("en")  # lessons are written in English
    for name in lessons.build(names or None, execute=not no_execute):
        click.echo(lessons.notebook_path(name))
    return 0


@cli.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def learn(arguments: tuple[str, ...]) -> int:
    """Open JupyterLab at the course's start page.

    ARGUMENTS, such as --no-browser, go to JupyterLab.
    """
    from tl_course.lessons import RELEASED, ROOT, notebook_path

    notebook = notebook_path(FIRST_LESSON, RELEASED)
    if not notebook.is_file():
        raise BadInput(_("the course's notebooks"), _("no {path}").format(path=notebook), _("run this from a clone"))
    from jupyterlab.labapp import LabApp

    from tl_course.lab import install

    with suppress(OSError):  # an environment that cannot be written to: the lessons work without the panel
        install.install()
    os.chdir(ROOT)  # nbgrader_config.py is there
    os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")  # this environment's kernels, not a user's of the same name
    for name, first in {"PATH": Path(sys.executable).parent, "JUPYTER_CONFIG_PATH": LAB_CONFIG}.items():
        os.environ[name] = os.pathsep.join([str(first), *filter(None, [os.environ.get(name)])])
    given = {argument.partition("=")[0] for argument in arguments}
    defaults = {"--LabApp.default_url": "/lab?course=home", "--ServerApp.root_dir": str(ROOT)}
    options = [f"{name}={value}" for name, value in defaults.items() if name not in given]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.append("--allow-root")
    LabApp.launch_instance([*options, *arguments])
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    try:
        return int(cli.main(arguments, prog_name="tl-course", standalone_mode=False) or 0)
    except click.UsageError as error:
        click.echo(_("error: {line}").format(line=_usage(error)), err=True)
    except (click.ClickException, CourseError) as error:
        click.echo(_("error: {line}").format(line=one_line(str(error))), err=True)
    except click.Abort:
        return 130
    return 2


def _verified(name: str) -> dict[str, Any]:
    """One row of `assets verify`."""
    from tl_course import assets

    try:
        assets.verify(name)
    except CourseError as error:
        return {"name": name, "status": assets.status(name), "error": str(error)}
    return {"name": name, "status": "ready", "error": None}


def _report_errors(errors: Sequence[str | None]) -> int:
    """Write each error as one line; the exit code that follows from them."""
    found = [error for error in errors if error]
    for error in found:
        click.echo(_("error: {line}").format(line=one_line(error)), err=True)
    return int(bool(found))


def _usage(error: click.UsageError) -> str:
    """click's complaint in the course's words: what was expected, what came, what to do."""
    context = error.ctx
    path = context.command_path if context else "tl-course"
    expected, got = _("arguments that `{path}` takes").format(path=path), error.format_message().removeprefix("Got ")
    if isinstance(error, click.NoSuchOption):
        expected, got = _("an option of `{path}`").format(path=path), error.option_name
    elif isinstance(error, click.MissingParameter) and error.param:
        expected, got = _("a value for {name}").format(name=error.param.opts[0]), _("none")
    elif isinstance(error, click.BadParameter) and error.param:
        expected, got = _("a usable {name}").format(name=error.param.opts[0]), error.message
    elif isinstance(error, NoSuchCommand) and context and isinstance(context.command, click.Group):
        names = ", ".join(context.command.list_commands(context))
        expected, got = _("one of {names}").format(names=names), error.command_name
    remedy = _("see `{path} --help`").format(path=path)
    return one_line(str(BadInput(expected, got.rstrip("."), remedy)))


if __name__ == "__main__":
    sys.exit(main())
