"""Classes for texts, and for every row of a table, by a saved model."""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tl_course.data.table_file import TableFile, read_table_file
from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.systems.exported import SavedModel, load_model
from tl_course.systems.output import unwritable
from tl_course.systems.prediction import Prediction, named


@dataclass(frozen=True)
class TablePredictions:
    """What a classifier says of the rows of a table.

    Attributes:
        table: as it was read; its notes say how.
        rows: one prediction a row, in their order; None where there is no text.
    """

    table: TableFile
    rows: list[Prediction | None]

    def to_list(self) -> list[dict[str, Any]]:
        """One dictionary a row, numbered from 1 under "row"; "class" is None where there is no text."""
        found = [{"text": "", "class": None} if row is None else row.to_dict() for row in self.rows]
        return [{"row": number, **values} for number, values in enumerate(found, start=1)]

    def render_text(self) -> str:
        """How the table was read, and how many rows each class got."""
        counts = Counter(_("(no text)") if row is None else row.label for row in self.rows)
        return "\n".join([*self.table.notes, *(f"{label}: {count}" for label, count in counts.most_common())])

    def write(self, path: str | Path) -> Path:
        """Write the table with two more columns, predicted and probability, as CSV in UTF-8.

        Raises:
            BadInput: there is such a file already, or it cannot be written.
        """
        file = Path(path).expanduser()
        names = [_free(name, self.table.columns) for name in ("predicted", "probability")]
        try:
            with file.open("x", encoding="utf-8", newline="") as stream:
                writer = csv.writer(stream)
                writer.writerow([*self.table.columns, *names])
                for cells, row in zip(self.table.rows, self.rows, strict=True):
                    writer.writerow([*cells, *(("", "") if row is None else (row.label, f"{row.probability:.4f}"))])
        except FileExistsError as error:
            raise BadInput(_("the name of a new file"), str(path), _("choose another, or take it away")) from error
        except OSError as error:
            raise unwritable(file, error) from error
        return file


def predict_texts(model_file: str | Path, texts: Sequence[str]) -> list[Prediction]:
    """The class of each text, in their order.

    Args:
        model_file: what a system for texts, `TextClassifier.save` or `export_onnx` wrote, of either framework.
        texts: one or more, none of them empty.

    Raises:
        BadInput: no such model file, or it is damaged, of images or something else; no texts, or an empty one.
    """
    if isinstance(texts, str):
        texts = [texts]
    if not texts or not all(text.strip() for text in texts):
        raise BadInput(_("one text or more"), _("an empty one") if texts else _("none"), _("write something"))
    return _predictions(load_model(model_file, "text"), texts)


def predict_table(
    model_file: str | Path, path: str | Path, text: str = "text", encoding: str | None = None
) -> TablePredictions:
    """The class of each row's text.

    Args:
        model_file: as for `predict_texts`.
        path: a table, see `data.table_file`.
        text: the column that holds the texts; rows without one get no prediction.
        encoding: of the table; None finds out.

    Raises:
        BadInput: the model or the table cannot be used.
    """
    model = load_model(model_file, "text")
    table = read_table_file(path, [text], encoding)
    texts = [cell.strip() for cell in table.column(text)]
    filled = [position for position, cell in enumerate(texts) if cell]
    if not filled:
        raise BadInput(
            _("texts in column {name!r}").format(name=text), _("empty cells only"), _("name another column with --text")
        )
    rows: list[Prediction | None] = [None] * len(texts)
    for position, prediction in zip(filled, _predictions(model, [texts[i] for i in filled]), strict=True):
        rows[position] = prediction
    return TablePredictions(table, rows)


def _predictions(model: SavedModel, texts: Sequence[str]) -> list[Prediction]:
    rows = named(model.predict_proba(texts), model.class_names)
    return [Prediction(text=text, **row) for text, row in zip(texts, rows, strict=True)]


def _free(name: str, taken: Sequence[str]) -> str:
    """The name, with a number where a column has it already."""
    number, free = 2, name
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    return free
