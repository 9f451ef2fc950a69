"""What an answer reaches for that no answer needs: the bank's modules, other people's files, the grader's own.

It reads the text only, and what it finds is told to the teacher, never counted: a path in a string may be innocent, and
who wants to hide one can build it at run time. In particular, modules of `tl_course` that something else has imported
already can be reached through any object (`sys.modules`, a function's globals), which no reading of the text can see.
That such things earn nothing is the sandbox's business, not this module's.
"""

import ast
import re
import warnings
from collections.abc import Iterable, Iterator

from tl_course.grading.fingerprints import LONGEST
from tl_course.i18n import _

PACKAGE = "tl_course"
# What lessons give learners and what tells no answer. Not `solution` and `compare`, which show the reference.
OPEN_NAMES = frozenset(
    {"answer", "assets", "check", "claim", "data", "diagrams", "evidence", "hint", "home", "plots", "progress", "quiz"}
    | {"reset", "restore", "start", "zoo"}
)
_MODULE = re.compile(rf"\b{PACKAGE}(?:\.\w+)*\b")
_PATHS = {
    "solutions/": re.compile(r"(?:^|[/\\\s'\"])solutions?[/\\]"),
    "source/": re.compile(r"(?:^|[/\\\s'\"])source[/\\]"),
    "submitted/": re.compile(r"(?:^|[/\\\s'\"])submitted[/\\]"),
    "autograded/": re.compile(r"(?:^|[/\\\s'\"])autograded[/\\]"),
    "feedback/": re.compile(r"(?:^|[/\\\s'\"])feedback[/\\]"),
    "gradebook.db": re.compile(r"gradebook\.db"),
    "nbgrader_config": re.compile(r"nbgrader_config"),
    "/proc": re.compile(r"(?:^|[\s'\"])/proc(?:[/\\]|$)"),
    "..": re.compile(r"(?:^|[/\\\s'\"])\.\.(?:[/\\]|$)"),
}
_FOLDERS = {"autograded", "feedback", "solution", "solutions", "source", "submitted"}
_OPENERS = {
    "Path",
    "PurePath",
    "chdir",
    "copytree",
    "glob",
    "iglob",
    "join",
    "joinpath",
    "listdir",
    "open",
    "scandir",
    "walk",
}
_LOADERS = {"import_module", "__import__", "find_spec", "load_module", "run_module", "run_path", "resolve_name"}
_RUNNERS = {"exec", "eval", "compile"}
_DEPTH = 3  # of programs in strings in programs


def noticed(source: str, allowed: Iterable[str] = ()) -> list[str]:
    """What a teacher may want to look at in an answer, each as one line with its line number, in the text's order.

    Args:
        source: the answer; text that is not Python is searched as text.
        allowed: modules and names that the stub or the reference imports itself (see `imported`).
    """
    known = frozenset(allowed)
    try:
        return list(dict.fromkeys(_noticed(source, known, _DEPTH)))
    except RecursionError:
        return list(dict.fromkeys([_("it is nested too deeply to be read"), *_in_lines(source, known)]))


def imported(source: str) -> set[str]:
    """Modules, and names in them, that a text imports: what the stub and the reference allow."""
    tree = _parsed(source)
    nodes = ast.walk(tree) if tree else ()
    return {name for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom)) for name in _import_names(node)}


def _noticed(source: str, allowed: frozenset[str], depth: int) -> Iterator[str]:
    tree = _parsed(source)
    if tree is None:
        yield from _in_lines(source, allowed)
        return
    prose = _docstrings(tree)
    roots = {PACKAGE} | {
        alias.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.asname and alias.name == PACKAGE
    }
    nodes = [node for node in ast.walk(tree) if isinstance(node, (ast.expr, ast.stmt))]
    nodes.sort(key=lambda node: (node.lineno, node.col_offset))
    for node in nodes:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for name in _refused(_import_names(node), allowed):
                yield _said(node.lineno, _("imports {name}").format(name=name))
        elif taken := _taken(node, roots):
            if _refused([f"{PACKAGE}.{taken}"], allowed):
                yield _said(node.lineno, _("takes {name} of {package}").format(name=taken, package=PACKAGE))
        elif isinstance(node, ast.Call):
            yield from _in_call(node, allowed, depth)
        elif id(node) not in prose and (text := _literal(node)) is not None:
            yield from _in_text(text, node.lineno, allowed)


def _parsed(source: str) -> ast.Module | None:
    if len(source) > LONGEST:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _import_names(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [f"{node.module or ''}.{alias.name}" for alias in node.names]


def _refused(names: Iterable[str], allowed: frozenset[str]) -> list[str]:
    """Names in the course's package that are neither open to learners nor imported by the stub or the reference."""
    found = [name for name in names if name.partition(".")[0] == PACKAGE and name != PACKAGE]
    opened = allowed | {name.rpartition(".")[0] for name in allowed}
    return [name for name in found if name not in opened and name.split(".")[1] not in OPEN_NAMES]


def _taken(node: ast.AST, roots: set[str]) -> str | None:
    """The attribute that is taken of the course's package, by a dot or by getattr."""
    match node:
        case ast.Attribute(value=ast.Name(id=name)) if name in roots:
            return node.attr
        case ast.Call(func=ast.Name(id="getattr"), args=[ast.Name(id=name), attribute, *_rest]) if name in roots:
            return _literal(attribute) or "?"
    return None


def _in_call(node: ast.Call, allowed: frozenset[str], depth: int) -> Iterator[str]:
    """Modules that are named at run time, and programs in strings."""
    called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
    first = _literal(node.args[0]) if node.args else None
    if called in _LOADERS and first is None:
        yield _said(node.lineno, _("{name}() of a name made at run time").format(name=called))
    for text in filter(None, map(_literal, node.args)):
        if called in _OPENERS and text in _FOLDERS:
            yield _said(node.lineno, _("names the path {path} in a string").format(path=f"{text}/"))
    if called in _RUNNERS and depth and first is not None:
        for line in _noticed(first, allowed, depth - 1):
            yield _said(node.lineno, _("in a string given to {name}(): {what}").format(name=called, what=line))
    elif called in _RUNNERS and isinstance(node.func, ast.Name) and first is None:
        yield _said(node.lineno, _("{name}() of a text made at run time").format(name=called))


def _in_lines(source: str, allowed: frozenset[str]) -> Iterator[str]:
    for number, line in enumerate(source.splitlines(), 1):
        yield from _in_text(line, number, allowed)


def _in_text(text: str, line: int, allowed: frozenset[str]) -> Iterator[str]:
    """Names of modules and paths in a string."""
    for name in _refused(_MODULE.findall(text), allowed):
        yield _said(line, _("names {name} in a string").format(name=name))
    for title, pattern in _PATHS.items():
        if pattern.search(text):
            yield _said(line, _("names the path {path} in a string").format(path=title))


def _literal(node: ast.AST) -> str | None:
    """The text of a string, of bytes, of strings joined by + or ``/``, or of the fixed parts of an f-string."""
    match node:
        case ast.Constant(value=str() as text):
            return text
        case ast.Constant(value=bytes() as raw):
            return raw.decode("utf-8", "replace")
        case ast.JoinedStr():
            return "".join(_literal(part) or "" for part in node.values)
        case ast.BinOp(op=ast.Add() | ast.Div() as operator):
            parts = [_literal(node.left), _literal(node.right)]
            known = [part for part in parts if part is not None]
            if len(known) < 2 and isinstance(operator, ast.Add):
                return None
            return "/".join(known) if isinstance(operator, ast.Div) else "".join(known)
    return None


def _docstrings(tree: ast.Module) -> set[int]:
    """Docstrings and other strings that stand alone: prose, which may mention anything."""
    return {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


def _said(line: int, what: str) -> str:
    return _("line {line}: {what}").format(line=line, what=what)
