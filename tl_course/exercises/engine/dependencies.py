"""Find an answer in a notebook's history: the cell that holds it, and what that cell needs from other cells."""

import ast
import builtins
import symtable
import warnings
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, lru_cache

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_BUILT_IN = frozenset(dir(builtins))
_STAR = "*"  # stands for the names that `from module import *` binds
_KEPT = 4096  # cells: most of a class's are the same


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
    needed = _needed([_without_magics(cell) for cell in others], plain)
    return "\n".join([*(statement.text for statement in needed), plain])


def missing(source: str) -> set[str]:
    """Names that source text reads and neither binds nor finds among Python's own."""
    statements = _statements(source)
    return _read(statements) - _bound(statements)


def closure(source: str, names: set[str]) -> list[ast.stmt]:
    """The statements of a module that bind these names, and those that they need; imports only of what is used."""
    chosen = _needed([source], ", ".join(sorted(names)))
    used = names | _read(chosen)
    return [kept for statement in chosen if (kept := _narrowed(statement.node, used)) is not None]


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


class _Statement:
    """A top-level statement, and what it means for others, worked out when it is asked for."""

    def __init__(self, node: ast.stmt) -> None:
        self.node = node

    @cached_property
    def text(self) -> str:
        """Its source text."""
        return ast.unparse(self.node)

    @cached_property
    def bound(self) -> set[str]:
        """Names that it binds."""
        names = {
            symbol.get_name() for symbol in self._table.get_symbols() if symbol.is_assigned() or symbol.is_imported()
        }
        imports = [node for node in ast.walk(self.node) if isinstance(node, ast.ImportFrom)]
        return names | {_STAR for node in imports for alias in node.names if alias.name == _STAR}

    @cached_property
    def read(self) -> set[str]:
        """Global names that it reads, itself or in the functions it defines."""
        names = set(_global_names(self._table))
        if isinstance(self.node, ast.AugAssign) and isinstance(self.node.target, ast.Name):  # x += 1 reads x
            names.add(self.node.target.id)
        return names - _BUILT_IN

    @cached_property
    def _table(self) -> symtable.SymbolTable:
        try:
            return symtable.symtable(self.text, "<answer>", "exec")
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return symtable.symtable("", "<answer>", "exec")


def _needed(others: Sequence[str], answer: str) -> list[_Statement]:
    """Those statements of other cells that bind names which the answer uses and does not bind, in their order.

    A statement sees what was bound before it ran; the body of a function sees what is bound last, as in the notebook.
    """
    statements = [statement for cell in others for statement in _statements(cell)]
    places: dict[str, list[int]] = {}
    for place, statement in enumerate(statements):
        for name in statement.bound:
            places.setdefault(name, []).append(place)
    own = _statements(answer)
    wanted = [(name, len(statements)) for name in _read(own) - _bound(own) | {_STAR}]
    taken: set[int] = set()
    while wanted:
        name, before = wanted.pop()
        earlier = [place for place in places.get(name, []) if place < before]
        for place in earlier if name == _STAR else earlier[-1:]:
            if place not in taken:
                taken.add(place)
                wanted += [(other, _sees(statements, place)) for other in statements[place].read]
    return [statements[place] for place in sorted(taken)]


def _sees(statements: Sequence[_Statement], place: int) -> int:
    return len(statements) if isinstance(statements[place].node, _DEFINITIONS) else place


@lru_cache(_KEPT)
def _statements(cell: str) -> tuple[_Statement, ...]:
    return tuple(_Statement(node) for node in _parse(cell))


def _parse(cell: str) -> list[ast.stmt]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as one about a backslash: the notebook has given it already
            return ast.parse(cell).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


@lru_cache(_KEPT)
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
    nodes = [statement.node for statement in _statements(cell)]
    return {node.name for node in nodes if isinstance(node, _DEFINITIONS)}


def _bound(statements: Iterable[_Statement]) -> set[str]:
    return {name for statement in statements for name in statement.bound}


def _read(statements: Iterable[_Statement]) -> set[str]:
    return {name for statement in statements for name in statement.read}


def _global_names(table: symtable.SymbolTable) -> Iterator[str]:
    for symbol in table.get_symbols():
        if symbol.is_referenced() and symbol.is_global():
            yield symbol.get_name()
    for inner in table.get_children():
        yield from _global_names(inner)
