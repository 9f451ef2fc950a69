"""The clinic: programs that tutorials print, with their faults, to read, predict, find and mend.

The program, its mended form and the tests that prove each fault gone are an exercise of the bank (topic clinic) of the
same id; a data file here adds what happens when it runs, where the faults sit, and what they do in production.
"""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tl_course import exercises
from tl_course.errors import BadInput
from tl_course.exercises.engine.exercise import Exercise
from tl_course.i18n import _
from tl_course.practice.schema import Text, check_count, check_fields, read_text, read_texts, read_toml
from tl_course.progress_file import insert, select

if TYPE_CHECKING:
    from tl_course.exercises.engine.verdict import Line

FOLDER = Path(__file__).parent / "clinic"


@dataclass(frozen=True)
class Option:
    """One answer to "what happens when it runs?".

    Attributes:
        text: what would happen.
        why: why it does, or does not.
    """

    text: Text
    why: Text


@dataclass(frozen=True)
class Fault:
    """One fault of a program.

    Attributes:
        criterion: the criterion of the exercise that proves it gone.
        lines: the lines of the program where it sits, without indentation.
        name: a few words.
        what: what is wrong, and the mechanism.
        production: what it does in production.
        review: what a reviewer writes: what the log shows, why nobody notices, and the check that would have caught it.
    """

    criterion: str
    lines: tuple[str, ...]
    name: Text
    what: Text
    production: Text
    review: Text


@dataclass(frozen=True)
class Case:
    """A program with its faults.

    Attributes:
        id: of the exercise.
        title: a few words.
        task: what the program is meant to do.
        lesson: the section that teaches it, as in `cards.Card`.
        sources: what settles it, with years.
        question, options, right: what happens when it runs; ``right`` is the right option's number, from 1.
        faults: in the order of the exercise's criteria.
    """

    id: str
    title: Text
    task: Text
    lesson: str
    sources: tuple[str, ...]
    question: Text
    options: tuple[Option, ...]
    right: int
    faults: tuple[Fault, ...]

    @property
    def exercise(self) -> Exercise:
        """The exercise whose starter is the program."""
        return exercises.get(self.id)

    @property
    def framework(self) -> str:
        """The program's own framework."""
        return next(iter(self.exercise.variants))

    @property
    def program(self) -> str:
        """The faulty program."""
        return (self.exercise.variant(self.framework).starter or "").strip() + "\n"

    def line_numbers(self, fault: Fault) -> set[int]:
        """Where a fault sits in the program, from 1."""
        lines = [line.strip() for line in self.program.splitlines()]
        return {lines.index(line.strip()) + 1 for line in fault.lines}


@dataclass(frozen=True)
class Search:
    """What a learner found in a program by reading.

    Attributes:
        found: faults of which at least one line was named.
        missed: the others.
        false_alarms: named lines where nothing is wrong.
    """

    found: tuple[Fault, ...]
    missed: tuple[Fault, ...]
    false_alarms: tuple[int, ...]

    @property
    def score(self) -> float:
        """Share of the faults found; each false alarm takes one away, so that naming every line earns nothing."""
        return max(0, len(self.found) - len(self.false_alarms)) / (len(self.found) + len(self.missed))


@cache
def all_cases() -> tuple[Case, ...]:
    """Every case of the clinic, by id.

    Raises:
        BadInput: a file that does not keep to the schema.
    """
    return tuple(read(file) for file in sorted(FOLDER.glob("*.toml")))


def get(case_id: str) -> Case:
    """The case with this id; what begins it may be left away ("vgg16-classifier").

    Raises:
        BadInput: there is none.
    """
    for case in all_cases():
        if case_id in (case.id, case.id.removeprefix("clinic-")):
            return case
    names = ", ".join(case.id for case in all_cases())
    raise BadInput(_("a case of the clinic: {names}").format(names=names), repr(case_id), _("name one of them"))


def search(case: Case, named: Iterable[int]) -> Search:
    """Compare the line numbers that a learner named with where the faults sit."""
    wanted = set(named)
    count = len(case.program.splitlines())
    outside = sorted(number for number in wanted if not 1 <= number <= count)
    if outside:
        raise BadInput(_("line numbers from 1 to {count}").format(count=count), str(outside[0]), _("look again"))
    places = {fault: case.line_numbers(fault) for fault in case.faults}
    found = tuple(fault for fault, lines in places.items() if lines & wanted)
    missed = tuple(fault for fault in case.faults if fault not in found)
    return Search(found, missed, tuple(sorted(wanted - set().union(*places.values()))))


def record(case: Case, prediction: int, named: Iterable[int]) -> Search:
    """Write down what was predicted and which lines were named, before anything is shown; compare them."""
    lines = sorted(set(named))
    result = search(case, lines)
    counts = {"found": len(result.found), "false_alarms": len(result.false_alarms), "faults": len(case.faults)}
    insert("clinic", listing=case.id, at=time.time(), prediction=prediction, named=json.dumps(lines), **counts)
    return result


def history(case: Case) -> list[dict[str, Any]]:
    """The learner's readings of a case, oldest first."""
    return select("SELECT * FROM clinic WHERE listing = :listing ORDER BY id", listing=case.id)


def judge_program(case: Case, source: str) -> "list[Line]":
    """Whether each fault is gone from a form of the program, criterion by criterion, without a diagnosis."""
    from tl_course.exercises.engine.exercise import PUBLIC_SEED
    from tl_course.exercises.engine.runner import runner
    from tl_course.exercises.engine.verdict import judge

    cases, process = case.exercise.draw(PUBLIC_SEED), runner(case.exercise.process(case.framework))
    (run,) = process.run(case.id, cases, [source], case.exercise.time_limit, alone=True)
    findings, _problem = judge(case.exercise, cases, run)
    return findings


def read(file: Path) -> Case:
    """The case in one file.

    Raises:
        BadInput: not TOML, or a case that does not keep to the schema.
    """
    row, where = read_toml(file), file.name
    fields = {"id", "title", "task", "lesson", "sources", "prediction", "fault"}
    check_fields(row, fields, set(), where)
    prediction = row["prediction"]
    check_fields(prediction, {"question", "options", "right"}, set(), where)
    check_count(prediction, "options", 3, 4, where)
    check_count(row, "fault", 3, 9, where)
    check_count(row, "sources", 1, 6, where)
    return Case(
        id=row["id"],
        title=read_text(row["title"], where),
        task=read_text(row["task"], where),
        lesson=row["lesson"],
        sources=tuple(row["sources"]),
        question=read_text(prediction["question"], where),
        options=tuple(Option(*read_texts(option, ("text", "why"), where)) for option in prediction["options"]),
        right=prediction["right"],
        faults=tuple(_fault(fault, where) for fault in row["fault"]),
    )


def _fault(row: Mapping[str, Any], where: str) -> Fault:
    texts = ("name", "what", "production", "review")
    check_fields(row, {"criterion", "lines", *texts}, set(), where)
    return Fault(row["criterion"], tuple(row["lines"]), *(read_text(row[name], where) for name in texts))
