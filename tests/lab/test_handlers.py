"""The server's side of the start page and the exercise panel, asked over HTTP as JupyterLab asks."""

import json
import re
import urllib.error
import urllib.request

import lab
import pytest

from tl_course import assistance
from tl_course.lab import install


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    notebook = folder / "course" / "notebooks" / "00_start_here" / "00_start_here.ipynb"
    notebook.parent.mkdir(parents=True)
    notebook.write_text("{}")
    with lab.served(["jupyter_server", "--allow-root"], folder / "course", folder / "home") as address:
        yield address


def ask(server, path, body=None, token=lab.TOKEN):
    """The status and what is answered."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{server}/tl-course/{path}", data, {"Authorization": f"token {token}"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or "{}")


def test_the_start_page_opens_only_what_the_server_has(server):
    status, answer = ask(server, "home")
    assert status == 200
    assert "data-path='notebooks/00_start_here/00_start_here.ipynb'" in answer["html"]
    assert "01 Concepts" in answer["html"] and "01_concepts.ipynb" not in answer["html"]


def test_all_that_the_extension_shows_has_its_words(server):
    scripts = "".join(path.read_text("utf-8") for path in install.SOURCE.glob("static/*.js"))
    actions = json.loads(re.search(r"const ACTIONS = (\[.*\]);", scripts)[1])
    assert ask(server, "texts")[1].keys() == {*re.findall(r'lab\.text\("([a-z-]+)"\)', scripts), *actions}


def test_the_start_page_comes_again_only_when_something_changed(server):
    state = ask(server, "home")[1]["state"]
    assert ask(server, f"home?state={urllib.request.quote(state)}")[1] == {"state": state}
    ask(server, "exercises/accuracy/hint", {})
    again = ask(server, f"home?state={urllib.request.quote(state)}")[1]
    assert again["state"] != state and "html" in again


def test_time_is_written_down_with_what_a_button_does(server):
    before = ask(server, "exercises/masked-mean")[1]["html"]
    assert "0 of about" in before
    assert ask(server, "exercises/masked-mean/work", {"seconds": 240}) == (200, {})
    assert "4 of about" in ask(server, "exercises/masked-mean")[1]["html"]


def test_a_reset_goes_there_and_back(server):
    mine = assistance.starting_code("masked-mean", "keras")[1] + "\nmine = 1"
    assert "mine" not in ask(server, "exercises/masked-mean/reset", {"cells": {"keras": mine}})[1]["cells"]["keras"]
    assert ask(server, "exercises/masked-mean/restore", {"cells": {"keras": ""}})[1]["cells"] == {"keras": mine}


@pytest.mark.parametrize("path", ["home", "exercises/masked-mean", "exercises/masked-mean/reset"])
def test_nobody_gets_an_answer_without_the_token(server, path):
    status, answer = ask(server, path, {} if path.endswith("reset") else None, token="another")
    assert status == 403 and "html" not in answer and "cells" not in answer


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("exercises/no-such", None, "no-such"),
        ("exercises/masked-mean/dance", {}, "dance"),
        ("exercises/masked-mean/hint", {"seconds": "long"}, "seconds"),
        ("exercises/masked-mean/reset", {"cells": {"keras": 3}}, "source text"),
        ("exercises/masked-mean/reset", {"cells": ["keras"]}, "source text"),
    ],
)
def test_what_cannot_be_done_is_said(server, path, body, told):
    status, answer = ask(server, path, body)
    assert status == 400 and told in answer["message"]
