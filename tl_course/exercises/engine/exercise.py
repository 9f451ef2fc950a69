"""What an exercise is: cases, a probe that runs the learner's code, a judge that never does, and named mistakes."""

import ast
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tl_course.errors import BadInput
from tl_course.i18n import _

FRAMEWORKS = ("numpy", "pytorch", "keras")
PUBLIC_SEED = 0

Plain = Any  # None, bool, int, float, str, numpy array, or a list or dict (str keys) of these
Judge = Callable[["Case", dict[str, Plain]], list["Finding"]]
Probe = Callable[[Any, dict[str, Plain]], dict[str, Plain]]


def chosen_seed() -> int | None:
    """The grading seed that ``TL_COURSE_SEED`` sets, as for an appeal on the same inputs; None where it sets none."""
    chosen = os.environ.get("TL_COURSE_SEED")
    return int(chosen) if chosen else None


@dataclass(frozen=True)
class Criterion:
    """One thing an answer must get right.

    Args:
        text: what is checked, as the learner reads it ("padding does not change the mean").
        weight: its share of the points, relative to the other criteria.
        needs: criteria that must hold too before this one earns anything. Use it for invariances ("padding does not
            matter"), which an answer that always returns zeros would satisfy as well.
    """

    text: str
    weight: float = 1.0
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """One set of inputs, and the criteria it can decide.

    Args:
        name: short name, unique within the exercise.
        inputs: plain data handed to the probe.
        criteria: names of the criteria that this case decides. When the answer stops with an error here, these fail.
    """

    name: str
    inputs: dict[str, Plain]
    criteria: tuple[str, ...]


@dataclass(frozen=True)
class Finding:
    """What a judge says of one criterion in one case; ``message`` explains a failure without giving the answer away."""

    criterion: str
    passed: bool
    message: str = ""


@dataclass(frozen=True)
class Mistake:
    """A wrong answer people really give.

    Args:
        message: the misconception behind it, explained without giving the answer away.
        edits: (old, new) replacements that turn the reference into the mistake; each ``old`` occurs exactly once.
        source: the whole wrong answer, where edits would not do.
    """

    message: str
    edits: tuple[tuple[str, str], ...] = ()
    source: str | None = None

    def code(self, reference: str) -> str:
        """The wrong answer as source code.

        Raises:
            BadInput: an edit's old text does not occur exactly once in the reference.
        """
        code = reference if self.source is None else self.source
        for old, new in self.edits:
            if code.count(old) != 1:
                raise BadInput(
                    "an edit whose old text occurs once", f"{code.count(old)} times {old!r}", "quote more of it"
                )
            code = code.replace(old, new)
        return code


@dataclass(frozen=True)
class Variant:
    """An exercise in one framework. All code is source text: it is shown, edited and mutated, and runs elsewhere.

    Args:
        reference: the right answer we teach; its last function or class is what the learner writes.
        probe: runs a candidate on one case's inputs and returns plain observations.
        alternatives: right answers written another way, by name; at least two.
        mistakes: wrong answers, by name; at least four.
        starter: the code the learner starts from, for find-the-fault exercises; otherwise made from the reference.
        equivalent: mutants of the reference that are right answers too, by id, each with the reason.
        uses: a package that answers or probe import beside the framework and that is slow to import ("transformers");
            the process that checks has it at hand.
    """

    reference: str
    probe: Probe
    alternatives: Mapping[str, str]
    mistakes: Mapping[str, Mistake]
    starter: str | None = None
    equivalent: Mapping[str, str] = field(default_factory=dict)
    uses: str | None = None

    @property
    def entry(self) -> str:
        """Name of the function or class the learner writes."""
        definitions = (ast.FunctionDef, ast.ClassDef)
        return [node.name for node in ast.parse(self.reference).body if isinstance(node, definitions)][-1]


@dataclass(frozen=True)
class FollowUp:
    """A question an interviewer asks next.

    Attributes:
        question: one sentence.
        answer: what a good candidate says, in two or three sentences.
    """

    question: str
    answer: str


@dataclass(frozen=True)
class Exercise:
    """One exercise of the bank, in every framework in which it makes sense.

    Args:
        id: stable name, words joined by hyphens; the file is the same with underscores.
        title: a few words.
        lesson: the lesson that teaches it ("03_feature_extraction").
        minutes: what an average learner needs.
        difficulty: 1 (warm-up) to 5 (interview hard).
        points: marks for a full answer.
        statement: Markdown: what to write and which properties it must have.
        hints: three, from a nudge to nearly there.
        follow_ups: interview questions that build on it, each with its answer.
        criteria: what an answer must get right, by name.
        cases: draws the inputs from a generator: small, and the same for the same generator state.
        judge: compares one case's observations with what is expected. Never runs learner code.
        variants: framework name to Variant.
        kind: "build" or "find-the-fault".
        time_limit: seconds a candidate may take for all cases together.
        complexity: time and memory of the reference, in the statement's symbols: what an interviewer asks for next.
    """

    id: str
    title: str
    lesson: str
    minutes: int
    difficulty: int
    points: int
    statement: str
    hints: tuple[str, str, str]
    follow_ups: tuple[FollowUp, ...]
    criteria: Mapping[str, Criterion]
    cases: Callable[[np.random.Generator], list[Case]]
    judge: Judge
    variants: Mapping[str, Variant]
    kind: str = "build"
    time_limit: float = 10.0
    complexity: str = ""

    def variant(self, framework: str) -> Variant:
        """The variant for a framework.

        Raises:
            BadInput: the exercise has none for this framework.
        """
        if framework not in self.variants:
            raise BadInput(
                f"a framework of {self.id}: {', '.join(self.variants)}", repr(framework), "name one of these"
            )
        return self.variants[framework]

    def questions_after(self) -> list[FollowUp]:
        """What an interviewer asks once the code runs: its cost, then what builds on it."""
        return [FollowUp(_("What does it cost, in time and in memory?"), self.complexity), *self.follow_ups]

    def process(self, framework: str) -> str:
        """The kind of process (see `child.PRELOAD`) that runs answers in this framework."""
        uses = self.variant(framework).uses
        return framework if uses is None else f"{framework}+{uses}"

    def draw(self, seed: int) -> list[Case]:
        """The cases for a seed (``PUBLIC_SEED`` for learners, drawn when grading)."""
        return self.cases(np.random.default_rng(seed))
