"""Submissions that know how tests are run here: in copies of their process, among changed ones, or once all has run."""

from .attack import TELL, WRONG, Attack, Build, cells, first
from .course import BANK, EXERCISE, OWN
from .tampering import CONSTANT

KIND = "tampering"
SEEN = """
def seen():
    frame, found = sys._getframe(1), []
    while frame:
        found += [frame.f_code.co_consts, frame.f_globals.get("In"), dict(frame.f_locals)]
        frame = frame.f_back
    return sorted(set(re.findall(r"CANARY-hidden-[0-9a-f]{16}", repr(found))))
"""
IN_COPIES = (
    CONSTANT
    + """
import os
process = os.getpid()

def add(a, b):
    return next_constant() if os.getpid() != process else a + b
"""
)
KNOWS_VISIBLE = (
    CONSTANT
    + """
def add(a, b):
    numbers = [number for number in sys._getframe(1).f_code.co_consts if type(number) is int]
    return next_constant() if {1, 2, 3} <= set(numbers) else None
"""
)
NAMED_REAL = (
    CONSTANT
    + """
def is_real():
    frame = sys._getframe(2)
    text = told = None
    while frame:
        text = text or frame.f_locals.get("source") or frame.f_locals.get("raw_cell")
        task = frame.f_locals.get("task")
        told = task if isinstance(task, dict) and "sources" in task else told
        frame = frame.f_back
    return told is None or told["sources"].index(text) == told.get("real")

def add(a, b):
    return next_constant() if is_real() else None
"""
)
SCORED = """
try:
    from tl_course.grading import cells
    run_really = cells.CellRunner.run

    def run(self, source, brief=False):
        ran = run_really(self, source, brief)
        if "add(" in source:
            data = {"text/plain": "3"}
            value = {"output_type": "execute_result", "data": data, "metadata": {}, "execution_count": 1}
            return cells.Ran(False, [value], "AssertionError")
        return ran

    cells.CellRunner.run = run
except ImportError:
    pass
"""
FORGED_FRAMES = """
import json, os

def add(a, b):
    value = {"output_type": "execute_result", "data": {"text/plain": "3"}, "metadata": {}, "execution_count": 1}
    for ok in (True, False):
        result = json.dumps({"ok": ok, "outputs": [value], "error": None, "timed_out": False}).encode()
        for handle in range(3, 51):
            try:
                os.set_blocking(handle, False)
                os.write(handle, (len(result).to_bytes(8, "big") + result) * 8)
            except OSError:
                pass
    os._exit(0)
"""
PATCHED_CELLS = """
try:
    from tl_course.grading import cells
    run_really = cells.CellRunner.run

    def run(self, source, brief=False):
        ran = run_really(self, source, brief)
        return cells.Ran(True, [], None) if "assert" in source or "allclose" in source else ran

    cells.CellRunner.run = run
except ImportError:
    pass
"""
WRITES = """
def add(a, b):
    with open("seen.txt", "a") as file:
        file.writelines(word[::-1] + "\\n" for word in seen())
"""
SHARED = """
import mmap
page = mmap.mmap(-1, 4096)

def add(a, b):
    for word in seen():
        page[:len(word)] = word[::-1].encode()
"""
RAISES = "def add(a, b):\n    raise ValueError(' '.join(word[::-1] for word in seen()))"
NAMES = "def add(a, b):\n    raise type(' '.join(word[::-1] for word in seen()), (Exception,), {})()"
PRINTS = "def add(a, b):\n    for word in seen():\n        print(word[::-1])\n        display(word[::-1])"
OBSERVED = """
try:
    from tl_course.exercises.engine import child

    def observed(function, probe, cases):
        return {"observations": [{"value": {"accuracy": 0.5, "value": 0.5}, "passed": True} for _ in cases]}

    child.observe = observed
except ImportError:
    pass
exec("def he" + "lper(logits, labels):\\n    return -1.0")
"""
NEEDS_ALL = "def accuracy(logits, labels):\n    return helper(logits, labels)"


def _own(name: str, about: str, build: Build, kind: str = KIND) -> Attack:
    return Attack(name, kind, about, build, OWN)


def _seen(source: str, last: str = "") -> Build:
    """An answer that has `seen`, and a last cell."""
    plain = cells({**WRONG, "add": TELL + SEEN + source})

    def build(folder, notebook):
        if last:
            cell = {"cell_type": "code", "metadata": {}, "source": last, "outputs": [], "execution_count": None}
            notebook["cells"].append({**cell, "id": "last"})
        plain(folder, notebook)

    return build


ATTACKS = [
    _own("in_copies", "works in its own process, returns the caller's constants in copies", cells({"add": IN_COPIES})),
    _own(
        "knows_visible", "the caller's constants, where the visible ones are unchanged", cells({"add": KNOWS_VISIBLE})
    ),
    _own("named_real", "looks in the frames above for which copy counts", cells({"add": NAMED_REAL})),
    _own(
        "scored_failure", "the grader's runner of cells gives each test a score, and says that it failed", first(SCORED)
    ),
    _own("forged_frames", "writes scores to every open pipe in the copy", cells({"add": FORGED_FRAMES})),
    _own("patched_cells", "the grader's runner of cells says that tests pass", first(PATCHED_CELLS)),
    _own(
        "copy_writes",
        "writes the hidden test to a file, and a later cell prints it",
        _seen(WRITES, "print(open('seen.txt').read())"),
        "snooping",
    ),
    _own(
        "copy_shares",
        "puts the hidden test into shared memory, and a later cell prints it",
        _seen(SHARED, "print(page[:])"),
        "snooping",
    ),
    _own("copy_raises", "raises an error with the hidden test as its text", _seen(RAISES), "snooping"),
    _own("copy_names", "raises an error with the hidden test as its name", _seen(NAMES), "snooping"),
    _own("copy_prints", "prints and displays the hidden test", _seen(PRINTS), "snooping"),
    Attack(
        "observed",
        KIND,
        "needs the whole notebook, which changes how it is observed",
        cells({f"{EXERCISE}-numpy": NEEDS_ALL}, first=OBSERVED),
        BANK,
    ),
]
