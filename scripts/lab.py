"""Drive JupyterLab as a learner does, in a real browser. Used by the browser tests and by scripts/screenshots.py."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from playwright.sync_api import Locator, Page, sync_playwright

ROOT = Path(__file__).parent.parent
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TOKEN = "lesson"
START_LIMIT = 120.0  # seconds for JupyterLab to answer
STOP_LIMIT = 60.0  # seconds for JupyterLab's kernels to end
LINGER_LIMIT = 5.0  # seconds for JupyterLab itself to end after them
RUN_ATTEMPTS = 4
CONTRAST = {"text": 4.5, "sign": 3}  # against what is behind it, at least: WCAG 2.2, level AA
_FADED = """([selector, least]) => {
  const channels = colour => colour.match(/[\\d.]+/g).map(Number);
  const linear = value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const light = rgb => rgb.slice(0, 3).map(value => linear(value / 255))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = node => {
    for (; node; node = node.parentElement) {
      const colour = channels(getComputedStyle(node).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const faded = [];
  for (const node of document.querySelectorAll(selector)) {
    const own = [...node.childNodes].filter(child => child.nodeType === 3);
    const text = own.map(child => child.textContent.trim()).join("");
    if (!text) continue;
    const [a, b] = [light(channels(getComputedStyle(node).color)), light(behind(node))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < least[text.length > 1 ? "text" : "sign"]) faded.push(node.outerHTML.slice(0, 120));
  }
  return faded;
}"""


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def jupyterlab(folder: Path, home: Path) -> Iterator[str]:
    """`tl-course learn` on a copy of the released notebooks below ``folder``; gives the address of lesson 00."""
    shutil.copytree(ROOT / "notebooks", folder / "notebooks")
    with served(["tl_course.cli", "learn", "--"], folder, home) as address:
        yield f"{address}/lab/tree/notebooks/00_start_here/00_start_here.ipynb?token={TOKEN}"


@contextmanager
def served(module: list[str], folder: Path, home: Path) -> Iterator[str]:
    """A Jupyter server for ``folder``, started by a module with its arguments; gives its address."""
    port = free_port()
    options = [f"--port={port}", "--no-browser", f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={folder}"]
    options += ["--ServerApp.port_retries=0"]
    environment = {
        **os.environ,
        "TL_COURSE_HOME": str(home),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_PREFER_ENV_PATH": "1",
    }
    environment.pop("MPLBACKEND", None)  # a learner's kernel draws inline
    command = [sys.executable, "-m", *module, *options]
    server = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait(f"http://127.0.0.1:{port}/api/status?token={TOKEN}", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        _stop(server)


@contextmanager
def browser_page(width: int = 1366, height: int = 900) -> Iterator[Page]:
    """A page of a new, empty Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            page = browser.new_page(viewport={"width": width, "height": height})
            page.set_default_timeout(90_000)
            yield page
        finally:
            browser.close()


@contextmanager
def offline_page() -> Iterator[Page]:
    """A page that may neither write an error nor ask the network for anything; AssertionError at the end says what."""
    troubles: list[str] = []
    with browser_page() as page:
        page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda asked: troubles.append(asked.url) if asked.url.startswith("http") else None)
        yield page
    if troubles:
        raise AssertionError(troubles)


def start_page(address: str) -> str:
    """The start page's address, from another one of the same server."""
    return f"{address.partition('/lab')[0]}/lab?course=home&token={TOKEN}"


def open_notebook(page: Page, address: str) -> None:
    """Open a notebook and wait until its kernel is idle."""
    page.goto(address)
    page.locator(".jp-NotebookPanel:visible .jp-Cell").first.wait_for()
    page.locator(
        '.jp-NotebookPanel-toolbar [data-status="idle"], .jp-Notebook-ExecutionIndicator[data-status="idle"]'
    ).first.wait_for()


def cell(page: Page, text: str) -> Locator:
    """The first code cell whose source contains a text, scrolled into view."""
    found = page.locator(".jp-CodeCell", has=page.locator(".cm-content", has_text=text)).first
    found.scroll_into_view_if_needed()
    return found


def exercise_panel(page: Page) -> Locator:
    """The panel under lesson 00's first exercise, once its buttons are there."""
    found = cell(page, 'check("to-unit-range")').locator(".tl-exercise")
    found.locator("[data-do=check]").wait_for()
    return found


def write(page: Page, target: Locator, source: str) -> None:
    """Replace a cell's source by keyboard."""
    target.locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(source)


def save(page: Page) -> None:
    """Save the open notebook by keyboard, and wait until its tab says so."""
    page.keyboard.press("Control+s")
    page.locator(".lm-TabBar-tab.jp-mod-current:not(.jp-mod-dirty)", has_text=".ipynb").wait_for()


def run(page: Page, target: Locator) -> Locator:
    """Run a cell with Shift+Enter and wait for its end; gives its output area.

    JupyterLab drops what is sent while it still connects to the kernel, although it shows the kernel as idle. Then the
    cell's prompt stays as it was, and the cell is run again, as a learner would.
    """
    prompt = target.locator(".jp-InputPrompt").first
    before = prompt.inner_text()
    for _attempt in range(RUN_ATTEMPTS):
        target.locator(".cm-content").click()
        page.keyboard.press("Shift+Enter")
        if _until(page, 15, lambda: prompt.inner_text() != before):
            if not _until(page, 90, lambda: "*" not in prompt.inner_text()):
                raise TimeoutError("the cell did not end within 90 seconds")
            return target.locator(".jp-OutputArea")
    raise TimeoutError(f"the cell did not start, although it was run {RUN_ATTEMPTS} times")


def faded(page: Page, selector: str) -> list[str]:
    """The beginnings of those elements whose own text has too little contrast with what is behind it."""
    return page.evaluate(_FADED, [selector, CONTRAST])


def _until(page: Page, limit: float, condition: Callable[[], bool]) -> bool:
    """Wait until a condition holds, at most so many seconds; gives whether it did."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if condition():
            return True
        page.wait_for_timeout(100)
    return False


def _stop(server: subprocess.Popen) -> None:
    """End JupyterLab and its kernels. Once they have ended it may still wait, for ever, for an idle thread of anyio."""
    if server.poll() is not None:
        return
    kernels = psutil.Process(server.pid).children(recursive=True)
    server.terminate()
    psutil.wait_procs(kernels, timeout=STOP_LIMIT)
    try:
        server.wait(timeout=LINGER_LIMIT)
    except subprocess.TimeoutExpired:  # kernels that are busy end when their server is gone
        server.kill()
        server.wait()


def _wait(address: str, server: subprocess.Popen) -> None:
    end = time.monotonic() + START_LIMIT
    while time.monotonic() < end:
        if server.poll() is not None:
            raise RuntimeError(f"JupyterLab ended with exit code {server.returncode}")
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise TimeoutError(f"JupyterLab did not answer within {START_LIMIT:g} seconds")
