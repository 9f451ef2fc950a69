"""What in a test cell is certain to run from the first statement to the last, and what its names stand for.

Works on source text and runs nothing.
"""

import ast

from IPython.core.inputtransformer2 import TransformerManager


def parsed(source: str) -> ast.Module | None:
    """A cell's tree, with its magics made into calls; None where it has none."""
    for attempt in (lambda: source, lambda: TransformerManager().transform_cell(source)):
        try:
            return ast.parse(attempt())
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return None


def last(function: ast.expr) -> str:
    """The last part of a dotted name: ``allclose`` of ``np.allclose``."""
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def base(function: ast.expr) -> str:
    """What comes before the last part of a dotted name."""
    return ast.unparse(function.value) if isinstance(function, ast.Attribute) else ""


def only_raises(statement: ast.If) -> bool:
    """Whether a cell goes on after an if statement only where its test is false."""
    return not statement.orelse and isinstance(statement.body[-1], ast.Raise)


def functions(tree: ast.Module) -> dict[str, ast.FunctionDef]:
    """The cell's functions that run from the first statement to the last when called."""
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    stored = [node.name for node in ast.walk(tree) if isinstance(node, kinds)]
    stored += [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)]
    leaves = (ast.Return, ast.Yield, ast.YieldFrom)
    return {
        node.name: node
        for node in found
        if stored.count(node.name) == 1
        and not node.decorator_list
        and not any(isinstance(inner, leaves) for inner in ast.walk(node))
    }


def arguments(function: ast.FunctionDef, call: ast.Call) -> dict[str, list[ast.expr]]:
    """What each parameter stands for in a call without stars."""
    if any(isinstance(value, ast.Starred) for value in call.args) or any(not word.arg for word in call.keywords):
        return {}
    names = [parameter.arg for parameter in function.args.args]
    given = dict(zip(names, call.args, strict=False)) | {word.arg: word.value for word in call.keywords if word.arg}
    return {name: [value] for name, value in given.items() if name in names}


def looped_over(tree: ast.Module) -> dict[str, ast.expr]:
    """Names that the cell gives one literal value and then only loops over."""
    loops = [node.iter for node in ast.walk(tree) if isinstance(node, ast.For)]
    looped = {id(inner) for loop in loops for inner in ast.walk(loop)}
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    found = {}
    for name, value in assigned(tree).items():
        uses = [node for node in names if node.id == name]
        stores = sum(not isinstance(node.ctx, ast.Load) for node in uses)
        if stores == 1 and all(id(node) in looped for node in uses if isinstance(node.ctx, ast.Load)):
            found[name] = value
    return found


def assigned(tree: ast.Module) -> dict[str, ast.expr]:
    """What the cell's own statements give to names."""
    return {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)
    }


def used_once(tree: ast.Module, name: str) -> bool:
    """Whether a name gets a value in one place and is read in one place."""
    loads = stores = 0
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == name:
            loads, stores = loads + isinstance(node.ctx, ast.Load), stores + (not isinstance(node.ctx, ast.Load))
        stores += isinstance(node, ast.arg) and node.arg == name
        stores += 2 * (isinstance(node, (ast.Global, ast.Nonlocal)) and name in node.names)
    return (loads, stores) == (1, 1)


def columns(loop: ast.For, tree: ast.Module) -> dict[str, list[ast.expr]]:
    """For each name in the loop's target, the expressions that it stands for, row by row of a table written out."""
    rows = _rows(loop.iter, tree)
    if isinstance(loop.target, ast.Name):
        return {loop.target.id: [item for row in rows for item in row]} if all(len(row) == 1 for row in rows) else {}
    if not isinstance(loop.target, ast.Tuple) or not all(len(row) == len(loop.target.elts) for row in rows):
        return {}
    return {
        target.id: [row[place] for row in rows]
        for place, target in enumerate(loop.target.elts)
        if isinstance(target, ast.Name)
    }


def _rows(table: ast.expr, tree: ast.Module) -> list[list[ast.expr]]:
    """The rows of what a loop goes through, each split into what its target would hold."""
    table = written_out(table, tree)
    if isinstance(table, (ast.List, ast.Tuple)):
        return [row.elts if isinstance(row, (ast.List, ast.Tuple)) else [row] for row in table.elts]
    if isinstance(table, ast.Call) and not table.keywords and last(table.func) == "items" and not table.args:
        inner = written_out(table.func.value, tree) if isinstance(table.func, ast.Attribute) else table
        if isinstance(inner, ast.Dict):
            unknown = ast.Tuple(elts=[], ctx=ast.Load())  # a key that changes might become another one
            return [[unknown, value] for value in inner.values]
    if (
        isinstance(table, ast.Call)
        and not table.keywords
        and isinstance(table.func, ast.Name)
        and last(table.func) == "zip"
    ):
        parts = [written_out(part, tree) for part in table.args]
        sizes = {len(part.elts) if isinstance(part, (ast.List, ast.Tuple)) else -1 for part in parts}
        if len(sizes) == 1 and -1 not in sizes:
            lists = [part.elts for part in parts if isinstance(part, (ast.List, ast.Tuple))]
            return [list(row) for row in zip(*lists, strict=True)]
    return []


def written_out(value: ast.expr, tree: ast.Module) -> ast.expr:
    """What the cell's own statements give to a name that is used once; any other expression as it is."""
    if isinstance(value, ast.Name) and used_once(tree, value.id):
        return assigned(tree).get(value.id, value)
    return value


def filled(value: ast.expr, literals: dict[str, ast.expr]) -> bool:
    """Whether iterating over an expression gives at least one item, for certain."""
    if isinstance(value, ast.Name):
        return value.id in literals and filled(literals[value.id], {})
    if isinstance(value, (ast.List, ast.Tuple, ast.Set)):
        return any(not isinstance(item, ast.Starred) for item in value.elts)
    if isinstance(value, ast.Dict):
        return any(key is not None for key in value.keys)
    if not isinstance(value, ast.Call) or value.keywords:
        return False
    name = last(value.func)
    if isinstance(value.func, ast.Attribute):
        return name in ("items", "keys", "values") and filled(value.func.value, literals)
    if name == "range":
        numbers = [item.value for item in value.args if isinstance(item, ast.Constant) and type(item.value) is int]
        return 0 < len(numbers) == len(value.args) <= 2 and len(range(*numbers)) > 0
    known = name in ("zip", "enumerate", "list", "sorted")
    return known and bool(value.args) and all(filled(item, literals) for item in value.args[:9])
