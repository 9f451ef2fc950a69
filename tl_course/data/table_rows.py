"""Rows of a table of texts: which are usable, and which are copies of one another."""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tl_course.data.sentiment import normalise
from tl_course.errors import BadInput
from tl_course.i18n import _

PARTS = ("train", "val", "test")

PART_NAMES = {"validation": "val", "valid": "val", "dev": "val", "eval": "val", "training": "train", "testing": "test"}
"""What others call the splits."""

MAX_EMPTY = 0.5
"""Share of rows without text or label from which the column is probably the wrong one."""


@dataclass(frozen=True)
class Row:
    """A usable row: `key` is the text without case, punctuation and spacing; rows of one key are copies."""

    text: str
    label: str
    key: str


def clean(
    texts: Sequence[str],
    labels: Sequence[str],
    marks: Sequence[str],
    text: str,
    label: str,
    file: str,
    notes: list[str],
) -> Iterator[tuple[Row, str]]:
    """The rows that have a text and a label, each with its mark; notes on those that do not.

    Args:
        texts, labels, marks: one a row; a mark is passed on.
        text, label, file: names for the messages.
        notes: is added to.

    Raises:
        BadInput: most texts or labels are empty.
    """
    stripped, names = [cell.strip() for cell in texts], [_label(cell) for cell in labels]
    for column, cells in ((text, stripped), (label, names)):
        empty = sum(not cell for cell in cells)
        if empty > MAX_EMPTY * len(cells):
            raise BadInput(
                _("a column {name!r} that is filled").format(name=column),
                _("{empty} empty cells in {total} rows of {file}").format(empty=empty, total=len(cells), file=file),
                _("name another column, or fill it"),
            )
        if empty:
            notes.append(_("{count} rows without {column} were left out").format(count=empty, column=column))
    for cell, name, mark in zip(stripped, names, marks, strict=True):
        if cell and name:
            yield Row(cell, name, normalise(cell) or cell), mark


def named_part(mark: str, column: str) -> str:
    """train, val or test, whichever a cell of the split column means."""
    name = mark.strip().lower()
    part = PART_NAMES.get(name, name)
    if part in PARTS:
        return part
    raise BadInput(
        _("train, val or test in column {name!r}").format(name=column), repr(mark[:40]), _("mend these cells")
    )


def without_copies(parts: Mapping[str, Sequence[Row]], notes: list[str]) -> dict[str, list[Row]]:
    """The parts with no text in two of them: test keeps its texts, then val; train loses copies of its own too.

    Training texts that stand with different labels are all left out, as nobody can tell which is right.
    """
    test, val = {row.key for row in parts["test"]}, {row.key for row in parts["val"]}
    kept = {"test": list(parts["test"]), "val": [row for row in parts["val"] if row.key not in test]}
    rest = [row for row in parts["train"] if row.key not in test and row.key not in val]
    shared = len(parts["val"]) - len(kept["val"]) + len(parts["train"]) - len(rest)
    if shared:
        notes.append(
            _("{count} texts that are also among those to validate or test on were left out").format(count=shared)
        )
    labels: dict[str, set[str]] = {}
    for row in rest:
        labels.setdefault(row.key, set()).add(row.label)
    unclear = {key for key, names in labels.items() if len(names) > 1}
    clear = [row for row in rest if row.key not in unclear]
    if unclear:
        example = next(row for row in rest if row.key in unclear)
        notes.append(
            _("{count} texts with different labels were left out, for example {text!r}: {labels}").format(
                count=len(unclear), text=_short(example.text), labels=", ".join(sorted(labels[example.key]))
            )
        )
    kept["train"] = list({row.key: row for row in reversed(clear)}.values())[::-1]
    if copies := len(clear) - len(kept["train"]):
        notes.append(
            _("{count} copies of texts (but for case, punctuation, spacing) were left out").format(count=copies)
        )
    return {part: kept[part] for part in PARTS}


def _label(cell: str) -> str:
    """A class name: 1.0 is 1, as spreadsheets turn one into the other."""
    name = unicodedata.normalize("NFC", " ".join(cell.split()))
    return re.sub(r"(?<=\d)\.0+$", "", name) if re.fullmatch(r"[-+]?\d+\.0+", name) else name


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:59] + "…"
