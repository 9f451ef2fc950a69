"""How alike the answers of a class are, exercise by exercise: where a teacher may want to look, and never a verdict.

What two answers share counts the more, the fewer of the class have it (inverse frequency), and counts nothing where the
stub, the bank's reference or another known text has it too. The measure is Jaccard's, weighted: the weight of what both
have over the weight of what at least one has, from 0 to 1.
"""

import html
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from statistics import median
from typing import Any

from tl_course.grading.fingerprints import Gram, fingerprints
from tl_course.i18n import _

MIN_SIZE = 12  # own fingerprints
MOST = 200  # pairs listed for an exercise
THRESHOLD = 0.35  # the upper end of what parts copies from independent answers best (tests/grading/test_similarity.py)
Lines = Mapping[Gram, frozenset[int]]


def meaning() -> str:
    """What a listed pair does not mean: a statement that every report carries."""
    return _(
        "Similar answers are no proof of copying: people who learn from the same lesson, work in the same group or ask "
        "the same tool write alike, and a short task has few good answers. And answers that are not listed may be "
        "copies all the same. Read both, and talk to both."
    )


@dataclass(frozen=True)
class Pair:
    """Two answers that are alike.

    Attributes:
        first, second: the students.
        similarity: from 0 to 1.
        size: fingerprints of the smaller answer that no known text has.
        shared: how many of these both have.
        first_lines, second_lines: numbers of the lines in which they stand, from 1.
        first_text, second_text: these lines.
    """

    first: str
    second: str
    similarity: float
    size: int
    shared: int
    first_lines: list[int]
    second_lines: list[int]
    first_text: str
    second_text: str


@dataclass(frozen=True)
class Comparison:
    """The answers of a class to one exercise.

    Attributes:
        exercise: what was answered.
        pairs: those above the threshold, the most alike first, at most `MOST`.
        more: how many further pairs are above it.
        compared: the students whose answers were compared.
        short: those whose answers have too little of their own to say anything.
        unreadable: those whose answers are not Python.
        typical: median similarity of all pairs compared, 0 where there is none.
    """

    exercise: str
    pairs: list[Pair]
    more: int
    compared: list[str]
    short: list[str]
    unreadable: list[str]
    typical: float

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def compare(
    answers: Mapping[str, str], known: Sequence[str] = (), min_size: int = MIN_SIZE, threshold: float = THRESHOLD
) -> list[Pair]:
    """The pairs of answers that are alike, the most alike first (see `study`)."""
    return study("", answers, known, min_size, threshold).pairs


def study(
    exercise: str,
    answers: Mapping[str, str],
    known: Sequence[str] = (),
    min_size: int = MIN_SIZE,
    threshold: float = THRESHOLD,
) -> Comparison:
    """Compare each answer with each other one.

    Args:
        exercise: what was answered; it names the comparison.
        answers: student to source text.
        known: what everybody may have from elsewhere: the stub, the reference, named alternatives and mistakes.
        min_size: answers with fewer own fingerprints are left out.
        threshold: pairs that are less alike are not listed.
    """
    common = {gram for text in known for gram in fingerprints(text) or ()}
    read = {student: fingerprints(text) for student, text in answers.items()}
    own = {
        student: {gram: lines for gram, lines in grams.items() if gram not in common}
        for student, grams in read.items()
        if grams is not None
    }
    large = {student: grams for student, grams in own.items() if len(grams) >= min_size}
    weights = _weights(large)
    totals = {student: math.fsum(weights[gram] for gram in grams) for student, grams in large.items()}
    alike: dict[tuple[str, str], float] = {}
    for one, two in combinations(sorted(large), 2):
        shared = math.fsum(weights[gram] for gram in large[one].keys() & large[two].keys())
        alike[one, two] = shared / (totals[one] + totals[two] - shared) if shared else 0.0
    listed = sorted(
        (pair for pair, value in alike.items() if value >= threshold), key=lambda pair: (-alike[pair], pair)
    )
    return Comparison(
        exercise=exercise,
        pairs=[_pair(pair, alike[pair], large, answers) for pair in listed[:MOST]],
        more=max(0, len(listed) - MOST),
        compared=sorted(large),
        short=sorted(set(own) - set(large)),
        unreadable=sorted(set(read) - set(own)),
        typical=median(alike.values()) if alike else 0.0,
    )


def _weights(answers: Mapping[str, Lines]) -> dict[Gram, float]:
    """log(1 + class size / how many have it): what all have counts little, what two have counts much."""
    counts = Counter(gram for grams in answers.values() for gram in grams)
    return {gram: math.log1p(len(answers) / count) for gram, count in counts.items()}


def _pair(students: tuple[str, str], value: float, grams: Mapping[str, Lines], answers: Mapping[str, str]) -> Pair:
    first, second = students
    shared = grams[first].keys() & grams[second].keys()
    lines = {student: sorted({line for gram in shared for line in grams[student][gram]}) for student in students}
    text = {student: _text(answers[student], lines[student]) for student in students}
    size = min(len(grams[first]), len(grams[second]))
    return Pair(
        first, second, round(value, 3), size, len(shared), lines[first], lines[second], text[first], text[second]
    )


def _text(source: str, lines: Sequence[int]) -> str:
    every = source.splitlines()
    return "\n".join(every[line - 1] for line in lines if 0 < line <= len(every))


def rows(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """Every listed pair of every exercise: exercise, first, second, similarity, typical, size, shared."""
    return [
        {
            "exercise": comparison.exercise,
            "first": pair.first,
            "second": pair.second,
            "similarity": f"{pair.similarity:.2f}",
            "typical": f"{comparison.typical:.2f}",
            "size": pair.size,
            "shared": pair.shared,
        }
        for comparison in comparisons
        for pair in comparison.pairs
    ]


def report_html(assignment: str, comparisons: Sequence[Comparison]) -> str:
    """A page of its own for the teacher: each pair with the lines that both have, and what it does not mean."""
    title = html.escape(_("Similar answers in {assignment}").format(assignment=assignment))
    parts = [f"<h1>{title}</h1><p><strong>{html.escape(meaning())}</strong></p>", *map(_section, comparisons)]
    style = (
        "body{font-family:sans-serif;max-width:75rem;margin:auto;padding:1rem}td{vertical-align:top;width:50%}"
        "table{width:100%;border-collapse:collapse}pre{overflow:auto;background:#f4f4f4;padding:.5rem}"
    )
    head = f'<meta charset="utf-8"><title>{title}</title><style>{style}</style>'
    return f"<!doctype html><html><head>{head}</head><body>{''.join(parts)}</body></html>\n"


def _section(comparison: Comparison) -> str:
    """One exercise of the report."""
    said = _(
        "{compared} answers compared, half of their pairs at {typical:.2f} or less; {short} have too little of their "
        "own to compare, {unreadable} cannot be read as Python."
    ).format(
        compared=len(comparison.compared),
        typical=comparison.typical,
        short=len(comparison.short),
        unreadable=len(comparison.unreadable),
    )
    pairs = "".join(map(_shown, comparison.pairs)) or f"<p>{html.escape(_('No pair is listed.'))}</p>"
    if comparison.more:
        pairs += f"<p>{html.escape(_('{count} more pairs are not shown.').format(count=comparison.more))}</p>"
    return f"<h2>{html.escape(comparison.exercise)}</h2><p>{html.escape(said)}</p>{pairs}"


def _shown(pair: Pair) -> str:
    """One pair of the report, its shared lines side by side."""
    said = _("{similarity:.2f} alike: {shared} fingerprints shared, of the smaller answer's {size}").format(
        similarity=pair.similarity, shared=pair.shared, size=pair.size
    )
    sides = ((pair.first, pair.first_text), (pair.second, pair.second_text))
    cells = "".join(
        f"<td><strong>{html.escape(student)}</strong><pre>{html.escape(text)}</pre></td>" for student, text in sides
    )
    return f"<p>{html.escape(said)}</p><table><tr>{cells}</tr></table>"
