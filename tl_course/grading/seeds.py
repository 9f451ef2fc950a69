"""Which seed an answer's inputs were drawn from, and the command that judges it again on the same."""

from collections import Counter
from dataclasses import dataclass

from tl_course.grading.outcome import Report


@dataclass(frozen=True)
class Drawn:
    """The submissions whose inputs to one exercise come from one seed.

    Args:
        exercise: id in the bank.
        seed: where the inputs come from.
        students: whose they are; None: everybody's who is not listed with another seed.
        rest: whether the exercise has other seeds too.
        commands: one for each framework that was used, the most used first.
    """

    exercise: str
    seed: int
    students: list[str] | None
    rest: bool
    commands: list[str]


def command(exercise: str, framework: str, seed: int) -> str:
    """What judges the answer in FILE again."""
    return f"tl-course check FILE --exercise {exercise} --framework {framework} --seed {seed}"


def drawn(report: Report) -> list[Drawn]:
    """Every exercise with its seeds, the most frequent first: a submission that was changed has one of its own."""
    students: dict[str, dict[int, list[str]]] = {}
    used: Counter[tuple[str, int, str]] = Counter()
    for row in report.rows:
        for result in row.results:
            if result.exercise is None or result.seed is None:
                continue
            having = students.setdefault(result.exercise, {}).setdefault(result.seed, [])
            if row.student not in having:
                having.append(row.student)
            if result.framework:
                used[result.exercise, result.seed, result.framework] += 1
    found = []
    for exercise, seeds in students.items():
        order = sorted(seeds, key=lambda seed: (-len(seeds[seed]), seed))
        for place, seed in enumerate(order):
            names = None if place == 0 and (len(seeds) == 1 or len(seeds[seed]) > 1) else seeds[seed]
            commands = [
                command(exercise, framework, seed)
                for one, other, framework in (key for key, _count in used.most_common())
                if (one, other) == (exercise, seed)
            ]
            found.append(Drawn(exercise, seed, names, len(seeds) > 1, commands))
    return found


def whole_notebooks(report: Report) -> int:
    """How many answers to exercises of the bank were judged with all their notebook's cells."""
    return sum(result.path == "notebook" for row in report.rows for result in row.results if result.exercise)
