"""A transfer-learning course that grades itself, in PyTorch and Keras.

Importing this package loads no framework. Submodules and notebook functions load when they are first used:

    from tl_course import check, hint, data, zoo
"""

from importlib import import_module
from typing import TYPE_CHECKING

from tl_course import quiet

if TYPE_CHECKING:
    from tl_course import assets, bench, data, diagrams, evidence, plots, probes, zoo
    from tl_course.notebook import answer, check, claim, hint, progress, quiz, reset, solution, start

    __version__: str

__all__ = [
    "__version__",
    "answer",
    "assets",
    "bench",
    "check",
    "claim",
    "data",
    "diagrams",
    "evidence",
    "hint",
    "plots",
    "probes",
    "progress",
    "quiz",
    "reset",
    "solution",
    "start",
    "zoo",
]

_MODULES = frozenset({"assets", "bench", "data", "diagrams", "evidence", "plots", "probes", "zoo"})
_NOTEBOOK = frozenset({"answer", "check", "claim", "hint", "progress", "quiz", "reset", "solution", "start"})

quiet.frameworks()


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return import_module(f"tl_course.{name}")
    if name in _NOTEBOOK:
        return getattr(import_module("tl_course.notebook"), name)
    if name == "__version__":
        return import_module("importlib.metadata").version("tl-course")
    raise AttributeError(f"module 'tl_course' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
