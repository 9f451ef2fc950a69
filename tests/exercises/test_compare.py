"""What a judge says when it compares: who is right, and where an answer parts from what is right."""

import numpy as np
import pytest

from tl_course.exercises.engine.compare import close, holds

RIGHT = {
    "equal": (np.ones(3), np.ones(3)),
    "other precision": (np.ones(3, np.float32), np.ones(3)),
    "integers": ([1, 1, 1], np.ones(3)),
    "a number": (2.0, 2),
    "nan where nan belongs": (np.array([np.nan]), np.array([np.nan])),
    "empty": (np.zeros((0, 2)), np.zeros((0, 2))),
}
WRONG = {
    "value": (np.array([1.0, 2.0]), np.array([1.0, 3.0]), "at position [1]: expected 3, yours is 2"),
    "number": (1.0, 2.0, "expected 2, yours is 1"),
    "shape": (np.ones((3, 1)), np.ones(3), "shape (3,) was expected, yours is (3, 1)"),
    "nan": (np.array([np.nan, 1]), np.ones(2), "1 of your 2 values are NaN or infinite"),
    "infinity": (np.array([np.inf, 1]), np.ones(2), "1 of your 2 values are NaN or infinite"),
    "none": (None, np.ones(2), "numbers were expected, yours is NoneType"),
    "text that reads as a number": ("1.0", 1.0, "numbers were expected, yours is str"),
    "texts that read as numbers": (np.array(["1", "1"]), np.ones(2), "numbers were expected, yours is an array of <U1"),
    "an imaginary part": (np.array([1 + 5j]), np.ones(1), "numbers were expected, yours is an array of complex128"),
    "ragged": ([[1], [1, 2]], np.ones(2), "numbers were expected, yours is list"),
    "missing": ({}, np.ones(2), "numbers were expected, yours is dict"),
}


@pytest.mark.parametrize(("observed", "expected"), RIGHT.values(), ids=RIGHT)
def test_right_values_pass_without_a_word(observed, expected):
    finding = close("value", observed, expected, "the vectors")
    assert finding.passed and not finding.message


@pytest.mark.parametrize(("observed", "expected", "said"), WRONG.values(), ids=WRONG)
def test_wrong_values_fail_and_are_named(observed, expected, said):
    finding = close("value", observed, expected, "the vectors")
    assert not finding.passed
    assert finding.message.startswith("the vectors: ") and said in finding.message


def test_tolerances_are_relative_and_absolute():
    assert close("v", 1000.05, 1000.0, "x").passed
    assert not close("v", 1000.2, 1000.0, "x").passed
    assert not close("v", 1.002, 1.0, "x").passed
    assert close("v", 1.002, 1.0, "x", rtol=0.01).passed
    assert not close("v", 0.1, 0.0, "x", rtol=10).passed


def test_expected_nan_does_not_break_the_message():
    finding = close("v", np.array([1.0, 2.0]), np.array([np.nan, np.nan]), "x")
    assert not finding.passed and finding.message


def test_a_condition():
    assert holds("v", np.bool_(True), "why").message == ""
    assert holds("v", np.bool_(False), "why") == holds("v", False, "why")
    assert holds("v", False, "why").message == "why"
