"""Find an answer in a notebook's history: the cell that holds it, and what that cell needs from other cells."""

import ast
import builtins
from collections.abc import Sequence

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def find_answer(cells: Sequence[str], marker: str, entry: str) -> str | None:
    """The answer as source text that stands by itself, or None when no cell holds it.

    Args:
        cells: source of every cell that was run, oldest first.
        marker: the comment that heads the answer's cell; without it the last cell that defines ``entry`` counts, unless it
            is headed as another exercise's answer.
        entry: name of the function or class the learner writes.
    """
    marked = [index for index, cell in enumerate(cells) if marker in (line.strip() for line in cell.splitlines())]
    other = [index for index, cell in enumerate(cells) if "# exercise: " not in cell and entry in _names(cell)]
    if not marked and not other:
        return None
    index = marked[-1] if marked else other[-1]
    return "\n".join([*_needed(cells[:index], cells[index]), cells[index]])


def _needed(earlier: Sequence[str], answer: str) -> list[str]:
    """Statements of earlier cells that bind names which the answer uses and does not bind, in their order."""
    available: dict[str, tuple[int, ast.stmt]] = {}
    order = 0
    for cell in earlier:
        for statement in _parse(cell):
            order += 1
            for name in _bound(statement):
                available[name] = (order, statement)
    taken: dict[int, ast.stmt] = {}
    wanted = _free(_parse(answer))
    while wanted:
        name = wanted.pop()
        if name in available and available[name][0] not in taken:
            position, statement = available[name]
            taken[position] = statement
            wanted |= _free([statement])
    return [ast.unparse(taken[position]) for position in sorted(taken)]


def _parse(cell: str) -> list[ast.stmt]:
    try:
        return ast.parse(cell).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _names(cell: str) -> set[str]:
    return {statement.name for statement in _parse(cell) if isinstance(statement, _DEFINITIONS)}


def _bound(statement: ast.stmt) -> set[str]:
    """Names that a top-level statement binds."""
    if isinstance(statement, _DEFINITIONS):
        return {statement.name}
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return {(alias.asname or alias.name).split(".")[0] for alias in statement.names}
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def _free(statements: Sequence[ast.stmt]) -> set[str]:
    """Names that statements read without binding them at their top level (function-local names may be among them)."""
    bound = set().union(*(_bound(statement) for statement in statements)) if statements else set()
    read = {
        node.id
        for statement in statements
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    local = {node.arg for statement in statements for node in ast.walk(statement) if isinstance(node, ast.arg)}
    return read - bound - local - set(dir(builtins))
