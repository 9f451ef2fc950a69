"""An answer beside the reference, with the lines marked in which they differ."""

import difflib
from collections.abc import Iterable
from html import escape

from tl_course.i18n import _

# Marked by colour, weight and a sign; colours of the notebook's own theme, so that light and dark both work.
_ROW = "display:flex;flex-wrap:wrap;gap:.5em 1.5em"
_COLUMN = "flex:1 1 22em;min-width:0"
_CODE = "overflow-x:auto;margin:.2em 0 .8em;line-height:1.45"
_MARKED = "font-weight:bold;background:var(--jp-layout-color2, rgba(128, 128, 128, .2))"


def as_text(answer: str, reference: str) -> str:
    """What would have to change, line by line: the lines of the answer with -, those of the reference with +."""
    lines = difflib.ndiff(answer.splitlines(), reference.splitlines())
    return "\n".join(line for line in lines if not line.startswith("?"))


def as_html(answer: str, reference: str) -> str:
    """Both in full, beside each other where there is room."""
    mine, theirs = answer.splitlines(), reference.splitlines()
    changed_mine, changed_theirs = set(range(len(mine))), set(range(len(theirs)))
    for block in difflib.SequenceMatcher(None, mine, theirs, autojunk=False).get_matching_blocks():
        changed_mine -= set(range(block.a, block.a + block.size))
        changed_theirs -= set(range(block.b, block.b + block.size))
    columns = _column(_("Yours"), mine, changed_mine), _column(_("Solution"), theirs, changed_theirs)
    return f"<div style='{_ROW}'>{''.join(columns)}</div>"


def _column(title: str, lines: list[str], changed: Iterable[int]) -> str:
    rows = "".join(_line(line, place in changed) for place, line in enumerate(lines))
    return (
        f"<div style='{_COLUMN}'><strong>{escape(title)}</strong><pre style='{_CODE}' tabindex='0'>{rows}</pre></div>"
    )


def _line(text: str, changed: bool) -> str:
    shown = escape(text)
    return (
        f"<span style='{_MARKED}'>\N{BLACK RIGHT-POINTING SMALL TRIANGLE} {shown}</span>\n"
        if changed
        else f"  {shown}\n"
    )
