"""What judging gives: one result for each test, and the notebook with the verdicts in its cells."""

from dataclasses import dataclass, field

from nbformat import NotebookNode


@dataclass(frozen=True)
class Result:
    """One test's outcome: a row of the class report.

    Args:
        test: the test cell's name.
        exercise: id in the bank, None for a teacher's own test.
        framework: of the answer that counts.
        score: share of the points, 0 to 1.
        points: what a full answer is worth.
        answered: whether there was an answer.
        diagnosis: the misconception that the answer shows.
        problem: why it could not be observed.
        path: "answer" (only it and what it needs were run) or "notebook" (all cells were).
        seed: what the inputs were drawn from.
        noticed: imports of references and the like, for the teacher to look at.
        notebook: in which the test stands; another notebook of the assignment may have one of the same name.
    """

    test: str
    exercise: str | None
    framework: str | None
    score: float
    points: float
    answered: bool = True
    diagnosis: str | None = None
    problem: str | None = None
    path: str = "answer"
    seed: int | None = None
    noticed: tuple[str, ...] = ()
    notebook: str = ""


@dataclass
class Judged:
    """A judged notebook: verdicts are in its cells; ``reasons``: why somebody has to look at it."""

    notebook: NotebookNode
    results: list[Result] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
