"""Sets of pictures, one a module; see scripts/screenshots.py."""

import lab
from PIL import Image
from playwright.sync_api import Locator, Page

TARGET = lab.ROOT / "docs" / "screenshots"
SETTLE = 700  # milliseconds for animations to end


def save(shown: Page | Locator, name: str, height: int | None = None) -> None:
    """Write docs/screenshots/NAME.png: what a page or a part of it shows, only its upper ``height`` pixels if given."""
    (shown if isinstance(shown, Page) else shown.page).wait_for_timeout(SETTLE)
    TARGET.mkdir(parents=True, exist_ok=True)
    path = TARGET / f"{name}.png"
    shown.screenshot(path=path)
    if height:
        with Image.open(path) as picture:
            picture.crop((0, 0, picture.width, height)).save(path)
    print(f"wrote docs/screenshots/{name}.png", flush=True)
