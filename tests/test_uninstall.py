"""`tl-course uninstall` in a clone with a small Python of its own: nothing is left but what the learner made."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tl_course import lessons
from tl_course.uninstall import Place, remove

TEXT = "a learner's work"


@pytest.fixture
def environment(tmp_path):
    """Folders of the user's, all of them below ``tmp_path``."""
    places = {
        "HOME": "user",
        "XDG_CACHE_HOME": "user/cache",
        "XDG_DATA_HOME": "user/data",
        "JUPYTER_RUNTIME_DIR": "user/runtime",
        "TMPDIR": "tmp",
    }
    for place in places.values():
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TL_COURSE", "GIT_", "PYTHON"))}
    git = {f"GIT_{role}_{what}": "a@b.example" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return kept | git | {name: str(tmp_path / place) for name, place in places.items()} | {"LANGUAGE": "en"}


@pytest.fixture
def clone(tmp_path, environment):
    folder = tmp_path / "clone"
    unneeded = shutil.ignore_patterns("__pycache__", "*.safetensors", "exercises", "cards")
    shutil.copytree(lessons.ROOT / "tl_course", folder / "tl_course", ignore=unneeded)
    (folder / "tl_course" / "exercises").mkdir()
    (folder / "tl_course" / "exercises" / "__init__.py").touch()
    shutil.copytree(
        lessons.ROOT / "tl_course" / "exercises" / "engine",
        folder / "tl_course" / "exercises" / "engine",
        ignore=unneeded,
    )
    write(folder / "notebooks" / "a.ipynb", "{}")
    shutil.copy(lessons.ROOT / ".gitignore", folder)
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "course"]):
        subprocess.run(["git", "-C", folder, *command], check=True, env=environment)
    return folder


@pytest.fixture
def python(clone):
    """A Python in the clone's .venv that finds the packages of this one."""
    venv.create(clone / ".venv", with_pip=False)
    found = clone / ".venv" / "bin" / "python"
    (packages,) = (clone / ".venv").glob("lib/python*/site-packages")
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))
    return found


def write(path, text="made by the course"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def fill(tmp_path, clone):
    """What the course leaves when it is used, and what a learner makes."""
    for name in ("cache/tl_course/assets/model/weights", "cache/tl_course/features/a.npz"):
        write(tmp_path / "user" / name)
    write(tmp_path / "tmp" / "tl_course_check_abcd1234" / "answer.py")
    for name in (
        "tl_course.egg-info/PKG-INFO",
        "tl_course/data/__pycache__/a.pyc",
        "build/site/a.html",
        ".pytest_cache/a",
    ):
        write(clone / name)
    work = [
        clone / name for name in ("notebooks/a.ipynb", "runs/one/model", "practice/a.py", "mine/b.py", "gradebook.db")
    ]
    work += [tmp_path / "user" / "data" / "tl_course" / name for name in ("progress.db", "before_update/1/a.ipynb")]
    work += [tmp_path / "user" / "cache" / "another" / "file", tmp_path / "tmp" / "tl_course_homework"]
    work += [tmp_path / "user" / "cache" / "tl_course" / "mine"]
    for path in work:
        write(path, TEXT)
    return work


def uninstall(python, clone, environment, *arguments, answer=""):
    command = [python, "-m", "tl_course.cli", "uninstall", *arguments]
    return subprocess.run(command, cwd=clone, env=environment, input=answer, capture_output=True, text=True)


def files(folder):
    return {path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts}


def test_nothing_is_left_but_the_learners_work(tmp_path, clone, python, environment):
    tracked = files(clone / "tl_course")
    work = fill(tmp_path, clone)
    done = uninstall(python, clone, environment, answer="y\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert files(tmp_path) == {*work, *tracked, clone / ".gitignore"}
    assert all(path.read_text() == TEXT for path in work)
    gone = (clone / ".venv", clone / "build", tmp_path / "user/cache/tl_course/assets")
    assert not any(path.exists() for path in gone)
    going, _mark, staying = done.stdout.partition("Yours, and left alone:")
    assert f"{clone}/.venv" in going and "MB" in going and "pip" not in staying
    for name in ("notebooks/a.ipynb", "runs", "practice", "mine", "gradebook.db"):
        assert f"{clone}/{name}" in staying and f"{clone}/{name}" not in going
    assert f"{tmp_path}/user/data/tl_course" in staying


def test_without_a_yes_nothing_is_removed(tmp_path, clone, python, environment):
    fill(tmp_path, clone)
    before = files(tmp_path)
    assert uninstall(python, clone, environment, answer="n\n").returncode == 130
    assert before <= files(tmp_path)


def test_where_little_is_there_little_is_removed(clone, python, environment):
    shutil.rmtree(clone / ".git")
    done = uninstall(python, clone, environment, "--yes")
    assert (done.returncode, done.stderr) == (0, "") and not (clone / ".venv").exists()


def test_another_python_is_named_and_stays_but_for_the_kernel(tmp_path, clone, python, environment):
    work = fill(tmp_path, clone)
    other = tmp_path / "other"
    python.parent.parent.rename(other)
    kernels = other / "share" / "jupyter" / "kernels"
    write(kernels / "tl-course-warm" / "kernel.json")
    write(kernels / "mine" / "kernel.json", TEXT)
    done = uninstall(other / "bin" / "python", clone, environment, "--yes")
    assert done.returncode == 0 and f"{other}/bin/python -m pip uninstall tl-course" in done.stdout
    assert (other / "pyvenv.cfg").exists() and all(path.exists() for path in work)
    assert [path.name for path in kernels.iterdir()] == ["mine"]
    (other / "conda-meta").mkdir()
    done = uninstall(other / "bin" / "python", clone, environment, "--yes")
    assert f"conda env remove --prefix {other}" in done.stdout


def test_records_and_clones_in_odd_places_are_spared(tmp_path, clone, python, environment):
    write(tmp_path / "tmp" / "tl_course_check_abcd1234" / "home" / "progress.db", TEXT)
    environment["TL_COURSE_HOME"] = str(tmp_path / "tmp" / "tl_course_check_abcd1234" / "home")
    assert uninstall(python, clone, environment, "--yes").returncode == 0
    assert (tmp_path / "tmp" / "tl_course_check_abcd1234" / "home" / "progress.db").exists()


def test_a_running_jupyterlab_is_refused(tmp_path, clone, python, environment):
    server = {"pid": os.getpid(), "root_dir": str(clone), "url": "http://localhost:1/"}
    write(tmp_path / "user" / "runtime" / "jpserver-1.json", json.dumps(server))
    done = uninstall(python, clone, environment, "--yes")
    assert done.returncode == 2 and "http://localhost:1/" in done.stderr and sys.prefix not in done.stdout
    assert python.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file that even root cannot remove")
def test_what_cannot_be_removed_is_named_and_the_rest_goes(tmp_path, monkeypatch):
    monkeypatch.setenv("TL_COURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TL_COURSE_HOME", str(tmp_path / "home"))
    write(tmp_path / "file")
    places = [Place(Path("/proc/self/status"), "", 0), Place(tmp_path / "file", "", 0)]
    (line,) = remove(tmp_path, places)
    assert line.startswith("/proc/self/status: ") and not (tmp_path / "file").exists()
