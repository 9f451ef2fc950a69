"""Find an answer in a notebook's history: the cell that holds it, and what that cell needs from other cells."""

import ast
import builtins
import symtable
import warnings
from collections.abc import Iterator, Sequence

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_BUILT_IN = frozenset(dir(builtins))
_STAR = "*"  # stands for the names that `from module import *` binds


def find_answer(cells: Sequence[str], marker: str, entry: str) -> str | None:
    """The answer as source text that stands by itself, or None when no cell holds it.

    Args:
        cells: source of every cell that was run, oldest first.
        marker: the comment that heads the answer's cell; without it the last cell that defines ``entry`` counts,
            unless it is headed as another exercise's answer.
        entry: name of the function or class the learner writes.
    """
    plain = [_without_magics(cell) for cell in cells]
    marked = [index for index, cell in enumerate(plain) if marker in (line.strip() for line in cell.splitlines())]
    other = [index for index, cell in enumerate(plain) if "# exercise: " not in cell and entry in _names(cell)]
    if not marked and not other:
        return None
    index = marked[-1] if marked else other[-1]
    return alone(plain[:index] + plain[index + 1 :], plain[index])


def alone(others: Sequence[str], answer: str) -> str:
    """An answer's cell with the statements of other cells that it needs before it."""
    plain = _without_magics(answer)
    return "\n".join([*_needed([_without_magics(cell) for cell in others], plain), plain])


def missing(source: str) -> set[str]:
    """Names that source text reads and neither binds nor finds among Python's own."""
    statements = _parse(source)
    return _read(statements) - _bound(statements)


def closure(source: str, names: set[str]) -> list[ast.stmt]:
    """The statements of a module that bind these names, and those that they need; imports only of what is used."""
    wanted = _places([source], ", ".join(sorted(names)))
    chosen = [statement for number, statement in enumerate(_parse(source)) if number in wanted]
    used = names | _read(chosen)
    return [kept for statement in chosen if (kept := _narrowed(statement, used)) is not None]


def _narrowed(statement: ast.stmt, used: set[str]) -> ast.stmt | None:
    """A statement; an import without the names that nobody uses."""
    if not isinstance(statement, (ast.Import, ast.ImportFrom)):
        return statement
    aliases = [alias for alias in statement.names if (alias.asname or alias.name.partition(".")[0]) in used]
    if not aliases:
        return None
    if isinstance(statement, ast.Import):
        return ast.Import(aliases)
    return ast.ImportFrom(statement.module, aliases, statement.level)


def _needed(others: Sequence[str], answer: str) -> list[str]:
    """The source text of the statements that `_places` finds."""
    statements = [statement for cell in others for statement in _parse(cell)]
    return [ast.unparse(statements[place]) for place in _places(others, answer)]


def _places(others: Sequence[str], answer: str) -> list[int]:
    """Places, among all statements of other cells, of those that bind names which the answer uses and does not bind.

    A statement sees what was bound before it ran; the body of a function sees what is bound last, as in the notebook.
    """
    statements = [statement for cell in others for statement in _parse(cell)]
    places: dict[str, list[int]] = {}
    for place, statement in enumerate(statements):
        for name in _bound([statement]):
            places.setdefault(name, []).append(place)
    own = _parse(answer)
    wanted = [(name, len(statements)) for name in _read(own) - _bound(own) | {_STAR}]
    taken: set[int] = set()
    while wanted:
        name, before = wanted.pop()
        earlier = [place for place in places.get(name, []) if place < before]
        for place in earlier if name == _STAR else earlier[-1:]:
            if place not in taken:
                taken.add(place)
                wanted += [(other, _sees(statements, place)) for other in _read([statements[place]])]
    return sorted(taken)


def _sees(statements: Sequence[ast.stmt], place: int) -> int:
    return len(statements) if isinstance(statements[place], _DEFINITIONS) else place


def _parse(cell: str) -> list[ast.stmt]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as one about a backslash: the notebook has given it already
            return ast.parse(cell).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _without_magics(cell: str) -> str:
    """A cell without IPython's magic commands, which mean nothing outside the notebook; line numbers stay."""
    lines = cell.split("\n")
    for statement in _parse(cell):
        call = statement.value if isinstance(statement, (ast.Expr, ast.Assign)) else None
        if not isinstance(call, ast.Call) or not ast.unparse(call.func).startswith("get_ipython()."):
            continue
        if ast.unparse(call.func).endswith(".run_cell_magic") and isinstance(call.args[-1], ast.Constant):
            return "\n" + str(call.args[-1].value)
        for number in range(statement.lineno - 1, statement.end_lineno or statement.lineno):
            lines[number] = ""
    return "\n".join(lines)


def _names(cell: str) -> set[str]:
    return {statement.name for statement in _parse(cell) if isinstance(statement, _DEFINITIONS)}


def _bound(statements: Sequence[ast.stmt]) -> set[str]:
    """Names that top-level statements bind."""
    table = _table(statements)
    names = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    imports = [node for statement in statements for node in ast.walk(statement) if isinstance(node, ast.ImportFrom)]
    return names | {_STAR for node in imports for alias in node.names if alias.name == _STAR}


def _read(statements: Sequence[ast.stmt]) -> set[str]:
    """Global names that top-level statements read, themselves or in the functions they define."""
    changed = {
        node.target.id
        for node in statements
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name)  # x += 1 reads x
    }
    return (changed | set(_global_names(_table(statements)))) - _BUILT_IN


def _table(statements: Sequence[ast.stmt]) -> symtable.SymbolTable:
    try:
        return symtable.symtable(ast.unparse(ast.Module([*statements], [])), "<answer>", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return symtable.symtable("", "<answer>", "exec")


def _global_names(table: symtable.SymbolTable) -> Iterator[str]:
    for symbol in table.get_symbols():
        if symbol.is_referenced() and symbol.is_global():
            yield symbol.get_name()
    for inner in table.get_children():
        yield from _global_names(inner)
