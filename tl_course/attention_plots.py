"""Figures of attention, in the style of `plots`: one head, all heads, lines, tables, patches on images, saliency.

Every function returns a Figure and shows nothing by itself; `plots.alt_text` says in words what it shows. Layers and
heads count from 0.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from tl_course import plots
from tl_course.attention import AttentionMaps
from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.plots import OKABE_ITO, STYLE, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = "cividis"
MOST_NUMBERS = 16  # tokens in a table whose numbers can still be read
THINNEST = 0.03  # weights below this are not drawn as lines


def one_head(maps: AttentionMaps, layer: int, head: int, index: int = 0) -> "Figure":
    """One head as a heat map: a row is a query and sums to one."""
    weights, tokens = _chosen(maps, layer, head, index), maps.tokens_of(index)
    side = min(9.0, 2.2 + 0.28 * len(tokens))
    with _figure(_name(layer, head), (side + 0.8, side)) as (figure, axes):
        image = axes.imshow(weights, cmap=COLOURS, vmin=0, vmax=1)
        axes.set_xticks(range(len(tokens)), tokens, rotation=90)
        axes.set_yticks(range(len(tokens)), tokens)
        axes.set_xlabel(_("attended to (key)"))
        axes.set_ylabel(_("token that attends (query)"))
        figure.colorbar(image, ax=axes, shrink=0.8)
    return figure


def all_heads(maps: AttentionMaps, index: int = 0) -> "Figure":
    """Every head of every layer as a small map, layers downwards, heads across; the scale is a square root."""
    from matplotlib.colors import PowerNorm

    weights = maps.of(index)  # (L, H, t, t)
    layers, heads, length = weights.shape[:3]
    gap = max(1, length // 12)
    tiles = np.pad(weights, ((0, 0), (0, 0), (0, gap), (0, gap)), constant_values=np.nan)
    mosaic = tiles.transpose(0, 2, 1, 3).reshape(layers * (length + gap), heads * (length + gap))[:-gap, :-gap]
    title = _("All heads: {first} … {last}").format(first=maps.tokens_of(index)[0], last=maps.tokens_of(index)[-1])
    with _figure(title, (min(13.0, 1.5 + 0.95 * heads), min(13.0, 1.3 + 0.95 * layers))) as (figure, axes):
        shown = np.ma.array(np.nan_to_num(mosaic), mask=np.isnan(mosaic))
        image = axes.imshow(shown, cmap=COLOURS, norm=PowerNorm(0.5, 0, 1), interpolation="nearest")
        middle = (length - 1) / 2
        axes.set_xticks(np.arange(heads) * (length + gap) + middle, [str(number) for number in range(heads)])
        axes.set_yticks(np.arange(layers) * (length + gap) + middle, [str(number) for number in range(layers)])
        axes.tick_params(length=0)
        axes.set_xlabel(_("head"))
        axes.set_ylabel(_("layer"))
        figure.colorbar(image, ax=axes, shrink=0.8)
    return figure


def lines(maps: AttentionMaps, layer: int, head: int, index: int = 0, query: int | None = None) -> "Figure":
    """Queries at the left, keys at the right, a line between them as dark as its weight; one query alone if named."""
    weights, tokens = _chosen(maps, layer, head, index), maps.tokens_of(index)
    if query is not None and not 0 <= query < len(tokens):
        raise BadInput(_("a token from 0 to {last}").format(last=len(tokens) - 1), str(query), _("or None for all"))
    queries = range(len(tokens)) if query is None else [query]
    with _figure(_name(layer, head), (5.5, 0.9 + 0.3 * len(tokens))) as (figure, axes):
        for row in queries:
            for column in np.flatnonzero(weights[row] >= THINNEST):
                strength = float(weights[row, column])
                axes.plot(
                    [0, 1], [row, int(column)], color=OKABE_ITO[0], alpha=strength, linewidth=0.5 + 2.5 * strength
                )
        for position, token in enumerate(tokens):
            weight = "bold" if position in queries and query is not None else "normal"
            axes.text(-0.03, position, token, ha="right", va="center", weight=weight)
            axes.text(1.03, position, token, ha="left", va="center")
        axes.set(xlim=(-0.5, 1.5), ylim=(len(tokens) - 0.5, -0.9))
        axes.text(-0.03, -0.8, _("query"), ha="right", style="italic")
        axes.text(1.03, -0.8, _("key"), ha="left", style="italic")
        axes.set_axis_off()
    return figure


def token_table(weights: np.ndarray, tokens: Sequence[str], title: str) -> "Figure":
    """Token-to-token weights as numbers: a head, an average of heads, a rollout.

    Args:
        weights: (t, t), t at most 16.
        tokens: t names.
        title: what the weights are.
    """
    if len(tokens) > MOST_NUMBERS:
        raise BadInput(
            _("at most {most} tokens").format(most=MOST_NUMBERS),
            str(len(tokens)),
            _("take a shorter text, or one_head, which draws colours without numbers"),
        )
    return plots.matrix(weights, tokens, tokens, title, _("attended to (key)"), _("token that attends (query)"))


def patch_overlay(
    images: Sequence[np.ndarray],
    values: Sequence[np.ndarray],
    titles: Sequence[str],
    title: str,
    boxes: Sequence[Sequence[int]] | None = None,
) -> "Figure":
    """Images side by side, each with one value a patch laid over it, scaled from its smallest to its largest.

    Args:
        images: M images (H, W, 3), (H, W, 1) or (H, W) in [0, 1]; the same one may come several times.
        values: M arrays (rows, columns), such as a row of a map without the class token, reshaped to `maps.grid`.
        titles: M names.
        title: heading of the whole figure.
        boxes: for each image (top, left, bottom, right) in pixels, drawn as a frame.
    """
    import matplotlib.pyplot as plt
    from matplotlib.patches import Rectangle

    if not len(images) == len(values) == len(titles) or not len(images):
        raise BadInput(
            _("as many images as values and titles, at least one"),
            f"{len(images)}, {len(values)}, {len(titles)}",
            _("repeat an image for each set of values"),
        )
    columns = min(len(images), 4)
    rows = -(-len(images) // columns)
    with styled():
        figure, grid = plt.subplots(
            rows, columns, figsize=(2.6 * columns, 2.75 * rows + 0.6), squeeze=False, layout="constrained"
        )
        for axes in grid.flat:
            axes.set_axis_off()
        for number, (axes, image, patches) in enumerate(zip(grid.flat, images, values, strict=False)):
            height, width = image.shape[:2]
            axes.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=1)
            axes.imshow(patches, cmap="inferno", alpha=0.55, extent=(-0.5, width - 0.5, height - 0.5, -0.5))
            axes.set_title(titles[number], fontsize=11)
            if boxes is not None:
                top, left, bottom, right = boxes[number]
                frame = Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, fill=False)
                frame.set(edgecolor="white", linewidth=2)
                axes.add_patch(frame)
        figure.suptitle(title, fontsize=STYLE["axes.titlesize"])
        plt.close(figure)
    return figure


def saliency(tokens: Sequence[str], measures: Mapping[str, np.ndarray], title: str) -> "Figure":
    """One number a token by several measures, as bars under each other; each measure has its own scale.

    Args:
        tokens: t names.
        measures: name to (t,), signed or not: attention received, gradient × input, leave-one-out.
        title: heading of the whole figure.
    """
    import matplotlib.pyplot as plt

    wrong = [name for name, values in measures.items() if np.shape(values) != (len(tokens),)]
    if wrong or not measures:
        raise BadInput(
            _("one number for each of {count} tokens").format(count=len(tokens)),
            ", ".join(wrong) or _("no measure"),
            _("drop padding from tokens and values alike"),
        )
    places = np.arange(len(tokens))
    with styled():
        size = (max(5.0, 1.5 + 0.45 * len(tokens)), 1.2 + 1.5 * len(measures))
        figure, grid = plt.subplots(len(measures), 1, figsize=size, sharex=True, squeeze=False, layout="constrained")
        for axes, (name, values) in zip(grid.flat, measures.items(), strict=True):
            colours = [OKABE_ITO[0] if value >= 0 else OKABE_ITO[1] for value in values]
            axes.bar(places, values, color=colours, label=name)
            axes.axhline(0, color="black", linewidth=0.8)
            axes.set_title(name, loc="left", fontsize=11)
            axes.grid(visible=False, axis="x")
        grid[-1, 0].set_xticks(places, tokens, rotation=45, ha="right")
        figure.suptitle(title, fontsize=STYLE["axes.titlesize"])
        plt.close(figure)
    return figure


def _chosen(maps: AttentionMaps, layer: int, head: int, index: int) -> np.ndarray:
    layers, _inputs, heads = maps.weights.shape[:3]
    if not (0 <= layer < layers and 0 <= head < heads):
        raise BadInput(
            _("a layer from 0 to {layer} and a head from 0 to {head}").format(layer=layers - 1, head=heads - 1),
            _("layer {layer}, head {head}").format(layer=layer, head=head),
            _("both count from 0"),
        )
    return maps.of(index)[layer, head]


def _name(layer: int, head: int) -> str:
    return _("Layer {layer}, head {head}").format(layer=layer, head=head)


@contextmanager
def _figure(title: str, size: tuple[float, float]) -> "Iterator[tuple[Figure, Axes]]":
    """A figure with one pair of axes and no grid, closed for pyplot so that a notebook shows it only once."""
    import matplotlib.pyplot as plt

    with styled():
        figure, axes = plt.subplots(figsize=size, layout="constrained")
        axes.set_title(title)
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        try:
            yield figure, axes
        finally:
            plt.close(figure)
