"""What the course's functions show in a notebook."""

import html
from collections.abc import Callable
from typing import Any

from tl_course.exercises.engine.render import box
from tl_course.progress_file import ProgressError


class Shown:
    """Something to read: HTML in a notebook, text elsewhere."""

    def __init__(self, text: str, content: str) -> None:
        self.text, self.content = text, content

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        """Its HTML."""
        return self.content


def told(text: str) -> Shown:
    """A plain sentence, framed."""
    return Shown(text, box(html.escape(text)))


def display(shown: Any) -> None:
    """Show something now, not as the value of a cell."""
    from IPython.display import display

    display(shown)


def quietly(call: Callable[..., Any], *arguments: Any, default: Any = None, **named: Any) -> Any:
    """Call what keeps the progress; where it cannot be kept, say so and go on."""
    try:
        return call(*arguments, **named)
    except ProgressError as error:
        display(told(str(error)))
        return default
