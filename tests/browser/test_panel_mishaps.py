"""The panel under an exercise when something goes wrong: a copied answer, a kernel that is stopped, a server away."""

import re

import lab
import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.skipif(lab.CHROMIUM is None, reason="needs chromium")]

MARKER = "# exercise: to-unit-range (numpy)"
ENDED = "The check did not come to its end"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("learner")
    with lab.jupyterlab(folder / "course", folder / "home") as address, lab.browser_page() as page:
        lab.open_notebook(page, address)
        yield page


@pytest.fixture
def panel(page):
    return lab.exercise_panel(page)


def write_answer(page, body: str) -> None:
    lab.write(page, lab.cell(page, MARKER), f"{MARKER}\n{body}\n")


def press(panel, name: str) -> None:
    panel.locator(f"[data-do={name}]").press("Enter")


def wait(panel) -> None:
    """Until the panel has done its work."""
    panel.page.wait_for_function("node => !node.hasAttribute('aria-busy')", arg=panel.element_handle())


def kernel_menu(page, entry: str) -> None:
    page.get_by_role("menuitem", name="Kernel", exact=True).click()
    page.locator(".lm-Menu-item", has_text=re.compile(f"^{entry}")).first.click()


def test_a_check_that_stops_half_way_says_so(page, panel):
    write_answer(page, "def to_unit_range(images) return images")
    press(panel, "check")
    wait(panel)
    expect(panel.get_by_role("alert")).to_contain_text(ENDED)
    write_answer(page, "def to_unit_range(images):\n    return images")
    press(panel, "check")
    wait(panel)
    expect(panel.locator(".tl-said")).to_be_empty()


def test_a_check_that_does_not_end_says_how_to_stop_it(page, panel):
    write_answer(page, "while True:\n    pass")
    press(panel, "check")
    expect(panel.get_by_role("status")).to_contain_text("Interrupt Kernel")
    kernel_menu(page, "Interrupt Kernel")
    wait(panel)
    expect(panel.get_by_role("alert")).to_contain_text(ENDED)


def test_a_check_that_waits_for_a_kernel_which_is_restarted_says_so(page, panel):
    lab.write(page, lab.cell(page, 'progress("00_start_here")'), "while True:\n    pass")
    page.keyboard.press("Control+Enter")
    page.locator('.jp-Notebook-ExecutionIndicator[data-status="busy"]').first.wait_for()
    write_answer(page, "")
    press(panel, "check")
    expect(panel.get_by_role("status")).to_contain_text("Interrupt Kernel")
    page.get_by_role("button", name="Restart the kernel", exact=True).click()
    page.get_by_role("button", name="Confirm Kernel Restart").click()
    wait(panel)
    expect(panel.get_by_role("alert")).to_contain_text(ENDED)


def test_a_copy_of_the_answer_is_left_alone_by_a_reset(page, panel):
    write_answer(page, "mine = 'second'")
    page.keyboard.press("Escape")
    for key in "cv":
        page.keyboard.press(key)
    answers = page.locator(".jp-CodeCell", has=page.locator(".cm-content", has_text=MARKER))
    expect(answers).to_have_count(2)
    write_answer(page, "mine = 'first'")
    press(panel, "reset")
    wait(panel)
    expect(answers.nth(0)).to_contain_text("mine = 'first'")
    expect(answers.nth(1)).to_contain_text("raise NotImplementedError")
    press(panel, "restore")
    wait(panel)
    expect(answers.nth(0)).to_contain_text("mine = 'first'")
    expect(answers.nth(1)).to_contain_text("mine = 'second'")


def test_without_its_server_the_panel_keeps_its_buttons_and_says_what_to_do(page, panel):
    page.context.set_offline(True)
    press(panel, "hint")
    wait(panel)
    expect(panel.get_by_role("alert")).to_contain_text("The Jupyter server does not answer. Start it again")
    assert page.evaluate("document.activeElement.dataset.do") == "hint"
    page.context.set_offline(False)
    press(panel, "hint")
    wait(panel)
    expect(panel.locator(".tl-said")).to_contain_text("Hint 1 of 3")


def test_a_message_with_a_long_path_stays_inside_the_window(page, panel):
    said = {"message": "/home" * 200}
    page.route(re.compile("/to-unit-range/hint"), lambda asked: asked.fulfill(status=500, json=said))
    press(panel, "hint")
    wait(panel)
    page.unroute_all()
    expect(panel.get_by_role("alert")).to_contain_text("/home/home")
    assert panel.evaluate("node => node.scrollWidth <= node.clientWidth")


def test_no_language_server_runs_beside_the_kernel(page):
    """One that stands in the environment would take memory, and show a message where a notebook is open twice."""
    asked = []
    page.on("websocket", lambda socket: asked.append(socket.url))
    lab.open_notebook(page, page.url)
    page.wait_for_timeout(3000)
    assert asked and not [url for url in asked if "/lsp/" in url]
