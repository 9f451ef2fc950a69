"""What the learner starts from: the reference's imports, signature and docstring, without its body."""

import ast

from tl_course.exercises.engine.exercise import Exercise, Variant

SOLUTION_START, SOLUTION_END = "### BEGIN SOLUTION", "### END SOLUTION"
BODY = "# YOUR CODE HERE\nraise NotImplementedError()"  # what nbgrader puts in the place of a solution


def marker(exercise_id: str, framework: str) -> str:
    """The comment that heads an answer's cell and tells whose answer it is."""
    return f"# exercise: {exercise_id} ({framework})"


def stub(variant: Variant) -> str:
    """The code a learner starts from: the starter of a find-the-fault exercise, or the reference without its body."""
    if variant.starter is not None:
        return variant.starter.strip() + "\n"
    return _replace_bodies(variant, lambda body, indent: _indent(BODY, indent))


def solution(variant: Variant) -> str:
    """The reference with nbgrader's solution markers around the part that learners write."""
    if variant.starter is not None:
        return variant.reference.strip() + "\n"
    return _replace_bodies(variant, lambda body, indent: [indent + SOLUTION_START, *body, indent + SOLUTION_END])


def is_untouched(exercise: Exercise, framework: str, source: str) -> bool:
    """Whether an answer is still the stub, whatever its comments and blank lines."""
    try:
        return ast.dump(ast.parse(source)) == ast.dump(ast.parse(stub(exercise.variant(framework))))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def _replace_bodies(variant: Variant, replace) -> str:
    """The reference with the body of each function the learner writes replaced: the entry, or its class's methods."""
    source = variant.reference.strip() + "\n"
    lines = source.splitlines()
    for node in reversed(_functions(ast.parse(source), variant.entry)):
        body = [item for item in node.body if not _is_docstring(item)]
        decorators = getattr(body[0], "decorator_list", [])
        first, last = min(item.lineno for item in (body[0], *decorators)) - 1, body[-1].end_lineno
        while first > 0 and lines[first - 1].strip().startswith("#"):  # a comment above the first statement
            first -= 1
        lines[first:last] = replace(lines[first:last], " " * body[0].col_offset)
    return "\n".join(lines) + "\n"


def _functions(tree: ast.Module, entry: str) -> list[ast.FunctionDef]:
    (node,) = [item for item in tree.body if isinstance(item, (ast.FunctionDef, ast.ClassDef)) and item.name == entry]
    return (
        [node]
        if isinstance(node, ast.FunctionDef)
        else [item for item in node.body if isinstance(item, ast.FunctionDef)]
    )


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _indent(text: str, indent: str) -> list[str]:
    return [indent + line for line in text.splitlines()]
