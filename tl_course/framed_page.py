"""A self-contained HTML page: a notebook shows it in a frame, a file keeps it; it asks nobody for anything."""

import html
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tl_course.errors import BadInput
from tl_course.i18n import _


class FramedPage:
    """Shown as a page in a notebook, as text elsewhere.

    Attributes:
        page: the whole HTML document.
    """

    def __init__(self, page: str, summary: str, height: str) -> None:
        """Summary: what the page is, in words. Height: the frame's, as CSS writes it."""
        self.page, self._summary, self._height = page, summary, height

    def __repr__(self) -> str:
        return self._summary

    def _repr_html_(self) -> str:
        """The page in a frame of its own, so that its style and script touch nothing around it."""
        title, note = html.escape(self._summary), html.escape(_("Nothing above? Trust the notebook, or save the view."))
        return f"{frame(self.page, self._summary, self._height)}<p><small>{title}. {note}</small></p>"

    def save(self, path: str | Path) -> Path:
        """Write the page to a file that any browser opens; returns its path."""
        target = Path(path)
        if not target.parent.is_dir():
            raise BadInput(_("a path in an existing folder"), str(target), _("make the folder first"))
        target.write_text(self.page, encoding="utf-8")
        return target


def frame(page: str, title: str, height: str) -> str:
    """A frame as wide as what is around it, where the page may run scripts and reach nothing."""
    return (
        f'<iframe srcdoc="{html.escape(page)}" title="{html.escape(title)}" sandbox="allow-scripts" '
        f'style="width:100%;height:{height};border:0"></iframe>'
    )


def fill(template: str, texts: Mapping[str, str], markup: Mapping[str, str] | None = None) -> str:
    """A template with every %NAME% replaced: by plain text, which is escaped, or by markup as it is."""
    filled = {name: html.escape(text) for name, text in texts.items()} | dict(markup or {})
    return re.sub("%([A-Z]+)%", lambda found: filled[found[1]], template)


def as_json(data: Any) -> str:
    """JSON for a script element, which no text in it can end."""
    return json.dumps(data, ensure_ascii=True).replace("<", "\\u003c")
