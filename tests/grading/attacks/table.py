"""Writes docs/grading_attacks.md: what each attack does to plain nbgrader, and what becomes of it here.

Run it in the repository: ``python -m tests.grading.attacks.table``. ``--plain FILE`` and ``--ours FILE`` keep the
outcomes in a file and, where it is there already, take them from it.
"""

import argparse
import dataclasses
import datetime
import importlib.metadata
import json
import platform
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tl_course
from tl_course.lessons import ROOT

from .attack import Attack
from .course import BANK, OWN, POINTS, make
from .harness import ATTACKS, PLAIN_LIMIT, Outcome, free_port, grade_ours, grade_plain, plain_base

TARGET = ROOT / "docs" / "grading_attacks.md"
HARMFUL = "not run: would take the machine down"
COMMAND = "python -m tests.grading.attacks.table"
WORDS = {
    "hidden": "hidden test",
    "solution": "solution",
    "gradebook": "gradebook",
    "other": "another's work",
    "home": "grader's home",
    "environment": "grader's environment",
    "bank": "reference",
}
HEAD = """# Attacks on grading

Made by `{command}` on {date}, not edited by hand: tl-course {course}, nbgrader
{nbgrader}, IPython {ipython}, Python {python}.

{count} submissions that are hostile or broken, each built by a few lines in `tests/grading/attacks/`. Plain nbgrader
grades each on a copy of a small course, followed by a good submission, with 6 s for a cell and a minute for both;
namespaces of their own keep the machine whole, while the course and the grader's home are open to it. Here all are
graded in one batch for each of the two assignments, between two good submissions. An attack
deserves no points unless its row says otherwise.

| | Plain nbgrader | `tl-course grade` |
|:--|--:|--:|
{summary}

Not every row is a fault of nbgrader's: most installations are told to run it in a container of their own, and then
what is read or written outside the course is the container's.

Not in the table, because its outcome is left to chance: an answer that reads the constants of the test that calls it
and uses them in only one of the test's copies, chosen blindly. It gets a test's points where that copy is the one that
counts: one time in eight where a test expects three values or more, in four with two, in two with one. Every other time
it gets nothing.
"""


def main() -> None:
    """Grade where nothing is kept, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plain", type=Path, help="file that keeps what plain nbgrader did")
    parser.add_argument("--ours", type=Path, help="file that keeps what tl-course grade did")
    chosen = parser.parse_args()
    plain = kept(chosen.plain, run_plain)
    ours = kept(chosen.ours, run_ours)
    TARGET.write_text(page(plain, ours), encoding="utf-8")


def kept(path: Path | None, run: Callable[[dict[str, Outcome], Callable[[], None]], None]) -> dict[str, Outcome]:
    """The outcomes in a file, and those that are missing there made and kept."""
    found: dict[str, Outcome] = {}
    if path is not None and path.exists():
        found = {name: Outcome(**values) for name, values in json.loads(path.read_text()).items()}

    def keep() -> None:
        if path is not None:
            path.write_text(
                json.dumps({name: dataclasses.asdict(outcome) for name, outcome in found.items()}, indent=1)
            )

    run(found, keep)
    keep()
    return found


def run_plain(found: dict[str, Outcome], keep: Callable[[], None]) -> None:
    """Grade with plain nbgrader what is not in ``found`` and does no harm to the machine."""
    missing = [attack for attack in ATTACKS if attack.plain and attack.name not in found]
    if not missing:
        return
    with tempfile.TemporaryDirectory(prefix="attacks_") as folder:
        base = plain_base(make(Path(folder), free_port()))
        for attack in missing:
            found[attack.name] = grade_plain(base, attack)
            print(f"{attack.name}: {plain_words(attack, found[attack.name])}", flush=True)
            keep()


def run_ours(found: dict[str, Outcome], keep: Callable[[], None]) -> None:
    """Grade every attack with ours, unless each is in ``found``."""
    if all(attack.name in found for attack in ATTACKS):
        return
    for assignment in (BANK, OWN):
        with tempfile.TemporaryDirectory(prefix="attacks_") as folder:
            batch = grade_ours(make(Path(folder), free_port()), ATTACKS, assignment)
        found.update(batch.outcomes)
        print(f"{assignment}: {batch.good}, told {batch.told}, touched {batch.touched}, left {batch.watched.left}")


def page(plain: dict[str, Outcome], ours: dict[str, Outcome]) -> str:
    """The whole document."""
    values: dict[str, Any] = {"command": COMMAND, "date": datetime.date.today().isoformat(), "count": len(ATTACKS)}
    values |= {"course": tl_course.__version__, "ipython": importlib.metadata.version("ipython")}
    values |= {"nbgrader": importlib.metadata.version("nbgrader"), "python": platform.python_version()}
    values["summary"] = "\n".join(f"| {label} | {count(plain)} | {count(ours)} |" for label, count in COUNTS.items())
    parts = [HEAD.format(**values)]
    for kind in dict.fromkeys(attack.kind for attack in ATTACKS):
        rows = [row(attack, plain, ours) for attack in ATTACKS if attack.kind == kind]
        head = "| Attack | What it does | Plain nbgrader | `tl-course grade` |\n|:--|:--|:--|:--|"
        parts.append("\n".join([f"## {kind.capitalize()}", "", head, *rows, ""]))
    return "\n".join(parts)


COUNTS: dict[str, Callable[[dict[str, Outcome]], str]] = {
    "attacks tried": lambda found: str(len(found)),
    "gave points that were not earned": lambda found: str(sum(outcome.undeserved > 0 for outcome in found.values())),
    "told a secret": lambda found: str(sum(bool(outcome.told) for outcome in found.values())),
    "changed a file not their own": lambda found: str(sum(bool(outcome.touched) for outcome in found.values())),
    "kept a later good submission from its marks": lambda found: str(sum(o.aborted for o in found.values())),
    "took more than a minute": lambda found: str(sum(outcome.hung for outcome in found.values())),
    "left processes running": lambda found: str(sum(outcome.left > 0 for outcome in found.values())),
    "sent something out": lambda found: str(sum(outcome.heard for outcome in found.values())),
}


def row(attack: Attack, plain: dict[str, Outcome], ours: dict[str, Outcome]) -> str:
    """One line of the table."""
    deserves = f" (deserves {_number(attack.deserves)})" if attack.deserves else ""
    found = plain.get(attack.name)
    theirs = plain_words(attack, found) if found else "not run" if attack.plain else HARMFUL
    cells = [f"`{attack.name}`", attack.about + deserves, theirs, ours_words(attack, ours.get(attack.name))]
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def plain_words(attack: Attack, outcome: Outcome) -> str:
    """What plain nbgrader did, the worst first."""
    return ", ".join([*_harm(outcome), _marks(attack, outcome)])


def ours_words(attack: Attack, outcome: Outcome | None) -> str:
    """What ours did."""
    if outcome is None:
        return "not run"
    state = {"graded": "graded", "needs_look": "needs a look"}.get(outcome.state, outcome.state)
    reason = f": {outcome.reason.replace(str(ROOT), '.')}" if outcome.reason else ""
    return ", ".join([*_harm(outcome), _marks(attack, outcome), state]) + reason


def _harm(outcome: Outcome) -> list[str]:
    found = []
    if outcome.undeserved:
        found.append(f"**{_number(outcome.undeserved)} points not earned**")
    if outcome.told:
        found.append(f"**told: {', '.join(WORDS[name] for name in outcome.told)}**")
    if outcome.touched:
        found.append(f"**changed {len(outcome.touched)} other files**")
    if outcome.hung:
        found.append(f"**not done after {PLAIN_LIMIT:g} s**")
    elif outcome.aborted:
        found.append("**the next submission got no marks**")
    if outcome.left:
        found.append(f"**left {outcome.left} processes running**")
    if outcome.heard and not outcome.told:
        found.append("**reached a server**")
    return found


def _marks(attack: Attack, outcome: Outcome) -> str:
    if outcome.score is None:
        return "no mark"
    return f"{_number(outcome.score)}/{_number(POINTS[attack.assignment])}"


def _number(value: float) -> str:
    return f"{value:g}"


if __name__ == "__main__":
    main()
