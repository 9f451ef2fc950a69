"""Run the project's checks one after the other, all of them even where one fails: `make test` and `make lint`.

    python scripts/run_tests.py [STEP …]        no STEP: every one

Exit code 0 if all passed, 1 if any failed, 2 if a STEP is unknown.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
BIN = Path(PYTHON).parent
# A notebook's cells stay together, in their order; files are handed out as they come, not those with most tests first.
PYTEST = [PYTHON, "-m", "pytest", "--dist", "loadfile", "--no-loadscope-reorder"]
NBVAL = ["--nbval", "--nbval-cell-timeout=300", "--timeout=900"]


def solutions() -> list[str]:
    """The executed lessons, the longest first: what is short fills the time of all workers to the end."""
    seconds = {}
    for path in sorted((ROOT / "solutions").glob("*/*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        seconds[str(path)] = notebook["metadata"].get("tl_course", {}).get("seconds") or 0
    return sorted(seconds, key=seconds.__getitem__, reverse=True)


STEPS = {
    "lint": [PYTHON, "-m", "ruff", "check", "."],
    "format": [PYTHON, "-m", "ruff", "format", "--check", "."],
    "types": [PYTHON, "-m", "basedpyright"],
    "audit": [PYTHON, "-m", "tl_course.cli", "audit", "--changed", "--jobs", "2"],
    "nbval": [*PYTEST, "-n", "3", *NBVAL, *solutions()],  # a third lesson runs while kernels of others start
    "pytest": [*PYTEST, "-n", "2"],  # last: its summary is what a reader looks for at the end
}


def main(chosen: list[str]) -> int:
    unknown = [name for name in chosen if name not in STEPS]
    if unknown:
        print(f"error: expected steps among {', '.join(STEPS)}; got {unknown[0]}; name one of them", file=sys.stderr)
        return 2
    # The virtual environment's programs (nbgrader, jupyter) must be found, and two workers share two cores.
    # A learner's progress stays as it is, and grading draws the inputs that the committed outputs come from.
    home = tempfile.TemporaryDirectory(prefix="tl_course_tests_", ignore_cleanup_errors=True)
    # Tests and lessons expect English. Threads that wait must not spin: two workers of two threads on two cores took
    # 2.5 times as long.
    course = {"TL_COURSE_HOME": home.name, "TL_COURSE_SEED": "1", "OMP_WAIT_POLICY": "PASSIVE", "LANGUAGE": "en"}
    environment = {**os.environ, **course, "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"}
    failed = []
    for name in chosen or STEPS:
        print(f"==> {name}", flush=True)
        started = time.monotonic()
        if subprocess.run(STEPS[name], cwd=ROOT, env=environment).returncode:
            failed.append(name)
        print(f"==> {name}: {'FAILED' if name in failed else 'ok'} in {time.monotonic() - started:.0f} s", flush=True)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
