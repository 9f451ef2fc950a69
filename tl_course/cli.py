"""The command `tl-course`. Exit code 0: fine; 1: the thing checked is wrong; 2: bad input, said in one line.

What a command needs is imported when it runs, so that `tl-course --help` is instant.
"""

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from click.exceptions import NoSuchCommand

from tl_course import quiet
from tl_course.errors import BadInput, CourseError
from tl_course.i18n import _

FIRST_LESSON = "00_start_here"
Result = TypeVar("Result")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON value and nothing else.")


@click.group(invoke_without_command=True)
@click.version_option(package_name="tl-course")
@click.pass_context
def cli(context: click.Context) -> None:
    """A transfer-learning course that grades itself, in PyTorch and Keras."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@cli.command()
@json_option
def doctor(as_json: bool) -> int:
    """What works here, what does not, what to do."""
    from tl_course import doctor

    checks = _answer(as_json, doctor.examine, doctor.to_dict, doctor.render_text)
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
    _answer(as_json, assets.list_assets, list, lambda rows: _table(rows, columns))
    return 0


@assets.command()
@click.argument("names", nargs=-1)
@json_option
def fetch(names: tuple[str, ...], as_json: bool) -> int:
    """Fetch what is missing or damaged.

    Of the assets NAMES, or of all that are not optional.
    """
    from tl_course import assets

    rows = _answer(
        as_json,
        lambda: assets.fetch_all(names or None, progress=not as_json),
        list,
        lambda rows: _table(rows, ("name", "status", "path")),
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

    rows = _answer(as_json, work, list, lambda rows: _table(rows, ("name", "status")))
    return _report_errors([row["error"] for row in rows])


@cli.command()
@json_option
def lessons(as_json: bool) -> int:
    """Every lesson, with its time and frameworks."""
    from tl_course import lessons

    _answer(as_json, lessons.listing, list, lambda rows: _table(rows, ("id", "title", "minutes", "frameworks")))
    return 0


@cli.command()
@json_option
def exercises(as_json: bool) -> int:
    """Every exercise of the bank."""
    from tl_course import exercises

    columns = ("id", "title", "lesson", "frameworks", "points", "minutes", "kind")
    _answer(as_json, exercises.listing, list, lambda rows: _table(rows, columns))
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

    verdict = _answer(
        as_json,
        lambda: check_file(file, exercise_id, framework, seed),
        lambda verdict: verdict.to_dict(),
        lambda verdict: verdict.render_text(),
    )
    return int(not verdict.passed)


@cli.command()
@click.argument("ids", nargs=-1)
@json_option
def audit(ids: tuple[str, ...], as_json: bool) -> int:
    """Try the bank's own answers, mistakes and mutants.

    Of the exercises IDS, or of all.
    """
    from tl_course.exercises.engine import audit

    report = _answer(
        as_json,
        lambda: audit.run(ids or None, progress=lambda name: click.echo(name, err=True)),
        lambda report: report.to_dict(),
        lambda report: report.render_text(),
    )
    return int(not report.ok)


@cli.command()
@click.argument("name")
@json_option
def bench(name: str, as_json: bool) -> int:
    """Measure NAME against what others offer."""
    from tl_course import bench

    def text(result: dict[str, Any]) -> str:
        rows = [{"ours over": label, "ratio": f"{ratio:.2f}"} for label, ratio in result["ratios"].items()]
        return _table(rows, ("ours over", "ratio"))

    _answer(as_json, lambda: bench.run(name), dict, text)
    return 0


@cli.command()
@click.argument("name", required=False)
@click.option("--list", "list_all", is_flag=True, help="List the systems instead of running one.")
@click.option("--data", metavar="PATH", help="Images' folder, texts' table, or a text (attention). Or a demonstration.")
@click.option("--out", metavar="DIR", help="Where the files go. Left away: a new folder below runs/.")
@click.option("--force", is_flag=True, help="Write into DIR although it holds files.")
@click.option("--epochs", type=int, metavar="N", help="At most so many in each stage of the training.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of every random choice.")
@click.option("--backbone", metavar="NAME", help="Another network; mobilenet_v2 and minilm work offline.")
@click.option("--weights", default="auto", show_default=True, help="auto, pretrained or none (random weights).")
@click.option("--image-size", type=int, metavar="N", help="Side that images are resized to.")
@click.option("--per-class", type=int, metavar="N", help="Use only so many training examples of each class.")
@click.option("--text", metavar="COLUMN", help="The table's column of texts; text where left away.")
@click.option("--label", metavar="COLUMN", help="The table's column of classes; label where left away.")
@click.option("--val-data", metavar="FILE", help="A table of its own to validate on.")
@click.option("--test-data", metavar="FILE", help="A table of its own to test on.")
@click.option("--split", metavar="COLUMN", help="The table's column that says train, val or test.")
@click.option("--rows", type=int, metavar="N", help="Use at most N rows of every table, each class in its share.")
@click.option("--max-tokens", type=int, metavar="N", help="Cut texts after N tokens.")
@click.option("--encoding", metavar="NAME", help="Of the tables; found out where left away.")
@json_option
def run(name: str | None, list_all: bool, as_json: bool, **options: Any) -> int:
    """Run one of the documents' systems.

    The system NAME on your data, or on a demonstration; --list names them.
    """
    from tl_course import systems

    if list_all:
        columns = ("name", "framework", "documents", "backbone", "title")
        _answer(as_json, systems.listing, list, lambda rows: _table(rows, columns))
        return 0
    if name is None:
        names = ", ".join(systems.names())
        raise BadInput(_("a system out of {names}").format(names=names), _("none"), _("name one, or pass --list"))
    work = _show_attention if systems.get(name).kind == "attention" else systems.run
    _answer(
        as_json,
        lambda: work(name, progress=not as_json, **options),
        lambda result: result.to_dict(),
        lambda result: result.render_text(),
    )
    return 0


@cli.command()
@click.argument("model")
@click.argument("files", nargs=-1)
@click.option("--text", metavar="COLUMN", default="text", show_default=True, help="The table's column of texts.")
@click.option("--encoding", metavar="NAME", help="Of the table; found out where left away.")
@click.option("--input", "inputs", metavar="TEXT", multiple=True, help="A text itself; may be repeated.")
@click.option("--out", metavar="FILE", help="Write the table with its predictions there, as CSV.")
@json_option
def predict(model: str, files: tuple[str, ...], inputs: tuple[str, ...], as_json: bool, **options: Any) -> int:
    """Class and probability of images or texts.

    By the file MODEL that `tl-course run` saved: of the image FILES; or of the texts in a table, FILES being one.
    """
    from tl_course import systems

    if inputs or systems.kind_of(model) == "text":
        _predict_texts(model, files, inputs, as_json, **options)
        return 0
    _answer(
        as_json,
        lambda: systems.predict(model, files),
        lambda found: [prediction.to_dict() for prediction in found],
        lambda found: "\n".join(f"{row.file}  {row.label}  {row.probability:.3f}" for row in found),
    )
    return 0


@cli.command()
@click.argument("names", nargs=-1)
@click.option("--no-execute", is_flag=True, help="Compose the notebooks without running them.")
def notebooks(names: tuple[str, ...], no_execute: bool) -> int:
    """Make solutions/ and notebooks/ from lessons/.

    Of the lessons NAMES, or of all.
    """
    from tl_course import lessons

    for name in lessons.build(names or None, execute=not no_execute):
        click.echo(lessons.notebook_path(name))
    return 0


@cli.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def learn(arguments: tuple[str, ...]) -> int:
    """Open JupyterLab at the first lesson.

    ARGUMENTS, such as --no-browser, go to JupyterLab.
    """
    from tl_course.lessons import RELEASED, ROOT, notebook_path

    notebook = notebook_path(FIRST_LESSON, RELEASED)
    if not notebook.is_file():
        raise BadInput(_("the course's notebooks"), _("no {path}").format(path=notebook), _("run this from a clone"))
    from jupyterlab.labapp import LabApp

    os.chdir(ROOT)  # nbgrader_config.py is there
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    given = {argument.partition("=")[0] for argument in arguments}
    defaults = {
        "--LabApp.default_url": f"/lab/tree/{notebook.relative_to(ROOT).as_posix()}",
        "--ServerApp.root_dir": str(ROOT),
    }
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
        click.echo(_("error: {line}").format(line=_one_line(str(error))), err=True)
    except click.Abort:
        return 130
    return 2


def _answer(
    as_json: bool, work: Callable[[], Result], value: Callable[[Result], Any], text: Callable[[Result], str]
) -> Result:
    """Do the work and print its result, as text or as one JSON value; whatever else writes goes to stderr."""
    if not as_json:
        result = work()
        click.echo(text(result))
        return result
    with quiet.stdout_to_stderr():
        result = work()
        line = json.dumps(value(result), ensure_ascii=False, allow_nan=False)
    click.echo(line)
    return result


def _show_attention(name: str, *, progress: bool, **options: Any) -> Any:
    """The attention system, which trains nothing and so takes few of the options."""
    from tl_course import systems

    unused = {"seed": 0, "weights": "auto"}
    taken = ("data", "out", "force", "backbone", "max_tokens", "encoding")
    given = {key: value for key, value in options.items() if value not in (None, unused.get(key))}
    if foreign := [f"--{key.replace('_', '-')}" for key in given if key not in taken]:
        got, names = ", ".join(foreign), ", ".join(f"--{key.replace('_', '-')}" for key in taken)
        raise BadInput(_("options of {name}: {names}").format(name=name, names=names), got, _("leave these away"))
    return systems.show_attention(**given)


def _predict_texts(
    model: str,
    files: Sequence[str],
    inputs: Sequence[str],
    as_json: bool,
    text: str,
    encoding: str | None,
    out: str | None,
) -> None:
    """Predict the texts themselves, or those of a table."""
    from tl_course import systems

    if len(files) + bool(inputs) != 1:
        got = ", ".join([*files, *(["--input"] if inputs else [])]) or _("none")
        raise BadInput(_("one table of texts, or --input with a text"), got, _("pass one of the two"))
    if inputs:
        if out:
            raise BadInput(_("a table whose predictions go to --out"), "--input", _("leave --out away"))
        _answer(
            as_json,
            lambda: systems.predict_texts(model, inputs),
            lambda found: [prediction.to_dict() for prediction in found],
            lambda found: "\n".join(map(_predicted, found)),
        )
        return
    if out is not None and Path(out).exists():
        raise BadInput(_("the name of a new file for --out"), out, _("choose another, or take it away"))
    found = _answer(
        as_json,
        lambda: systems.predict_table(model, files[0], text, encoding),
        lambda found: found.to_list(),
        lambda found: "\n".join(map(_predicted, found.rows)) if out is None else found.render_text(),
    )
    if out is not None:
        click.echo(_("written: {path}").format(path=found.write(out)), err=as_json)


def _predicted(row: Any) -> str:
    """One line: class, probability and the beginning of the text."""
    if row is None:
        return _("(no text)")
    text = _one_line(row.text)
    return f"{row.label}  {row.probability:.3f}  {text if len(text) <= 60 else text[:59] + '…'}"


def _table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:
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
        click.echo(_("error: {line}").format(line=_one_line(error)), err=True)
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
    return _one_line(str(BadInput(expected, got.rstrip("."), remedy)))


def _one_line(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    sys.exit(main())
