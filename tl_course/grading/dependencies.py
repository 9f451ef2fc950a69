"""An answer as text that runs by itself, from a notebook that the grader only reads.

It adds to the engine's search (exercises/engine/dependencies.py), which the check in a notebook uses too: the check
runs beside what the cells have made, the grader does not. What changes an object that an answer needs counts as part
of it, what only talks to the course is left out, and `from __future__` stays in front.
"""

import ast
import builtins
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache

from tl_course.exercises.engine import dependencies as engine

# What the course gives learners to call in a notebook. None of it changes what an answer defines.
TALK = frozenset(
    {"answer", "check", "claim", "compare", "hint", "home", "progress", "quiz", "reset", "restore", "solution", "start"}
)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_BUILT_IN = frozenset(dir(builtins))
_HARMLESS = (_BUILT_IN | TALK | {"display"}) - {"setattr", "delattr"}
_KEPT = 4096  # cells: most of a class's are the same


def alone(others: Sequence[str], answer: str, changes: bool = False) -> str:
    """An answer's cell with the statements of other cells that it needs before it.

    Text that is nested too deeply to be looked at is left as it is: what it lacks is found by running all cells.

    Args:
        others: the notebook's other cells, in their order.
        answer: its own cell.
        changes: take also the statements that change what it needs: `table["mean"] = f`, `@f.register`, `names.sort()`.
    """
    try:
        text = without_talk(engine.alone((), answer), others)
        futures = [node for node in _body(text) if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
        rest = _blanked(text, futures)
        found = engine.alone(others, rest)
        if changes:
            found = engine.alone(_marked(others, rest, found), rest)
        return text if found == rest else "\n".join([*map(ast.unparse, futures), found])
    except RecursionError:
        return answer


def without_talk(answer: str, others: Iterable[str] = ()) -> str:
    """A cell without the statements that only call what the course gives learners; line numbers stay."""
    talk = [node for node in _body(answer) if _talked_to(node)]
    cells = [answer, *others] if talk else []
    own = {name for cell in cells for name in re.findall(r"\b(?:def|class)\s+(\w+)", cell)}
    return _blanked(answer, [node for node in talk if _talked_to(node) not in own])


def _talked_to(statement: ast.stmt) -> str | None:
    """The function of the course that a statement calls, where it does nothing else."""
    match statement:
        case ast.Expr(value=ast.Call(func=ast.Name(id=name))) | ast.Assign(value=ast.Call(func=ast.Name(id=name))):
            return name if name in TALK else None
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="tl_course"), attr=name))):
            return name if name in TALK else None
    return None


def _blanked(text: str, statements: Sequence[ast.stmt]) -> str:
    """A text with `pass` in the place of statements."""
    if not statements:
        return text
    lines = [line.encode() for line in re.split("\r\n|\r|\n", text)]
    for node in reversed(statements):
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        kept = lines[first][: node.col_offset] + b"pass" + lines[last][node.end_col_offset :]
        lines[first : last + 1] = [kept, *[b""] * (last - first)]
    return b"\n".join(lines).decode()


def _marked(others: Sequence[str], answer: str, found: str) -> Sequence[str]:
    """Cells in which a statement that changes a name's object binds that name anew, so that it is seen as needed.

    Imported names are left out: who needs a module does not need whatever else is done with it, but for the import of
    another of its parts. Where nothing of ``found``, the answer with what it is known to need, is changed, the cells
    stay as they are.
    """
    cells = [_statements(cell) for cell in others]
    own = {name for statement in _statements(answer) for name in statement.bound}
    every = [statement for cell in cells for statement in cell]
    there = {name for statement in every for name in statement.bound}
    usable = there.difference(own, *(statement.imported for statement in every))
    within = {statement.function: statement.within for statement in every if statement.function}
    names = [
        [_changed(one, within) & usable | _packages(one.node) if one.read & own <= there else set() for one in cell]
        for cell in cells
    ]
    needed = {name for statement in _statements(found) for name in statement.bound}
    if needed.isdisjoint(name for cell in names for each in cell for name in each):
        return others
    return [
        "\n".join(map(_rebinding, cell, each)) if any(each) else text
        for text, cell, each in zip(others, cells, names, strict=True)
    ]


def _rebinding(statement: "_Statement", names: set[str]) -> str:
    try:
        lines = ast.unparse(statement.node).split("\n")
    except ValueError:  # a number too long to be written down: the engine's search takes no such statement
        return ""
    if not names:
        return "\n".join(lines)
    return "if True:\n" + "\n".join(f"    {line}" for line in [*lines, *(f"{name} = {name}" for name in sorted(names))])


def _changed(statement: "_Statement", within: Mapping[str, Set[str]]) -> set[str]:
    """Names whose objects a statement changes.

    Args:
        statement: at a cell's top level.
        within: the notebook's functions, and the names whose objects each changes when it is called.
    """
    found = set(statement.changed).union(*(within.get(name, {name}) for name in statement.called))
    return found.union(*(within.get(name, ()) for name in statement.used))


def _packages(statement: ast.stmt) -> set[str]:
    """The packages of which a statement imports parts: `xml` of `import xml.dom`."""
    aliases = statement.names if isinstance(statement, ast.Import) else []
    return {alias.name.partition(".")[0] for alias in aliases if "." in alias.name and alias.asname is None}


@dataclass(frozen=True)
class _Statement:
    """A statement at a cell's top level.

    Attributes:
        node: its syntax.
        bound: names that it binds.
        imported: those that it binds to what it imports.
        read: names that it reads, in the functions that it defines too.
        changed: names whose objects it changes by a store, by a method's call or by giving them to a call.
        called: names that it calls for what they do, as a statement or as a decorator.
        used: names that it calls for their value.
        function: the name of the function that it defines, or none.
        within: names that function binds for all, or whose objects it changes.
    """

    node: ast.stmt
    bound: frozenset[str]
    imported: frozenset[str]
    read: frozenset[str]
    changed: frozenset[str]
    called: frozenset[str]
    used: frozenset[str]
    function: str
    within: frozenset[str]


@lru_cache(_KEPT)
def _statements(cell: str) -> tuple[_Statement, ...]:
    return tuple(map(_statement, _body(cell)))


def _statement(top: ast.stmt) -> _Statement:
    bound, inner, imported, changed, called, used, within = (set[str]() for _number in range(7))
    for node in _run_with(top):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            bound.add(node.id)
        elif isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            bound.add(node.name)
        elif isinstance(node, ast.alias):
            imported.add(node.asname or node.name.partition(".")[0])
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            used.add(node.func.id)
        elif isinstance(node, ast.comprehension):
            inner |= {part.id for part in ast.walk(node.target) if isinstance(part, ast.Name)}
        changed |= _stored(node) | _given(node)
        for function in _called(node):
            (called if isinstance(function, ast.Name) else changed).update(_base(function))
    read = {node.id for node in ast.walk(top) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    if isinstance(top, _FUNCTIONS):
        for node in (node for part in top.body for node in ast.walk(part)):
            methods = [function for function in _called(node) if isinstance(function, ast.Attribute)]
            within = within.union(_stored(node), _given(node), *map(_base, methods))
            within |= set(node.names) if isinstance(node, ast.Global) else set()
    return _Statement(
        node=top,
        bound=frozenset((bound - inner) | imported),
        imported=frozenset(imported),
        read=frozenset(read),
        changed=frozenset(changed - inner),
        called=frozenset(called - _BUILT_IN),
        used=frozenset(used),
        function=top.name if isinstance(top, _FUNCTIONS) else "",
        within=frozenset(within),
    )


def _called(node: ast.AST) -> list[ast.expr]:
    """What a node calls for what it does: as a statement, or as a decorator."""
    return [item.func if isinstance(item, ast.Call) else item for item in _done(node)]


def _given(node: ast.AST) -> set[str]:
    """The names of objects that a node gives to what it calls for what it does: `np.fill_diagonal(w, 0)`."""
    calls = [item for item in _done(node) if isinstance(item, ast.Call)]
    calls = [call for call in calls if not isinstance(call.func, ast.Name) or call.func.id not in _HARMLESS]
    values = [value for call in calls for value in (*call.args, *(word.value for word in call.keywords))]
    return set().union(*map(_base, values))


def _done(node: ast.AST) -> list[ast.expr]:
    """Calls whose value nobody uses, and decorators."""
    match node:
        case ast.Expr(value=value) | ast.Assign(targets=[ast.Name(id="_")], value=value):
            value = value.elt if isinstance(value, (ast.ListComp, ast.SetComp)) else value
            return [value] if isinstance(value, ast.Call) else []
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return node.decorator_list
    return []


def _stored(node: ast.AST) -> set[str]:
    """The name of the object whose attribute or item a node sets or deletes."""
    store = isinstance(node, (ast.Attribute, ast.Subscript)) and not isinstance(node.ctx, ast.Load)
    return _base(node) if store else set()


def _base(node: ast.AST) -> set[str]:
    """The name that attributes and items are taken of, however deep; none where it is no name."""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return {node.id} if isinstance(node, ast.Name) else set()


def _run_with(statement: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when a statement runs: not the bodies of the functions that it defines."""
    waiting = [statement]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, _FUNCTIONS):
            waiting += node.decorator_list
        elif not isinstance(node, ast.Lambda):
            waiting += ast.iter_child_nodes(node)


def _body(cell: str) -> list[ast.stmt]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as one about a backslash, which the learner has seen
            return ast.parse(cell).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
