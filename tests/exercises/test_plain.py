"""Plain data: nothing but numbers, text and their containers crosses between processes, and it crosses unchanged."""

import io
import pickle

import numpy as np
import pytest

from tl_course.exercises.engine.plain import NotPlain, as_array, describe, pack, same, unpack

ROUND_TRIPS = {
    "none": None,
    "bool": True,
    "int": -(2**70),
    "float": 0.1,
    "infinity": float("-inf"),
    "text": 'é \u4e2d \x00 "quoted"',
    "nested": {"a": [1, [2.5, None, {"b": "c"}]], "": []},
    "array": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "fortran order": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "empty array": np.zeros((0, 3)),
    "zero dimensions": np.array(7, dtype=np.int8),
    "booleans": np.array([[True], [False]]),
    "complex": np.array([1 + 2j]),
    "half": np.array([1.5], dtype=np.float16),
    "texts": np.array(["a", "längere"]),
    "not native order": np.array([1, 2], dtype=">i4"),
    "many": {"x": [np.ones(2), np.zeros((1, 2))], "y": {"z": np.array([3])}},
}


def identical(a, b) -> bool:
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape and bool((a == b).all())
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(identical(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(identical, a, b))
    return type(a) is type(b) and a == b


@pytest.mark.parametrize("value", ROUND_TRIPS.values(), ids=ROUND_TRIPS)
def test_packing_and_unpacking_changes_nothing(value):
    assert identical(value, unpack(pack(value)))


@pytest.mark.parametrize("seed", range(20))
def test_random_structures_survive(seed):
    rng = np.random.default_rng(seed)

    def draw(depth):
        kind = rng.integers(0, 7 if depth else 5)
        if kind == 5:
            return [draw(depth - 1) for _ in range(rng.integers(0, 4))]
        if kind == 6:
            return {f"k{i}": draw(depth - 1) for i in range(rng.integers(0, 4))}
        shape = tuple(rng.integers(0, 4, size=rng.integers(0, 4)))
        dtype = rng.choice(["f4", "f8", "i8", "u1", "?"])
        array = np.asarray(rng.normal(size=shape) * 9).astype(dtype)
        return [None, int(rng.integers(9)), float(rng.normal()), "txt", array][kind]

    value = draw(4)
    assert identical(value, unpack(pack(value)))


def test_scalars_and_tuples_become_python_values():
    assert unpack(pack({"n": np.float32(0.5), "t": (1, np.int64(2)), 3: "key"})) == {"n": 0.5, "t": [1, 2], "3": "key"}


class Opens:
    """Unpickling it would create a file."""

    def __reduce__(self):
        return open, ("opened", "w")


@pytest.mark.parametrize(
    "value",
    [Opens(), np.array([Opens()]), {"a": [Opens()]}, b"bytes", {1, 2}, np.array([b"x"]), np.array(["2020"], "M8[D]")],
    ids=["object", "object array", "nested", "bytes", "set", "byte strings", "dates"],
)
def test_nothing_else_is_packed(value):
    with pytest.raises(NotPlain):
        pack(value)


def test_a_pickle_is_not_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    buffer = io.BytesIO()
    text = b'{"__array__": 0}'
    buffer.write(len(text).to_bytes(8, "big") + text)
    np.save(buffer, np.array([Opens()]), allow_pickle=True)
    with pytest.raises(ValueError):
        unpack(buffer.getvalue())
    with pytest.raises(ValueError):
        unpack(pickle.dumps(Opens()))
    assert not (tmp_path / "opened").exists()


GARBAGE = {
    "nothing": b"",
    "cut short": pack({"a": np.ones(5)})[:-3],
    "text cut short": pack({"a": "b"})[:-3],
    "no such array": b"\0\0\0\0\0\0\0\x10" + b'{"__array__": 9}',
    "array number is text": b"\0\0\0\0\0\0\0\x12" + b'{"__array__": "x"}',
    "deep": (200_000).to_bytes(8, "big") + b"[" * 200_000,
    "huge array": b"\0\0\0\0\0\0\0\x04null\x93NUMPY\x01\0v\0"
    + b"{'descr': '<f8', 'fortran_order': False, 'shape': (9000000000000000,), }".ljust(117)
    + b"\n",
    "random": bytes(range(256)),
}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE)
def test_what_is_not_packed_data_is_a_value_error(data):
    with pytest.raises(ValueError):
        unpack(data)


SAME = {
    "within tolerance": (np.array([1.0]), np.array([1.0 + 1e-7]), True),
    "beyond tolerance": (np.array([1.0]), np.array([1.001]), False),
    "nan in the same place": (np.array([np.nan, 1]), np.array([np.nan, 1]), True),
    "nan elsewhere": (np.array([np.nan, 1]), np.array([1, np.nan]), False),
    "infinities of either sign": (np.array([np.inf]), np.array([-np.inf]), False),
    "shape (1,) and ()": (np.array([1.0]), np.array(1.0), False),
    "shapes that broadcast": (np.ones((2, 1)), np.ones((1, 2)), False),
    "number and zero-dimensional array": (1.0, np.array(1.0), True),
    "true is not 1": (True, 1, False),
    "bool arrays": (np.array([True]), np.array([True]), True),
    "bool and number arrays": (np.array([True]), np.array([1.0]), False),
    "text": ("a", "a", True),
    "text and number": ("1", 1, False),
    "texts and numbers": (np.array(["1"]), np.array([1]), False),
    "other keys": ({"a": 1}, {"b": 1}, False),
    "a key more": ({"a": 1}, {"a": 1, "b": 1}, False),
    "lists of unequal length": ([1], [1, 2], False),
    "list and array": ([1.0], np.array([1.0]), False),
    "none": (None, None, True),
    "none and zero": (None, 0, False),
    "integers beyond 64 bits": (10**30, 10**30, True),
    "other integers beyond 64 bits": (10**30, 10**30 + 1, False),
    "integer beyond 64 bits and a float": (10**30, 0.5, False),
    "nested": ({"a": [np.ones(2)]}, {"a": [np.ones(2)]}, True),
}


@pytest.mark.parametrize(("a", "b", "expected"), SAME.values(), ids=SAME)
def test_same(a, b, expected):
    assert same(a, b) is expected
    assert same(b, a) is expected


def test_arrays_of_torch():
    torch = pytest.importorskip("torch")
    values = torch.tensor([[1.5, -2.0]], requires_grad=True)
    assert identical(as_array(values), np.array([[1.5, -2.0]], dtype=np.float32))
    assert identical(as_array(values.detach().bfloat16()), np.array([[1.5, -2.0]], dtype=np.float32))
    assert identical(as_array(values.T), np.array([[1.5], [-2.0]], dtype=np.float32))
    assert as_array(torch.nn.Parameter(torch.ones(2, dtype=torch.float64))).dtype == np.float64


def test_the_array_of_a_tensor_is_a_copy():
    torch = pytest.importorskip("torch")
    tensor = torch.zeros(3)
    array = as_array(tensor)
    tensor += 1
    assert not array.any()


ODD = {
    "list": ([[1, 2], [3, 4]], "i", (2, 2)),
    "number": (3.0, "f", ()),
    "bool": (True, "b", ()),
    "text": ("abc", "U", ()),
    "range": (range(3), "i", (3,)),
    "half": (np.float16([1]), "f", (1,)),
    "masked array": (np.ma.masked_array([1.0, 2.0], mask=[0, 1]), "f", (2,)),
    "matrix, one row": (np.ones((1, 3))[:, ::-1], "f", (1, 3)),
}


@pytest.mark.parametrize(("value", "kind", "shape"), ODD.values(), ids=ODD)
def test_array_likes(value, kind, shape):
    array = as_array(value)
    assert type(array) is np.ndarray and array.dtype.kind == kind and array.shape == shape


class Hostile(np.ndarray):
    """An array subclass that answers every question as it likes."""

    def __eq__(self, other):
        return True

    def __array__(self, *args, **kwargs):
        raise RuntimeError("no")

    def __len__(self):
        raise RuntimeError("no")

    def astype(self, *args, **kwargs):
        raise RuntimeError("no")

    def copy(self, order="C"):
        return self


def test_subclasses_of_arrays_lose_their_methods():
    hostile = np.ones(3).view(Hostile)
    array = as_array(hostile)
    assert type(array) is np.ndarray
    hostile[:] = 5
    assert array.tolist() == [1, 1, 1]
    assert type(unpack(pack({"a": hostile}))["a"]) is np.ndarray


NOT_ARRAYS = {
    "none": (None, "NoneType"),
    "ragged": ([[1], [1, 2]], "unequal parts"),
    "generator": ((i for i in range(3)), "generator"),
    "object array": (np.array([None, 1]), "ndarray of shape (2,)"),
    "dict": ({"a": 1}, "dict"),
    "bytes": (b"ab", "bytes"),
    "function": (len, "builtin_function_or_method"),
    "integer too large": (10**30, "int"),
}


@pytest.mark.parametrize(("value", "named"), NOT_ARRAYS.values(), ids=NOT_ARRAYS)
def test_what_is_no_array_is_named(value, named):
    with pytest.raises(NotPlain, match="an array of numbers was expected") as caught:
        as_array(value)
    assert named in str(caught.value)


def test_describe_believes_no_odd_shape():
    class Odd:
        shape = 7

    assert describe(Odd()) == "Odd"
    assert describe(np.ones((2, 3))) == "ndarray of shape (2, 3)"


def test_bfloat16_of_ml_dtypes_becomes_float32():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    assert identical(as_array(np.array([1.5], dtype=ml_dtypes.bfloat16)), np.array([1.5], dtype=np.float32))
