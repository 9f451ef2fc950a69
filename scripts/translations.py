"""Bring the Chinese catalogue of the interface up to date: python scripts/translations.py

Collects the strings of `SOURCES`, adds new ones to tl_course/locale/zh/LC_MESSAGES/tl_course.po for a translator,
drops those that are gone, and compiles the catalogue. Exit code 1 while strings wait for their translation.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir, extract_from_file
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "tl_course"
CATALOGUE = PACKAGE / "locale" / "zh" / "LC_MESSAGES" / "tl_course.po"
SOURCES = (
    "practice",
    "quizzes",
    "exercises/engine",
    "lab",
    "plots_to_play",
    "assistance.py",
    "attention_view.py",
    "cli_practice.py",
    "cli_upkeep.py",
    "errors.py",
    "flipbook.py",
    "framed_page.py",
    "home_page.py",
    "i18n.py",
    "merge_notebooks.py",
    "notebook.py",
    "notebook_cells.py",
    "progress_file.py",
    "shown.py",
    "uninstall.py",
    "update.py",
    "whole_file.py",
)


def messages() -> Catalog:
    """Every string of the interface, without translations."""
    found = Catalog()
    for name in SOURCES:
        source = PACKAGE / name
        if source.is_dir():
            rows = [row[2] for row in extract_from_dir(source, method_map=[("**.py", "python")])]
        else:
            rows = [row[1] for row in extract_from_file("python", source)]
        for text in rows:
            found.add(text)
    return found


def updated() -> Catalog:
    """The catalogue with the strings of today; those without a translation are empty."""
    with CATALOGUE.open("rb") as file:
        known = read_po(file, locale="zh")
    known.update(messages(), no_fuzzy_matching=True)
    known.obsolete.clear()
    return known


def main() -> int:
    catalogue = updated()
    catalogue.creation_date = catalogue.revision_date = datetime(2026, 1, 1, tzinfo=UTC)  # the same file again
    waiting = [message.id for message in catalogue if message.id and not message.string]
    with CATALOGUE.open("wb") as file:
        write_po(file, catalogue, sort_output=True, no_location=True, width=0, omit_header=True)
    with CATALOGUE.with_suffix(".mo").open("wb") as file:
        write_mo(file, catalogue)
    for text in waiting:
        print(f"no translation yet: {text!r}", file=sys.stderr)
    return int(bool(waiting))


if __name__ == "__main__":
    sys.exit(main())
