"""Plain data: what crosses the border between a learner's process and the checker's. No pickles."""

import io
import json
from typing import Any

import numpy as np


class NotPlain(TypeError):
    """A value that cannot be turned into plain data; the message names its type."""


def as_array(value: Any) -> np.ndarray:
    """Any framework's tensor, a NumPy array, a number or nested lists of numbers as a plain NumPy array.

    Raises:
        NotPlain: not a rectangular array of numbers, booleans or strings.
    """
    if hasattr(value, "detach"):  # a torch tensor
        value = value.detach().cpu()
        value = value.float() if str(value.dtype) == "torch.bfloat16" else value
    try:
        array = np.asarray(value.numpy() if hasattr(value, "numpy") and not isinstance(value, np.ndarray) else value)
    except ValueError as error:
        raise NotPlain(f"an array of numbers was expected, not a {type(value).__name__} of unequal parts") from error
    if array.dtype.name in ("bfloat16", "float8_e4m3fn", "float8_e5m2"):  # ml_dtypes, which TensorFlow uses
        array = array.astype(np.float32)
    if array.dtype.kind not in "biufcU":
        raise NotPlain(f"an array of numbers was expected, not {describe(value)}")
    return np.array(array, copy=True, order="C", subok=False)


def describe(value: Any) -> str:
    """A short description of a value's type and shape, for messages."""
    name = type(value).__name__
    try:
        return f"{name} of shape {tuple(value.shape)}"
    except (AttributeError, TypeError):  # no shape, or something else of that name
        return name


def pack(value: Any) -> bytes:
    """Plain data as bytes: JSON for structure and NumPy's npy format for arrays.

    Raises:
        NotPlain: the value holds something else than None, bool, int, float, str, arrays, lists and str-keyed dicts.
    """
    arrays: list[np.ndarray] = []
    text = json.dumps(_encode(value, arrays)).encode()
    buffer = io.BytesIO()
    buffer.write(len(text).to_bytes(8, "big") + text)
    for array in arrays:
        np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def unpack(data: bytes) -> Any:
    """The inverse of `pack`. Raises ValueError for bytes that are not packed plain data."""
    buffer = io.BytesIO(data)
    arrays = []
    try:
        tree = json.loads(buffer.read(int.from_bytes(buffer.read(8), "big")))
        while buffer.tell() < len(data):
            arrays.append(np.load(buffer, allow_pickle=False))
        return _decode(tree, arrays)
    except (ArithmeticError, EOFError, LookupError, MemoryError, RecursionError, SyntaxError, TypeError) as error:
        raise ValueError("these bytes are not packed plain data") from error


def _encode(value: Any, arrays: list[np.ndarray]) -> Any:
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, np.generic):
        return _encode(value.item(), arrays)
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "biufcU":
            raise NotPlain(f"an array of numbers was expected, not one of {value.dtype}")
        arrays.append(np.asarray(value))
        return {"__array__": len(arrays) - 1}
    if isinstance(value, (list, tuple)):
        return [_encode(item, arrays) for item in value]
    if isinstance(value, dict):
        return {str(key): _encode(item, arrays) for key, item in value.items()}
    raise NotPlain(f"plain data was expected, not {describe(value)}")


def _decode(tree: Any, arrays: list[np.ndarray]) -> Any:
    if isinstance(tree, dict):
        if set(tree) == {"__array__"}:
            return arrays[tree["__array__"]]
        return {key: _decode(item, arrays) for key, item in tree.items()}
    if isinstance(tree, list):
        return [_decode(item, arrays) for item in tree]
    return tree


def same(a: Any, b: Any, rtol: float = 1e-4, atol: float = 1e-6) -> bool:
    """Whether two pieces of plain data agree: structure and shapes exactly, numbers within the tolerance."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key], rtol, atol) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same(x, y, rtol, atol) for x, y in zip(a, b, strict=True))
    if isinstance(a, (bool, str, type(None))) or isinstance(b, (bool, str, type(None))):
        return type(a) is type(b) and a == b
    if isinstance(a, (dict, list)) or isinstance(b, (dict, list)):
        return False
    a, b = np.asarray(a), np.asarray(b)
    if "O" in a.dtype.kind + b.dtype.kind:  # integers too large for any array
        return a.shape == b.shape and bool((a == b).all())
    if a.shape != b.shape:
        return False
    if a.dtype.kind in "bU" or b.dtype.kind in "bU":
        return a.dtype.kind == b.dtype.kind and bool((a == b).all())
    return bool(np.allclose(a, b, rtol=rtol, atol=atol, equal_nan=True))
