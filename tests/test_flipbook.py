"""A flip-book: self-contained, the same every time, small, and with a static twin for where nothing moves."""

import base64
import html
import io
import json
import re

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from tl_course.errors import BadInput
from tl_course.flipbook import Control, flipbook

FRAME = re.compile("<iframe.*?</iframe>", re.DOTALL)
TITLE = "Powers of 'x' & <y>"
POWER = Control("Power", {str(power): power for power in range(6)})
COLOUR = Control("Colour", {"</script>": "red", '"blue"': "blue"}, kind="select")


def draw(power: int, colour: str = "red", size: tuple[float, float] = (4, 3)) -> tuple[Figure, str]:
    figure = Figure(figsize=size)
    figure.add_subplot().plot(np.linspace(0, 1, 9) ** power, color=colour)
    figure.suptitle(f"power 0.00{power}")
    return figure, f"x to the power {power} in {colour} <b>"


def data_of(page: str) -> dict:
    return json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', page)[1])


def test_every_combination_has_its_picture_and_its_words():
    data = data_of(flipbook(draw, [POWER, COLOUR], TITLE).page)
    pictures = ["\n".join(data["lines"][line] for line in picture) for picture in data["pictures"]]
    assert len(pictures) == len(set(pictures)) == 12 and data["values"] == [list(POWER.values), list(COLOUR.values)]
    assert "power 0.003" in pictures[7] and "#0000ff" in pictures[7]
    assert data["words"][7] == "x to the power 3 in blue <b>"


def test_the_page_asks_nobody_for_anything_and_is_the_same_every_time():
    one, other = (flipbook(draw, [POWER, COLOUR], TITLE) for _ in range(2))
    around = one.page.split('<script id="data"')[0]
    assert not re.search(r'(src|href)="(?!data:)|https?://', around) and "default-src 'none'" in one.page
    assert not re.search(r"%[A-Z]+%", one.page) and not re.search(r"\d{4}-\d{2}-\d{2}T", one.page)
    assert (one.page, one._repr_html_(), one._repr_png_()) == (other.page, other._repr_html_(), other._repr_png_())


def test_texts_cannot_leave_their_places():
    book = flipbook(draw, [POWER, COLOUR], TITLE)
    shown = book._repr_html_()
    framed = html.unescape(re.search(r'<iframe srcdoc="([^"]*)"', shown)[1])
    assert f"<title>{html.escape(TITLE)}</title>" in framed and "<b>" not in shown
    assert framed.count("</script>") == 2 and data_of(framed) == data_of(book.page)


def test_lines_that_pictures_share_are_kept_once():
    data = data_of(flipbook(draw, [POWER], TITLE).page)
    assert len(set(data["lines"])) == len(data["lines"]) < sum(map(len, data["pictures"])) / 2


def test_the_twin_is_a_few_pictures_side_by_side_wherever_scripts_do_not_run():
    book = flipbook(draw, [POWER], TITLE)
    png, described = book._repr_png_()
    assert described["alt"].startswith("Power 0: x to the power 0 in red <b>\n")
    twin = Image.open(io.BytesIO(png))
    assert twin.size == (2 * 400, 2 * 300) and twin.info.keys() <= {"transparency"}
    uri = base64.b64encode(png).decode("ascii")
    for place in (book.page, re.sub(FRAME, "", book._repr_html_())):
        assert uri in re.search(r"<noscript>(.*?)</noscript>", place, re.DOTALL)[1]
    assert uri not in re.search(FRAME, book._repr_html_())[0]


def test_the_text_says_what_it_is_and_the_numbers_of_the_twin():
    assert repr(flipbook(draw, [POWER, COLOUR], "Powers")).splitlines() == [
        "Powers",
        *(f"Power {power}, Colour </script>: x to the power {power} in red <b>" for power in (0, 2, 3, 5)),
    ]
    chosen = Control("Power", POWER.values, few=(4,))
    assert repr(flipbook(draw, [chosen], "Powers")).splitlines()[1:] == ["Power 4: x to the power 4 in red <b>"]


def test_the_form_starts_where_it_is_told():
    page = flipbook(draw, [Control("Power", POWER.values, start=3), Control("Colour", COLOUR.values, "select", 1)], "P")
    assert 'max="5" value="3"' in page.page and '<option value="1" selected>&quot;blue&quot;</option>' in page.page


@pytest.mark.parametrize(("controls", "message"), [([], "one or two controls"), ([POWER] * 3, "one or two controls")])
def test_too_few_and_too_many_controls_are_refused(controls, message):
    with pytest.raises(BadInput, match=message):
        flipbook(draw, controls, TITLE)


@pytest.mark.parametrize("options", [{"start": 6}, {"few": (0, 6)}, {"start": -1}])
def test_places_that_are_not_there_are_refused(options):
    with pytest.raises(BadInput, match="0 to 5 for Power"):
        Control("Power", POWER.values, **options)


def test_a_control_without_values_is_refused():
    with pytest.raises(BadInput, match="at least one value"):
        Control("Power", {})


def test_figures_of_several_sizes_are_refused():
    with pytest.raises(BadInput, match="one size"):
        flipbook(lambda power: draw(power, size=(4, 3 + power)), [POWER], TITLE)


def test_too_large_a_book_is_refused():
    def crowded(power: int) -> tuple[Figure, str]:
        figure = Figure(figsize=(4, 3))
        figure.add_subplot().plot(np.random.default_rng(power).random(5000))
        return figure, ""

    with pytest.raises(BadInput, match="at most 400 kB"):
        flipbook(crowded, [POWER], TITLE)
