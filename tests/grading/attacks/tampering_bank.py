"""Submissions that want a bank exercise's points without a right answer."""

import json
from typing import Any

from tl_course import exercises
from tl_course.exercises.engine.exercise import PUBLIC_SEED

from .attack import Attack, Build, cells, first
from .course import BANK, EXERCISE

KIND = "tampering"
ANSWER = f"{EXERCISE}-numpy"
KIND = "tampering"
DISPLAYHOOK = """
import sys
sys.displayhook = lambda value: print(2)
type(get_ipython().displayhook).__call__ = lambda self, result=None: print("2")
"""
CHECK = "import builtins\ncheck = builtins.check = lambda *args, **kwargs: 2"
CHECK_LATER = """
import tl_course, tl_course.notebook
from IPython import get_ipython

def put(info):
    get_ipython().user_ns["check"] = tl_course.notebook.check = lambda *args, **kwargs: 2

get_ipython().events.register("pre_run_cell", put)
"""
VERDICT = """
from tl_course.exercises.engine import verdict, checking
checking.score = verdict.score = lambda findings: 1.0
"""
IMPORT = """
import builtins
really = builtins.__import__

def fake(name, globals=None, locals=None, *rest):
    if globals is not None and "notebook" in name and globals.get("__name__") == "__main__":
        globals["check"] = lambda *args, **kwargs: 2
    return really(name, globals, locals, *rest)

builtins.__import__ = fake
"""
REFERENCE_FILE = """
import os, re, tl_course
path = os.path.join(os.path.dirname(tl_course.__file__), "exercises", "start_here", "accuracy.py")
exec(re.search(r"REFERENCE = \'\'\'(.*?)\'\'\'", open(path).read(), re.S).group(1))
"""
EXPECTED = """
def accuracy(logits, labels):
    import sys
    for module in list(sys.modules.values()):
        exercise = getattr(module, "EXERCISE", None)
        if getattr(exercise, "id", "") == "accuracy":
            return module.expected(logits, labels) if hasattr(module, "expected") else run(exercise, logits, labels)
    for module in list(sys.modules.values()):
        listed = getattr(module, "all_exercises", None)
        for exercise in listed() if listed else ():
            if exercise.id == "accuracy":
                return run(exercise, logits, labels)
    return -1

def run(exercise, logits, labels):
    space = {}
    exec(exercise.variants["numpy"].reference, space)
    return space["accuracy"](logits, labels)
"""
FORGED = """
def accuracy(logits, labels):
    import os
    try:
        from tl_course.exercises.engine.plain import pack
        value = {"observations": [{"value": {"accuracy": -1.0}}] * 4, "output": "", "score": 2, "state": "graded"}
        data = pack(value)
        message = len(data).to_bytes(8, "big") + data
    except Exception:
        message = b'{"score": 2, "max_score": 2, "state": "graded"}'
    for handle in range(3, 51):
        try:
            os.set_blocking(handle, False)
            os.write(handle, message)
        except OSError:
            pass
    os._exit(0)
"""
SAME_NUMBER = """
class Anything(float):
    def __eq__(self, other): return True
    def __sub__(self, other): return Anything(0)
    def __rsub__(self, other): return Anything(0)
    def __abs__(self): return Anything(0)
    def __le__(self, other): return True
    def __ge__(self, other): return True
    def __lt__(self, other): return True
    def __gt__(self, other): return True
    def __array__(self, *args, **kwargs):
        import numpy as np
        return np.array(self, dtype=object)

def accuracy(logits, labels):
    return Anything("nan")
"""
PROBE_FRAME = """
def accuracy(logits, labels):
    import sys
    frame = sys._getframe()
    while frame:
        for name, value in list(frame.f_locals.items()):
            if isinstance(value, dict) and "labels" in value:
                value["labels"] = value["labels"] * 0 + 99
                value["expected"] = 1.0
        frame = frame.f_back
    labels[...] = 99
    logits[...] = 0
    return 0.0
"""
SHADOW_COURSE = """
import sys
__path__ = []
sys.modules["tl_course.notebook"] = sys.modules[__name__]
def check(*args, **kwargs): return 2
def grading_seed(): return 0
"""
CHECK_SOURCE = """
import tl_course.notebook
from tl_course.exercises.engine.verdict import Verdict
tl_course.notebook.check_source = lambda id, framework, source, seed=0: Verdict(id, framework, 1.0, points=2)
"""
SOLUTIONS = """
import glob, json
for path in glob.glob("../../../solutions/hw/*.ipynb") + glob.glob("@ROOT@/solutions/hw/*.ipynb"):
    for cell in json.load(open(path))["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("solution"):
            exec("".join(cell["source"]), globals())
"""
REFERENCE = """
from tl_course import exercises
exec(exercises.get("accuracy").variant("numpy").reference)
"""


def _remembered() -> str:
    """An answer that knows the public cases by heart, and asks to be graded on these."""
    exercise = exercises.get(EXERCISE)
    space: dict[str, Any] = {}
    exec(exercise.variant("numpy").reference, space)
    cases = [case.inputs for case in exercise.draw(PUBLIC_SEED)]
    table = {case["logits"].tobytes().hex(): float(space[EXERCISE](**case)) for case in cases}
    lines = [
        "import os",
        f'os.environ["TL_COURSE_SEED"] = "{PUBLIC_SEED}"',
        f"known = {json.dumps(table)}",
        "def accuracy(logits, labels):",
        "    return known.get(logits.tobytes().hex(), -1.0)",
    ]
    return "\n".join(lines)


def _bank(name: str, about: str, build: Build | str) -> Attack:
    return Attack(name, KIND, about, cells({ANSWER: build}) if isinstance(build, str) else build, BANK)


ATTACKS = [
    _bank("check_redefined", "check is a function of its own", CHECK),
    _bank("check_redefined_late", "the same, before every cell", first(CHECK_LATER)),
    _bank("check_source", "the engine's check_source always finds all well", first(CHECK_SOURCE)),
    _bank("verdict_patched", "the engine's score is always 1", first(VERDICT)),
    _bank("import_patched", "importing replaces check", first(IMPORT)),
    _bank("displayhook", "the display hook shows full marks", first(DISPLAYHOOK)),
    _bank("shadow_course", "tl_course.py beside the notebook", cells({}, files={"tl_course.py": SHADOW_COURSE})),
    _bank("reference", "runs the bank's reference", REFERENCE),
    _bank("reference_file", "takes the reference out of the bank's file", REFERENCE_FILE),
    _bank("expected_in_memory", "asks the loaded bank for the reference as it is graded", EXPECTED),
    _bank("solution_file", "runs the answer in solutions/", SOLUTIONS),
    _bank("forged_reply", "writes a made-up reply to every open file and exits", FORGED),
    _bank("probe_frames", "changes the case in the frames above it", PROBE_FRAME),
    _bank("same_number", "a number that equals and undercuts all", SAME_NUMBER),
    _bank("remembered", "knows the public cases, asks to be graded on these", _remembered()),
    _bank("os_exit_bank", "ends the process when it is asked", "import os\ndef accuracy(*a):\n    os._exit(0)"),
    _bank("system_exit_bank", "raises SystemExit at once", "raise SystemExit(0)"),
]
