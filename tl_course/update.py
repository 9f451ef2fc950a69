"""`tl-course update`: the new version of the course by git, with what the learner wrote in its notebooks.

Learners work in tracked files, so git alone would refuse. Changed notebooks are copied below the learner's records
first, then put back as they were, the branch is moved forward, and what the learner wrote is merged into the new
versions. A file in .git says what is still to be merged: the next run goes on, or puts back, wherever this one ended.

Everything that is needed is imported before the branch moves, for that replaces the package's own files.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from tl_course import merge_notebooks, progress_file
from tl_course.errors import BadInput, CourseError
from tl_course.i18n import _

SET_UP_BY = ("pyproject.toml", "constraints.txt", "tl_course/asset_table.py", "tl_course/lab/", "scripts/setup.py")
SHOWN = 5  # names in a message
UNFINISHED, LOCK = "tl_course_update.json", "tl_course_update.lock"  # in .git
Say = Callable[[str], None]


@dataclass(frozen=True)
class Pending:
    """An update under way.

    Args:
        base: the commit it began at.
        copies: folder with the learner's notebooks, below their names.
        notebooks: names of those still to be merged, relative to the clone.
    """

    base: str
    copies: str
    notebooks: list[str]


def update(root: Path, source: Path | None = None, say: Say = print) -> None:
    """Bring a clone of the course to its newest version, and keep what the learner wrote.

    Args:
        root: the clone.
        source: another clone on this machine to take the version from; None asks the branch's upstream.
        say: is told what was done, a line each.

    Raises:
        BadInput: the clone's state does not allow it. Nothing was changed, unless an interrupted update went on.
        CourseError: git failed; the message holds its words.
    """
    _check_clone(root)
    try:
        with FileLock(_in_git(root, LOCK), timeout=0):
            _recover(root, say)
            _advance(root, _fetch(root, source), say)
    except Timeout as error:
        raise BadInput(_("one update at a time"), _("another that still runs"), _("wait until it has ended")) from error


def _advance(root: Path, target: str, say: Say) -> None:
    """Everything after fetching: check, copy, move the branch, merge."""
    base = _git(root, "rev-parse", "HEAD").strip()
    if _is_ancestor(root, target, base):
        say(_("Nothing new: yours is the newest version."))
        return
    changed = _check_state(root, base, target)
    new = _names(root, "diff", "--name-only", "--no-renames", base, target)
    pending = Pending(base, str(_copy(root, changed, say)), [name for name in changed if name in new])
    _note(root, pending)
    try:
        if pending.notebooks:
            _git(root, "checkout", "--quiet", base, "--", *pending.notebooks)
        _git(root, "merge", "--ff-only", "--quiet", target)
    except BaseException:
        _recover(root, say)
        raise
    count = _git(root, "rev-list", "--count", f"{base}..{target}").strip()
    say(_("The course is up to date; commits: {count}. CHANGELOG.md says what is new.").format(count=count))
    _merge_all(root, pending, say)
    if any(name.startswith(SET_UP_BY) for name in new):
        say(_("Packages or assets changed: run `make setup` (`make learn` does it by itself)."))


def _recover(root: Path, say: Say) -> None:
    """Finish what an interrupted update left: put back where the branch had not moved, merge where it had."""
    note = _in_git(root, UNFINISHED)
    if not note.exists():
        return
    pending = Pending(**json.loads(note.read_text(encoding="utf-8")))
    if _git(root, "rev-parse", "HEAD").strip() != pending.base:
        say(_("Going on with an update that was interrupted."))
        _merge_all(root, pending, say)
        return
    for name in pending.notebooks:
        mine = (Path(pending.copies) / name).read_bytes()
        if not _is_changed(root, name):
            _write(root / name, mine)
        elif (root / name).read_bytes() != mine:
            text = _("{name} was changed since an update was interrupted, and stays; your earlier one is in {folder}")
            say(text.format(name=name, folder=pending.copies))
    note.unlink()


def _merge_all(root: Path, pending: Pending, say: Say) -> None:
    waiting = list(pending.notebooks)
    while waiting:
        say(_merge(root, pending, waiting[0]))
        del waiting[0]
        _note(root, Pending(pending.base, pending.copies, waiting))
    _in_git(root, UNFINISHED).unlink(missing_ok=True)
    if pending.notebooks:
        say(_("Notebooks that are open in JupyterLab: File > Reload Notebook from Disk."))


def _merge(root: Path, pending: Pending, name: str) -> str:
    """Merge one notebook in its place, and say what came of it."""
    mine, theirs = (Path(pending.copies) / name).read_bytes(), _blob(root, "HEAD", name)
    base = _blob(root, pending.base, name)
    if base is None or theirs is None:
        content, line = mine, _("{name}: no longer part of the course; yours stays").format(name=name)
    else:
        try:
            merged = merge_notebooks.merge(*map(merge_notebooks.read, (base, mine, theirs)))
        except merge_notebooks.Unreadable:
            content, line = theirs, _unreadable(name, pending)
        else:
            content, line = merge_notebooks.write(merged.notebook), _summary(name, merged)
    if _is_changed(root, name) and (root / name).read_bytes() not in (content, mine):
        undo = _(
            "save it under another name, run `git checkout {name}`, then this again; your earlier one is in {folder}"
        )
        raise BadInput(
            _("{name} as the interrupted update left it").format(name=name),
            _("one that was changed since"),
            undo.format(name=name, folder=pending.copies),
        )
    _write(root / name, content)
    return line


def _summary(name: str, merged: merge_notebooks.Merged) -> str:
    line = _("{name}: answers of yours kept: {answers}, other cells: {cells}").format(
        name=name, answers=merged.answers, cells=merged.cells
    )
    if merged.doubled:
        line += _("; {count} of them below the course's new version").format(count=merged.doubled)
    if merged.new_starts:
        shown = ", ".join(f'reset("{exercise}")' for exercise in dict.fromkeys(merged.new_starts))
        line += _("; new starting code: {calls} brings it").format(calls=shown)
    return line


def _unreadable(name: str, pending: Pending) -> str:
    text = _("{name}: yours cannot be read as a notebook and is in {folder}; the new version is in its place")
    return text.format(name=name, folder=pending.copies)


def _check_clone(root: Path) -> None:
    remedy = _("clone the course anew with git, and copy what you wrote into it")
    try:
        top = Path(_git(root, "rev-parse", "--show-toplevel").strip())
    except CourseError as error:
        raise BadInput(_("a clone of the course made by git"), str(error), remedy) from error
    if top.resolve() != root.resolve():
        raise BadInput(
            _("a clone of the course made by git"), _("a folder inside the repository {top}").format(top=top), remedy
        )


def _fetch(root: Path, source: Path | None) -> str:
    """The commit of the newest version."""
    if source is not None:
        try:
            _git(source, "rev-parse", "--git-dir")
        except CourseError as error:
            remedy = _("name a folder made by `git clone`: an unpacked archive does not say what changed since yours")
            raise BadInput(_("a clone of the course made by git"), str(source), remedy) from error
        _git(root, "fetch", "--quiet", str(source.resolve()), "HEAD")
        return _git(root, "rev-parse", "FETCH_HEAD").strip()
    try:
        _git(root, "rev-parse", "--abbrev-ref", "@{upstream}")
    except CourseError as error:
        remedy = _("clone the new version into another folder, then run `tl-course update --from FOLDER`")
        raise BadInput(_("a branch that follows one of the course's repository"), _("none"), remedy) from error
    _git(root, "fetch", "--quiet")
    return _git(root, "rev-parse", "@{upstream}").strip()


def _check_state(root: Path, base: str, target: str) -> list[str]:
    """The notebooks that the learner changed, once nothing stands in the way of the new version."""
    if not _is_ancestor(root, base, target):
        count = _git(root, "rev-list", "--count", f"{target}..{base}").strip()
        raise BadInput(
            _("a branch without commits of your own"),
            _("{count} that the new version does not have").format(count=count),
            _("merge with `git pull` yourself, or update a clone without them"),
        )
    changed = _names(root, "diff", "--name-only", "--no-renames", "--diff-filter=a", base)
    others = [name for name in changed if not _is_notebook(name)]
    if others:
        remedy = _("commit them on a branch of your own, or undo them with `git checkout HEAD -- FILE`")
        raise BadInput(_("changes in notebooks/ only"), _shown(others), remedy)
    new = _names(root, "diff", "--name-only", "--no-renames", "--diff-filter=A", base, target)
    if in_the_way := [name for name in new if os.path.lexists(root / name)]:
        remedy = _("rename them: the new version brings files of these names")
        raise BadInput(_("room for new files"), _shown(in_the_way), remedy)
    return [name for name in changed if (root / name).is_file()]


def _copy(root: Path, names: Sequence[str], say: Say) -> Path:
    """Copy these files into a new folder of the learner's records."""
    begun = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    parent, number = progress_file.home() / "before_update", 1
    while (folder := parent / (begun if number == 1 else f"{begun}-{number}")).exists():
        number += 1
    try:
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, folder / name)
    except OSError as error:
        remedy = _("make room, or set TL_COURSE_HOME to another folder; nothing was changed")
        raise BadInput(_("a place for copies of your notebooks"), f"{folder}: {error.strerror}", remedy) from error
    if names:
        say(_("Notebooks that you changed ({count}) are copied to {folder}").format(count=len(names), folder=folder))
    return folder


def _note(root: Path, pending: Pending) -> None:
    _write(_in_git(root, UNFINISHED), json.dumps(asdict(pending)).encode())


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; the draft of a run that was killed is written anew by the next one."""
    draft = path.with_suffix(".draft")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(content)
        os.replace(draft, path)
    except OSError as error:
        remedy = _("make room, or make it writable, then run this again: it goes on")
        raise BadInput(_("a place that can be written to"), f"{path}: {error.strerror}", remedy) from error


def _is_notebook(name: str) -> bool:
    return name.startswith("notebooks/") and name.endswith(".ipynb")


def _shown(names: Sequence[str]) -> str:
    more = _(" and {count} more").format(count=len(names) - SHOWN) if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _git(root: Path, *arguments: str) -> str:
    return _git_bytes(root, *arguments).decode("utf-8", "surrogateescape")


def _git_bytes(root: Path, *arguments: str) -> bytes:
    # Inside a hook, git's own variables name another repository.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("GIT_DIR", "GIT_WORK", "GIT_INDEX"))
    }
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, env=environment)
    except OSError as error:
        raise BadInput(_("the program git"), str(error), _("install git, then run this again")) from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").split()
        raise CourseError(_("git {command} failed: {words}").format(command=arguments[0], words=" ".join(said)))
    return done.stdout


def _names(root: Path, *arguments: str) -> list[str]:
    """The file names that a git command lists."""
    return [name for name in _git(root, arguments[0], "-z", *arguments[1:]).split("\0") if name]


def _blob(root: Path, commit: str, name: str) -> bytes | None:
    """A file as of a commit; None where it has none."""
    return _git_bytes(root, "cat-file", "blob", f"{commit}:{name}") if _names(root, "ls-tree", commit, name) else None


def _is_changed(root: Path, name: str) -> bool:
    return bool(_names(root, "diff", "--name-only", "HEAD", "--", name))


def _is_ancestor(root: Path, older: str, newer: str) -> bool:
    return not _git(root, "rev-list", "--max-count=1", older, f"^{newer}")


def _in_git(root: Path, name: str) -> Path:
    """A file in the clone's .git folder."""
    return root / _git(root, "rev-parse", "--git-path", name).strip()
