"""What the views of the notebook panel are made of: HTML with everything escaped, buttons, and a line for trouble."""

import html
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from os.path import relpath
from pathlib import Path
from urllib.parse import quote

import ipywidgets as widgets
from IPython.display import display

from tl_course.errors import CourseError
from tl_course.i18n import _
from tl_course.practice.mock_report import section
from tl_course.shown import Shown

# Only colours of the notebook's own theme, so that light and dark both work.
STYLE = """<style>
.tl-practice { max-width: 64em; }
.tl-practice .widget-html-content { line-height: 1.5; font-size: var(--jp-content-font-size1, 14px);
  color: var(--jp-content-font-color1, inherit); overflow-wrap: anywhere; }
.tl-practice .widget-html-content :is(p, ul, ol, h4, pre, table, details, dl) { margin: .35em 0; }
.tl-practice .widget-html-content :is(ul, ol) { padding-left: 1.8em; }
.tl-practice .widget-html-content h4 { font-size: 1em; font-weight: 600; margin-top: .9em; }
.tl-practice .widget-html-content dt { float: none; width: auto; font-weight: 600; }
.tl-practice .widget-html-content dd { float: none; width: auto; margin: 0 0 .4em 1.4em; }
.tl-practice .widget-html-content summary { cursor: pointer; }
.tl-practice .widget-html-content a { color: var(--jp-content-link-color, LinkText); text-decoration: underline; }
.tl-practice .widget-html-content table { border-collapse: collapse; }
.tl-practice .widget-html-content :is(th, td) { text-align: left; padding: .15em 1.2em .15em 0; }
.tl-practice .tl-question { font-size: 1.1em; font-weight: 600; }
.tl-practice .tl-own { white-space: pre-wrap; border-left: 3px solid var(--jp-border-color1, GrayText);
  padding-left: .8em; }
.tl-practice .tl-soft { color: var(--jp-content-font-color2, inherit); }
.tl-practice .tl-clock { font-variant-numeric: tabular-nums; font-weight: 600; }
.tl-practice pre, .tl-practice .tl-code textarea { font-family: var(--jp-code-font-family, monospace);
  font-size: var(--jp-code-font-size, 13px); line-height: 1.45; tab-size: 4; }
.tl-practice pre { overflow-x: auto; overflow-wrap: normal; }
.tl-practice pre .tl-number { color: var(--jp-content-font-color2, inherit); user-select: none; }
.tl-practice .widget-textarea { flex-direction: column; width: auto; height: auto; }
.tl-practice .widget-textarea .widget-label { width: auto; text-align: left; }
.tl-practice textarea { box-sizing: border-box; width: 100%; resize: vertical; line-height: 1.5;
  font-size: var(--jp-content-font-size1, 14px); }
.tl-practice :is(.widget-checkbox, .widget-radio) { width: auto; height: auto; line-height: 1.5; }
.tl-practice .widget-checkbox label { white-space: normal; display: flex; align-items: flex-start; height: auto;
  line-height: 1.5; padding: .15em 0; }
.tl-practice .widget-checkbox input { flex: none; align-self: flex-start; margin-top: .3em; }
.tl-practice .widget-radio { flex-direction: column; }
.tl-practice .widget-radio > .widget-label { width: auto; text-align: left; }
.tl-practice .widget-radio-box label { white-space: normal; height: auto; line-height: 1.5; padding: .15em 0;
  display: flex; align-items: flex-start; }
.tl-practice .widget-radio-box input { flex: none; order: -1; height: auto; margin-top: .3em; }
.tl-practice :is(button, textarea, input, select, summary, a, pre):focus-visible {
  outline: 2px solid var(--jp-brand-color1, Highlight); outline-offset: 1px; }
</style>"""

FIELD, LABEL = {"width": "26em"}, {"description_width": "8em"}  # of a field with its label at the left
_CODE = re.compile(r"`([^`]+)`")


class View:
    """A part of the panel: widgets in a column, of which some are shown, and a line for what went wrong.

    Attributes:
        box: the column.
        trouble: the line.
    """

    def __init__(self) -> None:
        self.box = widgets.VBox()
        self.trouble = widgets.HTML()

    def button(self, text: str, call: Callable[[], None], primary: bool = False) -> widgets.Button:
        """A button; what goes wrong in its work is told under the view."""
        made = widgets.Button(description=text, button_style="primary" if primary else "")
        made.layout = widgets.Layout(width="auto")
        made.on_click(lambda _button: self.guarded(call))
        return made

    def guarded(self, call: Callable[[], None]) -> None:
        """Do something, and show the message where it cannot be done."""
        self.trouble.value = ""
        try:
            call()
        except CourseError as error:
            self.tell(error)

    def tell(self, error: CourseError) -> None:
        """Show what went wrong."""
        self.trouble.value = f"<div role='alert'>\N{WARNING SIGN} {markup(error)}</div>"


def present(content: widgets.DOMWidget, name: str, twin: str = "") -> None:
    """Show widgets, after a line that is there without a kernel too and says what to do then.

    Args:
        content: the widgets.
        name: what they are.
        twin: HTML that stands where there are no widgets, as on an exported page.
    """
    text = _("{name}: run this cell if nothing is shown below, or if it does not answer.").format(name=name)
    display(Shown(text, f"<small>{markup(text)}</small>"))
    root = widgets.VBox([widgets.HTML(STYLE), content])
    root.add_class("tl-practice")
    display({**root._repr_mimebundle_(), "text/plain": text, **({"text/html": twin} if twin else {})}, raw=True)


def shown(widget: widgets.DOMWidget, visible: bool) -> None:
    """Show a widget or take it away; it keeps its place, and is out of the keyboard's way."""
    widget.layout.display = None if visible else "none"


def choice(label: str, options: Iterable[tuple[str, str]], value: str) -> widgets.Dropdown:
    """A labelled list to choose from."""
    return widgets.Dropdown(description=label, options=list(options), value=value, layout=FIELD, style=LABEL)


def text_area(label: str, rows: int, code: bool = False) -> widgets.Textarea:
    """A labelled field for some lines, in a monospaced font for code."""
    made = widgets.Textarea(description=label, rows=rows, layout=widgets.Layout(width="auto"))
    if code:
        made.add_class("tl-code")
    return made


def row(*children: widgets.DOMWidget) -> widgets.HBox:
    """Widgets side by side, in the next line where they do not fit."""
    return widgets.HBox(children, layout=widgets.Layout(flex_flow="row wrap"))


def markup(text: object) -> str:
    """Text with `code` as HTML."""
    return _CODE.sub(r"<code>\1</code>", html.escape(str(text)))


def paragraphs(text: object) -> str:
    """Text as HTML, one paragraph for each of its own."""
    return "".join(f"<p>{markup(part)}</p>" for part in str(text).split("\n\n"))


def titled(title: str, content: str) -> str:
    """HTML under a title."""
    return f"<h4>{markup(title)}</h4>{content}"


def folded(title: str, content: str) -> str:
    """HTML that is shown on request."""
    return f"<details><summary>{markup(title)}</summary>{content}</details>"


def listed(items: Iterable[str], tag: str = "ul") -> str:
    """A list; its items are HTML."""
    return f"<{tag}>{''.join(f'<li>{item}</li>' for item in items)}</{tag}>"


def soft(text: str) -> str:
    """A remark."""
    return f"<p class='tl-soft'>{markup(text)}</p>"


def table(rows: Sequence[Mapping[str, str]], columns: Mapping[str, str]) -> str:
    """Rows under titles; ``columns`` maps a row's keys to the titles."""
    head = "".join(f"<th scope='col'>{markup(name)}</th>" for name in columns.values())
    body = "".join(
        "<tr>" + "".join(f"<td>{markup(known.get(name, ''))}</td>" for name in columns) + "</tr>" for known in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def program(source: str, label: str, numbers: bool = False) -> str:
    """Code; with line numbers where they are asked for."""
    lines = source.rstrip("\n").split("\n")
    width = len(str(len(lines)))
    marks = [f"<span class='tl-number'>{number:>{width}}  </span>" for number in range(1, len(lines) + 1)]
    shown_lines = [(mark if numbers else "") + html.escape(line) for mark, line in zip(marks, lines, strict=True)]
    joined = "\n".join(shown_lines)
    return f"<pre tabindex='0' role='region' aria-label='{html.escape(label)}'>{joined}</pre>"


def lesson_link(link: str, content: str | None = None) -> str:
    """A lesson's section, or other HTML, as a link where its notebook lies near the one that is open."""
    text = content or markup(section(link))
    lesson, _mark, beginning = link.partition("#")
    for folder in (Path.cwd(), *Path.cwd().parents[:3]):
        for path in (folder / lesson, folder / "notebooks" / lesson):
            notebook = path / f"{lesson}.ipynb"
            if notebook.is_file():
                address = quote(Path(relpath(notebook)).as_posix()) + _fragment(notebook, beginning)
                return f"<a href='{html.escape(address)}' target='_blank' rel='noopener'>{text}</a>"
    return text


@cache
def _fragment(notebook: Path, beginning: str) -> str:
    """Where in a notebook the section sits that begins so, as JupyterLab names it."""
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError, KeyError):
        return ""
    lines = (line for cell in cells if cell["cell_type"] == "markdown" for line in "".join(cell["source"]).split("\n"))
    headings = (line.lstrip("#").strip() for line in lines if line.startswith("#"))
    found = next((heading for heading in headings if beginning and heading.startswith(beginning)), "")
    return "#" + quote(found.replace(" ", "-")) if found else ""
