"""What JupyterLab shows of the course: the start page and the panel under each exercise.

A Jupyter server extension (`handlers`) answers in HTML, and a small front-end extension (`labextension`) puts that into
JupyterLab. `install` puts both into the environment, under the name tl-course; neither needs a build step. Where they
are missing, as in other editors, the functions that notebooks call do the same.
"""

from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    """What a Jupyter server asks for to find the extension."""
    return [{"module": "tl_course.lab"}]


def _load_jupyter_server_extension(server: Any) -> None:
    """Called by the Jupyter server when it starts."""
    from tl_course.lab.handlers import handlers

    server.web_app.add_handlers(".*$", handlers(server.web_app.settings["base_url"]))
