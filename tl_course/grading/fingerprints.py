"""What is left of an answer when names, layout, comments and order are taken away: the set of its fingerprints.

The text is parsed. Names that the answer itself chose become one placeholder; imports, docstrings and annotations go;
what is imported is called the same however it was imported; keyword arguments are sorted; comparisons point one way.
Each simple statement, and each head of a compound one, is written as the sequence of its nodes, of which every run of
`LENGTH` is a fingerprint (the k-grams of Schleimer, Wilkerson and Aiken, "Winnowing: local algorithms for document
fingerprinting", SIGMOD 2003; answers are short, so all are kept and none winnowed). No run crosses two statements, so
that their order does not matter.
"""

import ast
import warnings
from collections.abc import Iterator
from typing import Any

LENGTH = 6
LONGEST = 200_000  # characters; longer texts are no answers, and parsing them may take all memory
_OWN = "·"  # stands for every name that the answer chose
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_TURNED = {ast.Gt: ast.Lt, ast.GtE: ast.LtE}

Gram = tuple[str, ...]


def fingerprints(source: str, length: int = LENGTH) -> dict[Gram, frozenset[int]] | None:
    """Each fingerprint of a text, with the numbers of the lines it stands in.

    None where the text is not Python, or longer than any answer.
    """
    if len(source) > LONGEST:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd escapes and the like
            tree = ast.parse(source)
        found: dict[Gram, set[int]] = {}
        names = _Names(tree)
        for statement in _statements(tree):
            tokens = list(_tokens(statement, names))
            for start in range(max(1, len(tokens) - length + 1)):
                run = tokens[start : start + length]
                lines = found.setdefault(tuple(text for text, _line in run), set())
                lines |= {line for _text, line in run}
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return {gram: frozenset(lines) for gram, lines in found.items()}


class _Names:
    """Which names a text chose itself, and what its imported names stand for."""

    def __init__(self, tree: ast.Module) -> None:
        self.own: set[str] = set()
        self.attributes: set[str] = set()
        self.imported: dict[str, str] = {}
        for node in ast.walk(tree):
            self._note(node)

    def _note(self, node: ast.AST) -> None:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            self.own.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            self.attributes.add(node.attr)
        elif isinstance(node, ast.arg):
            self.own.add(node.arg)
        elif isinstance(node, _SCOPES):
            self.own.add(node.name)
            self.attributes |= {item.name for item in getattr(node, "body", []) if isinstance(item, _SCOPES)}
        elif isinstance(node, ast.Import):
            for alias in node.names:
                whole = alias.name if alias.asname else alias.name.partition(".")[0]
                self.imported[alias.asname or whole] = whole
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                self.imported[alias.asname or alias.name] = f"{node.module}.{alias.name}"

    def name(self, name: str) -> str:
        """The last part of what an imported name stands for, the placeholder for an own one, or the name itself."""
        if name in self.imported:
            return self.imported[name].rpartition(".")[2]
        return _OWN if name in self.own else name

    def attribute(self, name: str) -> str:
        """An attribute's name, or the placeholder where the text itself sets or defines it."""
        return _OWN if name in self.attributes and not name.startswith("__") else name


def _statements(tree: ast.AST) -> Iterator[ast.stmt]:
    """Every statement but imports, docstrings and other constants that stand alone."""
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and not isinstance(node, (ast.Import, ast.ImportFrom, ast.Pass)):
            alone = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            if not alone and not (isinstance(node, ast.AnnAssign) and node.value is None):
                yield node


def _tokens(node: ast.AST, names: _Names, line: int = 0) -> Iterator[tuple[str, int]]:
    """The nodes of a statement in the order of the text, each with its line; statements inside it are left out."""
    line = getattr(node, "lineno", line)
    yield _label(node, names), line
    for child in [] if _from_import(node, names) else _children(node):
        if not isinstance(child, ast.stmt):
            yield from _tokens(child, names, line)


def _from_import(node: ast.AST, names: _Names) -> bool:
    """Whether it is an attribute, however deep, of something imported: `np.sum` is `sum` then."""
    while isinstance(node, ast.Attribute):
        node = node.value
        if isinstance(node, ast.Name):
            return node.id in names.imported
    return False


def _label(node: ast.AST, names: _Names) -> str:
    kind = type(node).__name__
    match node:
        case ast.Name():
            return names.name(node.id)
        case ast.Attribute() if _from_import(node, names):
            return node.attr
        case ast.Attribute():
            return f".{names.attribute(node.attr)}"
        case ast.keyword(arg=word):
            return f"{_OWN if word in names.own else word}="
        case ast.Constant():
            return repr(node.value)
        case ast.AnnAssign():
            return "Assign"
        case ast.arg():
            return _OWN
    return kind


def _children(node: ast.AST) -> list[ast.AST]:
    """A node's parts in an order that does not depend on taste, without annotations and without contexts."""
    match node:
        case ast.Call():
            words: list[ast.keyword] = sorted(node.keywords, key=lambda word: word.arg or "")
            return [node.func, *node.args, *words]
        case ast.Compare(ops=[operator]) if type(operator) in _TURNED:
            return [node.comparators[0], _TURNED[type(operator)](), node.left]
        case ast.Compare():
            return [node.left, *[part for pair in zip(node.ops, node.comparators, strict=True) for part in pair]]
        case ast.AnnAssign():
            return [part for part in (node.target, node.value) if part]
        case ast.arg() | ast.alias() | ast.expr_context():
            return []
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return [node.args, *node.decorator_list]
    skipped: tuple[type[Any], ...] = (ast.expr_context,)
    return [child for child in ast.iter_child_nodes(node) if not isinstance(child, skipped)]
