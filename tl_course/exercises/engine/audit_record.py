"""Which exercises passed their audit as they are now: what has not changed since need not be tried in full again.

Incremental mutation analysis, as in PIT and Stryker: a record of results that belongs to the sources.
"""

import ast
import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from tl_course import exercises
from tl_course.errors import BadInput
from tl_course.whole_file import draft

RECORD = Path(exercises.__file__).parent / "audited.json"
_COURSE = Path(exercises.__file__).parents[1]
_LIBRARIES = ("numpy", "torch", "tensorflow", "keras", "transformers")


def unchanged() -> list[str]:
    """The ids of the exercises that passed in full as they are, with the libraries and the kind of machine in use.

    Raises:
        BadInput: the record cannot be read.
    """
    try:
        record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    except ValueError as error:
        raise BadInput("a JSON object of ids and digests", f"{RECORD}: {error}", "run `make audit`") from error
    return [name for name in exercises.ids() if record.get(name) == digest(name)]


def note(passed: Iterable[str]) -> None:
    """Note that these exercises passed in full. Those that changed since they passed, or are gone, leave the record."""
    known = {*unchanged(), *passed}
    rows = {name: digest(name) for name in exercises.ids() if name in known}
    with draft(RECORD, {".json"}) as file:
        file.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def digest(exercise_id: str) -> str:
    """Of all that decides an audit: the exercise, what it imports of the course, the engine, and what runs them."""
    sources = set((_COURSE / "exercises" / "engine").glob("*.py"))
    new = {exercises.file_of(exercise_id)}
    while new:
        sources |= new
        new = {file for source in new for file in _imports(source)} - sources
    parts = [f"{file.relative_to(_COURSE)}\n{file.read_text(encoding='utf-8')}" for file in sorted(sources)]
    return hashlib.sha256("\0".join([*_environment(), *parts]).encode()).hexdigest()[:16]


@cache
def _imports(source: Path) -> frozenset[Path]:
    """The files of the course that one of them imports, anywhere in it."""
    return frozenset(_files(ast.parse(source.read_text(encoding="utf-8"))))


def _files(tree: ast.Module) -> Iterator[Path]:
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, (ast.Import, ast.ImportFrom)) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{name}" for name in names)]
        for name in names:
            first, *rest = name.split(".")
            file = _COURSE.joinpath(*rest).with_suffix(".py")
            if first == _COURSE.name and rest and file.is_file():
                yield file


@cache
def _environment() -> tuple[str, ...]:
    versions = [f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES]
    return (*versions, f"python {'.'.join(platform.python_version_tuple()[:2])}", platform.system(), platform.machine())
