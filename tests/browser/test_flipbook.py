"""A flip-book in a real browser: by keyboard, on a phone, without JavaScript, and in an untrusted notebook."""

import lab
import nbformat
import pytest
from matplotlib.figure import Figure

from tl_course.flipbook import Control, FlipBook, flipbook

pytestmark = [pytest.mark.browser, pytest.mark.skipif(lab.CHROMIUM is None, reason="needs chromium")]

SEEN = "document.getElementById('picture').src"
FITS = "document.documentElement.scrollWidth <= innerWidth && document.documentElement.scrollHeight <= innerHeight"


def book() -> FlipBook:
    """Twelve pictures, with words as long as those of the course."""

    def draw(power: int, colour: str) -> tuple[Figure, str]:
        figure = Figure(figsize=(6.4, 3.6))
        figure.add_subplot().plot([x**power for x in range(5)], color=colour)
        return figure, f"{power} in {colour}. " + 20 * "Words and numbers. "

    powers = Control("Power", {f"p{power}": power for power in range(6)}, start=1)
    return flipbook(draw, [powers, Control("Colour", {"red": "red", "blue": "blue"}, kind="select")], "Powers")


@pytest.fixture
def page():
    """A page that fails the test when it writes an error or asks the network for anything."""
    with lab.offline_page() as page:
        yield page


def test_by_keyboard_from_a_file(page, tmp_path):
    page.goto(book().save(tmp_path / "book.html").as_uri())
    slider, picture = page.get_by_role("slider", name="Power"), page.get_by_role("img")
    first = page.evaluate(SEEN)
    assert slider.get_attribute("aria-valuetext") == "p1" and picture.get_attribute("alt").startswith("1 in red")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(SEEN) != first and slider.get_attribute("aria-valuetext") == "p2"
    assert picture.get_attribute("alt").startswith("2 in red")
    assert page.locator("figcaption").inner_text().startswith("2 in red") and page.get_by_text("p2").is_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    page.get_by_role("combobox", name="Colour").select_option("blue")
    assert picture.get_attribute("alt").startswith("2 in blue")
    assert picture.evaluate("picture => picture.decode().then(() => picture.naturalWidth)") > 0


@pytest.mark.parametrize("width", [390, 1366])
def test_it_fits_into_its_frame(page, tmp_path, width):
    shown = tmp_path / "notebook.html"
    shown.write_text(f"<!doctype html><meta charset=utf-8><body style='margin:0'>{book()._repr_html_()}", "utf-8")
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(shown.as_uri())
    page.frame_locator("iframe").get_by_role("img").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.frames[1].evaluate(FITS)
    assert page.locator("iframe + noscript").evaluate("twin => twin.offsetHeight") == 0


def test_a_dark_page_keeps_the_picture_white(page, tmp_path):
    page.emulate_media(color_scheme="dark")
    page.goto(book().save(tmp_path / "book.html").as_uri())
    colour = "element => getComputedStyle(element).backgroundColor"
    assert page.locator("body").evaluate(colour) == "rgb(24, 26, 29)"
    assert page.get_by_role("img").evaluate(colour) == "rgb(255, 255, 255)"


@pytest.mark.parametrize("form", ["a file", "exported HTML"])
def test_without_javascript_there_is_the_static_twin(tmp_path, form):
    path = tmp_path / "page.html"
    if form == "a file":
        book().save(path)
    else:
        path.write_text(exported(), encoding="utf-8")
    with lab.browser_page() as page:
        without = page.context.browser.new_page(java_script_enabled=False)
        without.goto(path.as_uri())
        twin = without.get_by_role("img").filter(visible=True)
        assert twin.count() == 1
        assert twin.get_attribute("alt").splitlines()[1].startswith("Power p2, Colour red: 2 in red")
        assert twin.bounding_box()["width"] > 400 and twin.bounding_box()["height"] > 200
        assert without.get_by_role("slider").filter(visible=True).count() == 0


def test_in_exported_html(tmp_path):
    (tmp_path / "exported.html").write_text(exported(), encoding="utf-8")
    with lab.browser_page() as page:
        page.route("http*://**", lambda route: route.abort())
        page.goto((tmp_path / "exported.html").as_uri())
        frame = page.frame_locator("iframe")
        frame.get_by_role("slider").press("End")
        assert frame.get_by_role("img").get_attribute("alt").startswith("5 in red")


def test_in_jupyterlab_before_and_after_the_notebook_is_trusted(tmp_path):
    folder = tmp_path / "course"
    folder.mkdir()
    nbformat.write(notebook(), folder / "book.ipynb")
    with (
        lab.served(["jupyter", "lab", "--allow-root"], folder, tmp_path / "home") as address,
        lab.browser_page() as page,
    ):
        page.goto(f"{address}/lab/tree/book.ipynb?token={lab.TOKEN}")
        output = page.locator(".jp-OutputArea-output").first
        twin = output.locator("img")
        twin.wait_for()
        assert twin.get_attribute("alt").startswith("Power p0") and twin.bounding_box()["width"] > 300
        assert output.locator("iframe").count() == 0
        page.get_by_role("menuitem", name="View", exact=True).click()
        page.get_by_role("menuitem", name="Activate Command Palette").click()
        page.locator(".lm-CommandPalette-input:focus").fill("Trust Notebook")
        page.keyboard.press("Enter")
        page.locator(".jp-Dialog").get_by_role("button", name="Trust").press("Enter")
        frame = output.frame_locator("iframe")
        frame.get_by_role("slider", name="Power").press("ArrowRight")
        assert frame.get_by_role("img").get_attribute("alt").startswith("2 in red")


def notebook():
    """A notebook with a flip-book as output, as a kernel leaves it."""
    shown = book()
    data = {"text/plain": repr(shown), "text/html": shown._repr_html_()}
    output = nbformat.v4.new_output("execute_result", data=data, execution_count=1)
    cell = nbformat.v4.new_code_cell("book()", outputs=[output], execution_count=1)
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    return nbformat.v4.new_notebook(cells=[cell], metadata=kernel)


def exported() -> str:
    """The notebook as nbconvert writes it."""
    from nbconvert import HTMLExporter

    return HTMLExporter().from_notebook_node(notebook())[0]
