"""Lessons become notebooks: the same ones again, without solutions for learners, and what differs is reported."""

import ast
import re
import shutil

import pytest

from tl_course import bootstrap_cell, exercises, lessons, quizzes
from tl_course.errors import BadInput, CourseError
from tl_course.exercises.engine.stub import stub

HEADER = '# ---\n# title: "99 Small"\n# minutes: 5\n# know_first: "nothing"\n# after: []\n# aims: "test"\n# ---\n'
SMALL = (
    HEADER
    + """
# %% [markdown]
# ## A title

# %%
from tl_course import check, claim, start

# %% tags=["varies"]
import os

os.getpid()

# %%
claim("one is one", 1 == 1)

# %% exercise: masked-mean
"""
)
COMMITTED = [name for name in lessons.names() if lessons.notebook_path(name).exists()]


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course of one small lesson, in a folder of its own."""
    monkeypatch.setenv("TL_COURSE_HOME", str(tmp_path / "home"))
    shutil.copy(lessons.ROOT / "nbgrader_config.py", tmp_path)
    folders = {"SOURCES": "lessons", "SOLUTIONS": "solutions", "RELEASED": "notebooks"}
    for name, folder in folders.items():
        (tmp_path / folder).mkdir()
        monkeypatch.setattr(lessons, name, tmp_path / folder)
    monkeypatch.setattr(lessons, "ROOT", tmp_path)
    monkeypatch.setattr(lessons.notebook_path, "__defaults__", (tmp_path / "solutions",))
    (tmp_path / "lessons" / "99_small.py").write_text(SMALL, encoding="utf-8")
    return tmp_path


def released(name: str = "99_small"):
    return lessons.read_notebook(lessons.notebook_path(name, lessons.RELEASED))


@pytest.mark.parametrize("name", COMMITTED)
def test_no_demonstration_uses_a_name_that_an_answer_defines(name):
    """Otherwise a learner's wrong answer breaks the cells that follow it."""
    cells = [cell for cell in lessons.read_notebook(lessons.notebook_path(name)).cells if cell.cell_type == "code"]
    answers: set[str] = set()
    for cell in cells:
        nodes = list(ast.walk(ast.parse(cell.source)))
        if cell.source.startswith("# exercise: "):
            answers |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        elif "nbgrader" not in cell.metadata:
            names = [node for node in nodes if isinstance(node, ast.Name)]
            set_here = {node.id for node in names if isinstance(node.ctx, ast.Store)}
            assert {node.id for node in names} & answers <= set_here, cell.source
    assert answers


@pytest.mark.parametrize("name", COMMITTED)
def test_committed_notebooks_are_what_the_source_makes(name):
    assert lessons.drift(name) == []


@pytest.mark.parametrize("name", COMMITTED)
def test_committed_notebooks_ran_within_the_time_limit(name):
    seconds = lessons.read_notebook(lessons.notebook_path(name)).metadata["tl_course"]["seconds"]
    assert 0 < seconds <= lessons.TIME_LIMIT, "make it faster, or make it again on a quiet machine"


@pytest.mark.parametrize("name", COMMITTED)
def test_every_figure_says_in_words_what_it_shows(name):
    outputs = [
        output
        for cell in lessons.read_notebook(lessons.notebook_path(name)).cells
        for output in cell.get("outputs", [])
    ]
    figures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert [figure for figure in figures if not 20 < len(figure.metadata["image/png"]["alt"]) < 1500] == []


@pytest.mark.parametrize("name", COMMITTED)
def test_a_lesson_begins_by_getting_the_course_and_ends_with_its_quiz(name):
    notebook = lessons.read_notebook(lessons.notebook_path(name))
    first, last = notebook.cells[1], notebook.cells[-1]
    assert first.source == bootstrap_cell.source() and first.metadata["jupyter"] == {"source_hidden": True}
    assert not first.outputs and last.source.endswith(f'quiz("{name}")')
    shown = "".join(str(output.get("data", {}).get("text/html", "")) for output in last.outputs)
    assert all(f"<code>{question.id}</code>" in shown for question in quizzes.of_lesson(name)), "its static twin"
    kinds = {kind for cell in notebook.cells for output in cell.get("outputs", []) for kind in output.get("data", {})}
    assert lessons.WIDGET not in kinds, "without a kernel, widgets are an error message"


@pytest.mark.parametrize("name", COMMITTED)
def test_committed_lessons_give_no_solution_away(name):
    assert_no_solution(lessons.read_notebook(lessons.notebook_path(name, lessons.RELEASED)), name)


EVERY_STEP = {"optimizer.zero_grad()", "optimizer.step()", "with tf.GradientTape() as tape:"}  # no part of a solution


def assert_no_solution(notebook, name) -> None:
    (row,) = [row for row in lessons.listing() if row["id"] == name]
    faulty = {
        f"{exercise_id}-{framework}"  # a program may have right what another has wrong
        for exercise_id in row["exercises"]
        for framework in exercises.get(exercise_id).variants
        if exercises.get(exercise_id).kind == "find-the-fault"
    }
    text = "\n".join(cell.source for cell in notebook.cells if cell.id not in faulty)
    for words in ("BEGIN SOLUTION", "END SOLUTION", "HIDDEN TESTS", "grading_seed", "TL_COURSE_SEED"):
        assert words not in "\n".join(cell.source for cell in notebook.cells)
    for exercise_id in row["exercises"]:
        for framework, variant in exercises.get(exercise_id).variants.items():
            (answer,) = [cell for cell in notebook.cells if cell.id == f"{exercise_id}-{framework}"]
            assert stub(variant).strip() in answer.source
            kept = {line.strip() for line in stub(variant).splitlines()}
            for line in variant.reference.splitlines():
                if line.strip() not in kept | EVERY_STEP and len(line.strip()) > 15:
                    assert line.strip() not in text, f"{exercise_id}: {line}"
    assert all(not cell.get("outputs") for cell in notebook.cells if "nbgrader" in cell.metadata)


def test_a_small_lesson_through_the_whole_chain(course):
    assert lessons.build(["99_small"], execute=False) == ["99_small"]
    assert_no_solution(released(), "99_small")
    assert lessons.drift("99_small") == []
    solutions = lessons.read_notebook(lessons.notebook_path("99_small"))
    assert "BEGIN SOLUTION" in "".join(cell.source for cell in solutions.cells)
    ids = [cell.id for cell in released().cells]
    assert ids == [cell.id for cell in solutions.cells] and len(set(ids)) == len(ids)
    points = {c.id: c.metadata.nbgrader.points for c in released().cells if c.metadata.get("nbgrader", {}).get("grade")}
    assert points == {"masked-mean-check": exercises.get("masked-mean").points}
    answers = [cell for cell in released().cells if cell.id in ("masked-mean-pytorch", "masked-mean-keras")]
    assert [cell.metadata.nbgrader.locked for cell in answers] == [False, False]
    before = {path: path.read_bytes() for path in course.rglob("*.ipynb")}
    lessons.build(execute=False)
    assert {path: path.read_bytes() for path in course.rglob("*.ipynb")} == before


def test_the_listing_counts_exercises_and_claims(course):
    (row,) = lessons.listing()
    assert row["exercises"] == ["masked-mean"] and row["claims"] == 1 and row["minutes"] == 5
    assert {"id", "title", "minutes", "frameworks", "exercises", "claims"} <= row.keys()
    assert row["frameworks"] == ["keras", "pytorch"]


def test_every_kind_of_drift_is_reported(course):
    lessons.build(execute=False)
    paths = {
        "solutions": lessons.notebook_path("99_small"),
        "released": lessons.notebook_path("99_small", lessons.RELEASED),
    }
    good = {kind: path.read_bytes() for kind, path in paths.items()}
    source = course / "lessons" / "99_small.py"

    def after(change) -> str:
        change()
        found = " | ".join(lessons.drift("99_small"))
        for kind, path in paths.items():
            path.write_bytes(good[kind])
        source.write_text(SMALL, encoding="utf-8")
        return found

    def edit(kind, number, text=None):
        notebook = lessons.read_notebook(paths[kind])
        if text is None:
            del notebook.cells[number]
        else:
            notebook.cells[number].source = text
        lessons.write_notebook(notebook, paths[kind])

    assert after(lambda: None) == ""
    assert "cell 4 of solutions differs" in after(lambda: edit("solutions", 4, "changed"))
    assert "another number of cells" in after(lambda: edit("solutions", -1))
    assert "released notebook differs" in after(lambda: edit("released", 4, "changed"))
    assert "released notebook differs" in after(lambda: edit("released", -1))
    assert "missing" in after(lambda: paths["released"].unlink())
    assert "missing" in after(lambda: paths["solutions"].unlink())
    assert "differs from the source" in after(lambda: source.write_text(SMALL.replace("A title", "Another")))
    assert after(lambda: None) == ""


def test_an_unknown_lesson_is_named(course):
    with pytest.raises(BadInput, match="99_small"):
        lessons.build(["98_other"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# %%\nprint(1)\n", "YAML header"),
        (HEADER + "\n# %% exercise: masked-meen\n", "masked-mean"),
        (HEADER.replace('# aims: "test"\n', "") + "\n# %%\n1\n", "aims"),
        (HEADER.replace('"test"', '"test') + "\n# %%\n1\n", "header"),
        (HEADER.replace("[]", '["42"]') + "\n# %%\n1\n", "42"),
    ],
    ids=["no header", "unknown exercise", "no aims", "broken header", "after no lesson"],
)
def test_a_broken_source_is_named(course, text, said):
    (course / "lessons" / "99_small.py").write_text(text)
    with pytest.raises(CourseError, match=said):
        lessons.build(["99_small"], execute=False)


@pytest.mark.parametrize("code", ["claim('two is one', 2 == 1)", "def (", "import os; os._exit(3)"])
def test_a_failing_cell_is_named_and_nothing_is_written(course, code):
    lesson = HEADER + f"\n# %%\nfrom tl_course import claim\n\n# %%\n{code}\n"
    (course / "lessons" / "99_small.py").write_text(lesson)
    with pytest.raises(CourseError, match="99_small") as caught:
        lessons.build(["99_small"])
    assert "99_small-002" in str(caught.value) and (code in str(caught.value) or "exit" in code)
    assert not list(course.rglob("*.ipynb"))


def test_execution_keeps_outputs_and_writes_the_time(course):
    source = HEADER + "\n# %%\nimport sys\nprint('seen')\nprint('noise', file=sys.stderr)\n"
    (course / "lessons" / "99_small.py").write_text(source)
    lessons.build(["99_small"])
    notebook = lessons.read_notebook(lessons.notebook_path("99_small"))
    outputs = notebook.cells[2].outputs  # below the header and the cell that gets the course
    assert [output.text for output in outputs] == ["seen\n"]
    assert re.search(r"\*\*Running every cell\*\* \| \d+ s on two cores", notebook.cells[0].source)
    assert lessons.drift("99_small") == []


@pytest.mark.parametrize("row", lessons.listing(), ids=lambda row: row["id"])
def test_a_lessons_time_is_enough_for_its_exercises(row):
    assert row["minutes"] >= sum(exercises.get(exercise_id).minutes for exercise_id in row["exercises"])
