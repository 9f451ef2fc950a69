"""Block diagrams."""

import pytest

from tl_course.diagrams import flow
from tl_course.errors import BadInput
from tl_course.plots import alt_text

BOXES = [("image", "(3, 8, 8)", "data"), ("backbone", "", "frozen"), ("head", "W h + b", "trained")]


def test_every_box_says_what_it_is_without_colour():
    words = alt_text(flow(BOXES, "Two parts", ["pixels", "features"]))
    for part in ("Two parts", "image", "(3, 8, 8)", "backbone", "frozen", "head", "trained", "features"):
        assert part in words


def test_an_unknown_kind_or_a_missing_arrow_is_refused():
    with pytest.raises(BadInput, match="kinds among"):
        flow([("head", "", "melted")], "One")
    with pytest.raises(BadInput, match="2 arrow texts"):
        flow(BOXES, "Three", ["pixels"])
