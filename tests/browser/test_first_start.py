"""A newcomer's first minutes in JupyterLab: open lesson 00, answer wrong, read why, take a hint, answer right."""

import lab
import pytest

pytestmark = [pytest.mark.browser, pytest.mark.skipif(lab.CHROMIUM is None, reason="needs chromium")]

WRONG = """# exercise: to-unit-range (numpy)
import numpy as np


def to_unit_range(images):
    return images.astype(np.float32) / 256
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("learner")
    with lab.jupyterlab(folder / "course", folder / "home") as address, lab.browser_page() as page:
        lab.open_notebook(page, address)
        lab.run(page, lab.cell(page, 'start("00_start_here")'))
        yield page


def check(page) -> str:
    return lab.run(page, lab.cell(page, 'check("to-unit-range")')).inner_text()


def answer(page, source: str) -> None:
    target = lab.cell(page, "# exercise: to-unit-range")
    lab.write(page, target, source)
    lab.run(page, target)


def test_an_unanswered_exercise_says_so(page):
    assert "not answered yet" in check(page)


def test_a_wrong_answer_is_diagnosed(page):
    answer(page, WRONG)
    verdict = check(page)
    assert "not yet, 0 of 2 points" in verdict
    assert "the largest of them is not 256" in verdict


def test_a_hint_is_shown(page):
    assert "Hint 1 of 3" in lab.run(page, lab.cell(page, 'hint("to-unit-range")')).inner_text()


def test_a_right_answer_earns_its_points(page):
    answer(page, WRONG.replace("256", "255"))
    assert "right, 2 of 2 points" in check(page)


def test_the_first_plot_is_drawn(page):
    output = lab.run(page, lab.cell(page, "plots.image_grid"))
    output.locator("img").wait_for()
    assert output.locator("img").count() == 1
