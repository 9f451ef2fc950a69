"""What a system for texts trains: texts from a table, and a new classifier on a text encoder."""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tl_course.data import Dataset, few_shot, load, names, read_table
from tl_course.data import describe as describe_set
from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.systems.building import build
from tl_course.systems.system import DataOptions, Prepared, Request, TextSystem

COUNTED = 10_000
"""At most so many texts are looked at to tell how many are cut."""

MANY = 5_000
"""Training texts from which a run is long enough to say how to make it short."""

TABLE_OPTIONS = ("text", "label", "val_data", "test_data", "split", "rows", "encoding")


def prepare(system: TextSystem, request: Request, say: Callable[[str], None]) -> Prepared:
    """Read the texts and build the classifier.

    Args:
        system: what runs.
        request: what it was asked for.
        say: takes lines on both, the notes of the data among them.

    Raises:
        BadInput: as `data.read_table` and `building.build`.
    """
    options = request.options
    dataset = read_texts(system, request)
    origin = system.demonstration.note if request.data is None else dataset.source
    counts = {part: len(split) for part, split in dataset.splits.items()}
    say(_("texts: {data}; {count} classes").format(data=origin, count=dataset.num_classes))
    classifier, pretrained = build(
        system,
        request.backbone,
        dataset.class_names,
        request.weights,
        say,
        pooling=system.pooling,
        max_tokens=options.get("max_tokens"),
        seed=request.seed,
    )
    longest, share = _lengths(classifier, dataset)
    most = int(classifier.backbone.max_tokens)
    if share:
        note = _("{share:.1%} of the texts have more than {most} tokens (up to {longest}) and are cut there")
        dataset = replace(dataset, notes=(*dataset.notes, note.format(share=share, most=most, longest=longest)))
    for note in dataset.notes:
        say(f"- {note}")
    if counts["train"] > MANY and "rows" not in options:
        say(_("{count} texts to train on take their time; --rows {many} is a quick first run").format(
            count=counts["train"], many=MANY
        ))  # fmt: skip
    facts = {"data": origin, "texts": counts, "max_tokens": most, "cut": share, "pooling": system.pooling}
    return Prepared(dataset, classifier, pretrained, facts)


def read_texts(system: TextSystem, request: Request) -> Dataset:
    """The texts that a run trains on: a table, a data set of the course by its name, or the demonstration.

    Raises:
        BadInput: as `data.read_table`; options for a table where there is none.
    """
    options, data = request.options, request.data
    if data is None:
        _refuse_table_options(options, _("a demonstration"))
        with tempfile.TemporaryDirectory(prefix="tl_course_") as folder:
            table = Path(folder) / "texts.csv"
            system.demonstration.write(table)
            dataset = replace(read_table(table, split="split"), notes=())
    elif not Path(data).expanduser().exists() and str(data) in text_sets():
        _refuse_table_options(options, _("the data set {name}").format(name=data))
        dataset = load(str(data))
    else:
        dataset = _read(data, options, request.seed)
    if (per_class := options.get("per_class")) is None:
        return dataset
    return replace(dataset, train=dataset.train.take(few_shot(dataset.train.y, per_class, request.seed)))


def text_sets() -> tuple[str, ...]:
    """The course's own data sets of texts."""
    return tuple(name for name in names() if not describe_set(name)["shape"])


def _read(data: str | Path, options: DataOptions, seed: int) -> Dataset:
    return read_table(
        data,
        options.get("text") or "text",
        options.get("label") or "label",
        val=options.get("val_data"),
        test=options.get("test_data"),
        split=options.get("split"),
        rows=options.get("rows"),
        encoding=options.get("encoding"),
        seed=seed,
    )


def _refuse_table_options(options: DataOptions, instead: str) -> None:
    given = [name for name in TABLE_OPTIONS if name in options]
    if given:
        raise BadInput(
            _("a table of your own with {options}").format(options=", ".join(given)),
            instead,
            _("pass the table with --data, or leave these away"),
        )


def _lengths(classifier: Any, dataset: Dataset) -> tuple[int, float]:
    """Tokens of the longest text, and the share of texts that are cut, of at most `COUNTED` spread over all."""
    every = np.concatenate([split.x for split in dataset.splits.values()])
    chosen = every[np.linspace(0, len(every) - 1, min(len(every), COUNTED)).astype(int)]
    lengths = classifier.num_tokens(chosen)
    return int(lengths.max()), float((lengths > classifier.backbone.max_tokens).mean())
