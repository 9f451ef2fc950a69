"""The verdict on an answer: which criteria hold, what went wrong, and the misconception it matches."""

from dataclasses import asdict, dataclass, field
from typing import Any

from tl_course.exercises.engine.exercise import Case, Exercise, Finding
from tl_course.exercises.engine.plain import same
from tl_course.exercises.engine.runner import Run
from tl_course.i18n import _


@dataclass(frozen=True)
class Line:
    """One criterion in a verdict, as learners read it."""

    criterion: str
    text: str
    passed: bool
    message: str
    weight: float


@dataclass(frozen=True)
class Verdict:
    """The outcome of a check.

    Args:
        exercise: exercise id.
        framework: which variant was judged.
        score: share of the points earned, 0 to 1.
        findings: one line a criterion.
        diagnosis: the misconception whose observations equal the answer's, or None.
        problem: why nothing could be observed (it does not run, no answer yet, too slow), or None.
        answered: whether there is an answer at all.
        output: the beginning of what the answer printed.
        points: what a full answer is worth.
        seed: what the cases were drawn from.
        seconds: how long the check took.
        others: verdicts on the learner's answers in other frameworks, shown beside this one.
    """

    exercise: str
    framework: str
    score: float
    findings: list[Line] = field(default_factory=list)
    diagnosis: str | None = None
    problem: str | None = None
    answered: bool = True
    output: str = ""
    points: float = 0.0
    seed: int = 0
    seconds: float = 0.0
    others: tuple["Verdict", ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every criterion holds."""
        return self.score == 1.0

    def to_dict(self) -> dict[str, Any]:
        """Plain data: what ``tl-course check --json`` prints."""
        findings = [{"criterion": f.criterion, "passed": f.passed, "message": f.message} for f in self.findings]
        others = [other.to_dict() for other in self.others]
        return {**asdict(self), "findings": findings, "passed": self.passed, "others": others}

    def render_text(self) -> str:
        """The verdict for a terminal."""
        from tl_course.exercises.engine.render import as_text

        return "\n".join(as_text(verdict) for verdict in (*self.others, self))

    def _repr_html_(self) -> str:
        from tl_course.exercises.engine.render import as_html

        return "".join(as_html(verdict) for verdict in (*self.others, self))

    def __repr__(self) -> str:
        """Points earned, a plain number: nbgrader reads it as partial credit."""
        return repr(round(self.score * self.points, 4))


def judge(exercise: Exercise, cases: list[Case], run: Run) -> tuple[list[Line], str | None]:
    """The criteria's outcome for a run, and why it could not be observed, if so. Runs no learner code."""
    problem = _problem(exercise, run)
    findings: dict[str, list[Finding]] = {name: [] for name in exercise.criteria}
    for case, observation in zip(cases, run.observations, strict=False):
        for finding in _judge_case(exercise, case, observation):
            findings[finding.criterion].append(finding)
    holding = {name for name, found in findings.items() if found and all(finding.passed for finding in found)}
    counting = set(holding)
    while without := {name for name in counting if not counting.issuperset(exercise.criteria[name].needs)}:
        counting -= without  # and then what needs these
    return [_line(exercise, name, findings[name], holding, counting) for name in exercise.criteria], problem


def passes(exercise: Exercise, case: Case, run: Run) -> bool:
    """Whether a run on this case alone fails none of its criteria. Runs no learner code."""
    return run.state == "ran" and all(found.passed for found in _judge_case(exercise, case, run.observations[0]))


def _line(exercise: Exercise, name: str, findings: list[Finding], holding: set[str], counting: set[str]) -> Line:
    criterion = exercise.criteria[name]
    message = next((finding.message for finding in findings if not finding.passed), "")
    if name in holding - counting:
        message = _("counts only once the answer is right otherwise")
    return Line(name, criterion.text, name in counting, message, criterion.weight)


def score(lines: list[Line]) -> float:
    """Share of the weights earned."""
    return sum(line.weight for line in lines if line.passed) / sum(line.weight for line in lines)


def matches(mine: Run, other: Run) -> bool:
    """Whether two runs were observed to do the same on every case."""
    if mine.state != other.state:
        return False
    if mine.state == "stopped":
        return _kind(mine.error) == _kind(other.error)
    return mine.state == "ran" and all(
        same(a["value"], b["value"])
        if "value" in a and "value" in b
        else _kind(a.get("error")) == _kind(b.get("error"))
        for a, b in zip(mine.observations, other.observations, strict=True)
    )


def _kind(error: dict[str, Any] | None) -> tuple[str, str] | None:
    return None if error is None else (error["type"], error["message"])


def _judge_case(exercise: Exercise, case: Case, observation: dict[str, Any]) -> list[Finding]:
    if "error" in observation:
        return [Finding(name, False, describe_error(observation["error"])) for name in case.criteria]
    try:
        return exercise.judge(case, observation["value"])
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError):
        message = _("what came back could not be compared: check the type and shape of what you return")
        return [Finding(name, False, message) for name in case.criteria]


def describe_error(error: dict[str, Any]) -> str:
    """An error in the learner's code in one line."""
    if error["type"] == "NotPlain":
        return error["message"]
    where = _(" in line {line}: {where}").format(line=error["line"], where=error["where"]) if error["line"] else ""
    return _("it stopped with {type}: {message}{where}").format(
        type=error["type"], message=error["message"], where=where
    )


def _problem(exercise: Exercise, run: Run) -> str | None:
    if run.state == "timeout":
        limit = exercise.time_limit
        return _("it ran longer than {limit:g} seconds and was stopped: is there a loop that does not end?").format(
            limit=limit
        )
    if run.state == "crashed":
        return _("the process that ran it ended before it returned: does it call exit, or use very much memory?")
    if run.error is not None and run.error["type"] == "MissingAnswer":
        return _("no function or class named {name} was found in it").format(name=run.error["message"])
    return None if run.error is None else describe_error(run.error)
