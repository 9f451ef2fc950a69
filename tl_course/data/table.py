"""read_table: a user's own texts and labels from a table in a file, cleaned, and split with no text in two splits.

All that was found and done on the way stands in the data set's `notes`.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tl_course.data.dataset import Dataset, Split
from tl_course.data.splits import FRACTIONS, split_by_hash
from tl_course.data.table_file import TableFile, read_table_file
from tl_course.data.table_rows import PARTS, Row, clean, named_part, without_copies
from tl_course.errors import BadInput
from tl_course.i18n import _

IMBALANCE = 0.8
"""Share of the most frequent class from which accuracy says little."""

FEW = 10
"""Training texts of a class below which the reader is warned."""

SHOWN = 10
"""Classes that a message lists."""

Parts = dict[str, list[Row]]


def read_table(
    path: str | Path,
    text: str = "text",
    label: str = "label",
    *,
    val: str | Path | None = None,
    test: str | Path | None = None,
    split: str | None = None,
    rows: int | None = None,
    fractions: tuple[float, float, float] = FRACTIONS,
    seed: int = 0,
    encoding: str | None = None,
    delimiter: str | None = None,
) -> Dataset:
    """Load a table of texts and labels: x array of str (N,), classes numbered in the order of their names.

    Rows without a text or a label are left out. So are copies of a text (equal but for case, punctuation and spacing),
    and texts that stand with different labels. What is then left is split by `fractions`, class by class; which text
    goes where depends on the text and `seed` alone. A val or test table of its own, or a column that names the split,
    takes the place of that; texts in them are left out of training.

    Args:
        path: CSV, TSV or the like (see `table_file`), with column names in the first row.
        text, label: names of the columns. Labels may be words, numbers or truth values.
        val, test: tables with the same columns, to validate and test on.
        split: name of a column that holds train, val or test (validation, dev and eval are understood).
        rows: use at most so many rows of every table, drawn from each class in its share, two of each at least.
        fractions: shares of train, val and test, where they are not given; they sum to 1.
        seed: another seed gives another split and another draw.
        encoding, delimiter: None finds out.

    Raises:
        BadInput: a file or column is missing or is no table; half of the texts or labels are empty; one class only; a
            class with too few texts to split; a label in val or test that no training text has.
    """
    _check_arguments(text, label, split, rows, seed, fractions)
    tables = {"train": path} | {part: file for part, file in (("val", val), ("test", test)) if file is not None}
    wanted = [text, label] if split is None else [text, label, split]
    notes: list[str] = []
    given: Parts = {part: [] for part in PARTS}
    for part, file in tables.items():
        table = read_table_file(file, wanted if part == "train" else wanted[:2], encoding, delimiter)
        notes += table.notes
        found = _rows_by_part(table, text, label, split if part == "train" else None, part, notes)
        for name in (name for name, members in found.items() if members):
            if given[name]:
                raise _twice(name)
            given[name] = found[name]
    kept = without_copies(given, notes)
    total = sum(map(len, kept.values()))
    kept = {part: _drawn(members, rows, seed) for part, members in kept.items()}
    if (used := sum(map(len, kept.values()))) < total:
        notes.append(_("{used} of {total} texts are used, as asked for").format(used=used, total=total))
    names = _class_names(kept, label, Path(path).name, notes)
    parts = _split(kept, fractions, seed)
    _look(parts, names, notes)
    splits = {part: _as_split(members, names) for part, members in parts.items() if members}
    if "test" not in splits:
        got = _("{count} texts, too few for that share").format(count=len(kept["train"]))
        raise BadInput(_("texts to test on"), got, _("raise the share of test in fractions"))
    name = Path(path).stem
    source = _("the table {name}").format(name=Path(path).name)
    return Dataset(
        name, splits["train"], splits["test"], splits.get("val"), names, source, _("your own texts"), tuple(notes)
    )


def _rows_by_part(
    table: TableFile, text: str, label: str, split: str | None, part: str, notes: list[str]
) -> dict[str, list[Row]]:
    """The usable rows of a table, by the split they belong to."""
    marks = [part] * len(table.rows)
    if split is not None:
        marks = [named_part(mark, split) for mark in table.column(split)]
    found: Parts = {name: [] for name in PARTS}
    for row, mark in clean(table.column(text), table.column(label), marks, text, label, table.path.name, notes):
        found[mark].append(row)
    return found


def _drawn(members: list[Row], rows: int | None, seed: int) -> list[Row]:
    """At most so many of them, each class in its share, by the hash of the text, in their order."""
    if rows is None or len(members) <= rows:
        return members
    share = rows / len(members)
    keep, _val, left = split_by_hash(
        [row.key for row in members], [row.label for row in members], (share, 0.0, 1 - share), f"rows {seed}"
    )
    chosen = set(keep.tolist())
    counts = Counter(members[i].label for i in chosen)
    for i in left.tolist():
        if counts[members[i].label] < 2:
            counts[members[i].label] += 1
            chosen.add(i)
    return [members[i] for i in sorted(chosen)]


def _class_names(kept: Parts, label: str, file: str, notes: Sequence[str]) -> tuple[str, ...]:
    """The labels of the training rows, in order; refused where there are too few, or where others have more."""
    counts = Counter(row.label for row in kept["train"])
    names = tuple(sorted(counts, key=_by_value))
    expected = _("two classes or more in column {label!r}").format(label=label)
    if len(names) < 2:
        got = _("one only: {name}").format(name=names[0]) if names else _("no usable row ({why})").format(why=notes[-1])
        raise BadInput(expected, got, _("add texts of another class, or name another column"))
    least = 1 if kept["test"] else 2
    thin = [name for name in names if counts[name] < least]
    if thin:
        got = _("{count} of {total} classes with one text only: {names}").format(
            count=len(thin), total=len(names), names=_listed(thin)
        )
        numbers = len(thin) > len(names) / 2 and all(_is_number(name) for name in thin)
        remedy = _("group the numbers into classes first") if numbers else _("add texts or leave these classes out")
        raise BadInput(_("two different texts or more of every class, to train and to test on"), got, remedy)
    for part in ("val", "test"):
        unseen = sorted({row.label for row in kept[part]} - set(names), key=_by_value)
        if unseen:
            raise BadInput(
                _("labels in the {part} texts that training texts have: {names}").format(
                    part=part, names=_listed(names)
                ),
                _("others: {names}").format(names=_listed(unseen)),
                _("write them alike, leave these rows out, or add such texts to {file}").format(file=file),
            )
    return names


def _split(kept: Parts, fractions: tuple[float, float, float], seed: int) -> Parts:
    """The parts that were not given, taken from the training rows class by class."""
    members = kept["train"]
    shares = [0.0 if kept[part] else share for part, share in zip(PARTS[1:], fractions[1:], strict=True)]
    left = fractions[0] / (fractions[0] + sum(shares))
    scale = (1 - left) / sum(shares) if any(shares) else 0.0
    positions = split_by_hash(
        [row.key for row in members],
        [row.label for row in members],
        (left, shares[0] * scale, shares[1] * scale),
        f"seed {seed}",
    )
    made = {part: [members[i] for i in chosen] for part, chosen in zip(PARTS, positions, strict=True)}
    return made | {part: kept[part] for part in ("val", "test") if kept[part]}


def _look(parts: Mapping[str, Sequence[Row]], names: Sequence[str], notes: list[str]) -> None:
    """Add notes on sizes and on what makes figures hard to read."""
    notes.append(
        _("{train} texts to train, {val} to validate, {test} to test").format(
            **{part: len(parts[part]) for part in PARTS}
        )
    )
    train, test = (Counter(row.label for row in parts[part]) for part in ("train", "test"))
    most, count = train.most_common(1)[0]
    if count > IMBALANCE * train.total():
        notes.append(
            _("{share:.0%} of the training texts are {name!r}: read recall and macro F1, not accuracy alone").format(
                share=count / train.total(), name=most
            )
        )
    few = [name for name in names if train[name] < FEW]
    if few:
        notes.append(_("fewer than {few} training texts: {names}").format(few=FEW, names=_listed(few)))
    untested = [name for name in names if not test[name]]
    if untested:
        notes.append(_("no test text, so nothing is known of: {names}").format(names=_listed(untested)))
    alike = Counter(name.casefold() for name in names)
    twins = [name for name in names if alike[name.casefold()] > 1]
    if twins:
        notes.append(_("classes that differ in case only, perhaps by mistake: {names}").format(names=_listed(twins)))


def _as_split(members: Sequence[Row], names: Sequence[str]) -> Split:
    """Texts as objects: an array of fixed width would take the longest text's memory for each."""
    numbers = {name: number for number, name in enumerate(names)}
    x = np.empty(len(members), dtype=object)
    x[:] = [row.text for row in members]
    return Split(x, np.array([numbers[row.label] for row in members], dtype=np.int64))


def _check_arguments(
    text: str, label: str, split: str | None, rows: int | None, seed: int, fractions: tuple[float, float, float]
) -> None:
    columns = [name for name in (text, label, split) if name is not None]
    if len(set(columns)) < len(columns):
        raise BadInput(
            _("different columns for text, label and split"),
            ", ".join(map(repr, columns)),
            _("name the column that holds the classes as label"),
        )
    numbers = {"seed": (seed, 0)} | ({} if rows is None else {"rows": (rows, 4)})
    for name, (value, least) in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise BadInput(
                _("{name} as an integer of at least {least}").format(name=name, least=least),
                repr(value),
                _("pass for example {name}=1000").format(name=name),
            )
    if len(fractions) != 3 or abs(sum(fractions) - 1) > 1e-6 or min(fractions) < 0 or not fractions[0] * fractions[2]:
        raise BadInput(
            _("fractions of train, val and test that sum to 1, train and test above 0"),
            repr(fractions),
            _("pass for example fractions=(0.6, 0.1, 0.3)"),
        )


def _twice(part: str) -> BadInput:
    return BadInput(
        _("one source of {part} texts").format(part=part),
        _("a table of them, and a column that names some"),
        _("pass one of the two"),
    )


def _listed(names: Sequence[str]) -> str:
    cut = [name if len(name) <= 40 else name[:39] + "…" for name in names[:SHOWN]]
    more = _(" and {count} more").format(count=len(names) - SHOWN) if len(names) > SHOWN else ""
    return ", ".join(cut) + more


def _is_number(name: str) -> bool:
    return re.fullmatch(r"[-+]?\d+([.,]\d+)?", name) is not None


def _by_value(name: str) -> tuple[float, str]:
    """Numbers by their value, words after them."""
    return (float(name.replace(",", ".")) if _is_number(name) else float("inf")), unicodedata.normalize("NFC", name)
