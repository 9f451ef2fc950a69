"""The interactive page: self-contained, the same every time, and safe with any token."""

import base64
import html
import json
import re

import numpy as np
import pytest

from tl_course.attention import AttentionMaps
from tl_course.attention_view import view
from tl_course.errors import BadInput


def random_maps(length: int, tokens: tuple[str, ...] | None = None) -> AttentionMaps:
    weights = np.random.default_rng(0).dirichlet(np.full(length, 0.3), (2, 1, 3, length)).astype(np.float32)
    names = tokens or tuple(f"word{place}" for place in range(length))
    return AttentionMaps((names,), weights, np.ones((1, length), bool), np.zeros((1, length), bool))


def data_of(page: str) -> dict:
    return json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', page)[1])


def test_the_page_holds_the_weights_rounded():
    maps = random_maps(5)
    data = data_of(view(maps, layer=1, head=2).page)
    stored = np.frombuffer(base64.b64decode(data["weights"]), np.uint8).reshape(2, 3, 5, 5) / 255
    np.testing.assert_allclose(stored, maps.of(0), atol=0.5 / 255 + 1e-6)
    assert (data["layer"], data["head"], data["tokens"][4]) == (1, 2, "word4")
    assert data_of(view(maps).page)["head"] == -1


def test_the_page_asks_nobody_for_anything_and_is_the_same_every_time():
    page = view(random_maps(5)).page
    assert not re.search(r"(src|href)=|https?://|import ", page)
    assert "default-src 'none'" in page and "%" not in re.sub(r"\d+%|\" %\"", "", page.split("<script id")[0])
    assert view(random_maps(5)).page == page


def test_tokens_cannot_leave_the_data():
    tokens = ("</script><b>", '"', "&amp;", "好", "##s")
    shown = view(random_maps(5, tokens))
    assert tuple(data_of(shown.page)["tokens"]) == tokens
    frame = re.search(r'<iframe srcdoc="([^"]*)"', shown._repr_html_())
    assert html.unescape(frame[1]) == shown.page


def test_128_tokens_of_72_heads_stay_below_two_megabytes():
    weights = np.full((6, 1, 12, 128, 128), 1 / 128, np.float32)
    maps = AttentionMaps((tuple(map(str, range(128))),), weights, np.ones((1, 128), bool), np.zeros((1, 128), bool))
    assert len(view(maps).page) < 2e6


def test_it_is_text_where_there_is_no_html_and_a_file_where_wanted(tmp_path):
    shown = view(random_maps(5))
    assert repr(shown) == "Attention view: 5 tokens, 2 layers, 3 heads"
    assert shown.save(tmp_path / "view.html").read_text(encoding="utf-8") == shown.page
    with pytest.raises(BadInput, match="make the folder first"):
        shown.save(tmp_path / "missing" / "view.html")


@pytest.mark.parametrize(
    ("options", "message"), [({"layer": 2}, "0 to 1"), ({"head": 3}, "0 to 2"), ({"index": 1}, "0 to 0")]
)
def test_what_is_not_there_is_refused(options, message):
    with pytest.raises(BadInput, match=message):
        view(random_maps(5), **options)


def test_texts_too_long_are_refused():
    with pytest.raises(BadInput, match="at most 256 tokens"):
        view(random_maps(257))
