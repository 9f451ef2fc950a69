"""`tl-course update` on real clones: the new version arrives, what the learner wrote stays, also after a kill."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import nbformat
import pytest

from tl_course import cli, lessons
from tl_course.errors import BadInput, CourseError
from tl_course.update import update

FIRST, SECOND, GONE = "notebooks/00_a/00_a.ipynb", "notebooks/01_b/01_b.ipynb", "notebooks/02_c/02_c.ipynb"


@pytest.fixture(autouse=True)
def settings(tmp_path, monkeypatch):
    monkeypatch.setenv("TL_COURSE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "teacher")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "teacher@example.org")


def git(folder, *arguments):
    done = subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def write(folder, name, *sources):
    """A notebook with these cells; one that starts with "answer" is an answer."""
    cells = []
    for number, source in enumerate(sources):
        cell = nbformat.v4.new_code_cell(source, id=f"cell-{number}")
        if source.startswith("answer"):
            cell.metadata["nbgrader"] = {"grade_id": "task-numpy", "solution": True, "locked": False, "grade": False}
        cells.append(cell)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(nbformat.writes(nbformat.v4.new_notebook(cells=cells)) + "\n")


def sources(folder, name):
    return [cell.source for cell in nbformat.read(folder / name, as_version=4).cells]


def publish(teacher, message="new"):
    git(teacher, "add", "-A")
    git(teacher, "commit", "-q", "-m", message)
    git(teacher, "push", "-q", "origin", "HEAD")


@pytest.fixture
def teacher(tmp_path):
    git(tmp_path, "init", "-q", "--bare", "-b", "main", "upstream")
    git(tmp_path, "clone", "-q", "upstream", "teacher")
    folder = tmp_path / "teacher"
    for name in (FIRST, SECOND, GONE):
        write(folder, name, "title", "answer: start", "end")
    (folder / "package.py").write_text("version = 1\n")
    (folder / ".gitignore").write_text("/practice/\n")
    publish(folder)
    return folder


@pytest.fixture
def clone(tmp_path, teacher):
    git(tmp_path, "clone", "-q", "upstream", "clone")
    return tmp_path / "clone"


@pytest.fixture
def said():
    return []


def copies(tmp_path, name):
    return sorted((tmp_path / "home" / "before_update").glob(f"*/{name}"))


def new_version(teacher):
    """Every kind of change: text, starting code, a lesson removed and one added, the package."""
    write(teacher, FIRST, "title", "more", "answer: new start", "end")
    write(teacher, SECOND, "new title", "answer: start", "end")
    git(teacher, "rm", "-q", GONE)
    write(teacher, "notebooks/03_d/03_d.ipynb", "title")
    (teacher / "package.py").write_text("version = 2\n")
    (teacher / "pyproject.toml").write_text("")
    publish(teacher)


def learn(clone):
    write(clone, FIRST, "title", "answer: mine", "end", "note of mine")
    write(clone, SECOND, "my title", "answer: start", "end")
    write(clone, GONE, "title", "answer: gone and mine", "end")


AFTER = {
    FIRST: ["title", "more", "answer: mine", "end", "note of mine"],
    SECOND: ["new title", "my title", "answer: start", "end"],
    GONE: ["title", "answer: gone and mine", "end"],
    "notebooks/03_d/03_d.ipynb": ["title"],
}


def test_the_new_version_arrives_and_what_the_learner_wrote_stays(tmp_path, teacher, clone, said):
    learn(clone)
    new_version(teacher)
    before = (clone / FIRST).read_bytes()
    update(clone, say=said.append)
    assert {name: sources(clone, name) for name in AFTER} == AFTER
    assert (clone / "package.py").read_text() == "version = 2\n"
    assert git(clone, "rev-parse", "HEAD") == git(teacher, "rev-parse", "HEAD")
    assert [path.read_bytes() for path in copies(tmp_path, FIRST)] == [before]
    text = "\n".join(said)
    assert 'reset("task")' in text and "make setup" in text and str(tmp_path / "home" / "before_update") in text
    assert not list((clone / ".git").glob("tl_course_update.json"))
    update(clone, say=said.append)
    assert "Nothing new" in said[-1] and len(copies(tmp_path, FIRST)) == 1


def test_a_second_new_version_finds_the_same_cells(teacher, clone):
    learn(clone)
    new_version(teacher)
    update(clone, say=len)
    write(teacher, FIRST, "better title", "more", "answer: new start", "end")
    publish(teacher)
    update(clone, say=len)
    assert sources(clone, FIRST) == ["better title", "more", "answer: mine", "end", "note of mine"]


def test_notebooks_without_news_and_files_of_the_learner_are_left_alone(teacher, clone):
    write(clone, SECOND, "title", "answer: mine", "end")
    (clone / "notebooks" / "mine.ipynb").write_text("{}")
    (clone / "practice").mkdir()
    (clone / "practice" / "try.py").write_text("x")
    (clone / "mine.py").write_text("x")
    git(clone, "add", "notebooks/mine.ipynb", "mine.py")
    (clone / FIRST).unlink()
    (teacher / "package.py").write_text("version = 2\n")
    publish(teacher)
    before = (clone / SECOND).read_bytes()
    update(clone, say=len)
    assert (clone / SECOND).read_bytes() == before and (clone / "practice" / "try.py").read_text() == "x"
    assert (clone / "notebooks" / "mine.ipynb").read_text() == "{}"


def test_a_notebook_that_cannot_be_read_is_kept_aside(tmp_path, teacher, clone, said):
    (clone / FIRST).write_text("<<<<<<< mine\nanswer: mine")
    new_version(teacher)
    update(clone, say=said.append)
    assert sources(clone, FIRST) == ["title", "more", "answer: new start", "end"]
    assert [path.read_text() for path in copies(tmp_path, FIRST)] == ["<<<<<<< mine\nanswer: mine"]
    assert any("cannot be read" in line and FIRST in line for line in said)


def state(clone):
    """All that an update could change: the commit, and every file."""
    files = {path: path.read_bytes() for path in clone.rglob("*") if path.is_file() and ".git" not in path.parts}
    return git(clone, "rev-parse", "HEAD"), files


def refused(clone, match, **options):
    before = state(clone)
    with pytest.raises(BadInput, match=match):
        update(clone, say=len, **options)
    assert state(clone) == before


def test_commits_of_the_learners_own_are_refused(teacher, clone):
    learn(clone)
    git(clone, "commit", "-q", "-a", "-m", "mine")
    new_version(teacher)
    refused(clone, "without commits of your own; got 1")


def test_changed_files_elsewhere_are_refused_by_name(teacher, clone):
    learn(clone)
    (clone / "package.py").write_text("mine")
    new_version(teacher)
    refused(clone, "notebooks/ only; got package.py")


@pytest.mark.parametrize("name", ["notebooks/03_d/03_d.ipynb", "practice/given.py"])
def test_new_files_take_no_place_of_the_learners_even_where_git_ignores_them(teacher, clone, name):
    learn(clone)
    (clone / name).parent.mkdir(parents=True)
    (clone / name).write_text("mine")
    new_version(teacher)
    (teacher / "practice").mkdir()
    (teacher / "practice" / "given.py").write_text("course")
    git(teacher, "add", "-f", "practice")
    publish(teacher)
    refused(clone, name)


def test_when_git_refuses_everything_is_put_back(teacher, clone):
    learn(clone)
    new_version(teacher)
    (clone / "blocked").write_text("mine")
    (teacher / "blocked").mkdir()
    (teacher / "blocked" / "file").write_text("course")
    publish(teacher)
    before = state(clone)
    with pytest.raises(CourseError, match="git merge failed"):
        update(clone, say=len)
    assert state(clone) == before and not list((clone / ".git").glob("tl_course_update.json"))


def test_a_folder_that_git_did_not_clone_is_refused(tmp_path, teacher, clone):
    plain = tmp_path / "plain"
    shutil.copytree(clone, plain, ignore=shutil.ignore_patterns(".git"))
    with pytest.raises(BadInput, match="made by git"):
        update(plain, say=len)
    with pytest.raises(BadInput, match="made by git"):
        update(clone / "notebooks", say=len)
    refused(clone, "unpacked archive", source=plain)


def test_without_an_upstream_another_clone_gives_the_new_version(teacher, clone):
    git(clone, "remote", "remove", "origin")
    learn(clone)
    new_version(teacher)
    refused(clone, "--from FOLDER")
    update(clone, source=teacher, say=len)
    assert {name: sources(clone, name) for name in AFTER} == AFTER


def test_another_history_is_refused(tmp_path, clone):
    git(tmp_path, "init", "-q", "other")
    write(tmp_path / "other", FIRST, "other")
    git(tmp_path / "other", "add", "-A")
    git(tmp_path / "other", "commit", "-q", "-m", "other")
    refused(clone, "without commits of your own", source=tmp_path / "other")


def test_where_no_copy_can_be_made_nothing_is_changed(tmp_path, teacher, clone):
    learn(clone)
    new_version(teacher)
    (tmp_path / "home").write_text("a file")
    refused(clone, "TL_COURSE_HOME")


def test_two_updates_at_once_are_one(teacher, clone):
    learn(clone)
    new_version(teacher)
    outcomes = []

    def attempt():
        try:
            update(clone, say=lambda line: time.sleep(0.2))
            outcomes.append("done")
        except BadInput as error:
            outcomes.append("refused" if "one update at a time" in str(error) else str(error))

    threads = [threading.Thread(target=attempt) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["done", "refused"]
    assert {name: sources(clone, name) for name in AFTER} == AFTER


KILLER = """
import json, os, shutil, signal, sys
from pathlib import Path
from tl_course.update import update

clone, work = Path(sys.argv[1]), Path(sys.argv[2])

def attempt(folder, fatal):
    child = os.fork()
    if child == 0:
        left = fatal
        def hook(event, arguments):
            global left
            changing = event in {"os.rename", "os.remove", "os.mkdir", "shutil.copyfile"}
            if changing or event == "subprocess.Popen" and {"fetch", "checkout", "merge"} & set(arguments[1]):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
        globals()["left"] = fatal
        sys.addaudithook(hook)
        try:
            update(folder, say=len)
        finally:
            os._exit(sys.exc_info()[0] is not None)
    return os.waitpid(child, 0)[1]

def texts(*folders):
    return "".join(path.read_text() for folder in folders for path in folder.rglob("*.ipynb"))

ended, number = False, 0
while not ended:
    number += 1
    folder, home = work / f"clone{number}", work / f"home{number}"
    shutil.copytree(clone, folder)
    os.environ["TL_COURSE_HOME"] = str(home)
    ended = attempt(folder, number) == 0
    between = texts(folder, home)
    again = attempt(folder, 10**9)
    found = {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*.ipynb")}
    left = [p.name for p in folder.glob(".git/tl_course_update.json")]
    print(json.dumps([number, between, again, found, left]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_killed_anywhere_nothing_is_lost_and_the_next_run_finishes(tmp_path, teacher, clone):
    """Killed before each git command that changes anything, and before each file it renames, copies or removes."""
    learn(clone)
    new_version(teacher)
    done = subprocess.run([sys.executable, "-c", KILLER, clone, tmp_path], capture_output=True, text=True, check=True)
    runs = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(runs) > 15
    wanted = runs[-1][3]
    assert wanted.keys() == AFTER.keys()
    for number, between, again, found, left in runs:
        for text in ("answer: mine", "note of mine", "my title", "answer: gone and mine"):
            assert text in between, (number, text)
        assert again == 0 and found == wanted and left == [], (number, done.stderr)


def interrupted(clone, at):
    """An update that fails while it merges the notebook ``at``."""

    def say(line):
        if line.startswith(at):  # written already, but not yet crossed off
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        update(clone, say=say)


def test_what_was_typed_after_an_interruption_is_not_overwritten(teacher, clone):
    learn(clone)
    new_version(teacher)
    interrupted(clone, at=FIRST)
    write(clone, FIRST, "typed later")
    write(clone, SECOND, "typed later, too")
    refused(clone, f"{FIRST} as the interrupted update left it")
    for name in (FIRST, SECOND):
        (clone / name).rename(clone / name.replace(".ipynb", "_later.ipynb"))
        git(clone, "checkout", name)
    update(clone, say=len)
    assert {name: sources(clone, name) for name in AFTER} == AFTER


def test_the_command_says_what_it_did(teacher, clone, monkeypatch, capsys):
    monkeypatch.setattr(lessons, "ROOT", clone)
    learn(clone)
    new_version(teacher)
    assert cli.main(["update", "--from", str(teacher)]) == 0
    assert f"{FIRST}: answers of yours kept: 1" in capsys.readouterr().out
    (clone / "package.py").write_text("mine")
    (teacher / "package.py").write_text("version = 3\n")
    publish(teacher)
    assert cli.main(["update"]) == 2
    assert capsys.readouterr().err.startswith("error: expected changes in notebooks/ only; got package.py")


def test_lessons_as_they_are_published_merge(teacher, clone):
    """The course's own notebooks, renumbered by one cell more at the top, with an answer in each."""
    names = lessons.names()[:3]
    for name in names:
        target = lessons.notebook_path(name, teacher / "notebooks")
        target.parent.mkdir(parents=True)
        shutil.copy(lessons.notebook_path(name, lessons.RELEASED), target)
    publish(teacher)
    git(clone, "pull", "-q")
    typed = {}
    for name in names:
        mine = lessons.read_notebook(path := lessons.notebook_path(name, clone / "notebooks"))
        answer = next(cell for cell in mine.cells if cell.metadata.get("nbgrader", {}).get("solution"))
        answer.source = typed[name] = f"# of {name}"
        mine.cells[5].source += f"\n# note on {name}"
        lessons.write_notebook(mine, path)
        theirs = lessons.read_notebook(path := lessons.notebook_path(name, teacher / "notebooks"))
        theirs.cells.insert(1, nbformat.v4.new_code_cell("first"))
        for number, cell in enumerate(theirs.cells):
            cell.id = f"{name}-{number:03d}" if cell.id.startswith(f"{name}-0") else cell.id
        lessons.write_notebook(theirs, path)
    publish(teacher)
    update(clone, say=len)
    for name in names:
        found = sources(clone, f"notebooks/{name}/{name}.ipynb")
        published = sources(teacher, f"notebooks/{name}/{name}.ipynb")
        assert len(found) == len(published) and Path(name).name in found[6]
        changed = [new for new, old in zip(found, published, strict=True) if new != old]
        assert len(changed) == 2 and typed[name] in changed
