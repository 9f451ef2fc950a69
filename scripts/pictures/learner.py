"""What a learner sees in JupyterLab: start page, an exercise and its panel, a quiz, an attention view."""

import json
from pathlib import Path

import lab
import nbformat
from playwright.sync_api import Page

from pictures import save

ANSWER = """# exercise: to-unit-range (numpy)
import numpy as np


def to_unit_range(images: np.ndarray) -> np.ndarray:
    return images.astype(np.float32) / {divisor}
"""
CELLS = (
    'from tl_course import quiz\n\nquiz("03_feature_extraction")',
    """from tl_course import zoo
from tl_course.attention_view import view
from tl_course.pytorch.attention import attention_maps

encoder = zoo.load("minilm", attention="eager", device="cpu")
view(attention_maps(encoder, ["The cat sat on the mat because it was tired."]), layer=1, head=8)""",
)
NOTEBOOK = "pictures.ipynb"


def take(folder: Path) -> None:
    """start_page(_dark).png, exercise(_wrong).png, compare.png, quiz.png and attention.png."""
    with lab.jupyterlab(folder / "course", folder / "home") as address, lab.browser_page(1280, 760) as page:
        page.goto(lab.start_page(address))
        page.locator(".tl-home").wait_for()
        page.keyboard.press("Control+b")  # the list of files away
        page.locator(".tl-next button").click()
        page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').first.wait_for()
        _exercise(page)
        _own_cells(page, address, folder / "course" / "notebooks" / NOTEBOOK)
        _start_page(page, address)


def _exercise(page: Page) -> None:
    panel = lab.exercise_panel(page)
    for name, divisor in (("exercise_wrong", 256), ("exercise", 255)):
        lab.write(page, lab.cell(page, "# exercise: to-unit-range"), ANSWER.format(divisor=divisor))
        panel.locator("[data-do=check]").click()
        panel.get_by_text("attempts: 1" if divisor == 256 else "attempts: 2").wait_for()
        panel.evaluate("node => node.scrollIntoView({block: 'end'})")
        save(page, name)
        if divisor == 256:
            panel.locator("[data-do=compare]").click()
            panel.get_by_text("Another way of writing").wait_for()
            panel.evaluate("node => node.scrollIntoView({block: 'start'})")
            save(page, "compare")


def _own_cells(page: Page, address: str, file: Path) -> None:
    """A quiz with an answer, and the attention of a real encoder, in a notebook of their own."""
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), file)
    lab.open_notebook(page, address.replace("00_start_here/00_start_here.ipynb", NOTEBOOK))
    quiz = lab.run(page, lab.cell(page, 'quiz("03_feature'))
    quiz.get_by_role("radio").first.check()
    quiz.get_by_role("button", name="Answer").first.click()
    quiz.get_by_text("Read on").first.wait_for()
    quiz.scroll_into_view_if_needed()
    save(page, "quiz")
    shown = lab.run(page, lab.cell(page, "import view"))
    shown.locator("iframe").scroll_into_view_if_needed()
    frame = shown.frame_locator("iframe")
    frame.locator("#queries li").nth(8).click()
    save(page, "attention")


def _start_page(page: Page, address: str) -> None:
    """Last, as the exercise of lesson 00 then shows on it; in both themes."""
    server = address.partition("/lab")[0]
    settings = f"{server}/lab/api/settings/@jupyterlab/apputils-extension:themes?token={lab.TOKEN}"
    for name, theme in (("start_page_dark", "JupyterLab Dark"), ("start_page", "JupyterLab Light")):
        page.request.put(settings, data={"raw": json.dumps({"theme": theme})})
        page.goto(lab.start_page(address))
        page.locator(".tl-home").wait_for()
        save(page, name)
