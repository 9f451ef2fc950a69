"""Build the site of the course, from committed files alone: python scripts/build_site.py [FOLDER]   (build/site)

Gathers the pages in FOLDER-source (docs/, README.md and its neighbours, the lessons as they ran, what site_pages.py
makes) and hands them to Sphinx. The site loads nothing from elsewhere: open FOLDER/index.html.

Exit code 0 if it was built without a warning, 1 if not, 2 if the packages for it are missing.
"""

import re
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import site_lessons
import site_pages

from tl_course import lessons
from tl_course.practice.card_html import TOPICS
from tl_course.practice.cards import all_cards

ROOT = Path(__file__).resolve().parent.parent
NEIGHBOURS = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE")
_MODULE = re.compile(r"^   (tl_course[\w.]*)$", re.MULTILINE)
_MODULE_PAGE = ":orphan:\n\n{module}\n{rule}\n\n.. automodule:: {module}\n   :members:\n\n:doc:`All modules </api>`\n"
NEEDED = ("sphinx", "myst_nb", "furo", "sphinx-mathjax-offline")


def gather(source: Path) -> None:
    """Write every page's source into a new folder."""
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(ROOT / "docs", source)
    for name in NEIGHBOURS:
        _write(source / name, _links_of_the_site((ROOT / name).read_text(encoding="utf-8")))
    shutil.copytree(ROOT / "docs" / "screenshots", source / "docs" / "screenshots")
    for name in lessons.names():
        lessons.write_notebook(site_lessons.page(name), source / "lessons" / f"{name}.ipynb")
        _copy(lessons.notebook_path(name, lessons.RELEASED), source / "downloads" / f"{name}.ipynb")
        _copy(lessons.notebook_path(name), source / "downloads" / f"{name}_solutions.ipynb")
    sections = {name: site_lessons.sections(name) for name in lessons.names()}
    cards = all_cards()
    _write(source / "parts" / "lesson_map.md", site_pages.lesson_map())
    _write(source / "exercises.md", site_pages.exercise_list())
    _write(source / "cards" / "index.md", site_pages.card_index(cards))
    for module in _MODULE.findall((source / "api.md").read_text(encoding="utf-8")):
        _write(source / "api" / f"{module}.rst", _MODULE_PAGE.format(module=module, rule="=" * len(module)))
    for topic in TOPICS:
        _write(source / "cards" / f"{topic}.md", site_pages.card_page(topic, cards, sections))


def build(folder: Path) -> int:
    """Make the site in ``folder``; its pages' source and Sphinx's cache lie beside it. Gives Sphinx's exit code."""
    from sphinx.cmd.build import main as sphinx_build

    source, cache = folder.with_name(f"{folder.name}-source"), folder.with_name(f"{folder.name}-cache")
    for made in (folder, cache):
        shutil.rmtree(made, ignore_errors=True)
    gather(source)
    arguments = ["-q", "-W", "--keep-going", "-d", str(cache), str(source), str(folder)]
    return sphinx_build(arguments)


def main(arguments: list[str]) -> int:
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        remedy = "run: .venv/bin/pip install -c constraints.txt -e '.[site]'"
        print(f"error: expected the packages of the site; got no {', '.join(missing)}; {remedy}", file=sys.stderr)
        return 2
    folder = Path(arguments[0] if arguments else ROOT / "build" / "site").resolve()
    failed = build(folder)
    print(f"built {folder / 'index.html'}" if not failed else "failed: see the warnings above")
    return int(failed != 0)


def _links_of_the_site(text: str) -> str:
    """Links between files of the repository as links between pages of the site."""
    text = re.sub(r"\]\(notebooks/(\w+)/\1\.ipynb\)", r"](lessons/\1.ipynb)", text)
    return re.sub(r"\]\(docs/(\w+\.md)", r"](\1", text)


def _copy(origin: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(origin, target)


def _write(target: Path, text: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
