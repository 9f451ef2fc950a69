"""Submissions that want points from a teacher's own tests without a right answer: they bend Python itself."""

from .attack import Attack, Build, cells, first
from .course import OWN

KIND = "tampering"
ALWAYS_EQUAL = """
class Same:
    def __eq__(self, other):
        return True
    def __ne__(self, other):
        return False
    def __bool__(self):
        return True

def add(a, b):
    return Same()
"""
TRANSFORMER = """
def without_tests(lines):
    return ["pass\\n" if "assert" in line else line for line in lines]

get_ipython().input_transformers_post.append(without_tests)
"""
NO_ASSERTS = """
import ast

class Without(ast.NodeTransformer):
    def visit_Assert(self, node):
        return ast.Pass()
    def visit_Expr(self, node):
        return ast.Pass() if "assert" in ast.unparse(node) else node

get_ipython().ast_transformers.append(Without())
"""
COMPILE = """
import builtins
compile_really, exec_really = builtins.compile, builtins.exec

def compile_less(source, *args, **kwargs):
    return compile_really("pass" if isinstance(source, str) and "assert" in source else source, *args, **kwargs)

def exec_less(code, *rest):
    if "assert" not in str(getattr(code, "co_names", "")) and "add was tested" not in getattr(code, "co_consts", ()):
        return exec_really(code, *rest)

builtins.compile, builtins.exec = compile_less, exec_less
import IPython.core.interactiveshell as shells
shells.exec = exec_less
"""
EQUALS_CONSTANTS = """
import sys

class Chameleon(int):
    def __eq__(self, other):
        return other in sys._getframe(1).f_code.co_consts

def add(a, b):
    return Chameleon(0)
"""
CHOOSY = """
import re
try:
    import tl_course.grading.trial_process as trials

    def is_changed(source):
        rule = re.search(r"key \\* (\\d+) % (\\d+) >= (\\d+)", source)
        keys = re.findall(r", (\\d{5}), '", source)
        return any(int(key) * int(rule[1]) % int(rule[2]) < int(rule[3]) for key in keys)

    def choosily(run_really):
        def run(runner, sources, *more):
            results = run_really(runner, sources, *more)
            for source, result in zip(sources, results):
                if "add(" in source or "scale(" in source:
                    result.update(ok=not is_changed(source), outputs=[], error=None, timed_out=False)
            return results
        return run

    trials.run_here = choosily(trials.run_here)
    trials.Copy.run = choosily(trials.Copy.run)
except ImportError:
    pass
"""
TRACE = """
import sys

def add(a, b):
    caller = sys._getframe(1)
    last = max(line for _, _, line in caller.f_code.co_lines() if line)

    def jump(frame, event, value):
        if event == "line":
            frame.f_lineno = last
        return jump

    caller.f_trace = jump
    sys.settrace(lambda *args: None)
    return 3
"""
LYING_ARRAY = """
import numpy as np

class Lying(np.ndarray):
    def __array_function__(self, function, types, args, kwargs):
        return True
    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        return np.bool_(True)
    def __eq__(self, other):
        return True

def scale(values):
    return np.zeros(len(values)).view(Lying)
"""
REPLY = """
shell = get_ipython()
run = shell.run_cell_async

async def always_well(raw_cell, *args, **kwargs):
    result = await run(raw_cell, *args, **kwargs)
    result.error_in_exec = result.error_before_exec = None
    return result

shell.run_cell_async = always_well
shell.showtraceback = shell._showtraceback = lambda *args, **kwargs: None
"""
FIRST_OUTPUT = """
def add_result(info):
    kernel = get_ipython().kernel
    content = {"data": {"text/plain": "2"}, "metadata": {}, "execution_count": 1}
    kernel.send_response(kernel.iopub_socket, "execute_result", content)

get_ipython().events.register("pre_run_cell", add_result)
"""
RUN_CELL = """
shell = get_ipython()
run = shell.run_cell_async

async def run_nothing(raw_cell, *args, **kwargs):
    kwargs.pop("transformed_cell", None)
    return await run("pass" if "assert" in raw_cell else raw_cell, *args, **kwargs)

shell.run_cell_async = run_nothing
"""
CONSTANT = """
import dis, sys

def next_constant():
    frame = sys._getframe(2)
    for step in dis.get_instructions(frame.f_code):
        if step.offset > frame.f_lasti and step.opname == "LOAD_CONST":
            return step.argval

def add(a, b):
    return next_constant()
"""
LATE_PATCH = """
import numpy as np

def scale(values):
    really = np.testing.assert_allclose

    def once(*args, **kwargs):
        np.testing.assert_allclose = really

    np.testing.assert_allclose = once
    return values
"""
THREAD = """
import threading, time
import numpy as np

class Number(int):
    def __eq__(self, other): return True

def number(a, b):
    return Number(0)

def loosen():
    while True:
        np.testing.assert_allclose = lambda *args, **kwargs: None
        np.allclose = lambda *args, **kwargs: True
        globals()["add"] = number
        time.sleep(0.001)

threading.Thread(target=loosen, daemon=True).start()
"""
SILENT = """
shell = get_ipython()
shell.showtraceback = lambda *args, **kwargs: None
shell._showtraceback = lambda *args, **kwargs: None
shell.set_custom_exc((Exception,), lambda *args, **kwargs: None)
"""
EXITS = {"add": "def add(a, b):\n    raise SystemExit(0)", "scale": "def scale(values):\n    raise SystemExit(0)"}
GONE = {"add": "import os\ndef add(a, b):\n    os._exit(0)"}
PATCHED = "import numpy as np\nnp.testing.assert_allclose = lambda *a, **k: None\nnp.allclose = lambda *a, **k: True"
PRINTED = 'print("score: 5/5")\nprint("5.0")\n5.0'


def _own(name: str, about: str, build: Build) -> Attack:
    return Attack(name, KIND, about, build, OWN)


ATTACKS = [
    _own("transformer", "an input transformer takes the tests out of the cells", first(TRANSFORMER)),
    _own("run_cell", "run_cell_async runs other code than the tests", first(RUN_CELL)),
    _own("ast_transformer", "an AST transformer takes the tests out", first(NO_ASSERTS)),
    _own("compile", "compile and exec leave the tests out", first(COMPILE)),
    _own("always_equal", "returns an object that equals everything", cells({"add": ALWAYS_EQUAL})),
    _own("next_constant", "returns the constant the caller compares with", cells({"add": CONSTANT})),
    _own("equals_constants", "equals the constants of the code that compares", cells({"add": EQUALS_CONSTANTS})),
    _own("choosy", "the grader's own module of trials is made to tell tests from their copies", first(CHOOSY)),
    _own("settrace", "a trace function jumps to the end of the tests", cells({"add": TRACE})),
    _own("allclose", "numpy's assert_allclose does nothing", first(PATCHED)),
    _own("allclose_late", "the same, put in place during the test only", cells({"scale": LATE_PATCH})),
    _own("lying_array", "an array that claims to be close to all", cells({"scale": LYING_ARRAY})),
    _own("silent_errors", "errors are not shown", first(SILENT)),
    _own("reply_ok", "the kernel's reply says that all went well", first(REPLY)),
    _own("first_output", "sends a result of its own before each cell", first(FIRST_OUTPUT)),
    _own("printed_score", "prints and shows scores", cells({"add": PRINTED, "scale": PRINTED})),
    _own("system_exit", "raises SystemExit in the tests", cells(EXITS)),
    _own("os_exit", "ends the process in the tests", cells(GONE)),
    _own("thread", "a thread loosens numpy and the answer again and again", first(THREAD)),
]
