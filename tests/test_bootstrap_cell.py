"""The first cell of a lesson, run in a Python without the course: it gets it, or says what is missing."""

import os
import subprocess
import sys
import sysconfig
import venv

import pytest

from tl_course import bootstrap_cell

PROJECT = """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "tl-course"
version = "1"
[tool.setuptools]
packages = ["tl_course"]
"""


@pytest.fixture
def environment(tmp_path):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "PIP_", "PYTHON", "TL_"))}
    git = {f"GIT_{role}_{what}": "a@b.example" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    offline = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_CONFIG_FILE": os.devnull}
    return kept | git | offline | {"HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}


@pytest.fixture
def python(tmp_path):
    """A Python without the course, with pip and setuptools of this one."""
    venv.create(tmp_path / "env", with_pip=False)
    (packages,) = (tmp_path / "env").glob("lib/python*/site-packages")
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))
    return tmp_path / "env" / "bin" / "python"


@pytest.fixture
def repository(tmp_path, environment):
    """A course so small that it installs at once."""
    folder = tmp_path / "repository"
    (folder / "tl_course").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "constraints.txt").touch()
    (folder / "tl_course" / "__init__.py").touch()
    (folder / "tl_course" / "cli.py").write_text("import sys; print('called with', *sys.argv[1:])")
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "course"]):
        subprocess.run(["git", "-C", folder, *command], check=True, env=environment)
    return f"file://{folder}"


def run(python, tmp_path, environment, after="", code=None, **variables):
    code = code or bootstrap_cell.source()
    command = [python, "-c", code + "\n" + after]
    return subprocess.run(command, cwd=tmp_path, env=environment | variables, capture_output=True, text=True)


def test_where_the_course_is_installed_the_cell_is_silent_and_leaves_the_rest_alone(tmp_path, environment):
    variables = {"PYTHONPATH": str(bootstrap_cell.PROJECT.parent), "TL_COURSE_REPOSITORY": "nowhere"}
    done = run(sys.executable, tmp_path, environment, "import tl_course", **variables)
    assert (done.returncode, done.stdout, done.stderr, list(tmp_path.iterdir())) == (0, "", "", [])


def test_the_cell_is_short():
    assert len(bootstrap_cell.source().splitlines()) <= 12


def test_it_gets_installs_and_imports_the_course_once(tmp_path, python, environment, repository):
    after = "import tl_course.cli; print(tl_course.__file__)"
    first = run(python, tmp_path, environment, after, TL_COURSE_REPOSITORY=repository)
    assert first.returncode == 0, first.stderr
    assert "called with assets fetch" in first.stdout
    assert str(tmp_path / "tl_course_clone" / "tl_course" / "__init__.py") in first.stdout
    again = run(python, tmp_path, environment, TL_COURSE_REPOSITORY="nowhere")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


@pytest.mark.parametrize("name", ["COLAB_RELEASE_TAG", "KAGGLE_KERNEL_RUN_TYPE"])
def test_on_a_host_the_address_is_the_projects(tmp_path, python, environment, repository, name):
    (tmp_path / "pyproject.toml").write_text(f'[project.urls]\nRepository = "{repository}-gone"')
    code = bootstrap_cell.source(tmp_path / "pyproject.toml")
    done = run(python, tmp_path, environment, code=code, **{name: "1"})
    assert done.returncode == 1 and f"RuntimeError: expected `git clone --depth=1 {repository}-gone" in done.stderr
    assert "check the network" in done.stderr
    elsewhere = run(python, tmp_path, environment, code=code)
    assert "choose the kernel" in elsewhere.stderr and not (tmp_path / "tl_course_clone").exists()


def test_without_an_address_it_says_what_to_do(tmp_path, python, environment):
    (tmp_path / "pyproject.toml").write_text("[project]")
    code = bootstrap_cell.source(tmp_path / "pyproject.toml")
    done = run(python, tmp_path, environment, code=code, COLAB_RELEASE_TAG="1")
    assert done.returncode == 1 and "RuntimeError: expected the course in this Python; got none" in done.stderr
