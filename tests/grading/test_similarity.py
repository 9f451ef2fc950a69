"""Copies are found whatever they are renamed to; answers written independently are not called alike.

The bank's alternatives stand for answers written independently; their disguised copies are made by script. The
constants were chosen on every other exercise (`python tests/grading/test_similarity.py` prints the choice); the tests
measure on the rest. Alternatives differ on purpose, more than students do: real classes have more pairs in between.
"""

import ast
import json
from functools import cache

import pytest

from tl_course import exercises
from tl_course.exercises.engine.stub import stub
from tl_course.grading import similarity
from tl_course.grading.fingerprints import LENGTH, fingerprints
from tl_course.grading.similarity import MIN_SIZE, THRESHOLD, compare, report_html, rows, study

NAMED = """
import numpy as np

def masked_mean(hidden, mask):
    kept = mask[:, :, None].astype(hidden.dtype)
    total = np.sum(hidden * kept, axis=1, keepdims=False)
    count = np.maximum(kept.sum(axis=1), 1e-9)
    if hidden.ndim > 3:
        raise ValueError("three axes")
    return total / count
"""
DISGUISED = '''
from numpy import maximum, sum as add_up

def masked_mean(h: "array", m: "array") -> "array":
    """Mean of what is kept."""
    # my own work
    w = m[:, :, None].astype(h.dtype)
    n = maximum(w.sum(axis=1), 1e-9)
    s: "array" = add_up(h * w, keepdims=False, axis=1)
    if 3 < h.ndim:
        raise ValueError("three axes")
    return (s / n)
'''
OTHER = """
import numpy as np

def masked_mean(hidden, mask):
    out = []
    for row, keep in zip(hidden, mask):
        chosen = row[keep.astype(bool)]
        out.append(chosen.mean(0) if len(chosen) else np.zeros(row.shape[-1]))
    return np.stack(out)
"""


class _Disguise(ast.NodeTransformer):
    """Renames what the answer named, takes annotations away, turns comparisons and keyword arguments around."""

    def __init__(self, tree: ast.Module) -> None:
        stored = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
        inner = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.Lambda))]
        taken = [argument.arg for node in inner for argument in node.args.args if argument.arg != "self"]
        called = {word.arg for node in ast.walk(tree) if isinstance(node, ast.Call) for word in node.keywords}
        names = dict.fromkeys(name for name in [*stored, *taken] if name not in called)
        self.new = {name: f"value_{number}" for number, name in enumerate(names)}

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self.new.get(node.id, node.id), node.ctx)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(self.new.get(node.arg, node.arg))

    def visit_Call(self, node: ast.Call) -> ast.AST:
        node.keywords.reverse()
        return self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        turned = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE}
        if len(node.ops) == 1 and type(node.ops[0]) in turned:
            node.left, node.comparators = node.comparators[0], [node.left]
            node.ops = [turned[type(node.ops[0])]()]
        return self.generic_visit(node)


class _Rework(ast.NodeTransformer):
    """Rewrites statements as someone would who hides a copy: results get names, lines are added."""

    def visit_Return(self, node: ast.Return) -> list[ast.stmt] | ast.Return:
        if node.value is None:
            return node
        return [ast.Assign([ast.Name("result", ast.Store())], node.value), ast.Return(ast.Name("result", ast.Load()))]

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt:
        if not isinstance(node.target, ast.Name):
            return node
        return ast.Assign([node.target], ast.BinOp(ast.Name(node.target.id, ast.Load()), node.op, node.value))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        node.body += ast.parse("if len(str(node)) > 10 ** 9:\n    print('much too large', flush=True)").body
        return node


def disguised(source: str) -> str:
    """The same answer under other names, reformatted, with independent neighbours swapped."""
    tree = ast.parse(source)
    tree = ast.fix_missing_locations(_Disguise(tree).visit(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            _swap_neighbours(node.body)
    return "# all mine\n" + ast.unparse(tree)


def reworked(source: str) -> str:
    """A disguised copy of which some statements were rewritten and to which others were added."""
    return ast.unparse(ast.fix_missing_locations(_Rework().visit(ast.parse(disguised(source)))))


def _swap_neighbours(body: list[ast.stmt]) -> None:
    """Swap neighbouring assignments that use no name of each other."""
    for place in range(0, len(body) - 1, 2):
        one, two = body[place : place + 2]
        if isinstance(one, ast.Assign) and isinstance(two, ast.Assign):
            names = [{n.id for n in ast.walk(part) if isinstance(n, ast.Name)} for part in (one, two)]
            if not names[0] & names[1]:
                body[place : place + 2] = [two, one]


@cache
def bank() -> tuple[tuple[str, list[str], str, dict[str, str]], ...]:
    """Of each variant: its name, what everybody may know, the reference, and the alternatives."""
    return tuple(
        (
            f"{exercise.id}-{framework}",
            [stub(variant), *(mistake.code(variant.reference) for mistake in variant.mistakes.values())],
            variant.reference,
            dict(variant.alternatives),
        )
        for exercise in exercises.all_exercises()
        for framework, variant in exercise.variants.items()
    )


def measured(half: int) -> dict[str, list[float]]:
    """Similarities in every other exercise: of alternatives, of alternatives and references, and of copies."""
    ids = sorted({exercise.id for exercise in exercises.all_exercises()})[half::2]
    found: dict[str, list[float]] = {kind: [] for kind in ("alternatives", "right answers", "disguised", "reworked")}
    for name, mistakes, reference, alternatives in bank():
        if name.rpartition("-")[0] not in ids:
            continue
        known = [*mistakes, reference]
        found["alternatives"] += _values(alternatives, known, None)
        found["right answers"] += _values({"reference": reference, **alternatives}, known[:1], None)
        for title, text in alternatives.items():
            for kind, change in (("disguised", disguised), ("reworked", reworked)):
                found[kind] += _values({**alternatives, "copy": change(text)}, known, {"copy", title})
    return found


def _values(answers: dict[str, str], known: list[str], wanted: set[str] | None) -> list[float]:
    """Similarity of each pair, or of the pair wanted, where the answers are long enough."""
    pairs = compare(answers, known, threshold=0.0)
    return [pair.similarity for pair in pairs if wanted is None or {pair.first, pair.second} == wanted]


def share(values: list[float], threshold: float = THRESHOLD) -> float:
    """Share of the values at or above the threshold."""
    return sum(value >= threshold for value in values) / len(values)


@pytest.fixture(scope="module")
def held_out() -> dict[str, list[float]]:
    return measured(1)


@pytest.mark.parametrize(("kind", "least"), [("disguised", 0.98), ("reworked", 0.95)])
def test_copies_are_found(held_out, kind, least):
    assert len(held_out[kind]) > 100
    assert share(held_out[kind]) >= least


@pytest.mark.parametrize(("kind", "most"), [("alternatives", 0.01), ("right answers", 0.02)])
def test_independent_answers_are_not_called_alike(held_out, kind, most):
    assert len(held_out[kind]) > 80
    assert share(held_out[kind]) <= most


def test_a_disguised_copy_is_the_same_and_its_shared_lines_are_shown():
    (pair,) = compare({"ann": NAMED, "bob": DISGUISED, "eve": OTHER})
    assert (pair.first, pair.second, pair.similarity) == ("ann", "bob", 1.0)
    assert "astype(hidden.dtype)" in pair.first_text and "astype(h.dtype)" in pair.second_text
    assert pair.size == pair.shared >= MIN_SIZE


@pytest.mark.parametrize("edit", [("axis=1, keepdims", "axis=2, keepdims"), ("1e-9", "1e-6"), (".sum(", ".max(")])
def test_what_an_answer_does_still_counts(edit):
    assert fingerprints(NAMED) != fingerprints(NAMED.replace(*edit))


def test_what_everybody_has_is_no_evidence():
    assert compare({"ann": NAMED, "bob": DISGUISED}, known=[NAMED]) == []
    found = study("e", {"ann": NAMED, "bob": DISGUISED}, known=[NAMED])
    assert (found.compared, found.short) == ([], ["ann", "bob"])


def test_what_the_whole_class_shares_counts_less_than_what_two_share():
    tail = "    if hidden.ndim > 3:\n        raise ValueError('three axes')\n    return np.stack(out)\n"
    common = OTHER.replace("    return np.stack(out)\n", tail)
    two = {"ann": NAMED, "bob": common}
    everybody = {f"s{number}": common.replace("bool", f"int{number}") for number in range(12)}
    (alone,) = compare(two, threshold=0.0)
    crowd = compare({**two, **everybody}, threshold=0.0)
    (same,) = [pair for pair in crowd if (pair.first, pair.second) == ("ann", "bob")]
    assert 0 < same.similarity < alone.similarity


def test_short_and_unreadable_answers_are_counted_and_not_compared():
    answers = {
        "ann": NAMED,
        "bob": "def f(x):\n    return x\n",
        "eve": "def f(:",
        "nul": "a\0b",
        "deep": "(" * 10_000,
        "vast": NAMED * 999,
    }
    found = study("masked-mean", answers)
    assert (found.compared, found.short, found.unreadable) == (["ann"], ["bob"], ["deep", "eve", "nul", "vast"])
    assert found.pairs == [] and found.typical == 0


def test_a_class_of_copies_is_counted_and_not_all_of_it_is_listed():
    found = study("e", {f"s{number}": NAMED for number in range(30)})
    assert (len(found.pairs), found.more) == (similarity.MOST, 30 * 29 // 2 - similarity.MOST)
    assert f"{found.more} more pairs" in report_html("ps1", [found])


def test_the_report_escapes_what_students_wrote_and_says_what_it_does_not_mean():
    text = NAMED.replace("three axes", "<script>alert(1)</script>")
    found = [study("masked-mean-numpy", {"ann": text, "<b>bob</b>": text})]
    page = report_html("ps1", found)
    assert "<script>" not in page and "<b>bob" not in page and "&lt;script&gt;" in page
    assert similarity.meaning() in page and "masked-mean-numpy" in page
    assert [(row["exercise"], row["similarity"]) for row in rows(found)] == [("masked-mean-numpy", "1.00")]
    json.dumps(found[0].to_dict(), allow_nan=False)


if __name__ == "__main__":
    for chosen in range(3, 9):
        similarity.fingerprints = lambda source, chosen=chosen: fingerprints(source, chosen)  # type: ignore[assignment]
        tuned = measured(0)
        apart = {
            n / 100: share(tuned["reworked"], n / 100) - share(tuned["right answers"], n / 100) for n in range(100)
        }
        best = [threshold for threshold, value in apart.items() if value == max(apart.values())]
        print(
            f"length {chosen}: {max(apart.values()):.3f} from {best[0]} to {best[-1]}",
            {k: len(v) for k, v in tuned.items()},
        )
    similarity.fingerprints = fingerprints
    for half, values in (("chosen on", measured(0)), ("measured on", measured(1))):
        shown = {k: f"{share(v):.3f} of {len(v)}, {min(v):.2f} to {max(v):.2f}" for k, v in values.items()}
        print(half, f"length {LENGTH}, size {MIN_SIZE}, threshold {THRESHOLD}:", shown)
