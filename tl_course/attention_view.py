"""An interactive view of attention: one self-contained HTML page that asks nobody for anything.

It works in JupyterLab, in exported HTML, and saved to a file, without a network; by mouse and by keyboard.
"""

import base64

import numpy as np

from tl_course.attention import AttentionMaps
from tl_course.attention_page import PAGE
from tl_course.errors import BadInput
from tl_course.framed_page import FramedPage, as_json, fill
from tl_course.i18n import _

MOST_TOKENS = 256  # 6 MB of weights with 72 heads; longer texts make pages no browser likes
ROW, OTHERS, LOWEST, TALLEST = 20, 130, 430, 640  # pixels: a token, what else there is, and the frame's limits


def view(maps: AttentionMaps, index: int = 0, layer: int = 0, head: int | None = None) -> FramedPage:
    """Choose layer and head, point at a token, and see what it attends to.

    Weights are rounded to 1/255. The same maps give the same page, to the byte.

    Args:
        maps: from `attention_maps`.
        index: which input.
        layer: shown first.
        head: shown first; None: the heads of the layer averaged.

    Raises:
        BadInput: an input, layer or head that is not there, or more than 256 tokens.
    """
    weights, tokens = maps.of(index), maps.tokens_of(index)
    layers, heads, size = weights.shape[:3]
    if size > MOST_TOKENS:
        raise BadInput(_("at most {most} tokens").format(most=MOST_TOKENS), str(size), _("take a part of the text"))
    if not 0 <= layer < layers or not (head is None or 0 <= head < heads):
        raise BadInput(
            _("a layer from 0 to {layer} and a head from 0 to {head}").format(layer=layers - 1, head=heads - 1),
            _("layer {layer}, head {head}").format(layer=layer, head=head),
            _("both count from 0"),
        )
    content = {
        "tokens": tokens,
        "layers": layers,
        "heads": heads,
        "layer": layer,
        "head": -1 if head is None else head,
        "weights": base64.b64encode(np.rint(255 * weights).astype(np.uint8).tobytes()).decode("ascii"),
        "words": {
            "mean": _("all, averaged"),
            "all": _("What the tokens attend to, on average"),
            "one": _("What “{token}” ({place}) attends to"),
        },
    }
    summary = _("Attention view: {size} tokens, {layers} layers, {heads} heads").format(
        size=size, layers=layers, heads=heads
    )
    return FramedPage(_page(content, summary), summary, f"{min(TALLEST, max(LOWEST, size * ROW + OTHERS))}px")


def _page(content: dict[str, object], title: str) -> str:
    texts = {
        "TITLE": title,
        "CHOICE": _("Which attention map"),
        "LAYER": _("Layer"),
        "HEAD": _("Head"),
        "QUERIES": _("Tokens that attend; up and down choose, left and right change the head, page keys the layer"),
        "DRAWN": _("Lines from each token to what it attends to; the table says the same in numbers"),
        "HELP": _(
            "Point at a token at the left, or go there with Tab: ↑ ↓ choose it, ← → change the head, Page Up and Page "
            "Down the layer, Esc shows all. Numbers in brackets are places in the text."
        ),
        "NOSCRIPT": _("This view needs JavaScript; the functions of attention_plots draw the same maps as pictures."),
    }
    return fill(PAGE, texts, {"DATA": as_json(content)})
