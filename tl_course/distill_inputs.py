"""What a student is taught on: labelled and unlabelled inputs in one, checked; the same for both frameworks."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from tl_course.data.dataset import Split
from tl_course.errors import BadInput
from tl_course.fit_options import Augmentation
from tl_course.i18n import _
from tl_course.teacher_cache import Teacher

UNLABELLED = -1
"""Stands where an example has no class number."""


def with_unlabelled(train: Split, unlabelled: np.ndarray | Sequence[str] | None) -> Split:
    """The training examples, and after them those without labels.

    Raises:
        BadInput: unlabelled inputs of another size or type.
    """
    if unlabelled is None or len(unlabelled) == 0:
        return Split(train.x, train.y)
    more = np.asarray(unlabelled)
    if more.shape[1:] != train.x.shape[1:] or more.dtype.kind != train.x.dtype.kind:
        raise BadInput(
            _("unlabelled inputs like those of train, of shape {shape} each").format(shape=train.x.shape[1:]),
            _("shape {shape} each, of {type}").format(shape=more.shape[1:], type=more.dtype),
            _("bring them to one size and type first"),
        )
    return Split(np.concatenate([train.x, more]), np.concatenate([train.y, np.full(len(more), UNLABELLED)]))


def check_layers(layers: Sequence[int], count: int, num_own: int | None = None) -> None:
    """Raise BadInput unless `layers` are some, not all, of a teacher's `count` layers, ascending from 0.

    Args:
        layers: numbers of layers.
        count: layers that are run.
        num_own: how many of them have weights of their own; None: all.
    """
    own = count if num_own is None else num_own
    ascending = all(before < after for before, after in pairwise(layers))
    if own != count or not 0 < len(layers) < count or not ascending or layers[0] < 0 or layers[-1] >= count:
        raise BadInput(
            _("layers: some of the teacher's {count} layers of weights, ascending from 0").format(count=own),
            str(tuple(layers)),
            _("range(0, num_layers, 2) takes every second one"),
        )


def check_views(num_views: int, augment: Augmentation, teacher: Teacher) -> None:
    """Raise BadInput for views that would not differ, and for answers to other pixels than the student would see."""
    if num_views < 1 or (num_views > 1 and augment == "none"):
        raise BadInput(
            _("num_views of at least 1, and of 1 where nothing is augmented"),
            _("num_views={num_views} with augment={augment!r}").format(num_views=num_views, augment=augment),
            _("views of one image differ only by augmentation"),
        )
    if isinstance(teacher, np.ndarray) and augment != "none":
        raise BadInput(
            _("a teacher that can be asked, for augmented images"),
            _("an array of logits, for other pixels than the student would see"),
            _("pass a classifier or a function, or augment='none'"),
        )


def pack(y: np.ndarray, teacher_logits: np.ndarray) -> np.ndarray:
    """Class numbers (N,) and teacher's logits (N, K) side by side: float32 (N, 1 + K), so that they stay together."""
    return np.concatenate([y[:, None], teacher_logits], axis=1, dtype=np.float32)
