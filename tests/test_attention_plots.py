"""Figures of attention draw the weights they were given, fast enough, with words for those who cannot see them."""

import time

import matplotlib.pyplot as plt
import numpy as np
import pytest

from tl_course import attention_plots, plots
from tl_course.attention import AttentionMaps
from tl_course.errors import BadInput


def random_maps(length: int, layers: int = 2, heads: int = 3) -> AttentionMaps:
    weights = np.random.default_rng(0).dirichlet(np.full(length, 0.3), (layers, 1, heads, length)).astype(np.float32)
    names = tuple(f"w{place}" for place in range(length))
    return AttentionMaps((names,), weights, np.ones((1, length), bool), np.zeros((1, length), bool))


def test_one_head_shows_its_weights_with_its_tokens():
    maps = random_maps(5)
    figure = attention_plots.one_head(maps, 1, 2)
    axes = figure.axes[0]
    np.testing.assert_allclose(axes.get_images()[0].get_array(), maps.of(0)[1, 2])
    assert [label.get_text() for label in axes.get_yticklabels()] == list(maps.tokens_of(0))
    assert axes.get_title() == "Layer 1, head 2" and "query" in axes.get_ylabel() and "key" in axes.get_xlabel()
    with pytest.raises(BadInput, match="a layer from 0 to 1 and a head from 0 to 2"):
        attention_plots.one_head(maps, 2, 0)


def test_all_heads_stand_where_their_names_are():
    maps = random_maps(5)
    axes = attention_plots.all_heads(maps).axes[0]
    mosaic = axes.get_images()[0].get_array()
    top, left = (int(axes.get_yticks()[1]) - 2, int(axes.get_xticks()[2]) - 2)
    np.testing.assert_allclose(mosaic[top : top + 5, left : left + 5], maps.of(0)[1, 2])
    assert np.ma.getmaskarray(mosaic).sum() > 0


def test_72_heads_of_32_tokens_are_drawn_in_under_two_seconds(tmp_path):
    maps = random_maps(32, layers=6, heads=12)
    attention_plots.all_heads(random_maps(5)).savefig(tmp_path / "warm.png")
    begin = time.process_time()
    attention_plots.all_heads(maps).savefig(tmp_path / "grid.png")
    assert time.process_time() - begin < 2


def test_lines_are_those_of_the_query_and_as_strong_as_its_weights():
    maps = random_maps(5)
    axes = attention_plots.lines(maps, 0, 1, query=3).axes[0]
    weights = maps.of(0)[0, 1, 3]
    drawn = {int(line.get_ydata()[1]): line.get_alpha() for line in axes.get_lines()}
    assert drawn == pytest.approx({place: weights[place] for place in range(5) if weights[place] >= 0.03})
    assert {int(line.get_ydata()[0]) for line in axes.get_lines()} == {3}
    assert len(attention_plots.lines(maps, 0, 1).axes[0].get_lines()) == (maps.of(0)[0, 1] >= 0.03).sum()
    with pytest.raises(BadInput, match="a token from 0 to 4"):
        attention_plots.lines(maps, 0, 1, query=5)


def test_a_table_of_many_tokens_is_refused():
    maps = random_maps(5)
    assert "Head" in plots.alt_text(attention_plots.token_table(maps.of(0)[0, 0], maps.tokens_of(0), "Head"))
    with pytest.raises(BadInput, match="one_head"):
        attention_plots.token_table(np.eye(17), [str(place) for place in range(17)], "Head")


def test_patches_cover_the_whole_image_and_boxes_are_where_they_should():
    image, values = np.random.default_rng(0).random((12, 18, 3)), np.arange(6.0).reshape(2, 3)
    figure = attention_plots.patch_overlay([image, image], [values, values.T], ["a", "b"], "Two", [(1, 2, 5, 9)] * 2)
    base, overlay = figure.axes[0].get_images()
    assert overlay.get_extent() == base.get_extent()
    np.testing.assert_allclose(overlay.get_array(), values)
    (box,) = figure.axes[0].patches
    assert (box.get_x(), box.get_y(), box.get_width(), box.get_height()) == (1.5, 0.5, 7, 4)
    with pytest.raises(BadInput, match="2, 1, 1"):
        attention_plots.patch_overlay([image, image], [values], ["a"], "Two")


def test_saliency_has_a_panel_a_measure_and_colours_by_sign():
    figure = attention_plots.saliency(["a", "b", "c"], {"x": np.array([1, -2, 3]), "y": np.array([0, 1, 2])}, "Title")
    heights = {round(patch.get_x() + patch.get_width() / 2): patch.get_height() for patch in figure.axes[0].patches}
    assert heights == {0: 1, 1: -2, 2: 3}
    assert len({patch.get_facecolor() for patch in figure.axes[0].patches}) == 2
    assert plots.alt_text(figure).startswith("Title. x: a 1, b -2")
    assert plt.get_fignums() == []
    with pytest.raises(BadInput, match="for each of 3 tokens; got x"):
        attention_plots.saliency(["a", "b", "c"], {"x": np.ones(2)}, "Title")
