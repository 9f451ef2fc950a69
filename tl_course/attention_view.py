"""An interactive view of attention: one self-contained HTML page that asks nobody for anything.

It works in JupyterLab, in exported HTML, and saved to a file, without a network; by mouse and by keyboard.
"""

import base64
import html
import json
import re
from pathlib import Path

import numpy as np

from tl_course.attention import AttentionMaps
from tl_course.attention_page import PAGE
from tl_course.errors import BadInput
from tl_course.i18n import _

MOST_TOKENS = 256  # 6 MB of weights with 72 heads; longer texts make pages no browser likes
ROW, OTHERS, LOWEST, TALLEST = 20, 130, 430, 640  # pixels: a token, what else there is, and the frame's limits


class AttentionView:
    """What `view` returns: shown as a page in a notebook, as a line of text elsewhere.

    Attributes:
        page: the whole HTML document.
    """

    def __init__(self, page: str, summary: str, height: int) -> None:
        self.page, self._summary, self._height = page, summary, height

    def __repr__(self) -> str:
        return self._summary

    def _repr_html_(self) -> str:
        """The page in a frame of its own, so that its style and script touch nothing around it."""
        title, note = html.escape(self._summary), html.escape(_("Nothing above? Trust the notebook, or save the view."))
        return (
            f'<iframe srcdoc="{html.escape(self.page)}" title="{title}" sandbox="allow-scripts" '
            f'style="width:100%;height:{self._height}px;border:0"></iframe><p><small>{title}. {note}</small></p>'
        )

    def save(self, path: str | Path) -> Path:
        """Write the page to a file that any browser opens; returns its path."""
        target = Path(path)
        if not target.parent.is_dir():
            raise BadInput(_("a path in an existing folder"), str(target), _("make the folder first"))
        target.write_text(self.page, encoding="utf-8")
        return target


def view(maps: AttentionMaps, index: int = 0, layer: int = 0, head: int | None = None) -> AttentionView:
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
    return AttentionView(_page(content, summary), summary, min(TALLEST, max(LOWEST, size * ROW + OTHERS)))


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
    filled = {name: html.escape(text) for name, text in texts.items()}
    filled["DATA"] = json.dumps(content, ensure_ascii=True).replace("<", "\\u003c")
    return re.sub("%([A-Z]+)%", lambda found: filled[found[1]], PAGE)
