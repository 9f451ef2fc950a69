"""What a submission's processes send back, checked where it arrives.

The learner's code shares its process with ours: it can send any message itself, and change the limits that are kept
there. So types and sizes are seen to once more in the grader's process. What an honest process sends stays as it is.
"""

import io
import math
import re
from typing import Any

import numpy as np
from numpy.lib import format as npy

from tl_course.exercises.engine.child import OUTPUT_SHOWN
from tl_course.exercises.engine.plain import unpack
from tl_course.grading.cell_outputs import (
    DATA_KEPT,
    MESSAGE_KEPT,
    OUTPUTS_KEPT,
    TEXT_KEPT,
    bounded,
    error_output,
    length,
    plain,
)

_ARRAYS = 10_000  # in one message
_EMPTY = 1_000_000  # elements that an array without data may be said to have; zeros in its shape count as one
_RESULTS = 1000  # outcomes of a test and its variants
_ERROR = {"type": 200, "message": 500, "where": 200}  # characters
_NOTES = 1000  # characters beyond a limit, for what our own process writes about what it left out
_JSON_TYPE = re.compile(r"application/(.*\+)?json")
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def value(data: bytes) -> dict[str, Any]:
    """What a message of a submission's process says.

    Raises:
        ValueError: it is no packed dict, or has arrays that are larger than their bytes.
    """
    try:
        _check_arrays(data)
        found = unpack(data)
        if not isinstance(found, dict):
            raise ValueError("a dict was expected")
        return _checked(_clean(found))
    except Exception as error:  # whatever NumPy and json make of bytes that no honest process sends
        raise ValueError("not the message of a submission's process") from error


def outputs(items: Any) -> list[dict[str, Any]]:
    """What a cell is said to have put out: valid for nbformat, and within the limits of cell_outputs.py.

    What is no output is left out, and one error at the end says so.
    """
    found: list[dict[str, Any]] = []
    texts, others, odd = TEXT_KEPT + _NOTES, OUTPUTS_KEPT + 1, not isinstance(items, list)
    for item in items if isinstance(items, list) else []:
        output = _output(item)
        if output is None:
            odd = True
        elif output["output_type"] == "stream":
            text, rest = output["text"][:texts], output["text"][texts:]
            if text:
                note = f"\n… {len(rest):,} characters left out …\n" if rest else ""
                found.append(output | {"text": text + note})
            texts -= len(text)
        elif others:
            found.append(output)
            others -= 1
    if odd:
        found.append(error_output("NotShown", "what came back is no output of a cell", []))
    return found


def _checked(found: dict[str, Any]) -> dict[str, Any]:
    """A message of any kind with its known parts in order; what it lacks is for the reader of that kind."""
    kept = dict(found)
    if "outputs" in kept:
        kept["outputs"] = outputs(kept["outputs"])
    if isinstance(kept.get("results"), list):
        kept["results"] = [_result(item) for item in kept["results"][:_RESULTS]]
    if isinstance(kept.get("output"), str):
        kept["output"] = kept["output"][: OUTPUT_SHOWN + _NOTES]
    if isinstance(kept.get("observations"), list):
        kept["observations"] = [_with_error(item) if isinstance(item, dict) else item for item in kept["observations"]]
    return _with_error(kept)


def _with_error(item: dict[str, Any]) -> dict[str, Any]:
    """An outcome whose error, if it has one, is no longer than ours are."""
    error = item.get("error")
    if isinstance(error, str):
        return item | {"error": error[:MESSAGE_KEPT]}
    if isinstance(error, dict):
        short = {key: error[key][:most] for key, most in _ERROR.items() if isinstance(error.get(key), str)}
        line = {"line": error["line"]} if "line" in error else {}
        return item | {"error": short | line}
    return item


def _result(item: Any) -> dict[str, Any]:
    """The outcome of a test or a variant of it; one that makes no sense is as if its process had ended."""
    if (
        not isinstance(item, dict)
        or not isinstance(item.get("ok"), bool)
        or not isinstance(item.get("outputs"), list)
        or not isinstance(item.get("error"), (str, type(None)))
    ):
        return {"ok": False, "outputs": [], "error": "Lost", "timed_out": True}
    late = item.get("timed_out", False) is not False
    return _with_error(item | {"outputs": outputs(item["outputs"]), "timed_out": late})


def _output(item: Any) -> dict[str, Any] | None:
    """One output, None where it is none."""
    kind = item.get("output_type") if isinstance(item, dict) else None
    if kind == "stream" and item.get("name") in ("stdout", "stderr") and isinstance(item.get("text"), str):
        return {"output_type": kind, "name": item["name"], "text": item["text"]}
    if kind in ("display_data", "execute_result") and isinstance(item.get("data"), dict):
        metadata = plain(item.get("metadata"))
        metadata = metadata if isinstance(metadata, dict) and length(metadata) <= TEXT_KEPT else {}
        output = {"output_type": kind, "data": _bundle(item["data"]), "metadata": metadata}
        count = item.get("execution_count")
        return output if kind == "display_data" else output | {"execution_count": count if type(count) is int else None}
    lines = item.get("traceback") if kind == "error" else None
    if isinstance(lines, list) and isinstance(item.get("ename"), str) and isinstance(item.get("evalue"), str):
        return error_output(item["ename"], item["evalue"], [line for line in lines if isinstance(line, str)])
    return None


def _bundle(data: dict[str, Any]) -> dict[str, Any]:
    """Data by its MIME type; only what is JSON by its type may be something else than text."""
    kept = {kind: item if _JSON_TYPE.fullmatch(kind) else _text(item) for kind, item in data.items()}
    return bounded(kept, DATA_KEPT + TEXT_KEPT)


def _text(item: Any) -> str:
    if isinstance(item, list) and all(isinstance(line, str) for line in item):
        return "".join(item)
    return item if isinstance(item, str) else repr(item)[:MESSAGE_KEPT]


def _clean(item: Any) -> Any:
    """A value whose texts can be stored: lone surrogates are replaced."""
    if isinstance(item, str):
        return item if item.isascii() else plain(item)
    if isinstance(item, list):
        return [_clean(one) for one in item]
    if isinstance(item, dict):
        return {_clean(key): _clean(one) for key, one in item.items()}
    return item


def _check_arrays(data: bytes) -> None:
    """See to it that a message's arrays have the bytes that their headers say, before memory is taken for them.

    A shape with a zero in it needs no bytes and can be long all the same, for whoever goes through its rows.

    Raises:
        ValueError: one has not, is of another kind than plain data's, or there are too many of them.
    """
    buffer = io.BytesIO(data)
    buffer.seek(8 + int.from_bytes(buffer.read(8), "big"))
    for _number in range(_ARRAYS):
        if buffer.tell() >= len(data):
            return
        version = npy.read_magic(buffer)
        if version not in _HEADERS:
            raise ValueError(f"an array of format {version}")
        shape, _fortran, dtype = _HEADERS[version](buffer)
        if dtype.kind not in "biufcU" or dtype.subdtype is not None or min(shape, default=0) < 0:
            raise ValueError(f"an array of {dtype}")
        needed, left = math.prod(shape) * dtype.itemsize, len(data) - buffer.tell()
        if needed > left or (not needed and math.prod(side or 1 for side in shape) > _EMPTY):
            raise ValueError(f"an array of shape {shape} in {left:,} bytes")
        if dtype.kind == "U" and needed:
            _check_text(buffer.read(needed), dtype)
        else:
            buffer.seek(needed, io.SEEK_CUR)
    raise ValueError("too many arrays")


def _check_text(data: bytes, dtype: np.dtype) -> None:
    """Raise ValueError where an array's characters are none, which NumPy tells only whoever reads them."""
    codes = np.frombuffer(data, dtype=np.dtype(np.uint32).newbyteorder(dtype.byteorder))
    if ((codes > 0x10FFFF) | ((codes >= 0xD800) & (codes <= 0xDFFF))).any():
        raise ValueError("an array of characters that are none")
