"""A notebook's bytes are read in the encoding that they look like, and what was mended is said."""

import json

import pytest

from tl_course.grading.notebook_text import parse


def content(source: str) -> bytes:
    notebook = {"cells": [{"cell_type": "code", "source": source}], "nbformat": 4}
    return json.dumps(notebook, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("before", "stray", "after"),
    [
        ("größe, 标签 = 1, 2  # MARK", b"caf\xe9", "größe, 标签 = 1, 2  # caf\ufffd"),
        ("größe = '\ufffd'  # MARK", b"\xff", "größe = '\ufffd'  # \ufffd"),
    ],
)
def test_a_stray_byte_leaves_the_rest_as_it_was(before, stray, after):
    notebook, notes = parse(content(before).replace(b"MARK", stray))
    assert notebook["cells"][0]["source"] == after
    assert notes == ["bytes that are not UTF-8 were replaced (1)"]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
@pytest.mark.parametrize("word", ["café", "größe", "naïveté à l'œuvre"])
def test_another_encoding_is_read_as_latin_1(encoding, word):
    text = content(word).decode().encode(encoding, "replace")
    notebook, notes = parse(text)
    assert notebook["cells"][0]["source"] == word.encode(encoding, "replace").decode("latin-1")
    assert notes == ["it was not UTF-8 and was read as Latin-1"]
