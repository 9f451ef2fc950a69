"""What the distillation losses in Keras refuse; while a graph is traced, as far as shapes and numbers are known."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tl_course.distill_inputs import UNLABELLED
from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.masking import IGNORED

Tensor = Any
"""A tensor of TensorFlow or a NumPy array."""


def check_labels(labels: Tensor, student: Tensor) -> None:
    """Raise BadInput unless labels are integers (N,) that logits (N, K) have classes for, or `UNLABELLED`."""
    if not agree(labels.shape, student.shape[:1]) or not keras.backend.is_int_dtype(labels.dtype):
        raise BadInput(
            _("labels (N,): one class number for each of {count} rows").format(count=student.shape[0]),
            _("shape {shape} of {type}").format(shape=tuple(labels.shape), type=labels.dtype.name),
            _("pass class numbers, not probabilities"),
        )
    values = numbers_of(labels)
    if values is not None and len(values) and not UNLABELLED <= values.min() <= values.max() < student.shape[1]:
        raise BadInput(
            _("labels from 0 to {last}").format(last=student.shape[1] - 1),
            _("{low} to {high}").format(low=values.min(), high=values.max()),
            _("student and labels must count the same classes"),
        )


def check_values(student: Tensor, teacher: Tensor, mask: Tensor, num_heads: int) -> None:
    """Raise BadInput unless both are (N, L, ...) with a mask (N, L), of widths that num_heads divides."""
    sequences = len(student.shape) == len(teacher.shape) == 3
    if not (sequences and all(agree(values.shape[:2], mask.shape) for values in (student, teacher))):
        raise BadInput(
            _("values (N, L, D) and (N, L, D'), and a mask (N, L)"),
            _("{values} and a mask {mask}").format(values=shapes(student, teacher), mask=tuple(mask.shape)),
            _("both networks need the same tokens, padded alike"),
        )
    if num_heads < 1 or student.shape[2] % num_heads or teacher.shape[2] % num_heads:
        raise BadInput(
            _("num_heads that divides both widths"),
            _("{heads} heads, widths {one} and {other}").format(
                heads=num_heads, one=student.shape[2], other=teacher.shape[2]
            ),
            _("12 fits 384 and 768"),
        )


def check_distilbert(
    student: Tensor, teacher: Tensor, labels: Tensor, hidden: Tensor, wanted: Tensor, real: Tensor
) -> None:
    """Raise BadInput unless logits, labels, hidden states and mask belong together, and a label is there."""
    rows = agree(student.shape, teacher.shape) and agree(labels.shape, student.shape[:-1])
    if not (rows and agree(hidden.shape, wanted.shape) and agree(real.shape, hidden.shape[:2])):
        raise BadInput(
            _("logits of one shape, a label for each row of them, hidden states (N, L, D) of one shape, mask (N, L)"),
            ", ".join(str(tuple(part.shape)) for part in (student, teacher, labels, hidden, wanted, real)),
            _("both networks need the same tokens, and hidden states of one width"),
        )
    values = numbers_of(labels)
    if values is not None and not (values != IGNORED).any():
        raise BadInput(_("a label for at least one token"), _("none"), _("hide some tokens first: masking"))


def agree(one: Any, other: Any) -> bool:
    """Whether two shapes are equal, as far as they are known: a traced batch has no size yet."""
    pairs = zip(tuple(one), tuple(other), strict=False)
    return len(one) == len(other) and all(a == b or None in (a, b) for a, b in pairs)


def shapes(student: Tensor, teacher: Tensor) -> str:
    """Both shapes, as a refusal names them."""
    return _("student {student}, teacher {teacher}").format(student=tuple(student.shape), teacher=tuple(teacher.shape))


def numbers_of(tensor: Tensor) -> np.ndarray | None:
    """The numbers, or None while a graph is traced, when there are none yet."""
    return None if tf.is_symbolic_tensor(tensor) else ops.convert_to_numpy(tensor)
