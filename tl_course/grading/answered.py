"""Whether a cell holds an answer, and how surely: learners split cells, copy them, and write answers into new ones."""

import re
from functools import lru_cache

from tl_course import exercises
from tl_course.errors import BadInput
from tl_course.exercises.engine.checking import defines
from tl_course.exercises.engine.exercise import Variant
from tl_course.exercises.engine.stub import stub
from tl_course.grading.assignment import SourceCell, heading
from tl_course.grading.plan import MOST, plain

UNANSWERED, SAYS_SOMETHING, NAMES_IT, DEFINES_IT = range(4)
_HEAD = "# exercise: "


def how_surely(text: str, source: SourceCell) -> int:
    """How surely a text is the answer that belongs into a cell: one of the four numbers above."""
    said = _code(text, source)
    given = (source.source, source.released or "", _stub(heading(source.source) or ""))
    if not said or said in [_code(one, source) for one in given]:
        return UNANSWERED
    variant, _several = _asked(heading(source.source) or "")
    if variant is None or not re.search(rf"\b{variant.entry}\b", "\n".join(said)):
        return SAYS_SOMETHING
    return DEFINES_IT if len(text) <= MOST and defines(plain(text), variant.entry) else NAMES_IT


def is_candidate(text: str, source: SourceCell) -> bool:
    """Whether an ordinary cell answers an exercise: it has its heading, or none and defines what no other asks for."""
    head = heading(source.source)
    heads = {line.strip() for line in text.splitlines() if line.strip().startswith(_HEAD)}
    if head is None or heads:
        return head in heads and how_surely(text, source) > UNANSWERED
    _variant, several = _asked(head)
    return not several and how_surely(text, source) == DEFINES_IT


@lru_cache(maxsize=4096)
def _stub(head: str) -> str:
    """What the bank gives learners to start from, which `restore` brings back, for an answer's heading."""
    variant, _several = _asked(head)
    return stub(variant) if variant else ""


@lru_cache(maxsize=4096)
def _asked(head: str) -> tuple[Variant | None, bool]:
    """What of the bank an answer's heading names, and whether it can be answered in several frameworks."""
    name, _space, framework = head.removeprefix(_HEAD).rstrip(")").partition(" (")
    try:
        exercise = exercises.get(name)
        return exercise.variant(framework), len(exercise.variants) > 1
    except BadInput:
        return None, False


def _code(text: str, source: SourceCell) -> list[str]:
    """Lines that are not blank and, in code, no comments."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return [line for line in lines if not line.startswith("#")] if source.cell_type == "code" else lines
