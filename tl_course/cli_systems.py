"""The commands `run` and `predict`: the documents' systems, and what a saved model says."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from tl_course.cli_output import answer, json_option, one_line, table
from tl_course.errors import BadInput
from tl_course.i18n import _


@click.command()
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
@click.option("--unlabelled", metavar="PATH", help="Distilling: images' folder or texts' table without classes.")
@click.option("--temperature", type=float, metavar="T", help="Distilling: softens both sides' probabilities.")
@click.option("--alpha", type=float, metavar="A", help="Distilling: the teacher's share in the loss, 0 to 1.")
@click.option("--save-teacher", is_flag=True, default=None, help="Distilling: keep the teacher's file as well.")
@json_option
def run(name: str | None, list_all: bool, as_json: bool, **options: Any) -> int:
    """Run one of the documents' systems.

    The system NAME on your data, or on a demonstration; --list names them.
    """
    from tl_course import systems

    if list_all:
        columns = ("name", "framework", "documents", "backbone", "title")
        answer(as_json, systems.listing, list, lambda rows: table(rows, columns))
        return 0
    if name is None:
        names = ", ".join(systems.names())
        raise BadInput(_("a system out of {names}").format(names=names), _("none"), _("name one, or pass --list"))
    work = _show_attention if systems.get(name).kind == "attention" else systems.run
    answer(
        as_json,
        lambda: work(name, progress=not as_json, **options),
        lambda result: result.to_dict(),
        lambda result: result.render_text(),
    )
    return 0


@click.command()
@click.argument("model")
@click.argument("files", nargs=-1)
@click.option("--text", metavar="COLUMN", default="text", show_default=True, help="The table's column of texts.")
@click.option("--encoding", metavar="NAME", help="Of the table; found out where left away.")
@click.option("--input", "inputs", metavar="TEXT", multiple=True, help="A text itself; may be repeated.")
@click.option("--out", metavar="FILE", help="Write the table with its predictions there, as CSV.")
@json_option
def predict(model: str, files: tuple[str, ...], inputs: tuple[str, ...], as_json: bool, **options: Any) -> int:
    """Class and probability of images or texts.

    By the file MODEL that `tl-course run` saved, or one exported to ONNX: of the image FILES, or all below folders; or
    of the texts in a table, FILES being one.
    """
    from tl_course import systems

    if inputs or systems.kind_of(model) == "text":
        _predict_texts(model, files, inputs, as_json, **options)
        return 0
    answer(
        as_json,
        lambda: systems.predict(model, files),
        lambda found: [prediction.to_dict() for prediction in found],
        lambda found: "\n".join(f"{row.file}  {row.label}  {row.probability:.3f}" for row in found),
    )
    return 0


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
        answer(
            as_json,
            lambda: systems.predict_texts(model, inputs),
            lambda found: [prediction.to_dict() for prediction in found],
            lambda found: "\n".join(map(_predicted, found)),
        )
        return
    if out is not None and Path(out).exists():
        raise BadInput(_("the name of a new file for --out"), out, _("choose another, or take it away"))
    found = answer(
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
    text = one_line(row.text)
    return f"{row.label}  {row.probability:.3f}  {text if len(text) <= 60 else text[:59] + '…'}"
