"""Practice in JupyterLab: a round of cards, a mock interview that outlives its kernel, the clinic, a quiz."""

import os
import re

import lab
import nbformat
import pytest
from playwright.sync_api import expect

from tl_course import exercises, progress_file, quizzes
from tl_course.practice import clinic, mock

pytestmark = [pytest.mark.browser, pytest.mark.skipif(lab.CHROMIUM is None, reason="needs chromium")]

CELLS = (
    "from tl_course.practice import panel\npanel.show(estimate=False)",
    'panel.clinic("vgg16-classifier")',
    'panel.review("vgg16-classifier")',
    'from tl_course import quiz\nquiz("03")',
)
NOTEBOOK = "practice.ipynb"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("learner") / "home"


@pytest.fixture(scope="module")
def page(home):
    folder = home.parent / "course"
    with lab.jupyterlab(folder, home) as address, lab.browser_page() as page:
        cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
        nbformat.write(notebook, folder / "notebooks" / NOTEBOOK)
        lab.open_notebook(page, address.replace("00_start_here/00_start_here.ipynb", NOTEBOOK))
        lab.run(page, lab.cell(page, "panel.show("))
        yield page


@pytest.fixture(autouse=True)
def same_progress(home, monkeypatch):
    monkeypatch.setenv("TL_COURSE_HOME", os.fspath(home))


def open_tab(page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def press(page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def test_a_round_of_cards_by_keyboard(page):
    page.get_by_label("Topic").select_option("distillation")
    page.get_by_label("At most").fill("2")
    page.get_by_role("button", name="Begin", exact=True).press("Enter")
    answer = page.get_by_label("Your answer, in your own words").locator("visible=true")
    for place, rating in (("1 of 2", "1 again"), ("2 of 3", "3 good"), ("3 of 3", "4 easy")):
        page.get_by_text(f"{place} \N{MIDDLE DOT} distillation").wait_for()
        expect(answer).to_be_focused()
        page.keyboard.type("the classes are <b>related</b>")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.get_by_text("A full answer contains").locator("visible=true").wait_for()
        expect(page.get_by_role("button", name="3 good")).to_be_focused()
        page.get_by_role("button", name=rating).press("Enter")
    page.get_by_text("3 rated.").wait_for()
    rows = progress_file.select("SELECT * FROM reviews ORDER BY id")
    assert [row["rating"] for row in rows] == [1, 3, 4] and rows[0]["card"] == rows[2]["card"]
    assert {row["answer"] for row in rows} == {"the classes are <b>related</b>"}


def test_an_interview_goes_on_after_the_kernel_was_restarted(page):
    open_tab(page, "Mock interview")
    page.get_by_label("Level").locator("visible=true").select_option("junior")
    page.get_by_label("Seed").fill("0")
    press(page, "Begin a new interview")
    timer = page.get_by_role("timer").locator("visible=true")
    before = timer.inner_text()
    expect(timer).not_to_have_text(before)
    assert re.search(r"Interview: 44:5\d left", timer.inner_text())
    page.get_by_label("Your answer, in your own words").locator("visible=true").fill("the first answer")
    press(page, "Next question")
    page.get_by_text("Question 2 of 8").wait_for()
    (known,) = mock.history()
    assert known.answers[0]["answer"] == "the first answer"
    page.get_by_label("Your answer, in your own words").locator("visible=true").fill("half of the second")
    page.wait_for_timeout(1500)
    page.get_by_role("button", name="Restart the kernel", exact=True).click()
    page.get_by_role("button", name="Confirm Kernel Restart").click()
    lab.run(page, lab.cell(page, "panel.show("))
    open_tab(page, "Mock interview")
    page.get_by_text("An interview is not finished: junior, seed 0").wait_for()
    press(page, "Go on")
    answer = page.get_by_label("Your answer, in your own words").locator("visible=true")
    expect(answer).to_have_value("half of the second")
    press(page, "Next question")
    page.get_by_text("Question 3 of 8").wait_for()


def test_the_interview_ends_with_a_report(page):
    for number in range(3, 7):
        page.get_by_text(f"Question {number} of 8").wait_for()
        press(page, "Pass")
    page.get_by_text("Question 7 of 8").wait_for()
    (known,) = mock.history()
    item = known.items[6]
    variant = exercises.get(item.id).variant(item.framework or "numpy")
    code = page.get_by_label("Your code")
    assert re.search("monospace", code.evaluate("field => getComputedStyle(field).fontFamily"))
    code.fill(next(iter(variant.mistakes.values())).code(variant.reference))
    press(page, "Check")
    page.get_by_text("not yet, ").wait_for()
    code.fill(variant.reference)
    press(page, "Check")
    page.get_by_text(": right, ").wait_for()
    press(page, "Next question")
    page.get_by_text("Question 8 of 8").wait_for()
    press(page, "Pass")
    for _place in range(7):
        page.get_by_text("Which of these key points did you say?").wait_for()
        left = len(mock.history()[0].to_score)
        point = page.get_by_role("checkbox").locator("visible=true").first
        expect(point).not_to_be_checked()
        point.check()
        press(page, "Save this score")
        page.get_by_text("Report" if left == 1 else f"{left - 1} answers to go").locator(
            "visible=true"
        ).first.wait_for()
    page.get_by_text("Study next").wait_for()
    (known,) = mock.history()
    assert known.finished and known.scores[6]["score"] == 1.0
    assert {bool(row["score"]) for row in known.scores.values()} == {True}
    link = page.locator("a", has_text="notebooks/").locator("visible=true").first
    assert re.match(r"\d\d_\w+/\d\d_\w+\.ipynb#", link.get_attribute("href") or "")


def test_a_case_of_the_clinic(page):
    output = lab.run(page, lab.cell(page, "panel.clinic"))
    case = clinic.get("vgg16-classifier")
    page.get_by_role("radio", name=str(case.options[0].text)).check()
    lines = sorted(case.line_numbers(case.faults[0]))
    page.get_by_label("Lines with a fault").fill(f"{lines[0]}, 1")
    press(page, "Compare")
    expect(output).to_contain_text("1 of 5 faults found; false alarms: 1")
    expect(output).not_to_contain_text(str(case.faults[1].name))
    assert [row["prediction"] for row in clinic.history(case)] == [1]
    expect(lab.run(page, lab.cell(page, "panel.review"))).to_contain_text("First mend the program")


def test_a_quiz_is_answered_by_keyboard_and_remembered(page):
    first = quizzes.of_lesson("03")[0]
    output = lab.run(page, lab.cell(page, "import quiz"))
    send = output.get_by_role("button", name="Answer", exact=True).first
    send.press("Enter")
    expect(output.get_by_role("alert").first).to_contain_text("choose one, then answer")
    wrong = next(option for option in first.options if not option.right)
    choice = output.get_by_role("radio", name=str(wrong.text))
    choice.press("Space")
    send.press("Enter")
    for option in first.options:
        expect(output).to_contain_text(str(option.why))
    assert output.get_by_role("img").first.get_attribute("alt")
    assert quizzes.last(first) == first.options.index(wrong) + 1
    again = lab.run(page, lab.cell(page, "import quiz"))
    expect(again.get_by_role("radio", name=str(wrong.text))).to_be_checked()
    expect(again).to_contain_text("(your choice)")


def test_progress_is_shown_and_taken_along(page, home):
    open_tab(page, "Progress")
    page.get_by_text("Take your progress with you").wait_for()
    assert "2/" in page.get_by_role("row", name=re.compile("^distillation")).inner_text()
    page.get_by_label("JSON file").fill(os.fspath(home / "mine.json"))
    press(page, "Export my progress")
    page.get_by_text("rows of progress are in").wait_for()
    press(page, "Import")
    page.get_by_text("0 rows were new").wait_for()
    page.get_by_label("JSON file").fill(os.fspath(home / "none.json"))
    press(page, "Import")
    expect(page.locator(".tl-practice").get_by_role("alert").locator("visible=true")).to_contain_text("none.json")
    assert (home / "mine.json").is_file()


def test_without_its_kernel_the_notebook_says_what_to_do(page, home):
    page.get_by_role("button", name=re.compile("^Save and create checkpoint")).click()
    saved = home.parent / "course" / "notebooks" / NOTEBOOK
    words = "Interview practice: run this cell if nothing is shown below"
    page.wait_for_function("() => !document.querySelector('.jp-mod-dirty')")
    outputs = nbformat.read(saved, as_version=4).cells[0].outputs
    assert all(words in output.data["text/plain"] for output in outputs) and len(outputs) == 2
    page.reload()
    page.get_by_text(words).wait_for()
