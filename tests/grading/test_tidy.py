"""What a notebook carries beside its cells' text does not keep nbgrader from showing it."""

from typing import Any

import nbformat
import pytest
from nbconvert import HTMLExporter

from tl_course.grading.tidy import give_ids, tidy_cell, tidy_metadata

STATE = "application/vnd.jupyter.widget-state+json"


def page(cells: list[dict[str, Any]], metadata: dict[str, Any]) -> str:
    """A tidied notebook as nbconvert shows it, which is what nbgrader's feedback is made of."""
    found = [tidy_cell(cell, "Cell", lambda said: None) for cell in cells]
    give_ids([(cell, None, "cell") for cell in found])
    notebook = nbformat.v4.new_notebook(cells=found, metadata=tidy_metadata(metadata, None, lambda said: None))
    data = {"text/plain": "shown"}
    notebook.cells.append(nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("display_data", data=data)]))
    nbformat.validate(notebook)
    return HTMLExporter(template_name="classic").from_notebook_node(notebook)[0]


def markdown(text: str, **more: Any) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": text, **more}


@pytest.mark.parametrize(
    "widgets", [{STATE: {"0a1b": {"model_name": "HBoxModel", "state": {}}}}, {STATE: 5}, {}, "x", {STATE: {"state": 1}}]
)
def test_saved_widgets_are_left_out(widgets):
    assert "shown" in page([], {"widgets": widgets})


@pytest.mark.parametrize(
    "text",
    [
        "![x](attachment:gone.png)",
        '![x](attachment:gone.png "title") and ![x](attachment:also.png)',
        "![x][1]\n\n[1]: attachment:gone.png",
        "![x](<attachment:gone.png>)",
    ],
)
def test_a_picture_that_is_gone_leaves_the_text(text):
    cell = markdown(f"words {text}")
    assert "words" in page([cell], {}) and "words" in page([cell | {"attachments": {"gone.png": {}}}], {})


def test_a_picture_that_is_there_stays():
    cell = markdown("![x](attachment:a.png) ![x](attachment:b.png)", attachments={"a.png": {"image/png": "QUJD"}})
    assert "data:image/png;base64,QUJD" in page([cell], {})


def test_other_cells_get_no_attachments():
    assert "attachments" not in tidy_cell(markdown("plain"), "Cell", lambda said: None)
    code = {"cell_type": "code", "metadata": {}, "source": "# attachment:a.png"}
    assert "attachments" not in tidy_cell(code, "Cell", lambda said: None)
