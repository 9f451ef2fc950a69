"""Make the pictures of README.md and of the guides in docs/screenshots/: all sets of them, or those named.

python scripts/screenshots.py [SET ...]

A set is a module of scripts/pictures/ with a function `take(folder)`, which works in an empty folder.
"""

import importlib
import pkgutil
import sys
import tempfile
from pathlib import Path

import pictures

SETS = sorted(module.name for module in pkgutil.iter_modules(pictures.__path__))


def main() -> None:
    """Take the sets that the command line names."""
    chosen = sys.argv[1:] or SETS
    if unknown := set(chosen) - set(SETS):
        sys.exit(f"error: expected sets out of {', '.join(SETS)}; got {', '.join(sorted(unknown))}")
    for name in chosen:
        with tempfile.TemporaryDirectory(prefix="tl_course_screenshots_", ignore_cleanup_errors=True) as folder:
            importlib.import_module(f"pictures.{name}").take(Path(folder))


if __name__ == "__main__":
    main()
