"""What was handed in: finding submissions, and reading them without trusting them."""

import hashlib
import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from glob import escape, glob
from pathlib import Path
from typing import Any

from nbgrader.coursedir import CourseDirectory
from nbgrader.utils import full_split, parse_utc

from tl_course.grading.assignment import SourceNotebook, heading
from tl_course.grading.notebook_text import NotANotebook, parse
from tl_course.grading.safe_files import Entry, Unusable, entries, head, is_text, is_there, opened, read, readable
from tl_course.i18n import _

MAX_NOTEBOOK = 50_000_000  # bytes, as the limits below
MAX_FILE = 20_000_000
MAX_FILES = 50_000_000
MAX_COUNT = 1000
MAX_PATH = 2000  # bytes of a file's relative path
MAX_CANDIDATES = 10  # notebooks looked into for one that has another name
_IGNORED = (".ipynb_checkpoints", "__pycache__", "*.pyc", "feedback", "__MACOSX", "._*", ".git", ".DS_Store")
_TIMESTAMP = "timestamp.txt"
_ZONE = re.compile(r"[A-Za-z0-9+:_-]+(/[A-Za-z0-9+:_-]+)*")


@dataclass(frozen=True)
class Submission:
    """A student's folder; ``problem`` says why it cannot be graded at all."""

    student: str
    folder: Path
    problem: str | None


@dataclass(frozen=True)
class Reading:
    """A notebook as it was handed in, or why there is none; ``notes`` say what was mended on the way."""

    notebook: dict[str, Any] | None
    problem: str | None
    notes: tuple[str, ...]


def find(coursedir: CourseDirectory, assignment: str) -> list[Submission]:
    """Everybody's folder for an assignment, by student, as the course's settings choose them."""
    step = coursedir.submitted_directory
    pattern = coursedir.directory_structure.format(
        nbgrader_step=escape(step), student_id="*", assignment_id=escape(assignment)
    )
    expression = re.compile(
        coursedir.format_path(re.escape(step), "(?P<student>[^/]*)", re.escape(assignment), escape=True), re.DOTALL
    )
    left_out = {name.strip() for name in coursedir.student_id_exclude.split(",")}
    found = []
    for path in glob(os.path.join(escape(coursedir.root), pattern)):
        matched = expression.fullmatch(path.rstrip(os.sep))
        name = matched["student"] if matched else ""
        if name and fnmatchcase(name, coursedir.student_id) and name not in left_out:
            found.append(Submission(readable(name), Path(path), _folder_problem(coursedir, Path(path), name)))
    return sorted(found, key=lambda submission: submission.student)


def read_notebook(folder: Path, source: SourceNotebook) -> Reading:
    """The notebook that answers ``source``, under its own name or, failing that, under another."""
    name = f"{source.name}.ipynb"
    try:
        with opened(folder) as descriptor:
            if is_there(descriptor, name):
                return _reading(descriptor, name, name)
            return _other_name(descriptor, name, source)
    except Unusable as error:
        return Reading(None, _("the folder {reason}").format(reason=error), ())


def read_files(folder: Path, source_files: dict[str, Path]) -> tuple[dict[str, bytes], list[str]]:
    """The files beside the notebooks, the assignment's own over the student's, and notes on what was left out."""
    found: dict[str, bytes] = {}
    notes: list[str] = []
    try:
        with opened(folder) as descriptor:
            _collect(descriptor, found, notes)
    except Unusable as error:
        notes.append(_("the folder {reason}").format(reason=error))
    for name, path in source_files.items():
        content = path.read_bytes()
        if found.get(name, content) != content:
            notes.append(_("'{name}' is the assignment's own; the one handed in was left out").format(name=name))
        for other in [other for other in found if other.startswith(f"{name}/") or name.startswith(f"{other}/")]:
            notes.append(_("'{name}' is in the way of the assignment's own and was left out").format(name=other))
            del found[other]
    return found | {name: path.read_bytes() for name, path in source_files.items()}, notes


def fingerprint(folder: Path) -> str:
    """SHA-256 over names and bytes of what is graded, timestamp.txt apart.

    At most 200 MB are read; what lies beyond counts by its size and time of change.
    """
    digest = hashlib.sha256()
    left = MAX_NOTEBOOK * 4
    try:
        with opened(folder) as descriptor:
            for entry in _graded(descriptor):
                if entry.parts == (_TIMESTAMP,):
                    continue
                content, known = b"", ()
                if entry.kind == "file":
                    content, known = _head(entry, min(left, MAX_NOTEBOOK))
                    left -= len(content)
                elif entry.kind == "link":
                    content = _target(entry)
                name = os.fsencode("/".join(entry.parts))
                digest.update(f"{entry.kind} {len(name)} {len(content)} {known}\n".encode())
                digest.update(name + content)
    except Unusable as error:
        digest.update(f"unusable: {error}".encode("utf-8", "backslashreplace"))
    return digest.hexdigest()


def timestamp(folder: Path) -> datetime | None:
    """When it was handed in, by nbgrader's timestamp.txt: UTC without a zone; None when that says nothing sensible."""
    try:
        with opened(folder) as descriptor:
            text = read(descriptor, _TIMESTAMP, 200).decode("utf-8-sig").strip()
    except (Unusable, UnicodeDecodeError):
        return None
    parts = text.split(" ")
    if not re.match(r"\d{4}-\d{1,2}-\d{1,2}([ T]|$)", text) or not _ZONE.fullmatch(parts[-1].replace(".", "")):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return parse_utc(text)
    except (ValueError, OverflowError, TypeError, AttributeError, OSError):
        return None


def _folder_problem(coursedir: CourseDirectory, folder: Path, student: str) -> str | None:
    if not is_text(student):
        return _("the student's folder has a name that is not UTF-8")
    if student != student.strip() or not student.isprintable() or set("*?[]") & set(student) or len(student) > 128:
        return _("the student's folder has a name that nbgrader cannot take (spaces at its ends, *, ?, [ or ])")
    parts = full_split(coursedir.directory_structure)
    own = next((number for number, part in enumerate(parts) if "{student_id}" in part), 0)
    for place in [folder, *folder.parents][: len(parts) - own]:
        if place.is_symlink():
            return _("'{name}' is a link; links are not followed").format(name=place.name)
    return None if folder.is_dir() else _("'{name}' is not a folder").format(name=folder.name)


def _reading(parent: int, name: str, shown: str) -> Reading:
    try:
        notebook, notes = parse(read(parent, name, MAX_NOTEBOOK))
    except (Unusable, NotANotebook) as error:
        return Reading(None, f"'{readable(shown)}' {error}", ())
    return Reading(notebook, None, tuple(notes))


def _other_name(folder: int, name: str, source: SourceNotebook) -> Reading:
    """The one notebook of another name that holds at least half of what was set."""
    taken: dict[str, Reading] = {}
    seen: set[bytes] = set()
    looked = 0
    for entry in _graded(folder):
        if entry.kind != "file" or len(entry.parts) > 2 or not entry.name.lower().endswith(".ipynb"):
            continue
        looked += 1
        if looked > MAX_CANDIDATES:
            break
        content, _known = _head(entry, MAX_NOTEBOOK)
        digest = hashlib.sha256(content).digest()
        reading = _reading(entry.parent, entry.name, entry.path)
        if digest not in seen and reading.notebook is not None and _answers(reading.notebook, source):
            taken[entry.path] = reading
            seen.add(digest)
    if len(taken) == 1:
        ((path, reading),) = taken.items()
        note = _("'{name}' is missing; taken from '{path}'").format(name=name, path=path)
        return Reading(reading.notebook, None, (note, *reading.notes))
    problem = _("'{name}' is missing").format(name=name)
    if taken:
        problem = _("'{name}' is missing, and several notebooks could be it: {paths}")
        problem = problem.format(name=name, paths=", ".join(taken))
    return Reading(None, problem, ())


def _answers(notebook: dict[str, Any], source: SourceNotebook) -> bool:
    """Whether a notebook has at least half of the grade ids that were set or, failing them, of the headings."""
    cells = notebook.get("cells")
    ids, headings = set(), set()
    for cell in cells if isinstance(cells, list) else []:
        if isinstance(cell, dict):
            ids.add(_grade_id(cell))
            text = cell.get("source")
            lines = [line for line in text if isinstance(line, str)] if isinstance(text, list) else [text]
            headings.add(heading("".join(line for line in lines if isinstance(line, str))))
    wanted = {cell.name for cell in source.cells}
    heads = {found for cell in source.cells if cell.solution and (found := heading(cell.source))}
    return any(some and len(some & there) * 2 >= len(some) for some, there in ((wanted, ids), (heads, headings)))


def _grade_id(cell: dict[str, Any]) -> str | None:
    metadata = cell.get("metadata")
    label = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    name = label.get("grade_id") if isinstance(label, dict) else None
    return name if isinstance(name, str) else None


def _graded(folder: int) -> Iterator[Entry]:
    """What counts in a submission: everything but ignored names."""
    for entry in entries(folder):
        if not any(fnmatchcase(part, pattern) for part in entry.parts for pattern in _IGNORED):
            yield entry


def _collect(folder: int, found: dict[str, bytes], notes: list[str]) -> None:
    left = MAX_FILES
    for entry in _graded(folder):
        if entry.kind == "folder" or (entry.kind == "file" and entry.name.lower().endswith(".ipynb")):
            continue
        try:
            if entry.kind != "file":
                raise Unusable(_("is a link") if entry.kind == "link" else _("is not a regular file"))
            if not is_text("/".join(entry.parts)):
                raise Unusable(_("has a name that is not UTF-8"))
            if len(entry.path.encode()) > MAX_PATH:
                raise Unusable(_("has too long a path"))
            if len(entry.parts) > 1 and entry.parts[0].lower().endswith(".ipynb"):
                raise Unusable(_("lies in a folder that is called a notebook"))
            if len(found) >= MAX_COUNT:
                notes.append(_("more than {count} files; the rest was left out").format(count=MAX_COUNT))
                return
            content = read(entry.parent, entry.name, MAX_FILE)
            if len(content) > left:
                raise Unusable(_("goes beyond {size:.0f} MB in all").format(size=MAX_FILES / 1e6))
        except Unusable as error:
            notes.append(_("'{name}' {reason} and was left out").format(name=entry.path, reason=error))
            continue
        found[entry.path] = content
        left -= len(content)


def _head(entry: Entry, limit: int) -> tuple[bytes, tuple[int, ...]]:
    try:
        return head(entry.parent, entry.name, limit)
    except Unusable:
        return b"", (-1,)


def _target(entry: Entry) -> bytes:
    try:
        return os.fsencode(os.readlink(entry.name, dir_fd=entry.parent))
    except OSError:
        return b""
