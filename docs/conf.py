"""Sphinx's settings for the site of the course: `make site`. Its pages are gathered by scripts/build_site.py."""

import importlib.metadata
import json
import re
from html import escape
from pathlib import Path

from docutils import nodes
from numpy.typing import ArrayLike
from sphinx.util.typing import stringify_annotation

project = "Transfer learning, measured"
author = "The course's authors"
release = importlib.metadata.version("tl-course")
language = "en"
smartquotes = False  # options of commands keep their two hyphens

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
exclude_patterns = ["parts/**", "downloads/**"]
suppress_warnings = ["myst.header"]  # an exercise is a third-level heading wherever it stands

# Lessons and Markdown.
nb_execution_mode = "off"  # what is shown are the committed outputs
nb_ipywidgets_js = {}  # no script from elsewhere
myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_heading_anchors = 4

# The API from docstrings. `names` in backticks become links where they name something of the page's module.
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_inherit_docstrings = False
autosummary_generate = False  # scripts/build_site.py makes a page for each module that api.md names
default_role = "py:obj"
napoleon_use_ivar = True
napoleon_attr_annotations = False  # the signature has the types
python_maximum_signature_line_length = 88
add_module_names = False

# Pages that load nothing from elsewhere, and work from a folder: mathematics as SVG needs no font files.
_mathjax = importlib.metadata.distribution("sphinx-mathjax-offline").locate_file(
    "sphinx-mathjax-offline/static/mathjax/tex-svg.js"
)
mathjax_path = "tex-svg.js"
mathjax3_config = {"options": {"enableMenu": False}}  # the menu would ask for further files
html_static_path = ["_static", str(_mathjax)]
html_css_files = ["site.css"]
html_js_files = ["search.js"]
html_theme = "furo"
html_title = project
html_copy_source = False
html_show_copyright = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0067a3", "color-brand-content": "#0067a3"},
    "dark_css_variables": {"color-brand-primary": "#66bef5", "color-brand-content": "#66bef5"},
}

_ARRAY = re.compile(r"(~numpy\.ndarray)\[tuple\[~typing\.Any, \.\.\.\], ~numpy\.dtype\[[^\]]*\]\]")
_ARRAY_LIKE = stringify_annotation(ArrayLike, "smart")


def keep_indented_blocks(app, what, name, obj, options, lines: list[str]) -> None:
    """Formulas and examples stand indented in docstrings; in reStructuredText a line ``::`` has to announce them."""
    for place in range(len(lines) - 2, 0, -1):
        above, blank, below = lines[place - 1 : place + 2]
        if above[:1].strip() and not blank and below.startswith("    "):
            lines[place : place + 1] = ["", "::", ""]


def shorten_types(app, what, name, obj, options, signature: str | None, returned: str | None):
    """NumPy's types as the code names them, and defaults that can be parsed."""
    return tuple(
        text and _ARRAY.sub(r"\1", text.replace(_ARRAY_LIKE, "~numpy.typing.ArrayLike")).replace("<factory>", "...")
        for text in (signature, returned)
    )


def plain_html(node: nodes.Node) -> str:
    """The text of a page, with its sections alone as elements: what Sphinx cuts an excerpt from."""
    if isinstance(node, nodes.Text):
        return escape(node)
    if isinstance(node, nodes.raw):
        return ""
    inner = ("" if isinstance(node, nodes.TextElement) else "\n").join(map(plain_html, node.children))
    if isinstance(node, nodes.document):
        return f'<div role="main">{inner}</div>'
    return f'<section id="{escape(node["ids"][0])}">{inner}</section>' if isinstance(node, nodes.section) else inner


def write_search_texts(app, exception: Exception | None) -> None:
    """All pages' texts in one script, for a site that is opened from a folder."""
    if exception is None:
        texts = {f"{name}.html": plain_html(app.env.get_doctree(name)) for name in sorted(app.env.found_docs)}
        written = json.dumps(texts, ensure_ascii=False)
        Path(app.outdir, "_static", "search_texts.js").write_text(f"window.SEARCH_TEXTS = {written};\n", "utf-8")


def setup(app) -> None:
    app.connect("autodoc-process-signature", shorten_types)
    app.connect("autodoc-process-docstring", keep_indented_blocks, priority=400)  # before napoleon's
    app.connect("build-finished", write_search_texts)
