"""The site: built once, then read as a reader gets it, from files and in a real browser."""

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import lab
import pytest
from bs4 import BeautifulSoup

from tl_course import exercises, lessons
from tl_course.practice.cards import all_cards

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
browser = [pytest.mark.browser, pytest.mark.skipif(lab.CHROMIUM is None, reason="needs chromium")]

WIDTHS = (1366, 390)  # pixels: a laptop, a phone
LONGEST_OUTPUT = 60  # lines
LINKS = {"a": "href", "link": "href", "script": "src", "img": "src", "iframe": "src", "source": "src"}


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("built") / "site"
    command = [sys.executable, str(lab.ROOT / "scripts" / "build_site.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, BeautifulSoup]:
    return {path: BeautifulSoup(path.read_bytes(), "html.parser") for path in site.rglob("*.html")}


@pytest.fixture(scope="module")
def page():
    """A page that fails the module's tests when it writes an error or asks the network for anything."""
    with lab.offline_page() as page:
        yield page


def addresses(soup: BeautifulSoup) -> list[tuple[str, str]]:
    """(tag, address) of everything a page links to or loads."""
    return [(node.name, node[LINKS[node.name]]) for node in soup.find_all(list(LINKS)) if node.get(LINKS[node.name])]


def lesson_page(pages, site: Path, name: str) -> BeautifulSoup:
    return pages[site / "lessons" / f"{name}.html"]


def test_every_link_and_image_leads_to_something(site, pages):
    names = {path: {node["id"] for node in soup.find_all(id=True)} for path, soup in pages.items()}
    broken = []
    for path, soup in pages.items():
        for _tag, address in addresses(soup):
            parts = urlsplit(address)
            if parts.scheme:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            lacks_anchor = target in names and parts.fragment and unquote(parts.fragment) not in names[target]
            if not target.is_file() or not target.is_relative_to(site) or lacks_anchor:
                broken.append(f"{path.relative_to(site)}: {address}")
    assert broken == []
    assert len(pages) > 100


def test_nothing_is_loaded_from_elsewhere(site, pages):
    loaded = [
        address
        for soup in pages.values()
        for tag, address in addresses(soup)
        if tag != "a" and urlsplit(address).netloc
    ]
    styles = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    styles += [str(node) for soup in pages.values() for node in soup.find_all("style")]
    loaded += [
        found for style in styles for found in re.findall(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//[^)'\"]*", style)
    ]
    assert loaded == []


@pytest.mark.parametrize("name", lessons.names())
def test_a_lesson_can_be_read_found_and_downloaded(site, pages, name):
    soup = lesson_page(pages, site, name)
    assert soup.h1.find(string=True) == lessons.header(name)["title"]
    downloads = [site / "lessons" / unquote(link["href"]) for link in soup.select("a.download")]
    committed = [lessons.notebook_path(name, folder) for folder in (lessons.RELEASED, lessons.SOLUTIONS)]
    assert [path.read_bytes() for path in downloads] == [path.read_bytes() for path in committed]
    assert f'"lessons/{name}"' in (site / "searchindex.js").read_text(encoding="utf-8")
    assert pages[site / "index.html"].select(f'.lesson-tile a[href="lessons/{name}.html"]')


@pytest.mark.parametrize("name", lessons.names())
def test_answers_are_folded_and_hidden_tests_are_left_out(site, pages, name):
    soup = lesson_page(pages, site, name)
    cells = lessons.read_notebook(lessons.notebook_path(name)).cells
    answers = {cell.source.strip() for cell in cells if cell.metadata.get("nbgrader", {}).get("solution")}
    folded = {pre.get_text().strip() for pre in soup.select("details .cell_input pre, .cell_input details pre")}
    shown = {pre.get_text().strip() for pre in soup.select(".cell_input pre") if not pre.find_parent("details")}
    assert answers <= folded
    assert not answers & shown
    assert "HIDDEN TESTS" not in soup.get_text()


def test_every_card_and_every_exercise_is_there(site, pages):
    anchors = {
        node["id"] for path, soup in pages.items() if path.parent.name == "cards" for node in soup.find_all(id=True)
    }
    assert {f"card-{card.id}" for card in all_cards()} <= anchors
    listed = pages[site / "exercises.html"]
    titles = {row.td.get_text() for row in listed.select("tbody tr")}
    assert {row["title"].replace("`", "") for row in exercises.listing()} <= titles
    set_in_lessons = {exercise_id for row in lessons.listing() for exercise_id in row["exercises"]}
    linked = {unquote(link["href"]).partition("#exercise-")[2] for link in listed.select("tbody a")}
    assert linked == set_in_lessons


def test_the_api_has_every_module_of_both_frameworks(site, pages):
    package = lab.ROOT / "tl_course"
    modules = [
        f"tl_course.{file.parent.name}.{file.stem}"
        for name in ("pytorch", "keras")
        for file in (package / name).glob("*.py")
    ]
    missing = [name for name in modules if not name.endswith("__init__") and site / "api" / f"{name}.html" not in pages]
    assert missing == []
    assert pages[site / "api" / "tl_course.data.html"].find(id="tl_course.data.load")


class TestInABrowser:
    pytestmark = browser

    @pytest.mark.parametrize("width", WIDTHS)
    @pytest.mark.parametrize("name", ["index", "exercises", "README", "grading", "api", "cards/attention", "CHANGELOG"])
    def test_other_pages_fit_the_window(self, site, page, name, width):
        page.set_viewport_size({"width": width, "height": 900})
        page.goto((site / f"{name}.html").as_uri())
        assert page.evaluate("document.scrollingElement.scrollWidth <= document.scrollingElement.clientWidth")

    def test_the_text_of_a_tile_keeps_off_its_border(self, site, page):
        page.goto((site / "index.html").as_uri())
        left = "tiles => tiles.map(tile => tile.firstElementChild.offsetLeft - tile.offsetLeft)"
        assert min(page.locator(".lesson-tile").evaluate_all(left)) >= 8

    @pytest.mark.parametrize("name", lessons.names())
    def test_a_lesson_fits_the_window_and_shows_no_wall_of_lines(self, site, page, name):
        page.goto((site / "lessons" / f"{name}.html").as_uri())
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_function("() => !window.MathJax || MathJax.startup.promise.then(() => true)")
            wide = "document.scrollingElement.scrollWidth > document.scrollingElement.clientWidth"
            assert not page.evaluate(wide), f"{width} pixels"
        lines = (
            "[...document.querySelectorAll('.cell_output pre')].map(box => box.innerText.trim().split('\\n').length)"
        )
        assert max([0, *page.evaluate(lines)]) <= LONGEST_OUTPUT
        assert page.locator("mjx-merror").count() == 0

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    @pytest.mark.parametrize("name", lessons.names())
    def test_outputs_can_be_read_in_light_and_dark(self, site, page, name, scheme):
        page.emulate_media(color_scheme=scheme)
        page.goto((site / "lessons" / f"{name}.html").as_uri())
        assert lab.faded(page, ".cell_output *") == []

    def test_search_finds_lessons_from_a_file(self, site, page):
        page.goto((site / "index.html").as_uri())
        box = page.locator("input[name=q]").first
        box.fill("negative transfer")
        box.press("Enter")
        results = page.locator("#search-results li a")
        results.first.wait_for()
        assert {"01 Concepts", "08 When transfer fails"} <= set(results.all_inner_texts())
        excerpt = page.locator("#search-results li", has_text="01 Concepts").last.locator("p.context")
        assert "transfer" in excerpt.inner_text().lower()
        page.get_by_role("link", name="01 Concepts", exact=True).last.click()
        page.wait_for_url("**/lessons/01_concepts.html*")
        assert page.locator("h1").inner_text().startswith("01 Concepts")

    def test_dark_mode_can_be_chosen(self, site, page):
        page.set_viewport_size({"width": WIDTHS[0], "height": 900})
        page.emulate_media(color_scheme="light")
        page.goto((site / "index.html").as_uri())
        seen = {}
        for _press in range(3):
            page.locator(".theme-toggle:visible").first.click()
            theme = page.evaluate("document.body.dataset.theme")
            seen[theme] = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert set(seen) == {"auto", "light", "dark"}
        assert seen["light"] == seen["auto"] != seen["dark"]

    def test_the_view_of_attention_works_in_its_page(self, site, page):
        page.goto((site / "lessons" / "07_attention.html").as_uri())
        frame = page.frame_locator(".cell_output iframe").first
        frame.locator("#queries > *").nth(1).click()
        assert frame.locator("#top tr").count() > 0
