"""What works on this machine, what does not, and what to do about it: `tl-course doctor`."""

import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from tl_course.errors import CourseError
from tl_course.i18n import _

ROOT = Path(__file__).parent.parent
State = Literal["ok", "info", "warn", "fail"]
MINIMUM_DISK = 2e9  # bytes: the assets, their download and some notebooks' outputs

IMPORTS = """
import time, tl_course
def load(name, code):
    started = time.monotonic()
    print(name, eval(code), round(time.monotonic() - started, 1), sep="\\t", flush=True)
"""
TORCH = (
    IMPORTS
    + """
load("torch", "__import__('torch').__version__")
import torch
gpu = torch.cuda.is_available() and torch.cuda.get_device_name(0)
mps = torch.backends.mps.is_available() and "Apple GPU"
load("device", "gpu or mps or f'CPU, {torch.get_num_threads()} threads'")
from tl_course.compat import torchvision
load("torchvision", "torchvision().__version__")
"""
)
KERAS = (
    IMPORTS
    + """
load("tensorflow", "__import__('tensorflow').__version__")
load("keras", "__import__('keras').__version__")
"""
)


@dataclass(frozen=True)
class Check:
    """One finding. state: ok; info (fine, worth knowing); warn (something is left out); fail (lessons will not run)."""

    name: str
    state: State
    detail: str
    remedy: str = ""


def examine() -> list[Check]:
    """Run every check. Frameworks are imported in processes of their own, so a broken one cannot break the report."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        return [check for group in pool.map(lambda check: check(), CHECKS) for check in group]


def healthy(checks: Sequence[Check]) -> bool:
    """Whether no check failed."""
    return not any(check.state == "fail" for check in checks)


def to_dict(checks: Sequence[Check]) -> dict[str, Any]:
    """Plain data: what `tl-course doctor --json` prints."""
    return {"ok": healthy(checks), "checks": [asdict(check) for check in checks]}


def render_text(checks: Sequence[Check]) -> str:
    """The report for a terminal."""
    width = max(len(check.name) for check in checks)
    lines = []
    for check in checks:
        lines.append(f"{check.state:4}  {check.name:{width}}  {check.detail}")
        if check.remedy and check.state != "ok":
            lines.append(f"{'':{width + 8}}-> {check.remedy}")
    return "\n".join(lines)


def pins(text: str) -> dict[str, str]:
    """Normalised package name to pinned version, from the text of constraints.txt."""
    found = re.findall(r"^([\w.-]+)==([^\s;#]+)", text, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def check_python() -> list[Check]:
    """The interpreter's version and whether it is a virtual environment's."""
    version = ".".join(map(str, sys.version_info[:3]))
    right = (3, 11) <= sys.version_info[:2] <= (3, 13)
    detail = _("{version} at {path}").format(version=version, path=sys.executable)
    return [
        Check(
            "Python",
            "ok" if right else "fail",
            detail,
            _("install Python 3.11 to 3.13, delete .venv, run `make setup`"),
        )
    ]


def check_packages() -> list[Check]:
    """Installed versions against constraints.txt; local builds such as 2.13.0+cpu count as the version they are of."""
    constraints = ROOT / "constraints.txt"
    if not constraints.is_file():
        return [Check("packages", "info", _("no constraints.txt beside the package: versions not compared"))]
    wrong, counted = [], 0
    for name, version in pins(constraints.read_text()).items():
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # what is needed and missing shows in the checks that import it
        counted += 1
        if installed.partition("+")[0] != version:
            wrong.append(f"{name} {installed} ({version})")
    missing = [name for name in _required() if not _installed(name)]
    remedy = _("run: {python} -m pip install -c constraints.txt -e '.[dev]'").format(python=sys.executable)
    if missing:
        return [Check("packages", "fail", _("not installed: {names}").format(names=", ".join(missing)), remedy)]
    if wrong:
        return [Check("packages", "warn", _("not the pinned version: {names}").format(names=", ".join(wrong)), remedy)]
    return [Check("packages", "ok", _("{count} packages in their pinned versions").format(count=counted))]


def check_pytorch() -> list[Check]:
    """torch and torchvision import, and how long that takes; the device torch would use."""
    return _imports(("torch", "device", "torchvision"), TORCH)


def check_keras() -> list[Check]:
    """TensorFlow and Keras import, and how long that takes."""
    return _imports(("tensorflow", "keras"), KERAS)


def check_kernel() -> list[Check]:
    """Whether the kernel that notebooks ask for is this environment's."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    remedy = _("run: {python} -m ipykernel install --sys-prefix").format(python=sys.executable)
    try:
        spec = KernelSpecManager().get_kernel_spec("python3")
    except NoSuchKernel:
        return [Check("kernel", "fail", _("no kernel named python3"), remedy)]
    command = spec.argv[0]
    if command in ("python", "python3") or Path(command).absolute() == Path(sys.executable).absolute():
        return [Check("kernel", "ok", f"{spec.display_name}, {spec.resource_dir}")]
    return [Check("kernel", "fail", _("python3 starts {command}, another environment").format(command=command), remedy)]


def check_nbgrader() -> list[Check]:
    """nbgrader's extensions of the server and of JupyterLab, and its command on PATH."""
    extension = Path(sys.prefix, "share", "jupyter", "labextensions", "@jupyter", "nbgrader", "package.json")
    server = Path(sys.prefix, "etc", "jupyter", "jupyter_server_config.d")
    enabled = [p for p in server.glob("*.json") if "nbgrader" in p.read_text()]
    remedy = _("run: {python} -m pip install --force-reinstall --no-deps -c constraints.txt nbgrader").format(
        python=sys.executable
    )
    if not extension.is_file() or not enabled:
        return [Check("nbgrader", "fail", _("its JupyterLab or server extension is not installed here"), remedy)]
    version = json.loads(extension.read_text())["version"]
    return [Check("nbgrader", "ok", _("{version}: extensions of JupyterLab and of the server").format(version=version))]


def check_lab() -> list[Check]:
    """The course's own extensions of the server and of JupyterLab; everything works without them, by calls."""
    from tl_course.lab import install

    if install.installed():
        return [Check("jupyterlab", "ok", _("start page and exercise panel are installed"))]
    remedy = _("run: {python} -m tl_course.lab.install install").format(python=sys.executable)
    return [Check("jupyterlab", "warn", _("start page and exercise panel are not installed here"), remedy)]


def check_assets() -> list[Check]:
    """The state of each asset."""
    from tl_course import assets

    checks = []
    for row in assets.list_assets():
        needed = not row["optional"]
        state: State = "ok" if row["status"] == "ready" else "fail" if needed or row["status"] == "damaged" else "info"
        remedy = _("run: tl-course assets fetch {name}").format(name=row["name"])
        checks.append(Check(f"asset {row['name']}", state, row["problem"] or row["status"], remedy))
    return checks


def check_disk() -> list[Check]:
    """Space and permission to write where assets are kept."""
    from tl_course import assets

    folder = assets.cache_dir()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    detail = _("{free:.1f} GB free for {folder}").format(free=free / 1e9, folder=folder)
    remedy = _("make room, or set TL_COURSE_CACHE to a folder with 2 GB free")
    return [Check("disk", "ok" if free >= MINIMUM_DISK else "warn", detail, remedy)]


def check_progress() -> list[Check]:
    """Where attempts are kept, and whether that file can be read and written."""
    from tl_course import progress_file, records

    path = progress_file.home() / "progress.db"
    try:
        done = sum(row["attempts"] for row in records.summary())
    except CourseError as error:
        return [Check("progress", "fail", str(error), _("see the line above"))]
    return [Check("progress", "ok", _("{done} attempts kept in {path}").format(done=done, path=path))]


def check_network() -> list[Check]:
    """Whether pip reaches its package index. Once set up, the course works without."""
    command = [sys.executable, "-m", "pip", "index", "versions", "click", "--retries=0", "--timeout=4"]
    right, *_rest = _run([*command, "--disable-pip-version-check"], limit=12)
    detail = _("pip reaches its index") if right else _("offline: pip does not reach its index; only fetching needs it")
    return [Check("network", "ok" if right else "info", detail)]


def check_sandbox() -> list[Check]:
    """Whether submissions can be graded in a sandbox: one is started, which takes about half a second."""
    from tl_course.grading.sandbox import Warm

    try:
        Warm(()).close()
    except (CourseError, OSError) as error:
        return [Check("sandbox", "warn", _("submissions cannot be graded in a sandbox"), str(error))]
    return [Check("sandbox", "ok", _("submissions can be graded in a sandbox"))]


def check_system() -> list[Check]:
    """The system packages that some parts use."""
    sandbox = shutil.which("bwrap")
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    return [
        Check(
            "bubblewrap",
            "ok" if sandbox else "warn",
            sandbox or _("not installed: submissions cannot be graded in a sandbox"),
            _("on Debian and Ubuntu: sudo apt-get install bubblewrap"),
        ),
        Check(
            "chromium",
            "ok" if browser else "warn",
            browser or _("not installed: the browser tests cannot run"),
            _("on Debian and Ubuntu: sudo apt-get install chromium"),
        ),
    ]


CHECKS: tuple[Callable[[], list[Check]], ...] = (
    check_python,
    check_pytorch,
    check_keras,
    check_packages,
    check_kernel,
    check_nbgrader,
    check_lab,
    check_assets,
    check_disk,
    check_progress,
    check_network,
    check_sandbox,
    check_system,
)


def _required() -> list[str]:
    """The packages the course itself depends on."""
    lines = importlib.metadata.requires("tl-course") or []
    return [re.split(r"[^\w.-]", line)[0] for line in lines if "extra ==" not in line]


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _imports(names: Sequence[str], code: str) -> list[Check]:
    """Run code that prints name, version and seconds a line; what it did not get to has failed."""
    _right, output, problem = _run([sys.executable, "-c", code], limit=120)
    found = {line.split("\t")[0]: line.split("\t")[1:] for line in output.splitlines() if line.count("\t") == 2}
    remedy = _("run `make setup`; PyTorch's install page has the builds for your GPU, or for CPU only")
    checks = []
    for name in names:
        if name in found:
            version, seconds = found[name]
            detail = (
                version
                if name == "device"
                else _("{version}, imported in {seconds} s").format(version=version, seconds=seconds)
            )
            checks.append(Check(name, "info" if name == "device" else "ok", detail))
        else:
            checks.append(Check(name, "fail", _("cannot be imported: {problem}").format(problem=problem), remedy))
    return checks


def _run(command: Sequence[str], limit: float) -> tuple[bool, str, str]:
    """Whether a command ended well within so many seconds, what it printed, and the last line of its errors."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return False, "", _("no answer within {limit:.0f} s").format(limit=limit)
    errors = done.stderr.strip().splitlines() or [_("exit code {code}").format(code=done.returncode)]
    return done.returncode == 0, done.stdout, errors[-1]
