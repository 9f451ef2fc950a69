"""Cells run without a kernel put out what they put out in a notebook, and nothing they do escapes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tl_course.grading.cell_outputs import DATA_KEPT, TEXT_KEPT, TRACEBACK_KEPT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
WORKER = Path(__file__).with_name("cell_worker.py")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cells")
    (folder / "numpy.py").write_text("raise RuntimeError('the file beside the notebook')")
    (folder / "json.py").write_text("raise RuntimeError('the file beside the notebook')")
    (folder / "beside.py").write_text("answer = 42")
    worker = subprocess.Popen([sys.executable, str(WORKER)], stdin=-1, stdout=-1, text=True, cwd=folder)

    def send(*cells, names=None):
        worker.stdin.write(json.dumps({"cells": cells, "trials": [], "mode": "here", "names": names}) + "\n")
        worker.stdin.flush()
        return json.loads(worker.stdout.readline())[0]

    yield send
    worker.stdin.close()
    worker.stdout.close()
    worker.wait()


def test_streams_and_value_in_order(run):
    (ran,) = run("import sys\nprint('a')\nprint('b')\nprint('c', file=sys.stderr)\nprint('d')\n1 + 1")
    kinds = [(output["output_type"], output.get("name"), output.get("text")) for output in ran["outputs"]]
    assert kinds[:3] == [("stream", "stdout", "a\nb\n"), ("stream", "stderr", "c\n"), ("stream", "stdout", "d\n")]
    assert ran["outputs"][3] == {
        "output_type": "execute_result",
        "execution_count": 1,
        "data": {"text/plain": "2"},
        "metadata": {},
    }
    assert ran["ok"] and ran["error"] is None


def test_names_last_across_cells_and_are_those_of_a_notebook(run):
    *_others, ran = run(
        "x = 1",
        "y = x + 1; y",
        "(x, y, _, Out[2], In[1], __name__, get_ipython() is not None, given)",
        names={"given": 5},
    )
    assert ran["outputs"][0]["data"]["text/plain"] == "(1, 2, 2, 2, 'x = 1', '__main__', True, 5)"


@pytest.mark.parametrize("magic", ["cd .", "cd -", "pushd .", "dhist", "bookmark here"])
def test_magics_that_remember_folders_work(run, magic):
    _first, ran = run("%cd .", f"%{magic}")
    assert ran["ok"], ran["outputs"]


def test_outputs_are_valid_notebook_outputs(run):
    import nbformat

    ran = run("print(1)", "1/0", "display({'a': 1}); 3", "import sys; sys.stderr.write('x')", "%%time\n1", "def f(:")
    cells = [nbformat.v4.new_code_cell(outputs=[nbformat.from_dict(o) for o in one["outputs"]]) for one in ran]
    nbformat.validate(nbformat.v4.new_notebook(cells=cells))


def test_display_update_and_clear(run):
    from_ = "from IPython.display import HTML, clear_output, display\n"
    shown, updated, cleared = run(
        from_ + "display(HTML('<b>x</b>'))",
        "h = display(1, display_id=True); h.update(2)",
        from_ + "print('gone'); clear_output(wait=True); print('stays')",
    )
    assert shown["outputs"][0]["data"]["text/html"] == "<b>x</b>"
    assert [output["data"] for output in updated["outputs"]] == [{"text/plain": "2"}]
    assert [output["text"] for output in cleared["outputs"]] == ["stays\n"]


@pytest.mark.parametrize("before", ["", "%matplotlib inline"])
def test_figures_are_shown_at_the_end_of_the_cell(run, before):
    plot = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nprint('drawn')\nplt.title('t');"
    ran = run(before + "\n" + plot, "print('next')")
    assert [output["output_type"] for output in ran[0]["outputs"]] == ["stream", "display_data"]
    assert ran[0]["outputs"][1]["data"]["image/png"].startswith("iVBOR")
    assert len(ran[1]["outputs"]) == 1


def test_matplotlib_is_left_alone_until_a_notebook_imports_it(run):
    assert run("import sys\n'matplotlib' in sys.modules")[0]["outputs"][0]["data"]["text/plain"] == "False"


def test_a_traceback_reads_without_colours(run):
    _first, ran = run("def f(x):\n    return 1 / x", "f(0)")
    error = ran["outputs"][0]
    assert (ran["ok"], ran["error"], error["ename"], error["evalue"]) == (
        False,
        "ZeroDivisionError",
        "ZeroDivisionError",
        "division by zero",
    )
    text = "\n".join(error["traceback"])
    assert "return 1 / x" in text and "\x1b" not in text


def test_top_level_await_magics_and_a_warning(run):
    awaited, timed, warned = run(
        "import asyncio\nawait asyncio.sleep(0)\n7", "%timeit -n1 -r1 1", "import warnings; warnings.warn('old')"
    )
    assert awaited["outputs"][0]["data"]["text/plain"] == "7"
    assert "loop" in timed["outputs"][0]["text"]
    assert warned["outputs"][0]["name"] == "stderr" and "old" in warned["outputs"][0]["text"]


def test_input_is_refused_at_once(run):
    for ran in run("input('name?')", "import getpass; getpass.getpass()"):
        assert ran["error"] == "StdinNotImplementedError"


def test_a_file_beside_the_notebook_stands_in_for_nothing_installed(run):
    first, second, third = run("import numpy; numpy.zeros(1)", "import json", "import beside; beside.answer")
    assert first["ok"] and second["ok"] and third["outputs"][0]["data"]["text/plain"] == "42"


ENDS = {
    "SystemExit": "raise SystemExit(3)",
    "KeyboardInterrupt": "raise KeyboardInterrupt",
    "Cruel": "class Cruel(BaseException):\n    def __str__(self): raise self\n    __repr__ = __str__\nraise Cruel()",
    "ZeroDivisionError": "get_ipython().showtraceback = lambda *a, **k: None\n1/0",
    "ValueError": "class R:\n    def __repr__(self): raise ValueError\nR()",
    "UsageError": "%nosuch",
    "ExceptionGroup": "raise ExceptionGroup('x', [ValueError(1)])",
    "SyntaxError": "def f(:",
    "RecursionError": "def g(): return g()\ng()",
}


@pytest.mark.parametrize("name", ENDS)
def test_a_cell_that_ends_badly_is_an_error_and_the_next_one_runs(run, name):
    ran, after = run(ENDS[name], "print('still here')")
    assert ran["error"] == name
    assert [output["output_type"] for output in ran["outputs"]].count("error") == 1
    assert after["ok"] and after["outputs"][0]["text"] == "still here\n"


SURVIVED = {
    "no stdout": "import sys; sys.stdout = None",
    "closed": "import sys; sys.stdout.close(); sys.stderr.close()",
    "low recursion limit": "import sys; sys.setrecursionlimit(60)",
    "tracing": "import sys\ndef t(*a): raise ValueError\nsys.settrace(t)",
    "forked": "import os; os.fork()",
    "written to the descriptors": "import os; os.write(1, b'\\xff{{{'); os.write(2, b'x')",
    "a class that lies about its name": (
        "class Meta(type):\n    __name__ = property(lambda self: 1 / 0)\n"
        "class Liar(Exception, metaclass=Meta): pass\nraise Liar('x')"
    ),
    "exit hook": "import sys; sys.excepthook = None",
}


@pytest.mark.parametrize("name", SURVIVED)
def test_what_a_cell_leaves_behind_does_not_stop_the_next(run, name):
    *_first, after = run(SURVIVED[name], "print('still here')")
    assert after["ok"] and after["outputs"][0]["text"] == "still here\n"


def test_an_interpreter_that_says_nothing_is_an_error(run):
    patch = "async def nothing(*a, **k): return None\nget_ipython().run_cell_async = nothing"
    assert not run(patch, "1")[1]["ok"]


def test_bounds(run):
    text, data, deep, many = run(
        "for i in range(100_000): print(i, 'x' * 10)",
        "from IPython.display import HTML\nHTML('y' * 5_000_000)",
        "raise ValueError('\\n'.join(['line'] * 1000))",
        "for i in range(2000): display(i)",
    )
    written = "".join(output["text"] for output in text["outputs"])
    assert TEXT_KEPT < len(written) < TEXT_KEPT + 100 and "characters left out" in written
    assert written.startswith("0 xxx") and written.endswith("99999 xxxxxxxxxx\n")
    assert len(json.dumps(data)) < DATA_KEPT and "left out" in data["outputs"][0]["data"]["text/plain"]
    assert len(deep["outputs"][0]["traceback"]) <= TRACEBACK_KEPT
    assert len(many["outputs"]) == 500


def test_half_characters_are_replaced(run):
    (ran,) = run(
        "print('\\ud800')\ndisplay({'text/plain': '\\udc00', 'application/json': {'a': float('nan')}}, raw=True)"
    )
    json.dumps(ran, allow_nan=False).encode()
    assert ran["outputs"][0]["text"] == "?\n"
