"""Importing the package is cheap, loads no framework, and offers exactly the names it lists."""

import json
import subprocess
import sys

import pytest

FRAMEWORKS = ("torch", "tensorflow", "keras", "transformers", "sklearn", "pandas", "matplotlib")
FUNCTIONS = (
    *("answer", "check", "claim", "compare", "hint", "home"),
    *("progress", "quiz", "reset", "restore", "solution", "start"),
)
MODULES = ("assets", "bench", "data", "diagrams", "evidence", "plots", "probes", "zoo")


def in_fresh_process(code: str) -> str:
    """What a new interpreter prints; anything it writes to stderr is a failure."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "module", ["tl_course", "tl_course.assets", "tl_course.data", "tl_course.cli", "tl_course.exercises"]
)
def test_importing_loads_no_framework(module: str) -> None:
    loaded = json.loads(in_fresh_process(f"import {module}, sys, json; print(json.dumps(list(sys.modules)))"))
    assert module in loaded
    assert sorted(set(FRAMEWORKS) & set(loaded)) == []


def test_public_names_are_listed_and_resolve() -> None:
    code = """if True:
        import json, types, tl_course
        kinds = {name: isinstance(getattr(tl_course, name), types.ModuleType) for name in tl_course.__all__}
        print(json.dumps([kinds, sorted(set(tl_course.__all__) - set(dir(tl_course)))]))
    """
    kinds, not_in_dir = json.loads(in_fresh_process(code))
    assert kinds == {"__version__": False, **dict.fromkeys(MODULES, True), **dict.fromkeys(FUNCTIONS, False)}
    assert not_in_dir == []


def test_functions_stay_functions_when_everything_has_been_imported() -> None:
    code = """if True:
        import tl_course.lessons, tl_course.records, tl_course.notebook, tl_course
        print(*(callable(getattr(tl_course, name)) for name in %r))
    """
    assert set(in_fresh_process(code % (FUNCTIONS,)).split()) == {"True"}


def test_an_unknown_name_is_an_attribute_error() -> None:
    import tl_course

    with pytest.raises(AttributeError, match="no attribute 'frobnicate'"):
        _ = tl_course.frobnicate  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.slow
def test_tensorflow_loads_without_writing_a_line() -> None:
    """`in_fresh_process` fails on any stderr; TensorFlow alone writes several lines there."""
    code = "import warnings; warnings.simplefilter('ignore'); import tl_course, tensorflow; print(tensorflow.__name__)"
    assert in_fresh_process(code) == "tensorflow\n"


def test_only_start_up_lines_are_taken_out_of_stderr() -> None:
    code = """if True:
        import os
        from tl_course import quiet
        with quiet.without_start_up_lines():
            os.write(2, b"I0000 00:00:1 2 port.cc:153] oneDNN custom operations are on.\\nE0000 real trouble\\n")
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stderr == "E0000 real trouble\n"


def test_a_users_own_setting_is_kept() -> None:
    name = "TF_CPP_MIN_LOG_LEVEL"
    code = f"import os; os.environ[{name!r}] = '0'; import tl_course; print(os.environ[{name!r}])"
    assert in_fresh_process(code) == "0\n"
