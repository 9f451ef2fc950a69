"""Hands attacks in, grades them with plain nbgrader and with ours, and sees what each did."""

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tl_course import lessons

from . import broken, copies, meddling, resources, snooping, tampering, tampering_bank
from .attack import Attack, filled
from .course import BANK, EXERCISE, GOOD, OWN, PLAIN_CONFIG, POINTS, Course, nbgrader, released
from .watch import Watched, watch

ATTACKS: list[Attack] = [
    attack
    for module in (broken, tampering, tampering_bank, meddling, copies, snooping, resources)
    for attack in module.ATTACKS
]
PLAIN_LIMIT = 60.0  # seconds for one attack and one good submission
TIME_LIMIT, MEMORY_LIMIT = 4, 1024  # seconds and MB that ours gives a cell or answer
BATCH_LIMIT = 900.0  # seconds for all attacks
MARKS = (Path("/tmp/told.txt"), Path("/tmp/daemon.txt"))  # what attacks write outside the course
OTHERS_OF_GRADER = (".nbgrader.log", ".cache", ".local", ".config", ".jupyter", ".keras", "__pycache__", "progress")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of an attack.

    Attributes:
        score: as the gradebook holds it, None when there is none.
        deserved: honestly earned.
        state: of ours: "graded", "needs_look" or "failed"; "" where there is no such thing.
        reason: of ours: why it needs a look.
        notes: of ours: what was mended.
        told: kinds of secrets that got out.
        touched: files changed that were not the submission's own.
        aborted: the good submission after it was not graded.
        hung: grading had to be ended.
        left: processes left running.
        heard: whether anything was sent to the harness.
    """

    score: float | None
    deserved: float
    state: str = ""
    reason: str = ""
    notes: list[str] = dataclasses.field(default_factory=list)
    told: list[str] = dataclasses.field(default_factory=list)
    touched: list[str] = dataclasses.field(default_factory=list)
    aborted: bool = False
    hung: bool = False
    left: int = 0
    heard: bool = False

    @property
    def undeserved(self) -> float:
        """Points that were not earned."""
        return max(0.0, (self.score or 0.0) - self.deserved)


@dataclasses.dataclass(frozen=True)
class Batch:
    """What came of grading every attack on an assignment with ours, in one go.

    Attributes:
        watched: the command.
        listed: student to what the command says of them.
        outcomes: attack name to outcome; what cannot be laid at one attack's door is in ``told`` and ``touched`` here.
        good: student to score of the good submissions.
    """

    watched: Watched
    listed: dict[str, dict[str, Any]]
    outcomes: dict[str, Outcome]
    good: dict[str, float | None]
    told: list[str]
    touched: list[str]


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def copied(course: Course, folder: Path) -> Course:
    """The same course in another folder, listening at another port."""
    shutil.copytree(course.root.parent, folder, dirs_exist_ok=True)
    return dataclasses.replace(course, root=folder / "course", port=free_port())


def place(course: Course, attack: Attack) -> None:
    """Hand an attack in."""
    folder = course.root / "submitted" / attack.who / attack.assignment
    folder.mkdir(parents=True)
    attack.build(folder, released(course, attack.assignment))
    if not folder.is_symlink():
        filled(folder, course.root, course.home, course.port)


def plain_base(course: Course) -> Course:
    """Make a course one for plain nbgrader, in which the first good student has been graded."""
    (course.root / "nbgrader_config.py").write_text(PLAIN_CONFIG)
    for assignment in (BANK, OWN):
        nbgrader(course, "autograde", assignment, "--student", GOOD[0])
    return course


def grade_plain(base: Course, attack: Attack) -> Outcome:
    """Grade one attack, then a good submission, with plain nbgrader on a copy of the course.

    It runs with namespaces of its own, so that an attack which plain nbgrader does not stop stops there; the course and
    the grader's home are as open to it as they are without.
    """
    with tempfile.TemporaryDirectory(prefix="attack_", ignore_cleanup_errors=True) as name:
        work = Path(name)
        shutil.copytree(base.root.parent, work, dirs_exist_ok=True, symlinks=True)
        try:
            return _grade_plain(dataclasses.replace(base, root=work / "course"), attack, work)
        finally:
            subprocess.run(["rm", "-rf", *work.iterdir()])  # rmtree does not get down to the deepest folders


def _grade_plain(course: Course, attack: Attack, work: Path) -> Outcome:
    place(course, attack)
    before = snapshot(course, attack.who)
    command = [sys.executable, "-m", "nbgrader", "autograde", attack.assignment]
    spec = {"command": command, "folder": str(course.root), "environment": course.environment()}
    (work / "spec.json").write_text(json.dumps({**spec, "port": course.port, "limit": PLAIN_LIMIT}))
    watched = _apart(work)
    touched = changes(before, snapshot(course, attack.who))
    after = score(course, attack.assignment, GOOD[1])
    return Outcome(
        score(course, attack.assignment, attack.who),
        attack.deserves,
        told=told(course, attack, watched.heard),
        touched=touched,
        aborted=after != POINTS[attack.assignment],
        hung=watched.code is None,
        left=watched.left,
        heard=bool(watched.heard),
    )


def _apart(work: Path) -> Watched:
    """Watch a command in a sandbox that is there for the machine's sake only."""
    program, done = Path(__file__).with_name("watch.py"), work / "spec.done"
    view = [
        "--ro-bind",
        "/",
        "/",
        "--dev",
        "/dev",
        "--proc",
        "/proc",
        "--tmpfs",
        "/tmp",
        "--bind",
        str(work),
        str(work),
    ]
    for path in {str(lessons.ROOT), sys.prefix, sys.base_prefix}:
        if path.startswith("/tmp/"):
            view += ["--ro-bind", path, path]
    sandbox = ["bwrap", *view, "--unshare-all", "--die-with-parent", "--new-session", "--"]
    command = [*sandbox, sys.executable, str(program), str(work / "spec.json")]
    outer = watch(command, "/", dict(os.environ), free_port(), PLAIN_LIMIT + 60)
    if not done.exists():  # the watcher itself was ended
        return dataclasses.replace(outer, code=None)
    return Watched(**json.loads(done.read_text()))


def grade_ours(course: Course, attacks: Iterable[Attack], assignment: str) -> Batch:
    """Grade every attack on an assignment with `tl-course grade`, between two good submissions."""
    chosen = [attack for attack in attacks if attack.assignment == assignment]
    for attack in chosen:
        place(course, attack)
    before = snapshot(course)
    for path in MARKS:
        path.unlink(missing_ok=True)
    options = ["--json", "--time-limit", str(TIME_LIMIT), "--memory-limit", str(MEMORY_LIMIT)]
    command = [str(Path(sys.executable).with_name("tl-course")), "grade", assignment, *options]
    watched = watch(command, str(course.root), course.environment(), course.port, BATCH_LIMIT)
    touched = changes(before, snapshot(course)) + [str(path) for path in MARKS if path.exists()]
    try:
        rows = json.loads(watched.output)["submissions"]
    except (ValueError, KeyError, TypeError):
        rows = []
    listed = {row["student"]: row for row in rows}
    reading = [
        attack.shown for attack in chosen if attack.reads and (listed.get(attack.shown) or {}).get("score") is not None
    ]
    feedback = [sys.executable, str(Path(__file__).with_name("feedback.py")), assignment, *reading]
    said = watch(feedback, str(course.root), course.environment(), free_port(), BATCH_LIMIT)
    assert not said.errors, said.errors[-3000:]
    outcomes = {attack.name: _ours(course, attack, listed.get(attack.shown, {})) for attack in chosen}
    for attack, outcome in ((attack, outcomes[attack.name]) for attack in chosen):
        outcome.touched.extend(path for path in touched if f"/{attack.who}/" in path)
    good = {student: score(course, assignment, student) for student in GOOD}
    return Batch(watched, listed, outcomes, good, told_anywhere(course, watched.heard), touched)


def _ours(course: Course, attack: Attack, row: dict[str, Any]) -> Outcome:
    kept = score(course, attack.assignment, attack.shown)
    said = row.get("score")
    known = [value for value in (kept, said) if value is not None]
    state, reason = row.get("state", "not listed"), row.get("reason") or ""
    found = told(course, attack, "", feedback=True)
    return Outcome(max(known, default=None), attack.deserves, state, reason, row.get("notes") or [], found)


def score(course: Course, assignment: str, student: str) -> float | None:
    """What the gradebook says, or None where it says nothing."""
    from nbgrader.api import Gradebook, MissingEntry
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with Gradebook(f"sqlite:///{course.root}/gradebook.db") as gradebook:
            return float(gradebook.find_submission(assignment, student).score)
    except (MissingEntry, SQLAlchemyError, UnicodeError):
        return None


def told(course: Course, attack: Attack, heard: str, feedback: bool = False) -> list[str]:
    """Kinds of secrets that reached the attacker: by their own doing, or in what the grader copied for them.

    A submission tells a word backwards, so that what a grader shows by design is told apart from what was taken. With
    ``feedback`` a hidden test in what learners get back counts as well.
    """
    texts = [heard, _read(course.root / "notebooks" / "told.txt")]
    copied: list[str] = []
    hidden: list[str] = []
    for kind in ("autograded", "feedback"):
        folders = {course.root / kind / name / attack.assignment for name in (attack.who, attack.shown)}
        for path in (path for folder in folders for path in _files(folder)):
            content = _read(path)
            texts.append(content)
            copied.append(content)
            if kind == "feedback" and feedback:
                hidden.append(content)
    found = {name for name, word in course.canaries.items() if any(word[::-1] in content for content in texts)}
    found |= {name for name, word in course.canaries.items() if name != "hidden" and any(word in c for c in copied)}
    found |= {"hidden" for content in hidden if course.canaries["hidden"] in content}
    found |= {"bank" for content in texts if _bank_line() in content}
    return sorted(found)


def told_anywhere(course: Course, heard: str) -> list[str]:
    """Kinds of secrets that got out of a batch, whoever took them; and "word" where anything was heard."""
    texts = [heard, _read(course.root / "notebooks" / "told.txt"), *(_read(path) for path in MARKS)]
    found = {name for name, word in course.canaries.items() if any(word[::-1] in content for content in texts)}
    return sorted(found | ({"word"} if heard else set()))


def _bank_line() -> str:
    from tl_course import exercises

    return exercises.get(EXERCISE).variant("numpy").reference.strip().splitlines()[-1].strip()[::-1]


def snapshot(course: Course, own: str = "") -> dict[str, str]:
    """Digest of every file that grading has no business with; a student's own folders are left out."""
    found = {}
    parts = [
        "solutions",
        "notebooks",
        "submitted",
        "nbgrader_config.py",
        f"autograded/{GOOD[0]}" if own else "solutions",
    ]
    for top in [course.root / part for part in parts] + [course.home]:
        for path in [top] if top.is_file() else _files(top):
            name = str(path.relative_to(course.root.parent))
            shown = os.fsencode(name).decode(errors="replace")
            if own and f"/{own}/" in name:
                continue
            if not any(part in OTHERS_OF_GRADER for part in path.parts):
                content = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
                found[shown] = hashlib.sha256(content).hexdigest()
    return found


def changes(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Files that were changed, removed or added; what IPython and nbgrader make in a new home does not count."""
    made = {
        name for name in set(after) - set(before) if not name.startswith("home/") or name.endswith(("/00.py", ".txt"))
    }
    return sorted(made | {name for name, digest in before.items() if after.get(name) != digest})


def _files(top: Path) -> Iterator[Path]:
    """The plain files below a folder, as deep as paths go; links to files count, linked folders are not entered."""
    folders = [top]
    while folders:
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                elif entry.is_file():
                    yield Path(entry.path)


def _read(path: Path) -> str:
    """The text of a file, with what a notebook escapes as it stands there."""
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return ""
