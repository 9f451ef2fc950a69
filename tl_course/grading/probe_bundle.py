"""An exercise's probe as source text that stands by itself: what a submission's process gets instead of the bank.

The bank's files hold references, judges and expected values, so a process that runs a learner's answer must not see
them. It gets the statements that the probe needs, from the exercise's own file and from the bank's shared ones.
"""

import ast
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from tl_course import exercises
from tl_course.errors import CourseError
from tl_course.exercises.engine.dependencies import closure

_BANK, _ENGINE = f"{exercises.__name__}.", f"{exercises.__name__}.engine"


@cache
def bundle(exercise_id: str, framework: str) -> dict[str, str]:
    """Module name to the source text of what the probe needs of it, a module after those that it imports.

    The last module is the one with the probe itself, under the name that `probe_name` tells.

    Raises:
        CourseError: the probe is not a function at the top level of a module, so its text cannot be taken.
    """
    probe = exercises.get(exercise_id).variant(framework).probe
    if not probe.__name__.isidentifier() or probe.__qualname__ != probe.__name__:
        raise CourseError(f"{exercise_id}: its probe has to be a function at the top level of a module")
    wanted = {probe.__module__: {probe.__name__}}
    statements: dict[str, list[ast.stmt]] = {}
    while todo := [module for module in wanted if module not in statements]:
        for module in todo:
            statements[module] = closure(_source(module), wanted[module])
            for other, names in _bank_imports(statements[module]):
                if not names <= wanted.setdefault(other, set()):
                    wanted[other] |= names
                    statements.pop(other, None)
    return {module: "\n\n".join(map(ast.unparse, statements[module])) + "\n" for module in _ordered(statements)}


def probe_name(exercise_id: str, framework: str) -> str:
    """Name of the probe in the bundle's last module."""
    return exercises.get(exercise_id).variant(framework).probe.__name__


def _bank_imports(statements: Sequence[ast.stmt]) -> Iterator[tuple[str, set[str]]]:
    """Modules of the bank that statements import, each with the names that they use of it."""
    nodes = [node for statement in statements for node in ast.walk(statement)]
    for node in nodes:
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith(_BANK):
            continue
        module = node.module or ""
        for alias in node.names if not module.startswith(_ENGINE) else []:
            inner = f"{module}.{alias.name}"
            if inner in sys.modules:  # the import of a module: what is used of it are its attributes
                yield inner, set(_attributes(nodes, alias.asname or alias.name))
            else:
                yield module, {alias.name}


def _attributes(nodes: Sequence[ast.AST], name: str) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == name:
            yield node.attr


def _ordered(statements: dict[str, list[ast.stmt]]) -> list[str]:
    """Modules, each after those that it imports; the first, whose probe it is, comes last."""
    order: list[str] = []

    def visit(module: str) -> None:
        for other, _names in _bank_imports(statements[module]):
            if other not in order:
                visit(other)
        order.append(module)

    visit(next(iter(statements)))
    return list(dict.fromkeys(order))


def _source(module: str) -> str:
    return Path(sys.modules[module].__file__ or "").read_text(encoding="utf-8")
