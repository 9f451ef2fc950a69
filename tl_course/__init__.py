"""A transfer-learning course that grades itself, in PyTorch and Keras.

Importing this package loads no framework. Submodules and notebook functions load when they are first used:

    from tl_course import check, hint, data, zoo
"""

from importlib import import_module
from typing import TYPE_CHECKING

from tl_course import quiet

if TYPE_CHECKING:
    from tl_course import assets, bench, data, diagrams, evidence, plots, probes, zoo
    from tl_course.assistance import compare, hint, reset, restore, solution
    from tl_course.notebook import answer, check, claim, home, progress, quiz, start

    __version__: str

__all__ = [
    "__version__",
    "answer",
    "assets",
    "bench",
    "check",
    "claim",
    "compare",
    "data",
    "diagrams",
    "evidence",
    "hint",
    "home",
    "plots",
    "probes",
    "progress",
    "quiz",
    "reset",
    "restore",
    "solution",
    "start",
    "zoo",
]

_MODULES = frozenset({"assets", "bench", "data", "diagrams", "evidence", "plots", "probes", "zoo"})
_FUNCTIONS = {
    "assistance": frozenset({"compare", "hint", "reset", "restore", "solution"}),
    "notebook": frozenset({"answer", "check", "claim", "home", "progress", "quiz", "start"}),
}

quiet.frameworks()


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return import_module(f"tl_course.{name}")
    for module, names in _FUNCTIONS.items():
        if name in names:
            return getattr(import_module(f"tl_course.{module}"), name)
    if name == "__version__":
        return import_module("importlib.metadata").version("tl-course")
    raise AttributeError(f"module 'tl_course' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
