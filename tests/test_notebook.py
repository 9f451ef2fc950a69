"""What learners call in a notebook, in a real IPython shell: check, hint, solution, progress, claim."""

import numpy as np
import pytest

from tl_course import exercises, notebook, records
from tl_course.errors import BadInput, CourseError
from tl_course.exercises.engine.stub import marker, stub

EXERCISE = exercises.get("masked-mean")
NAME = EXERCISE.id


def cell(framework: str, code: str) -> str:
    return f"{marker(NAME, framework)}\n{code.strip()}"


RIGHT = {name: cell(name, variant.reference) for name, variant in EXERCISE.variants.items()}
STUB = {name: cell(name, stub(variant)) for name, variant in EXERCISE.variants.items()}
HALF = cell("pytorch", EXERCISE.variant("pytorch").reference.replace(".clamp(min=1)", ""))


@pytest.fixture
def shell(tmp_path, monkeypatch):
    """A shell of its own for each test; `run` returns the value of the cell's last expression."""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.testing.globalipapp import start_ipython

    monkeypatch.setenv("TL_COURSE_HOME", str(tmp_path))
    start_ipython()
    made = InteractiveShell.instance()
    made.reset(new_session=True)
    shown: list = []
    monkeypatch.setattr("tl_course.shown.display", shown.append)
    made.run_cell(
        "from tl_course import check, claim, compare, hint, progress, reset, restore, solution", store_history=True
    )

    class Shell:
        displayed = shown

        @staticmethod
        def run(code: str):
            result = made.run_cell(code, store_history=True)
            if result.error_before_exec or result.error_in_exec:
                raise result.error_before_exec or result.error_in_exec
            return result.result

    return Shell


def test_before_the_cell_is_run(shell):
    verdict = shell.run(f"check('{NAME}')")
    assert not verdict.answered and verdict.score == 0
    text = verdict.render_text()
    assert "not answered yet" in text and "# exercise: masked-mean (pytorch)" in text
    assert records.attempts(NAME) == []


def test_the_untouched_stub_is_no_attempt(shell):
    for code in STUB.values():
        shell.run(code)
    assert "not answered yet" in shell.run(f"check('{NAME}')").render_text()
    assert records.attempts(NAME) == []


def test_right_half_and_wrong(shell):
    shell.run(HALF)
    half = shell.run(f"check('{NAME}')")
    assert half.score == 0.75 and half.diagnosis and float(repr(half)) == 2.25
    shell.run(RIGHT["pytorch"])
    assert shell.run(f"check('{NAME}')").passed
    assert [row["score"] for row in records.attempts(NAME)] == [0.75, 1.0]
    assert not shell.displayed


def test_the_better_of_two_frameworks_counts_and_both_are_shown(shell):
    shell.run(HALF)
    shell.run(RIGHT["keras"])
    best = shell.run(f"check('{NAME}')")
    assert best.passed and best.framework == "keras"
    assert [verdict.framework for verdict in best.others] == ["pytorch"]
    assert best._repr_html_().index("pytorch") < best._repr_html_().index("keras")
    one = shell.run(f"check('{NAME}', 'pytorch')")
    assert one.framework == "pytorch" and one.score == 0.75


def test_an_untouched_stub_beside_an_answer_is_not_shown(shell):
    shell.run(STUB["keras"])
    shell.run(HALF)
    verdict = shell.run(f"check('{NAME}')")
    assert verdict.framework == "pytorch" and not verdict.others


def test_a_wrong_answer_goes_before_an_untouched_stub(shell):
    shell.run(STUB["keras"])
    shell.run(cell("pytorch", "def masked_mean(hidden, mask): return None"))
    verdict = shell.run(f"check('{NAME}')")
    assert verdict.answered and verdict.framework == "pytorch"


def test_helpers_and_magics_of_other_cells(shell):
    shell.run("import torch\ndef count(mask): return mask.sum(1, keepdim=True).clamp(min=1)")
    shell.run(f"%matplotlib inline\n{marker(NAME, 'pytorch')}\n"
              "def masked_mean(hidden, mask): return (hidden * mask[..., None]).sum(1) / count(mask)")  # fmt: skip
    assert shell.run(f"check('{NAME}')").passed


def test_a_chosen_seed_is_not_written_down(shell):
    shell.run(RIGHT["pytorch"])
    assert shell.run(f"check('{NAME}', seed=5)").passed
    assert records.attempts(NAME) == []


def test_unknown_names_suggest(shell):
    with pytest.raises(BadInput, match="masked-mean"):
        shell.run("check('masked_mean')")
    with pytest.raises(BadInput, match="pytorch"):
        shell.run(f"check('{NAME}', 'jax')")
    with pytest.raises(BadInput):
        shell.run("hint('nothing')")
    with pytest.raises(BadInput, match="lesson"):
        notebook.start("no_such_lesson")


def test_hints_come_one_after_another(shell):
    texts = [repr(shell.run(f"hint('{NAME}')")) for _ in range(4)]
    assert [text.split(":")[0] for text in texts] == ["Hint 1 of 3", "Hint 2 of 3", "Hint 3 of 3", "Hint 3 of 3"]
    assert all(hint in text for hint, text in zip(EXERCISE.hints, texts, strict=False))
    assert "Hint 1" in repr(shell.run(f"hint('{NAME}', 1)")) and records.hints_taken(NAME) == 3
    for number in (0, 4, -1):
        with pytest.raises(BadInput, match="1 to 3"):
            shell.run(f"hint('{NAME}', {number})")


def test_the_solution_is_shown_after_an_attempt(shell):
    refused = shell.run(f"solution('{NAME}')")
    assert "Try first" in repr(refused) and "clamp" not in repr(refused) + refused._repr_html_()
    assert "clamp" in repr(shell.run(f"solution('{NAME}', anyway=True)"))
    shell.run(HALF)
    shell.run(f"check('{NAME}')")
    shown = shell.run(f"solution('{NAME}')")
    assert all(variant.reference.strip() in repr(shown) for variant in EXERCISE.variants.values())
    html = shown._repr_html_().replace("&#x27;", "'").replace("&quot;", '"')
    assert EXERCISE.follow_ups[0].question in html and EXERCISE.follow_ups[0].answer in html


def test_an_untouched_stub_is_not_an_attempt_that_opens_the_solution(shell):
    shell.run(STUB["pytorch"])
    shell.run(f"check('{NAME}')")
    assert "Try first" in repr(shell.run(f"solution('{NAME}')"))


def test_an_answer_is_compared_as_it_was_written(shell):
    shell.run(HALF)
    assert "Try first" in repr(shell.run(f"compare('{NAME}')"))
    shell.run(f"check('{NAME}')")
    shown = repr(shell.run(f"compare('{NAME}')"))
    removed = [line for line in shown.splitlines() if line.startswith("+")]
    assert removed and all("clamp" in line for line in removed)


def test_reset_and_restore_lead_there_and_back(shell):
    from IPython import get_ipython

    assert "Nothing was put aside" in repr(shell.run(f"restore('{NAME}')"))
    shell.run(HALF)
    shell.run(f"reset('{NAME}')")
    assert get_ipython().rl_next_input == STUB["pytorch"].strip()
    shell.run(STUB["pytorch"])
    shell.run(f"restore('{NAME}')")
    assert get_ipython().rl_next_input.strip() == HALF


def test_the_start_page_is_a_call_too(shell):
    page = shell.run("__import__('tl_course').home()")
    assert "Begin here: 00 Start here" in repr(page) and "class='tl-card" in page._repr_html_()


def test_progress(shell):
    shell.run(HALF)
    shell.run(f"check('{NAME}')")
    shell.run(f"hint('{NAME}')")
    table = shell.run("progress()")
    row = next(line for line in repr(table).splitlines() if EXERCISE.title in line)
    assert row.split()[-3:] == ["1", "1", "75%"]
    assert "<table>" in table._repr_html_() and "75%" in table._repr_html_()
    assert len(repr(shell.run(f"progress('{EXERCISE.lesson}')")).splitlines()) > 1
    with_none = repr(shell.run("progress('no_such_lesson')"))
    assert EXERCISE.title not in with_none


def test_claims(shell):
    shown = shell.run("claim('features help by 5 points', True, '71 % against 50 %')")
    assert repr(shown) == "claim holds: features help by 5 points"
    assert "71 % against 50 %" in shown._repr_html_() and "71" not in repr(shown)  # figures differ from run to run
    assert shell.run("claim('x', __import__('numpy').bool_(True))")
    with pytest.raises(notebook.ClaimFailed, match=r"not borne out: it helps \(measured: 3\)"):
        shell.run("claim('it helps', False, '3')")
    with pytest.raises(notebook.ClaimFailed):
        notebook.claim("numpy", np.bool_(False))
    assert "<b>" not in notebook.claim("<b>", True, "<b>")._repr_html_()


def test_progress_that_cannot_be_kept_does_not_stop_a_check(shell, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("TL_COURSE_HOME", str(tmp_path / "file" / "below"))
    shell.run(RIGHT["pytorch"])
    assert shell.run(f"check('{NAME}')").passed
    assert "Hint 1" in repr(shell.run(f"hint('{NAME}')"))
    assert "Try first" in repr(shell.run(f"solution('{NAME}')"))
    assert shell.displayed and all("progress is not kept" in repr(said) for said in shell.displayed)
    assert all("\n" not in repr(said) for said in shell.displayed)
    with pytest.raises(CourseError, match="progress is not kept"):
        shell.run("progress()")


def test_outside_a_notebook_check_says_what_to_use(monkeypatch):
    import IPython

    monkeypatch.setattr(IPython, "get_ipython", lambda: None)
    with pytest.raises(CourseError, match="tl-course check"):
        notebook.check(NAME)


def test_the_grading_seed_is_drawn_or_given(monkeypatch):
    monkeypatch.delenv("TL_COURSE_SEED", raising=False)
    assert len({notebook.grading_seed() for _ in range(5)}) > 1
    monkeypatch.setenv("TL_COURSE_SEED", "12")
    assert notebook.grading_seed() == 12
