"""Machine-made wrong answers: small changes to a reference that a good check notices.

Operators after DeMillo, Lipton & Sayward (1978) and Offutt et al. (1996): flipped operators and comparisons, changed
constants, dropped calls and keyword arguments, swapped arguments, negated conditions, removed statements.
"""

import ast
import copy
from collections.abc import Iterator, Sequence

_BINARY: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.MatMult: ast.Mult,
}
_COMPARE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}


def mutants(source: str) -> dict[str, str]:
    """Every mutant of a source text, by id: the changed statement as it reads after the change."""
    tree = ast.parse(source)
    modules = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    found: dict[str, str] = {}
    for position, node in _bodies(tree):
        for replacement in _replacements(node, modules):
            changed = copy.deepcopy(tree)
            target = list(ast.walk(changed))[position]
            statement = _statement_of(changed, target)
            mutated = _Replace(target, copy.deepcopy(replacement)).visit(statement)
            label = _label(mutated)
            number = sum(1 for name in found if name.split(" #")[0] == label)
            _Replace(statement, mutated).visit(changed)
            found[label if number == 0 else f"{label} #{number + 1}"] = ast.unparse(ast.fix_missing_locations(changed))
    return found


class _Replace(ast.NodeTransformer):
    def __init__(self, target: ast.AST, replacement: ast.AST | list[ast.stmt]) -> None:
        self.target, self.replacement = target, replacement

    def visit(self, node: ast.AST):
        return self.replacement if node is self.target else self.generic_visit(node)


def _bodies(tree: ast.Module) -> Iterator[tuple[int, ast.AST]]:
    """Nodes inside functions, with their position in `ast.walk`; annotations and docstrings are left out."""
    positions = {id(node): position for position, node in enumerate(ast.walk(tree))}
    for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]:
        for part in [*function.args.defaults, *function.args.kw_defaults, *function.body]:
            if part is None or isinstance(part, (ast.FunctionDef, ast.ClassDef)) or _is_docstring(part):
                continue
            for node in ast.walk(part):
                if id(node) in positions:
                    yield positions.pop(id(node)), node


def _replacements(node: ast.AST, modules: set[str]) -> Sequence[ast.AST | list[ast.stmt]]:
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        return [ast.BinOp(node.left, _BINARY[type(node.op)](), node.right)]
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARE:
        return [ast.Compare(node.left, [_COMPARE[type(node.ops[0])](), *node.ops[1:]], node.comparators)]
    if isinstance(node, ast.BoolOp):
        return [ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)]
    if isinstance(node, ast.UnaryOp):
        return [node.operand]
    if isinstance(node, ast.Constant):
        return [ast.Constant(value) for value in _other_constants(node.value)]
    if isinstance(node, ast.Call):
        return _other_calls(node, modules)
    if isinstance(node, ast.If):
        return [ast.If(ast.Constant(value), node.body, node.orelse) for value in (True, False)]
    if isinstance(node, ast.IfExp):
        return [node.body, node.orelse]
    if isinstance(node, ast.With):
        return [node.body]
    if isinstance(node, (ast.Expr, ast.AugAssign)):
        return [ast.Pass()]
    return []


def _other_constants(value: object) -> Sequence[bool | int | float | str]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1] if value == 0 else [value + 1, 0]
    if isinstance(value, float):
        return [1.0] if value == 0 else [value * 2]
    return [value + "_"] if isinstance(value, str) else []


def _other_calls(call: ast.Call, modules: set[str]) -> list[ast.AST | list[ast.stmt]]:
    found: list[ast.AST | list[ast.stmt]] = []
    if call.args and not isinstance(call.args[0], ast.Starred):
        found.append(call.args[0])
    if isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value).split(".")[0] not in modules:
        found.append(call.func.value)  # a method call: its object stays
    if len(call.args) == 2:
        found.append(ast.Call(call.func, call.args[::-1], call.keywords))
    for keyword in call.keywords:
        found.append(ast.Call(call.func, call.args, [other for other in call.keywords if other is not keyword]))
    return found


def _statement_of(tree: ast.AST, target: ast.AST) -> ast.AST:
    """The innermost statement that holds a node (the function's arguments for a default value)."""
    holder = tree
    for node in ast.walk(tree):
        if isinstance(node, (ast.stmt, ast.arguments)) and any(inner is target for inner in ast.walk(node)):
            holder = node
    return holder


def _label(node: ast.AST | list[ast.stmt]) -> str:
    if isinstance(node, list):
        return "without its with: " + _label(node[0])
    if isinstance(node, ast.arguments):
        return "defaults: " + ", ".join(ast.unparse(default) for default in node.defaults)
    return ast.unparse(ast.fix_missing_locations(node)).splitlines()[0]


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
