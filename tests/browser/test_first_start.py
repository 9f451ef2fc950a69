"""A newcomer's first minutes in JupyterLab: the start page, lesson 00, an answer, its mistake, help, and all points.

One session, told in order: each test goes on where the one before it ended.
"""

import json

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
        page.goto(lab.start_page(address))
        page.locator(".tl-home").wait_for()
        yield page


@pytest.fixture
def panel(page):
    """The panel under the first exercise."""
    return lab.exercise_panel(page)


def use_theme(page, name: str) -> None:
    """From the next page on."""
    server = page.url.partition("/lab")[0]
    address = f"{server}/lab/api/settings/@jupyterlab/apputils-extension:themes?token={lab.TOKEN}"
    assert page.request.put(address, data={"raw": json.dumps({"theme": name})}).ok


def press(panel, name: str) -> None:
    """A button, by keyboard; waits until it has done its work."""
    panel.locator(f"[data-do={name}]").press("Enter")
    panel.page.wait_for_function("node => !node.hasAttribute('aria-busy')", arg=panel.element_handle())


def answer(page) -> str:
    return "\n".join(lab.cell(page, "# exercise: to-unit-range").locator(".cm-line").all_text_contents())


def test_the_start_page_shows_the_way(page):
    assert page.locator(".tl-home .tl-card h3").count() == 12 + 3
    assert "Begin here: 00 Start here" in page.locator(".tl-next").inner_text()
    assert "120 min" in page.locator(".tl-card", has_text="01 Concepts").inner_text()


def test_a_lesson_opens_from_the_start_page_by_keyboard(page):
    page.locator(".tl-next button").press("Enter")
    page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').first.wait_for()
    assert "00_start_here.ipynb" in page.locator(".lm-TabBar-tab.jp-mod-current").first.inner_text()


def test_an_unanswered_exercise_says_so(page, panel):
    press(panel, "check")  # runs the lesson's first cell by itself
    assert "not answered yet" in lab.cell(page, 'check("to-unit-range")').locator(".jp-OutputArea").inner_text()
    assert "no attempt yet" in panel.inner_text()


def test_the_solution_is_not_shown_before_an_attempt(panel):
    press(panel, "compare")
    assert "Try first" in panel.locator(".tl-said").inner_text()


def test_a_wrong_answer_is_diagnosed(page, panel):
    lab.write(page, lab.cell(page, "# exercise: to-unit-range"), WRONG)
    press(panel, "check")
    verdict = lab.cell(page, 'check("to-unit-range")').locator(".jp-OutputArea").inner_text()
    assert "not yet, 0 of 2 points" in verdict and "the largest of them is not 256" in verdict
    assert "attempts: 1, best 0%" in panel.inner_text()


def test_hints_come_one_after_another(panel):
    press(panel, "hint")
    assert "Hint 1 of 3" in panel.locator(".tl-said").inner_text()
    assert panel.locator("[data-do=hint]").inner_text() == "Hint 2 of 3"
    assert panel.page.evaluate("document.activeElement.dataset.do") == "hint", "the keyboard stays at its button"


def test_an_answer_is_compared_with_the_solution(panel):
    press(panel, "compare")
    said = panel.locator(".tl-said").inner_text()
    assert "/ 256" in said and "/ 255" in said


def test_a_reset_can_be_taken_back_even_in_a_new_window(page, panel):
    press(panel, "reset")
    assert "raise NotImplementedError" in answer(page) and "256" not in answer(page)
    lab.save(page)
    page.reload()
    page.locator(".jp-NotebookPanel:visible .jp-Cell").first.wait_for()
    press(lab.exercise_panel(page), "restore")
    assert answer(page).strip() == WRONG.strip()


def test_a_right_answer_earns_its_points(page):
    lab.write(page, lab.cell(page, "# exercise: to-unit-range"), WRONG.replace("256", "255"))
    panel = lab.exercise_panel(page)
    press(panel, "check")
    assert "right, 2 of 2 points" in lab.cell(page, 'check("to-unit-range")').locator(".jp-OutputArea").inner_text()
    lab.save(page)


def test_calls_do_the_same(page):
    assert "Hint 2 of 3" in lab.run(page, lab.cell(page, 'hint("to-unit-range")')).inner_text()


def test_the_first_plot_is_drawn(page):
    output = lab.run(page, lab.cell(page, "plots.image_grid"))
    output.locator("img").wait_for()
    assert output.locator("img").get_attribute("alt").startswith("One training crop of each class. astronaut")


def test_the_start_page_follows(page):
    page.locator(".lm-TabBar-tab", has_text="Course").first.click()
    card = page.locator(".tl-card", has_text="00 Start here")
    card.get_by_text("1 of 2 exercises").wait_for()
    assert "Go on where you left off: 00 Start here" in page.locator(".tl-next").inner_text()


def test_the_panel_can_be_read_in_dark_too(page):
    use_theme(page, "JupyterLab Dark")
    page.goto(lab.start_page(page.url).replace("/lab?", "/lab/tree/notebooks/00_start_here/00_start_here.ipynb?"))
    panel = lab.exercise_panel(page)
    panel.locator("[data-do=compare]").click()
    panel.get_by_text("Another way of writing").wait_for()
    assert lab.faded(page, ".tl-exercise *") == []


def test_nothing_overflows_in_dark_or_on_a_phone(page):
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        use_theme(page, theme)
        page.goto(lab.start_page(page.url))
        page.wait_for_function("name => document.body.dataset.jpThemeName === name", arg=theme)
        page.locator(".tl-home small").first.wait_for()
        assert lab.faded(page, ".tl-home *") == []
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(lab.start_page(page.url))
    page.wait_for_function("document.querySelector('.tl-home')?.clientWidth > 200")  # the list of files is away
    assert page.locator(".tl-home").evaluate("node => node.scrollWidth <= node.clientWidth")
