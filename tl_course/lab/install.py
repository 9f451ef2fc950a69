"""Put the extensions of the Jupyter server and of JupyterLab where Jupyter looks for them, in this environment only.

    python -m tl_course.lab.install install | uninstall

`make setup` and `tl-course learn` do it; call it for a server that is started otherwise, such as a JupyterHub's.
"""

import json
import os
import shutil
import sys
from pathlib import Path

SOURCE = Path(__file__).parent / "labextension"
SETTING = {"ServerApp": {"jpserver_extensions": {"tl_course.lab": True}}}


def install() -> None:
    """Make both known; does nothing where they are.

    Raises:
        OSError: the environment cannot be written to.
    """
    if installed():
        return
    front, server = places()
    uninstall()
    front.parent.mkdir(parents=True, exist_ok=True)
    server.parent.mkdir(parents=True, exist_ok=True)
    try:
        front.symlink_to(SOURCE, target_is_directory=True)  # so that it is never older than the package
    except OSError:  # Windows without the right to make links
        shutil.copytree(SOURCE, front)
    draft = server.with_suffix(".draft")
    draft.write_text(json.dumps(SETTING) + "\n", encoding="utf-8")
    os.replace(draft, server)


def installed() -> bool:
    """Whether both are there, and this package's."""
    front, server = places()
    own = [path.relative_to(SOURCE) for path in SOURCE.rglob("*") if path.is_file()]
    same = all((front / path).is_file() and (front / path).read_bytes() == (SOURCE / path).read_bytes() for path in own)
    return same and server.is_file()


def uninstall() -> None:
    """Take both away; does nothing where they are not."""
    front, server = places()
    if front.is_symlink():
        front.unlink()
    elif front.exists():
        shutil.rmtree(front)
    server.unlink(missing_ok=True)


def places() -> tuple[Path, Path]:
    """Where JupyterLab looks for the front end, and the server for its setting."""
    prefix = Path(sys.prefix)
    front = prefix / "share" / "jupyter" / "labextensions" / "tl-course"
    return front, prefix / "etc" / "jupyter" / "jupyter_server_config.d" / "tl_course.json"


if __name__ == "__main__":
    actions = {"install": install, "uninstall": uninstall}
    if len(sys.argv) != 2 or sys.argv[1] not in actions:
        sys.exit(f"error: expected install or uninstall; got {' '.join(sys.argv[1:]) or 'nothing'}; name one")
    actions[sys.argv[1]]()
