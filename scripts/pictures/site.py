"""The site's search, for README.md; builds the site."""

import subprocess
import sys
from pathlib import Path

import lab

from pictures import TARGET, save

SITE = lab.ROOT / "build" / "site"


def take(folder: Path) -> None:
    """site_search.png."""
    (TARGET / "site_search.png").touch()  # README.md shows it, and the site shows README.md
    subprocess.run([sys.executable, lab.ROOT / "scripts" / "build_site.py"], check=True)
    with lab.browser_page(1280, 720) as page:
        page.goto((SITE / "index.html").as_uri())
        page.get_by_placeholder("Search").first.fill("temperature")
        page.keyboard.press("Enter")
        page.locator("#search-results li").first.wait_for()
        save(page, "site_search")
