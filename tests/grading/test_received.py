"""What a submission's processes send is checked on arrival: types, nbformat's shape, and how much of it there is."""

import io
import json
import time
import tracemalloc
from typing import Any

import nbformat
import numpy as np
import pytest

from tl_course.exercises.engine.plain import pack
from tl_course.exercises.engine.runner import as_run
from tl_course.grading import received
from tl_course.grading.cell_outputs import DATA_KEPT, OUTPUTS_KEPT, TEXT_KEPT, Recorder
from tl_course.grading.outputs import not_run, show_cell

LOST = {"ok": False, "outputs": [], "error": "Lost", "timed_out": True}
NOT_SHOWN = {
    "output_type": "error",
    "ename": "NotShown",
    "evalue": "what came back is no output of a cell",
    "traceback": [""],
}


def sent(value: Any) -> dict[str, Any]:
    """What the grader makes of a message."""
    return received.value(pack(value))


def raw(tree: Any, *arrays: bytes) -> bytes:
    """A message whose parts are written by hand."""
    text = json.dumps(tree).encode()
    return len(text).to_bytes(8, "big") + text + b"".join(arrays)


def header(shape: tuple[int, ...], kind: str = "<f8") -> bytes:
    """An array's header without its data."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": kind, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def error(name: str = "E", message: str = "m", line: int | None = 1, where: str = "x") -> dict[str, Any]:
    return {"type": name, "message": message, "line": line, "where": where}


def validate(outputs: list[dict[str, Any]]) -> None:
    """Raise where nbformat, or a file in UTF-8, would not take these outputs."""
    cell = nbformat.v4.new_code_cell("")
    show_cell(cell, outputs)
    notebook = nbformat.v4.new_notebook(cells=[cell])
    nbformat.validate(notebook)
    nbformat.writes(notebook).encode()


def honest() -> list[dict[str, Any]]:
    """As much as a cell may put out, and some of each kind that was cut."""
    recorder = Recorder()
    for name in ("stdout", "stderr", "stdout"):
        recorder.text(name, "x\n" * TEXT_KEPT)
    recorder.display({"image/png": "A" * (DATA_KEPT - 10), "text/plain": "<Figure>"}, {"width": 3})
    recorder.display({"text/html": "B" * (DATA_KEPT + 1), "application/json": {"a": [1, None]}}, None)
    for number in range(OUTPUTS_KEPT + 10):
        recorder.result({"text/plain": str(number)}, {}, 1)
    recorder.error("ValueError", "é" * 20_000, ["line"] * 300)
    return recorder.finish()


def test_what_an_honest_process_sends_stays_as_it_is():
    outputs = honest()
    trials = [{"ok": False, "outputs": outputs, "error": "E", "timed_out": False}, LOST]
    for value in (
        {},
        {"interrupted": True},
        {"ok": True, "outputs": outputs, "error": None},
        {"results": trials, "shared": False},
        {"error": error(), "output": "é" * 4000},
        {"observations": [{"value": {"a": [1, float("inf"), "课", True, None]}}, {"error": error()}], "output": ""},
    ):
        assert sent(value) == value
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    for one in (array, array.T, np.zeros((0, 224, 224, 3)), np.float64(1), np.array(["课", ""]), np.array([True])):
        (kept,) = sent({"observations": [{"value": {"x": one}}], "output": ""})["observations"]
        np.testing.assert_array_equal(kept["value"]["x"], one)


def test_a_longer_text_than_a_cell_s_is_cut_again():
    stream = {"output_type": "stream", "name": "stdout", "text": "x" * 3_000_000}
    shown = sent({"ok": True, "outputs": [stream, stream], "error": None})["outputs"]
    assert sum(len(output["text"]) for output in shown) < TEXT_KEPT + 2000
    assert "characters left out" in shown[-1]["text"]
    validate(shown)


def test_more_and_larger_objects_than_a_cell_s_are_left_out():
    display = {
        "output_type": "display_data",
        "data": {"image/png": "A" * 5_000_000},
        "metadata": {"m": "A" * 5_000_000},
    }
    (shown,) = sent({"outputs": [display]})["outputs"]
    assert list(shown["data"]) == ["text/plain"] and shown["metadata"] == {}
    small = {"output_type": "display_data", "data": {"text/plain": "x"}, "metadata": {}}
    assert len(sent({"outputs": [small] * 5000})["outputs"]) == OUTPUTS_KEPT + 1


def test_an_error_is_cut_again():
    forged = {"output_type": "error", "ename": "x" * 10**6, "evalue": "x" * 10**6, "traceback": ["x" * 10**6] * 10}
    (shown,) = sent({"outputs": [forged]})["outputs"]
    assert len(json.dumps(shown)) < 150_000


ODD: list[Any] = [
    1,
    "x",
    None,
    {},
    [],
    {"output_type": "evil"},
    {"output_type": ["stream"]},
    {"output_type": "stream", "name": 5, "text": {"a": 1}},
    {"output_type": "stream", "name": "stdout", "text": 7},
    {"output_type": "display_data", "data": 5, "metadata": []},
    {"output_type": "error"},
    {"output_type": "error", "ename": "E", "evalue": 3, "traceback": []},
]


@pytest.mark.parametrize("item", ODD)
def test_what_is_no_output_is_left_out_and_said(item):
    good = {"output_type": "stream", "name": "stdout", "text": "good"}
    shown = sent({"ok": True, "outputs": [item, good], "error": None})["outputs"]
    assert shown == [good, NOT_SHOWN]
    validate(shown)


@pytest.mark.parametrize("items", [None, 5, "outputs", {"a": 1}])
def test_outputs_that_are_no_list_become_one_error(items):
    assert sent({"outputs": items})["outputs"] == [NOT_SHOWN]


@pytest.mark.parametrize(
    "output",
    [
        {"output_type": "display_data", "data": {"text/html": 5, "text/plain": ["a", "b"]}},
        {"output_type": "display_data", "data": {"text/html": {"a": 1}, "image/png": [1]}, "metadata": 7},
        {"output_type": "execute_result", "data": {}, "metadata": None, "execution_count": "x"},
        {"output_type": "execute_result", "data": {"text/plain": "\ud800"}, "metadata": {}, "more": 1},
        {"output_type": "stream", "name": "stdout", "text": "\ud800\x00", "more": 1},
        {"output_type": "error", "ename": "\udfff", "evalue": "", "traceback": [1, "a"]},
    ],
)
def test_an_output_of_a_known_kind_is_made_valid(output):
    (shown,) = sent({"outputs": [output]})["outputs"]
    assert shown["output_type"] == output["output_type"]
    validate([shown])


@pytest.mark.parametrize(
    "result",
    [
        "ok",
        None,
        {"ok": True},
        {"ok": "yes", "outputs": [], "error": None},
        {"ok": True, "outputs": 7, "error": None},
        {"ok": False, "outputs": [], "error": 3, "timed_out": "x"},
    ],
)
def test_a_test_s_outcome_that_makes_no_sense_is_lost(result):
    assert sent({"results": [result] * 3})["results"] == [LOST] * 3


def test_outputs_in_a_test_s_outcome_are_checked_too():
    (kept,) = sent({"results": [{"ok": True, "outputs": [1], "error": None, "timed_out": False}]})["results"]
    assert kept == {"ok": True, "outputs": [NOT_SHOWN], "error": None, "timed_out": False}


def test_texts_of_an_answer_are_cut_and_can_be_printed():
    forged = {"error": error("\ud800", "<b>" * 10**6, None, "y" * 10**6), "output": "\udfffz" * 10**6}
    run = as_run(sent(forged), 1)
    assert run.state == "stopped" and run.error is not None
    assert (run.error["type"], len(run.error["message"]), len(run.error["where"])) == ("?", 500, 200)
    assert len(run.output) <= 5000 and run.output.startswith("?z")
    run = as_run(sent({"observations": [{"error": error(message="\ud800" * 10**6)}], "output": ""}), 1)
    assert run.observations[0]["error"] == error(message="?" * 500)


def test_texts_in_observations_can_be_printed():
    (kept,) = sent({"observations": [{"value": {"\ud800": ["\ud800"]}}], "output": ""})["observations"]
    assert kept == {"value": {"?": ["?"]}}


@pytest.mark.parametrize(
    "part",
    [
        header((15_000_000, 0)),
        header((0, 15_000_000)),
        header((2**40,)),
        header((2**40,), "<U0"),
        header((-1, 5)),
        header((3,)) + b"x" * 23,
        header((1,), "<U1") + (0xD800).to_bytes(4, "little"),
        header((1,), ">U1") + (0x110000).to_bytes(4, "big"),
        header((2,), "|V8") + b"x" * 16,
        header((0,)) * 10_001,
        b"PK\x03\x04" + b"x" * 100,
        b"cos\nsystem\n(S'true'\ntR.",
        b"\x93NUMPY",
        b"\x93NUMPY\x01\x00\xff\xff{",
        b"\x93NUMPY\x01\x00\x10\x00(((((((((((((((\n",
    ],
)
def test_arrays_that_are_larger_than_their_bytes_are_refused_before_anything_is_made_of_them(part):
    data = raw({"observations": [{"value": {"x": {"__array__": 0}}}], "output": ""}, part)
    tracemalloc.start()
    started = time.perf_counter()
    with pytest.raises(ValueError):
        received.value(data)
    assert time.perf_counter() - started < 5 and tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    "data", [b"", b"\xff" * 8, pack([1, 2]), pack(None), raw({})[:-1], b"\0\0\0\0\0\0\0\x02{}" + b"x"]
)
def test_what_is_no_message_is_refused(data):
    with pytest.raises(ValueError):
        received.value(data)


def test_a_message_that_is_nested_too_deeply_is_refused():
    text = ('{"a":' * 600 + "1" + "}" * 600).encode()
    with pytest.raises(ValueError):
        for _more in range(5):  # how deep is too deep depends on how deep this call is
            received.value(len(text).to_bytes(8, "big") + text)
            text = text.replace(b"1", b'{"a":' * 600 + b"1" + b"}" * 600)


@pytest.mark.parametrize("state", ["timeout", "interrupted", "time", "memory", "crashed", "not run", "done", "new"])
def test_whatever_becomes_of_a_cell_has_a_name(state):
    cell = nbformat.v4.new_code_cell("")
    not_run(cell, state)
    assert cell.outputs[0].ename == "NotRun" and cell.outputs[0].evalue
