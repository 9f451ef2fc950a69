"""The bank audits itself: right answers pass, named and machine-made wrong ones fail, diagnoses hit."""

from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any

from tl_course import exercises
from tl_course.errors import BadInput, CourseError
from tl_course.exercises.engine.checking import recognised
from tl_course.exercises.engine.exercise import PUBLIC_SEED, Case, Exercise
from tl_course.exercises.engine.mutants import mutants
from tl_course.exercises.engine.plain import pack
from tl_course.exercises.engine.runner import Run, runner
from tl_course.exercises.engine.verdict import judge, passes, score

SEEDS = (PUBLIC_SEED, 1, 2)
KILL_RATE = 0.95
MUTANT_TIME_LIMIT = 5.0


@dataclass
class Tally:
    """How many behaved as they should, and the ids of those that did not."""

    right: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, name: str, as_it_should: bool) -> None:
        """Count one."""
        if as_it_should:
            self.right += 1
        else:
            self.wrong.append(name)


@dataclass
class AuditReport:
    """What the audit found. ``problems`` are faults in how an exercise is written.

    ``sound`` are the exercises that were tried in full and have no fault; of the ``unchanged`` ones, only the right
    answers were tried.
    """

    references: Tally = field(default_factory=Tally)
    alternatives: Tally = field(default_factory=Tally)
    mistakes: Tally = field(default_factory=Tally)
    trivial: Tally = field(default_factory=Tally)
    diagnoses: Tally = field(default_factory=Tally)
    killed: int = 0
    equivalent: int = 0
    survived: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    sound: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)

    @property
    def kill_rate(self) -> float:
        """Killed mutants over those that are not equivalent."""
        total = self.killed + len(self.survived)
        return self.killed / total if total else 1.0

    @property
    def ok(self) -> bool:
        """Whether the bank may be trusted."""
        return self.faultless and self.kill_rate >= KILL_RATE

    @property
    def faultless(self) -> bool:
        """Whether all went as it should, surviving mutants aside."""
        tallies = (self.references, self.alternatives, self.mistakes, self.trivial, self.diagnoses)
        return not self.problems and not any(tally.wrong for tally in tallies)

    def to_dict(self) -> dict[str, Any]:
        """Plain data: what ``tl-course audit --json`` prints."""
        names = ("references", "alternatives", "mistakes", "trivial", "diagnoses")
        tallies = {name: {"right": getattr(self, name).right, "wrong": getattr(self, name).wrong} for name in names}
        counts = {"killed": self.killed, "equivalent": self.equivalent, "survived": self.survived}
        rest = {"kill_rate": self.kill_rate, "problems": self.problems, "unchanged": self.unchanged, "ok": self.ok}
        return {**tallies, "mutants": counts, **rest}

    def render_text(self) -> str:
        """The report for a terminal."""
        rows = [
            ("references accepted", self.references),
            ("alternatives accepted", self.alternatives),
            ("mistakes rejected", self.mistakes),
            ("trivial answers without points", self.trivial),
            ("mistakes diagnosed as themselves", self.diagnoses),
        ]
        lines = [f"{title}: {tally.right} of {tally.right + len(tally.wrong)}" for title, tally in rows]
        lines += [f"  WRONG {title}: {name}" for title, tally in rows for name in tally.wrong]
        total = self.killed + len(self.survived)
        lines.append(f"mutants killed: {self.killed} of {total} ({self.kill_rate:.1%}), {self.equivalent} equivalent")
        lines += [f"  SURVIVED {name}" for name in self.survived]
        lines += [f"  PROBLEM {problem}" for problem in self.problems]
        if self.unchanged:
            lines.append(
                f"unchanged since they passed in full, so that only right answers were run: {len(self.unchanged)}"
            )
        return "\n".join([*lines, "audit passed" if self.ok else "audit FAILED"])


def run(
    ids: Iterable[str] | None = None,
    progress: Callable[[str], None] = lambda name: None,
    jobs: int = 1,
    unchanged: Collection[str] = (),
) -> AuditReport:
    """Audit the exercises with these ids, or the whole bank.

    Args:
        ids: which exercises.
        progress: called with each variant's name.
        jobs: so many processes share the work.
        unchanged: of these, only the right answers are run, as a learner's are.
    """
    report = AuditReport()
    bank = exercises.all_exercises() if ids is None else [exercises.get(name) for name in ids]
    if ids is None and not bank:
        report.problems.append("the bank is empty")
    bank.sort(key=lambda exercise: -exercise.time_limit)  # the slow ones first: nobody waits for the last one
    names = [exercise.id for exercise in bank]
    known = [name in unchanged for name in names]
    if jobs == 1:
        _add(report, map(_audit, names, known), bank, progress)
    else:
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            _add(report, pool.map(_audit, names, known), bank, progress)
    return report


def _add(
    report: AuditReport, parts: Iterable[AuditReport], bank: Iterable[Exercise], progress: Callable[[str], None]
) -> None:
    """Put the reports on single exercises, as they come, into one."""
    for exercise, part in zip(bank, parts, strict=True):
        for framework in exercise.variants:
            progress(f"{exercise.id} ({framework})")
        for name in ("references", "alternatives", "mistakes", "trivial", "diagnoses"):
            whole, more = getattr(report, name), getattr(part, name)
            whole.right += more.right
            whole.wrong += more.wrong
        report.killed += part.killed
        report.equivalent += part.equivalent
        report.survived += part.survived
        report.problems += part.problems
        report.sound += part.sound
        report.unchanged += part.unchanged


def _audit(exercise_id: str, unchanged: bool) -> AuditReport:
    """The report on one exercise."""
    report, exercise = AuditReport(), exercises.get(exercise_id)
    report.problems += [f"{exercise.id}: {problem}" for problem in _faults(exercise)]
    for framework in exercise.variants:
        try:
            audit = _VariantAudit(exercise, framework, report)
            audit.run_right() if unchanged else audit.run()
        except (CourseError, LookupError, SyntaxError, TypeError, ValueError) as error:
            report.problems.append(f"{exercise.id}/{framework}: cannot be audited: {type(error).__name__}: {error}")
    if unchanged:
        report.unchanged.append(exercise.id)
    elif report.faultless:
        report.sound.append(exercise.id)
    return report


class _VariantAudit:
    """The audit of one variant of one exercise."""

    def __init__(self, exercise: Exercise, framework: str, report: AuditReport) -> None:
        self.exercise, self.framework, self.report = exercise, framework, report
        self.variant = exercise.variant(framework)
        self.name = f"{exercise.id}/{framework}"
        self.cases = {seed: exercise.draw(seed) for seed in SEEDS}

    def run(self) -> None:
        """Right and named wrong answers run alone, as a learner's does; what they do with other seeds shares processes.

        The mistakes run together with the public seed too: a check compares answers with that run of theirs.
        """
        mistakes = self._mistake_sources()
        named = [self.variant.reference, *self.variant.alternatives.values(), *mistakes]
        runs = {seed: self._observe(named, cases, alone=seed == PUBLIC_SEED) for seed, cases in self.cases.items()}
        scores = [[self._score(runs[seed][index], seed) for seed in SEEDS] for index in range(len(named))]
        right = 1 + len(self.variant.alternatives)
        self._right(scores[:right])
        compared = self._observe([*mistakes, *self._trivial_answers().values()], self.cases[PUBLIC_SEED])
        self._mistakes(scores[right:], runs[PUBLIC_SEED][right:], compared[: len(mistakes)])
        self._trivial(compared[len(mistakes) :])
        self._mutants()

    def run_right(self) -> None:
        """The right answers alone, on the cases that a learner meets."""
        sources = [self.variant.reference, *self.variant.alternatives.values()]
        runs = self._observe(sources, self.cases[PUBLIC_SEED], alone=True)
        self._right([[self._score(run, PUBLIC_SEED)] for run in runs])

    def _observe(
        self, sources: Iterable[str], cases: list[Case], limit: float | None = None, alone: bool = False
    ) -> list[Run]:
        limit = limit or self.exercise.time_limit
        process = self.exercise.process(self.framework)
        return runner(process).run(self.exercise.id, cases, list(sources), limit, alone)

    def _score(self, run: Run, seed: int) -> float:
        return score(judge(self.exercise, self.cases[seed], run)[0])

    def _right(self, scores: list[list[float]]) -> None:
        reference, *alternatives = (min(each) == 1 for each in scores)
        self.report.references.add(f"{self.name}/reference", reference)
        for name, passed in zip(self.variant.alternatives, alternatives, strict=True):
            self.report.alternatives.add(f"{self.name}/alternatives/{name}", passed)

    def _mistake_sources(self) -> list[str]:
        """The source of each mistake, or none where one cannot be made from the reference."""
        try:
            return [mistake.code(self.variant.reference) for mistake in self.variant.mistakes.values()]
        except BadInput as error:
            self.report.problems.append(f"{self.name}: its mistakes cannot be made: {error}")
            return []

    def _mistakes(self, scores: list[list[float]], answers: list[Run], compared: list[Run]) -> None:
        """A mistake that does not repeat itself cannot be recognised."""
        names = list(self.variant.mistakes)
        messages = [mistake.message for mistake in self.variant.mistakes.values()]
        for index, name in enumerate(names[: len(answers)]):
            earned = [*scores[index], self._score(compared[index], PUBLIC_SEED)]
            self.report.mistakes.add(f"{self.name}/{name}", max(earned) < 1)
            first = recognised(answers[index], compared)
            taken_for = "none" if first is None else names[first]
            same_message = first is not None and messages[first] == messages[index]
            self.report.diagnoses.add(f"{self.name}/{name} is taken for {taken_for}", same_message)

    def _trivial_answers(self) -> dict[str, str]:
        """Answers that do nothing: returning None, the first argument, or zero."""
        bodies = ("None", "args[0] if args else 0", "0.0")
        return {body: f"def {self.variant.entry}(*args, **kwargs):\n    return {body}\n" for body in bodies}

    def _trivial(self, runs: list[Run]) -> None:
        for body, run in zip(self._trivial_answers(), runs, strict=True):
            self.report.trivial.add(f"{self.name}/returns {body}", self._score(run, PUBLIC_SEED) == 0)

    def _mutants(self) -> None:
        made = mutants(self.variant.reference)
        self.report.problems += [
            f"{self.name}: no mutant {name!r} to mark as equivalent"
            for name in self.variant.equivalent
            if name not in made
        ]
        # An equivalent one is right, so that only the time a learner's answer has would tell against it.
        marked = {name: made[name] for name in made if name in self.variant.equivalent}
        others = {name: made[name] for name in made if name not in marked}
        alive = self._survivors(others, MUTANT_TIME_LIMIT) | self._survivors(marked, None)
        self.report.killed += len(made) - len(alive)
        for name in alive:
            if name in self.variant.equivalent:
                self.report.equivalent += 1
            else:
                self.report.survived.append(f"{self.name}/{name}")
        self.report.problems += [
            f"{self.name}: mutant {name!r} is marked as equivalent but is killed"
            for name in self.variant.equivalent
            if name in made and name not in alive
        ]

    def _survivors(self, alive: dict[str, str], limit: float | None) -> dict[str, str]:
        """Those of the mutants that no case tells from the reference; most need no case but the first."""
        first = self.cases[PUBLIC_SEED][0]
        runs = self._observe(alive.values(), [first], limit)
        alive = {name: alive[name] for name, run in zip(alive, runs, strict=True) if passes(self.exercise, first, run)}
        for seed, cases in self.cases.items():
            runs = self._observe(alive.values(), cases, limit)
            alive = {name: alive[name] for name, run in zip(alive, runs, strict=True) if self._score(run, seed) == 1}
        return alive


def _faults(exercise: Exercise) -> list[str]:
    """Faults in how an exercise is written."""
    cases = exercise.draw(PUBLIC_SEED)
    decided = {name for case in cases for name in case.criteria}
    checks = {
        "cases are not the same for the same seed": pack([c.inputs for c in cases])
        != pack([c.inputs for c in exercise.draw(PUBLIC_SEED)]),
        "cases do not depend on the seed": pack([c.inputs for c in cases])
        == pack([c.inputs for c in exercise.draw(1)]),
        "two cases have the same name": len({case.name for case in cases}) < len(cases),
        "a case decides a criterion that is not declared": not decided <= set(exercise.criteria),
        "a criterion is decided by no case": not set(exercise.criteria) <= decided,
        "needs 3 hints": len(exercise.hints) != 3,
        "needs a follow-up question": not exercise.follow_ups,
        "needs its complexity": not exercise.complexity,
        "needs 2 alternatives in each variant": any(len(v.alternatives) < 2 for v in exercise.variants.values()),
        "needs 4 mistakes in each variant": any(len(v.mistakes) < 4 for v in exercise.variants.values()),
        "a find-the-fault exercise needs a starter": exercise.kind == "find-the-fault"
        and any(v.starter is None for v in exercise.variants.values()),
    }
    return [text for text, wrong in checks.items() if wrong]
