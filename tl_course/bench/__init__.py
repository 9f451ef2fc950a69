"""Speed against what a user would write instead, as ratios measured in one process: `run("features")`, `run("grade")`.

A ratio is ours over theirs in throughput: above 1 means faster.
"""

from importlib import import_module
from typing import Any

from tl_course.errors import BadInput
from tl_course.i18n import _

_BENCHMARKS = ("features", "train", "text", "distill", "grade", "grade-cluster")


def names() -> tuple[str, ...]:
    """Every benchmark."""
    return _BENCHMARKS


def run(name: str) -> dict[str, Any]:
    """Run a benchmark: name, ratios {label: median ratio}, runs, machine, and what else it measured.

    Raises:
        BadInput: there is no such benchmark.
    """
    if name not in _BENCHMARKS:
        raise BadInput(
            _("a benchmark of {names}").format(names=", ".join(_BENCHMARKS)), repr(name), _("name one of these")
        )
    return import_module(f"tl_course.bench.{name.replace('-', '_')}").run()
