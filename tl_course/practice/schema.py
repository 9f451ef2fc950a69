"""Data files of interview practice: TOML in both languages of the course, every field checked."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tl_course.errors import BadInput
from tl_course.i18n import _, language


@dataclass(frozen=True)
class Text:
    """The same content in both languages of the course.

    Attributes:
        en: English.
        zh: Chinese.
    """

    en: str
    zh: str

    def __str__(self) -> str:
        """The content in the language of the interface."""
        return getattr(self, language())


def read_toml(file: Path) -> dict[str, Any]:
    """The content of a data file.

    Raises:
        BadInput: not TOML, or not in UTF-8.
    """
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(_("data in TOML, in UTF-8"), f"{file.name}: {error}", _("mend the file")) from error


def read_texts(row: Any, names: Sequence[str], where: str) -> list[Text]:
    """The fields of a table that has these texts and nothing else."""
    check_fields(row, set(names), set(), where)
    return [read_text(row[name], where) for name in names]


def read_text(row: Any, where: str) -> Text:
    """A text in both languages."""
    check_fields(row, {"en", "zh"}, set(), where)
    if not all(isinstance(words, str) and words.strip() for words in row.values()):
        raise BadInput(_("words in both languages"), repr(dict(row)), _("see {where}").format(where=where))
    return Text(row["en"], row["zh"])


def check_count(row: Mapping[str, Any], name: str, least: int, most: int, where: str) -> None:
    """Refuse lists that are too short or too long."""
    if not least <= len(row[name]) <= most:
        raise BadInput(
            _("{least} to {most} {name}").format(least=least, most=most, name=name),
            str(len(row[name])),
            _("see {where}").format(where=where),
        )


def check_fields(row: Any, fields: set[str], optional: set[str], where: str) -> None:
    """Refuse a table that lacks a field or has one too many."""
    given = set(row) if isinstance(row, Mapping) else {repr(row)}
    if not fields - optional <= given <= fields:
        wrong = (fields - optional - given) | (given - fields)
        raise BadInput(
            _("the fields {fields}").format(fields=", ".join(sorted(fields))),
            _("missing or unknown: {wrong}").format(wrong=", ".join(sorted(wrong))),
            _("see {where}").format(where=where),
        )
