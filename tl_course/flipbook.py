"""A flip-book: one picture for every value of a slider, on one page that works without a kernel and offline.

Everything is drawn beforehand, so that the page works in JupyterLab, in exported HTML and saved to a file, by mouse and
by keyboard. Where scripts do not run, a static twin stands in its place: a few of the pictures side by side.
"""

import base64
import html
import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tl_course.errors import BadInput
from tl_course.flipbook_page import PAGE, TWIN
from tl_course.framed_page import FramedPage, as_json, fill, frame
from tl_course.i18n import _, language

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

Draw = Callable[..., "tuple[Figure, str]"]

DPI, COLOURS = 100, 32  # of the static twin
MOST_BYTES = 400_000  # of the whole output; a notebook is to stay quick to open
MOST_CONTROLS = 2
WIDEST = 760  # pixels of a picture on the page; see flipbook_page
NARROW = 374  # pixels of a picture on a phone
LETTER = 8  # pixels of a letter of the words, with room to spare
PATH = re.compile(r'(<path d=")?[MLCQ] ')  # a line of an SVG that draws


@dataclass(frozen=True)
class Control:
    """Something to set.

    Attributes:
        name: what is set, for example "Temperature".
        values: what is shown for a value, and what the drawing function gets.
        kind: "slider" for values that have an order, "select" for others.
        start: which of the values comes first, counted from 0.
        few: which of the values the static twin shows; default: of a slider four from end to end, else the start.
    """

    name: str
    values: Mapping[str, Any]
    kind: Literal["slider", "select"] = "slider"
    start: int = 0
    few: Sequence[int] | None = None

    def __post_init__(self) -> None:
        if not self.values:
            raise BadInput(
                _("at least one value for {name}").format(name=self.name), _("none"), _("leave the control out")
            )
        inside = range(len(self.values))
        if not {self.start, *(self.few or ())} <= set(inside):
            raise BadInput(
                _("places from 0 to {last} for {name}").format(last=len(self.values) - 1, name=self.name),
                f"start={self.start}, few={self.few}",
                _("both count from 0"),
            )

    @property
    def twins(self) -> Sequence[int]:
        """Which of the values the static twin shows."""
        if self.few is not None:
            return self.few
        spread = np.linspace(0, len(self.values) - 1, min(4, len(self.values))).round().astype(int).tolist()
        return spread if self.kind == "slider" else [self.start]

    def markup(self, number: int) -> str:
        """The form's control as HTML."""
        name, texts = html.escape(self.name), [html.escape(text) for text in self.values]
        if self.kind == "slider":
            return (
                f'<label class="slider">{name} <input type="range" min="0" max="{len(texts) - 1}" value="{self.start}" '
                f'id="control-{number}"><span class="value" aria-hidden="true"></span></label>'
            )
        options = "".join(
            f'<option value="{place}"{" selected" if place == self.start else ""}>{text}</option>'
            for place, text in enumerate(texts)
        )
        return f'<label>{name} <select id="control-{number}">{options}</select></label>'


class FlipBook(FramedPage):
    """What `flipbook` returns: in a notebook a page to play with, elsewhere a picture or text."""

    def __init__(self, page: Callable[[str], str], title: str, words: str, twin: bytes, height: str) -> None:
        """Page: makes the document with a static twin in it. Words: what the twin, a PNG, says."""
        texts = {"PICTURE": _uri(twin), "WORDS": words}
        super().__init__(page(fill(TWIN, texts)), f"{title}\n{words}", height)
        self._framed, self._title, self._words, self._twin = page(""), title, words, twin

    def _repr_html_(self) -> str:
        """The page; where scripts or frames are not allowed, the static twin."""
        note = html.escape(_("The plot can be played with when the notebook is trusted."))
        return (
            f'<div class="tl-flipbook" style="container-type:inline-size;max-width:{WIDEST + 16}px">'
            f"{frame(self._framed, self._title, self._height)}"
            "<noscript><style>.tl-flipbook iframe { display: none }</style>"
            f'<img src="{_uri(self._twin)}" alt="{html.escape(self._words)}" width="100%"><p><small>{note}</small></p>'
            f"</noscript></div>"
        )

    def _repr_png_(self) -> tuple[bytes, dict[str, str]]:
        return self._twin, {"alt": self._words}


def flipbook(draw: Draw, controls: Sequence[Control], title: str) -> FlipBook:
    """Draw every combination of the controls' values, and make them a page to turn over.

    The same pictures give the same page, to the byte.

    Args:
        draw: called with one value for each control; returns a figure, and in words what matters in it, with its
            numbers. All figures need one size and should name their values. About 0.1 s and 5 kB each.
        controls: one or two, with few values: everything is drawn at once.
        title: what is shown.

    Raises:
        BadInput: no control or more than two, figures of several sizes, or more than 400 kB in the end.
    """
    if not 1 <= len(controls) <= MOST_CONTROLS:
        raise BadInput(_("one or two controls"), str(len(controls)), _("leave out what teaches least"))
    places = list(product(*(range(len(control.values)) for control in controls)))
    few = list(product(*(control.twins for control in controls)))
    vectors, words, twins = [], [], []
    for place in places:
        figure, said = draw(*(list(control.values.values())[i] for control, i in zip(controls, place, strict=True)))
        vectors.append(_vector(figure))
        words.append(said)
        if place in few:
            twins.append(_raster(figure))
    height = _height(vectors, words, len(controls))
    said = "\n".join(f"{_heading(controls, place)}: {words[places.index(place)]}" for place in few)
    page = partial(_page, controls, title, vectors, words)
    twin = _png(_side_by_side(twins))
    book = FlipBook(page, title, said, twin, height)
    size = len(book._repr_html_()) + 4 * len(twin) // 3
    if size > MOST_BYTES:
        expected = _("at most {most} kB in all").format(most=MOST_BYTES // 1000)
        raise BadInput(expected, f"{size // 1000} kB", _("draw fewer values or simpler figures"))
    return book


def _page(controls: Sequence[Control], title: str, vectors: Sequence[str], words: Sequence[str], twin: str) -> str:
    numbers: dict[str, int] = {}  # of every line that occurs
    data = {
        "values": [list(control.values) for control in controls],
        "pictures": [[numbers.setdefault(line, len(numbers)) for line in vector.split("\n")] for vector in vectors],
        "lines": list(numbers),
        "words": words,
    }
    texts = {"TITLE": title, "LANG": language(), "CHOICE": _("What the plot shows")}
    form = "\n".join(control.markup(number) for number, control in enumerate(controls))
    return fill(PAGE, texts, {"CONTROLS": form, "TWIN": twin, "DATA": as_json(data)})


def _heading(controls: Sequence[Control], place: tuple[int, ...]) -> str:
    return ", ".join(f"{control.name} {list(control.values)[i]}" for control, i in zip(controls, place, strict=True))


def _height(vectors: Sequence[str], words: Sequence[str], num_controls: int) -> str:
    """The frame's height in CSS: that of a picture as wide as what is around the frame, of the words and the form."""
    boxes = {box[0] for vector in vectors if (box := re.search(r'(?<=viewBox="0 0 )[\d. ]+', vector))}
    if len(boxes) > 1:
        raise BadInput(_("figures of one size"), ", ".join(sorted(boxes)), _("give all of them one figsize"))
    width, height = map(float, boxes.pop().split())
    letters = max(map(len, words))
    wide = 74 + 20 * math.ceil(letters * LETTER / WIDEST)
    narrow = 38 + 36 * num_controls + 20 * math.ceil(letters * LETTER / NARROW)
    growth = f"(100cqw - {WIDEST}px) * {(wide - narrow) / (WIDEST - NARROW):.3f}"
    return f"calc({height / width:.4f} * min(100cqw, {WIDEST}px) + {wide}px + clamp(0px, {growth}, {narrow - wide}px))"


def _vector(figure: "Figure") -> str:
    """SVG without date, with letters as text, and no more decimals than can be seen."""
    from matplotlib import rc_context

    drawn = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "flipbook"}):
        figure.savefig(drawn, format="svg", metadata=nothing)
    svg = drawn.getvalue()
    lines = [line.strip() for line in svg[svg.index("<svg") :].splitlines()]
    return "\n".join(re.sub(r"(?<=\.\d\d)\d+", "", line) if PATH.match(line) else line for line in lines)


def _raster(figure: "Figure") -> "Image":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def _side_by_side(pictures: "Sequence[Image]") -> "Image":
    """Two in a row, on white."""
    from PIL import Image

    width, height = pictures[0].size
    columns = min(2, len(pictures))
    sheet = Image.new("RGB", (columns * width, -(-len(pictures) // columns) * height), "white")
    for number, picture in enumerate(pictures):
        sheet.paste(picture, (number % columns * width, number // columns * height))
    return sheet


def _png(picture: "Image") -> bytes:
    """A PNG with a palette, without date or program in it."""
    from PIL import Image

    packed = io.BytesIO()
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(packed, format="png", optimize=True)
    return packed.getvalue()


def _uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
