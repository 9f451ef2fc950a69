"""Make the pictures of README.md: JupyterLab with lesson 00, a wrong and a right answer, in docs/screenshots/.

python scripts/screenshots.py
"""

import tempfile
from pathlib import Path

import lab

TARGET = lab.ROOT / "docs" / "screenshots"
ANSWER = """# exercise: to-unit-range (numpy)
import numpy as np


def to_unit_range(images: np.ndarray) -> np.ndarray:
    return images.astype(np.float32) / {divisor}
"""


def main() -> None:
    """Take them all."""
    TARGET.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="tl_course_screenshots_"))
    with lab.jupyterlab(folder / "course", folder / "home") as address, lab.browser_page(height=760) as page:
        lab.open_notebook(page, address)
        page.get_by_role("button", name="No", exact=True).click()
        page.keyboard.press("Control+b")  # hide the file list
        lab.run(page, lab.cell(page, 'start("00_start_here")'))
        for name, divisor in (("exercise_wrong", 256), ("exercise", 255)):
            target = lab.cell(page, "# exercise: to-unit-range")
            lab.write(page, target, ANSWER.format(divisor=divisor))
            lab.run(page, target)
            lab.run(page, lab.cell(page, 'check("to-unit-range")'))
            page.locator(".jp-MarkdownCell", has_text="From bytes to the unit range").first.scroll_into_view_if_needed()
            page.wait_for_timeout(500)
            page.screenshot(path=TARGET / f"{name}.png")
            print(f"wrote docs/screenshots/{name}.png")


if __name__ == "__main__":
    main()
